"""The house: which room may import which, what the numerical rooms see, what must be installed."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "sklearn_mllm"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

#: Each room imports from those before it alone.
ORDER = """links result formula design objective optimizer prediction estimator inference
    presentation""".split()
#: The one import against the order: a method that only hands the model on.
DOORS = {("estimator/classifier.py", "presentation.summary")}
NUMERICAL = {"links", "objective", "optimizer", "result"}
#: What some functions import, and say so where it is missing.
OPTIONAL = {"matplotlib", "statsmodels", "polars", "marginaleffects"}
#: Distributions with another name than their module.
MODULES = {"sklearn": "scikit-learn"}
FILES = sorted(PACKAGE.rglob("*.py"))


@lru_cache
def imports(file: Path) -> tuple[list[str], set[str]]:
    """Modules of the package that a file imports, wherever in it, and other top-level modules."""
    parts = file.relative_to(PACKAGE).parts[:-1]
    own, foreign = [], set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            foreign |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = parts[: len(parts) - node.level + 1]
            tails = [node.module] if node.module else [name.name for name in node.names]
            own += [".".join([*base, tail]) for tail in tails]
        elif isinstance(node, ast.ImportFrom):
            foreign.add(node.module.split(".")[0])
    return own, foreign - set(sys.stdlib_module_names)


def room(file: Path) -> str | None:
    parts = file.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 and parts[0] in ORDER else None


@pytest.mark.parametrize("name", ORDER)
def test_imports_run_one_way(name):
    rank = ORDER.index(name)
    wrong = set()
    for file in FILES:
        if room(file) == name:
            path = str(file.relative_to(PACKAGE))
            for module in imports(file)[0]:
                target = module.split(".")[0]
                if ORDER.index(target) > rank:
                    wrong.add((path, module))
    assert wrong == {door for door in DOORS if door[0].startswith(f"{name}/")}


def test_the_estimator_is_entered_by_one_door():
    """Functions that take the training data again read it as `fit` does, and need no more."""
    entered = {
        module
        for file in FILES
        if room(file) not in (None, "estimator")
        for module in imports(file)[0]
        if module.split(".")[0] == "estimator"
    }
    assert entered == {"estimator.intake"}


@pytest.mark.parametrize("file", [f for f in FILES if room(f) in NUMERICAL], ids=lambda f: f.name)
def test_numerical_rooms_see_arrays_only(file):
    assert imports(file)[1] <= {"numpy", "scipy", "threadpoolctl"}


def test_the_estimator_holds_no_linear_algebra():
    for file in FILES:
        if room(file) == "estimator":
            tree = ast.parse(file.read_text())
            assert not [n for n in ast.walk(tree) if isinstance(n, ast.MatMult)], file
            assert "linalg" not in file.read_text(), file


def test_files_stay_short():
    long = [f for f in [*FILES, *ROOT.glob("tests/**/*.py")] if f.read_text().count("\n") > 500]
    assert long == []


def bounds(requirements: list[str]) -> dict[str, str]:
    """Distribution -> least version."""
    found = [re.match(r"([\w-]+)(?:\[[\w,]+\])?>=([\w.]+)", text) for text in requirements]
    return {match[1].lower(): match[2] for match in found}


def test_everything_imported_is_declared():
    """No dependency that only another one brings."""
    declared = set(bounds(PROJECT["dependencies"]))
    needed = set().union(*(imports(file)[1] for file in FILES)) - OPTIONAL
    assert {MODULES.get(m, m.replace("_", "-")) for m in needed} == declared


def test_least_versions_are_the_ones_tested():
    """Each least version of a dependency is in the constraints that the oldest run installs."""
    text = (ROOT / ".github" / "oldest-constraints.txt").read_text()
    pinned = dict(re.findall(r"^([\w-]+)==([\w.]+)$", text, flags=re.MULTILINE))
    extras = PROJECT["optional-dependencies"]
    wanted = bounds(PROJECT["dependencies"] + extras["plot"] + extras["test"])
    del wanted["ruff"]
    for name, version in wanted.items():
        padded = [re.sub(r"(\.0)+$", "", v) for v in (version, pinned[name])]
        assert padded[0] == padded[1], name
