"""The documentation knows every public name, and every public docstring is complete."""

from __future__ import annotations

import inspect
import re
import tomllib
from pathlib import Path

import pytest

import sklearn_mllm
from sklearn_mllm import datasets

ROOT = Path(__file__).parent.parent
PUBLIC = {
    **{name: getattr(sklearn_mllm, name) for name in sklearn_mllm.__all__ if name != "datasets"},
    **{name: getattr(datasets, name) for name in datasets.__all__},
}


def listed_names() -> set[str]:
    """Entries of the autosummary tables of the reference."""
    text = (ROOT / "docs" / "api.rst").read_text()
    return set(re.findall(r"^   (\w+)$", text, flags=re.MULTILINE))


@pytest.mark.parametrize("name", PUBLIC)
def test_reference_lists_every_public_name(name):
    assert name in listed_names()


def sections(doc: str) -> set[str]:
    """Headings of a numpydoc docstring."""
    return set(re.findall(r"^([A-Z][A-Za-z ]+)\n-{3,}$", doc, flags=re.MULTILINE))


def documented_parameters(doc: str) -> list[str]:
    match = re.search(r"^Parameters\n-+\n(.*?)(?=^\w[\w ]*\n-{3,}$|\Z)", doc, re.M | re.S)
    lines = re.findall(r"^(\*{0,2}\w[\w, ]*?) ?(?::|$)", match.group(1), re.M) if match else []
    return [name.strip("* ") for line in lines for name in line.split(",")]


@pytest.mark.parametrize("name", PUBLIC)
def test_docstrings_document_their_parameters(name):
    thing = PUBLIC[name]
    methods = [thing]
    if inspect.isclass(thing):
        methods += [
            member
            for key, member in inspect.getmembers(thing, callable)
            if not key.startswith(("_", "set_", "get_")) and "sklearn_mllm" in member.__module__
        ]
    for one in methods:
        doc = inspect.getdoc(one)
        named = [p for p in inspect.signature(one).parameters if p != "self"]
        assert documented_parameters(doc) == [p.strip("*") for p in named], one
        if one is not thing or not inspect.isclass(thing):
            assert "Returns" in sections(doc), one


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_have_an_example(name):
    assert "Examples" in sections(inspect.getdoc(PUBLIC[name]))


@pytest.mark.parametrize("name", PUBLIC)
def test_functions_tell_their_errors_and_sources(name):
    thing = PUBLIC[name]
    if name.startswith("load_"):
        return
    calls = [thing]
    if inspect.isclass(thing):
        calls = [
            member
            for key, member in inspect.getmembers(thing, inspect.isfunction)
            if key in ("fit", "score", "simulate", "update_groups", "decision_function")
            or key.startswith("predict")
        ]
    for one in calls:
        assert "Raises" in sections(inspect.getdoc(one)), one
    if not inspect.isclass(thing) and name != "make_schools":
        assert "References" in sections(inspect.getdoc(thing))


def test_guide_pages_are_in_the_test_run():
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]
    assert "docs/guide" in options["testpaths"]
    pages = {page.stem for page in (ROOT / "docs" / "guide").glob("*.rst")} - {"index"}
    index = (ROOT / "docs" / "guide" / "index.rst").read_text()
    assert pages == set(re.findall(r"^   (\w+)$", index, flags=re.MULTILINE))
