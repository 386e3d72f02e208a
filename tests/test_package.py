"""The package as a whole: cheap to import, its public names, its version."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest

import sklearn_mllm

HEAVY = "numpy scipy pandas sklearn formulaic narwhals matplotlib statsmodels dask polars".split()


def test_import_loads_nothing_heavy():
    code = (
        "import sys, sklearn_mllm; dir(sklearn_mllm); "
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_public_names_are_listed():
    contract = """MixedLogisticClassifier Prior compare_models confidence_intervals r2 icc report
        standardized_effects poststratify RandomEffectsDisplay PredictedProbabilityDisplay
        SmoothedProportionDisplay ResidualDisplay datasets""".split()
    assert set(contract) <= set(sklearn_mllm.__all__) <= set(dir(sklearn_mllm))


def test_names_are_functions_whatever_was_imported_before():
    """`report` and `poststratify` are also names of modules, which an unpickled value imports."""
    code = (
        "import sklearn_mllm.presentation.report, sklearn_mllm.prediction.poststratify\n"
        "from sklearn_mllm import poststratify, report\n"
        "print(callable(poststratify), callable(report))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["True", "True"]


def test_unknown_name():
    with pytest.raises(AttributeError, match="'sklearn_mllm' has no attribute 'MixedLogistic'"):
        sklearn_mllm.MixedLogistic  # noqa: B018


def test_version():
    """One source of the version; every installed copy's metadata agrees with it."""
    root = Path(__file__).parent.parent
    project = tomllib.loads((root / "pyproject.toml").read_text())
    assert "version" in project["project"]["dynamic"]
    assert root / project["tool"]["hatch"]["version"]["path"] == Path(sklearn_mllm.__file__)
    assert re.fullmatch(r"\d+\.\d+(\.\d+)?(\.?(a|b|rc|dev)\d+)?", sklearn_mllm.__version__)
    installed = {found.version for found in distributions(name="sklearn-mllm")}
    assert installed <= {sklearn_mllm.__version__}
