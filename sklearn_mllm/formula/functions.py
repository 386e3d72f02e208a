"""The functions that a formula may call: nothing else is ever evaluated."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["ALIASES", "FUNCTIONS", "evaluation_context"]

#: Name -> what it does. Those marked with a module come from there, the others from formulaic.
FUNCTIONS: dict[str, str] = {
    "I": "arithmetic as written, e.g. I(age^2)",
    "C": "a column as a factor",
    "factor": "the same, R's name",
    "poly": "orthogonal polynomial, poly(x, 2)",
    "bs": "B-spline basis, bs(x, df=5)",
    "cs": "natural cubic spline basis, cs(x, df=5)",
    "ns": "the same, R's name",
    "cc": "cyclic cubic spline basis",
    "scale": "centred and divided by the standard deviation of the training data",
    "center": "centred at the mean of the training data",
    "log": "natural logarithm",
    "log2": "",
    "log10": "",
    "log1p": "log(1 + x)",
    "exp": "",
    "expm1": "exp(x) - 1",
    "sqrt": "",
    "abs": "",
    "sin": "",
    "cos": "",
    "tanh": "",
    "floor": "",
}

#: R's names for formulaic's.
ALIASES = {"factor": "C", "ns": "cs"}

_NUMPY = (
    "log",
    "log2",
    "log10",
    "log1p",
    "exp",
    "expm1",
    "sqrt",
    "abs",
    "sin",
    "cos",
    "tanh",
    "floor",
)


def evaluation_context() -> dict[str, Callable]:
    """Names beyond columns and formulaic's transforms that an expression may use."""
    import numpy as np

    return {name: getattr(np, name) for name in _NUMPY}
