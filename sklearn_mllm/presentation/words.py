"""Numbers and names as they stand in sentences."""

from __future__ import annotations

import re

import numpy as np

__all__ = [
    "SHIFT_THAT_MATTERS",
    "effect_words",
    "enumeration",
    "group_counts",
    "method_words",
    "number",
    "p_value",
    "plural",
    "reference_point",
    "strength",
]

#: Shift in standard errors, from the Laplace approximation to a better one, that is worth a word.
SHIFT_THAT_MATTERS = 0.25

_ORDINALS = {1: "1st", 2: "2nd", 3: "3rd"}


def number(value: float) -> str:
    """Two decimals; scientific notation where these would say nothing."""
    if not np.isfinite(value):
        return "not available" if np.isnan(value) else ("inf" if value > 0 else "-inf")
    if value == 0.0 or 0.01 <= abs(value) < 1e5:
        return f"{value:.2f}"
    return f"{value:.2e}"


def p_value(p: float) -> str:
    """`p < .001`, `p = .036` or `p > .999`."""
    if np.isnan(p):
        return "p not available"
    if p < 0.001:
        return "p < .001"
    return "p > .999" if p >= 0.9995 else f"p = {p:.3f}".replace("0.", ".", 1)


def strength(r2: float) -> str:
    """Words for an explained share, after Cohen (1988): .02 weak, .13 moderate, .26 substantial."""
    if r2 < 0.02:
        return "very weak"
    if r2 < 0.13:
        return "weak"
    return "moderate" if r2 < 0.26 else "substantial"


def plural(count: int, noun: str, many: str | None = None) -> str:
    """`1 row`, `2 rows`."""
    return f"{count} {noun if count == 1 else many or noun + 's'}"


def enumeration(parts: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def group_counts(result) -> dict[str, int]:
    """Levels of each grouping factor, in the order of the formula."""
    factors = dict.fromkeys(term.factor for term in result.terms)
    return {result.factors[f].group: result.factors[f].modes.shape[0] for f in factors}


def method_words(result, penalised: bool) -> str:
    """How a result was computed.

    Parameters
    ----------
    result : FitResult
    penalised : bool
        Whether there was a prior.
    """
    kind = "penalised maximum likelihood" if penalised else "maximum likelihood"
    if not result.terms:
        return kind
    if result.n_agq == 0:
        return "joint mode of coefficients and random effects (n_agq=0)"
    if result.n_agq == 1:
        return f"{kind}, Laplace approximation"
    return f"{kind}, adaptive Gauss-Hermite quadrature with {result.n_agq} points"


def effect_words(design) -> dict[str, list[str]]:
    """Coefficient name -> words for each of its factors: `ch [Y]`, `age^2`, `age [1st degree]`.

    A column of booleans is `flag [True]`.

    Parameters
    ----------
    design : Design
        The fixed side of a formula.
    """
    from ..formula.names import display

    out = {name: [name] for name in design.names}
    for term in design.terms:
        factors = [design.factors[i] for i in term.factors]
        expressions = [factor.text for factor in factors]
        pattern = ":".join(rf"{re.escape(display(e))}(?:\[(.*)\])?" for e in expressions)
        for name in (design.names[j] for j in term.columns):
            found = re.fullmatch(pattern, name, flags=re.DOTALL) if expressions else None
            if found is not None:
                pairs = zip(factors, found.groups(), strict=True)
                out[name] = [
                    _factor_words(f.text, "True" if f.is_boolean else suffix) for f, suffix in pairs
                ]
    return out


def reference_point(design) -> list[str]:
    """Where the intercept stands: `age = 0`, `ch = N`, a line per column or expression.

    Factors are at their reference level, or averaged over levels where the contrasts sum to zero.
    An expression that is zero where its columns are is not repeated.
    """
    expressions = [factor.text for factor in design.factors]
    out = []
    for factor in design.factors:
        label = _factor_words(factor.text, None)
        if factor.reference is not None:
            out.append(f"{label} = {factor.reference}")
        elif factor.is_coded:
            out.append(f"{label} averaged over its levels")
        elif not _zero_with_columns(factor.text, expressions, design):
            out.append(f"{label} = 0")
    return list(dict.fromkeys(out))


def _zero_with_columns(expression: str, expressions: list[str], design) -> bool:
    """Whether `I(...)` is zero where its columns, all in the model by themselves, are zero."""
    from ..formula.matrix import evaluate
    from ..formula.names import alias

    if not expression.startswith("I("):
        return False
    inside = set(re.findall(r"[A-Za-z_]\w*", expression))
    mine = [c for c in design.columns if alias(c) in inside]
    if not mine or any(alias(c) not in expressions for c in mine):
        return False
    try:
        value = evaluate(expression, {c: np.zeros(1) for c in mine}, 1)[0]
    except (ValueError, ArithmeticError):
        return False
    return bool(value == 0.0)


def _factor_words(expression: str, suffix: str | None) -> str:
    from ..formula.names import display

    text = display(expression)
    if text.startswith("I(") and text.endswith(")"):
        text = text[2:-1].replace(" ** ", "^")
    elif text.startswith("C(") and text.endswith(")"):
        text = text[2:-1].split(",")[0].strip()
    elif suffix is not None and suffix.isdigit() and (of := re.match(r"poly\(([^,()]+)", text)):
        degree = int(suffix)
        return f"{of.group(1).strip()} [{_ORDINALS.get(degree, f'{degree}th')} degree]"
    return text if suffix is None else f"{text} [{suffix.removeprefix('T.')}]"
