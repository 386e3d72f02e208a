"""The package as a whole: cheap to import, its public names, its version."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

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


def test_unknown_name():
    with pytest.raises(AttributeError, match="'sklearn_mllm' has no attribute 'MixedLogistic'"):
        sklearn_mllm.MixedLogistic  # noqa: B018


def test_version_is_the_installed_one():
    try:
        installed = version("sklearn-mllm")
    except PackageNotFoundError:
        pytest.skip("run from a checkout that is not installed")
    assert sklearn_mllm.__version__ == installed
