"""The functions that a formula may call: nothing else is ever evaluated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, wraps

__all__ = [
    "CONTRASTS", "FUNCTIONS", "SWITCHES", "WHOLE", "Function", "arithmetic_context",
    "evaluation_context",
]  # fmt: skip


@dataclass(frozen=True)
class Function:
    """What a formula may do with a function.

    Attributes
    ----------
    meaning : str
    target : str
        Its name for formulaic; the own name when empty.
    options : tuple of str
        Arguments after the first, in order: numbers, strings, TRUE, FALSE or c(...) of them.
    renamed : tuple of (str, str)
        R's names of options, and formulaic's.
    """

    meaning: str
    target: str = ""
    options: tuple[str, ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()


_SPLINE = ("df", "knots", "lower_bound", "upper_bound", "constraints", "extrapolation")

#: Name in a formula -> what it is. The first argument is an expression of columns.
FUNCTIONS: dict[str, Function] = {
    "I": Function("arithmetic or a comparison as written: I(age^2), I(week > 2)"),
    "C": Function("a column as a factor: C(x), C(x, contr.treatment('b'))", "", ("contrasts",)),
    "factor": Function("the same, R's name", "C"),
    "as.factor": Function("the same, R's name", "C"),
    "poly": Function("orthogonal polynomial: poly(x, 2)", "", ("degree", "raw")),
    "bs": Function(
        "B-spline basis: bs(x, df=5)",
        "",
        ("df", "knots", "degree", "include_intercept", "lower_bound", "upper_bound",
         "extrapolation"),
        (("intercept", "include_intercept"),),
    ),
    "ns": Function("natural cubic spline without the constant: ns(x, df=3)", "", ("df", "knots")),
    "cs": Function("natural cubic spline basis: cs(x, df=5)", "", _SPLINE),
    "cr": Function("the same", "", _SPLINE),
    "cc": Function("cyclic cubic spline basis", "", _SPLINE),
    "scale": Function(
        "centred and divided by the standard deviation of the training data", "",
        ("center", "scale", "ddof"),
    ),
    "center": Function("centred at the mean of the training data"),
    "log": Function("natural logarithm"),
    "log2": Function("logarithm to base 2"),
    "log10": Function("logarithm to base 10"),
    "log1p": Function("log(1 + x)"),
    "exp": Function("exponential"),
    "expm1": Function("exp(x) - 1"),
    "sqrt": Function("square root"),
    "abs": Function("absolute value"),
    "sin": Function("sine"),
    "cos": Function("cosine"),
    "tan": Function("tangent"),
    "tanh": Function("hyperbolic tangent"),
    "sign": Function("-1, 0 or 1"),
    "floor": Function("the next integer below"),
    "ceil": Function("the next integer above"),
    "ceiling": Function("the same, R's name", "ceil"),
}  # fmt: skip

#: Options that are true or false.
SWITCHES = frozenset({"raw", "include_intercept", "center", "scale"})

#: Options that are whole numbers, and the largest that makes sense.
WHOLE = {"df": 1000, "degree": 50}

#: Contrasts that C() takes as its second argument, and the names of their options.
CONTRASTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "contr.treatment": ("contr.treatment", ("base",)),
    "contr.sum": ("contr.sum", ()),
    "contr.helmert": ("contr.helmert", ()),
    "contr.poly": ("contr.poly", ()),
    "Treatment": ("Treatment", ("reference",)),
    "Sum": ("Sum", ()),
    "Helmert": ("Helmert", ()),
    "Poly": ("Poly", ()),
}

_NUMPY = (
    "log", "log2", "log10", "log1p", "exp", "expm1", "sqrt", "abs", "sin", "cos", "tan", "tanh",
    "sign", "floor", "ceil",
)  # fmt: skip


@lru_cache(maxsize=1)
def arithmetic_context() -> dict[str, Callable]:
    """Functions that learn nothing: their value at a row depends on that row alone."""
    import numpy as np

    return {"I": lambda x: x, **{name: getattr(np, name) for name in _NUMPY}}


@lru_cache(maxsize=1)
def evaluation_context() -> dict[str, Callable]:
    """All names, beyond columns, under which formulaic finds something."""
    from formulaic.transforms import TRANSFORMS

    context = dict(arithmetic_context())
    del context["I"]
    # beyond the training range a basis goes on, as in R, instead of ending the prediction
    context["bs"] = _stateful(TRANSFORMS["bs"], extrapolation="extend")
    context["ns"] = _stateful(TRANSFORMS["cs"], constraints="center")
    return context


def _stateful(transform: Callable, **defaults) -> Callable:
    """A transform of formulaic with other defaults; it keeps its marks as one."""

    @wraps(transform)
    def wrapper(*args, **options):
        return transform(*args, **{**defaults, **options})

    return wrapper
