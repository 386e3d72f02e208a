"""A fitted model in sentences, in the manner of R's `report` package."""

from __future__ import annotations

import numpy as np

__all__ = ["Report", "report"]

_METHODS = {
    0: "estimated by the joint mode of coefficients and random effects (n_agq=0)",
    1: "estimated by maximum likelihood with the Laplace approximation",
}


class Report(str):
    """Text of a report; prints as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def number(value: float) -> str:
    """Two decimals, or three significant digits where these would say nothing."""
    if not np.isfinite(value):
        return str(value)
    if value == 0.0 or abs(value) >= 0.01:
        return f"{value:.2f}"
    return f"{value:.2e}"


def p_value(p: float) -> str:
    """`p < .001` or `p = .036`."""
    return "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".", 1)


def strength(r2: float) -> str:
    """Words for an explained share, after Cohen (1988): .02 weak, .13 moderate, .26 substantial."""
    if r2 < 0.02:
        return "very weak"
    if r2 < 0.13:
        return "weak"
    return "moderate" if r2 < 0.26 else "substantial"


def report(model, X=None, y=None, groups=None, *, sample_weight=None, offset=None) -> Report:
    """What was fitted and what came out, in sentences.

    Parameters
    ----------
    model : MixedLogisticClassifier
        Fitted.
    X, y, groups, sample_weight, offset : optional
        The training data; with them each effect also gets its standardised coefficient, by a refit
        on standardised data.

    Returns
    -------
    Report
        A string.

    References
    ----------
    Cohen (1988), Statistical Power Analysis for the Behavioral Sciences, for the words.

    Examples
    --------
    >>> from sklearn_mllm import MixedLogisticClassifier, report
    >>> from sklearn_mllm.datasets import load_contraception
    >>> women = load_contraception().frame
    >>> model = MixedLogisticClassifier("use ~ urban + (1 | district)").fit(women)
    >>> print(report(model).splitlines()[0][:54])
    We fitted a multilevel logistic regression (estimated
    """
    from sklearn.utils.validation import check_is_fitted

    check_is_fitted(model, "result_")
    standardized = None
    if X is not None:
        from ..inference import standardized_effects

        standardized = standardized_effects(
            model, X, y, groups, sample_weight=sample_weight, offset=offset
        )
    parts = [_opening(model), _intercept(model), _effects(model, standardized), _closing(model, X)]
    return Report("\n\n".join(p for p in parts if p))


def _opening(model) -> str:
    from ..links import get_link

    result = model.result_
    event = f"{model.spec_.parsed.response_name or 'the event'} ({model.classes_[1]})"
    kind = {"logit": "logistic"}.get(result.link, result.link)
    if not result.terms:
        return (
            f"We fitted a {kind} regression (estimated by maximum likelihood) to predict {event} "
            f"from {result.n_rows} observations (formula: {model.spec_.parsed.text})."
        )
    how = _METHODS.get(
        result.n_agq,
        f"estimated by maximum likelihood with adaptive Gauss-Hermite quadrature of {result.n_agq} "
        "points",
    )
    groups = " and ".join(f"{n} groups of {g}" for g, n in model.n_groups_.items())
    effects = " and ".join(f"{', '.join(t.effects)} by {t.group}" for t in result.terms)
    text = (
        f"We fitted a multilevel {kind} regression ({how}) to predict {event} from "
        f"{result.n_rows} observations in {groups} (formula: {model.spec_.parsed.text}). The model "
        f"has random effects of {effects}."
    )
    if get_link(result.link).latent_variance is not None:
        from ..inference import r2

        share = r2(model)
        text += (
            f" Its total explanatory power is {strength(share.conditional)} (conditional R2 = "
            f"{share.conditional:.2f}), and the part related to the fixed effects alone (marginal "
            f"R2) is {share.marginal:.2f}."
        )
    if result.verdict.singular_terms:
        text += f" The fit lies at the boundary: {'; '.join(result.verdict.singular_terms)}."
    if not result.verdict.converged:
        text += f" Caution: {result.verdict.message}."
    return text


def _reference(model) -> str:
    """What the intercept stands for."""
    spec = model.spec_
    said = []
    for column, levels in _predictors(spec):
        said.append(f"{column} = {0 if levels is None else levels[0]}")
    return ", ".join(said)


def _predictors(spec):
    """Columns of the fixed side with their levels, None for numbers."""
    levels = spec.levels
    for column in spec.parsed.fixed_side.columns:
        found = levels.get(column)
        yield column, None if found is None else list(found.values)


def _interval(row) -> str:
    return f"95% CI [{number(row.conf_low)}, {number(row.conf_high)}], {p_value(row.p_value)}"


def _intercept(model) -> str:
    table = model.fixed_effects_
    if "Intercept" not in table.index:
        return ""
    row = table.loc["Intercept"]
    where = _reference(model)
    where = f", corresponding to {where}," if where else ""
    value = f"{number(row.estimate)} ({_interval(row)})"
    return f"The model's intercept{where} is at {value}. Within this model:"


def _effects(model, standardized) -> str:
    lines = []
    for name, row in model.fixed_effects_.iterrows():
        if name == "Intercept":
            continue
        if np.isnan(row.estimate):
            lines.append(
                f"- The effect of {name} cannot be estimated: it is a linear combination of others."
            )
            continue
        significant = "significant" if row.p_value < 0.05 else "non-significant"
        direction = "positive" if row.estimate > 0 else "negative"
        line = (
            f"- The effect of {name} is statistically {significant} and {direction} "
            f"(beta = {number(row.estimate)}, {_interval(row)}"
        )
        if model.result_.link == "logit":
            line += f"; odds ratio {number(float(np.exp(row.estimate)))}"
        if standardized is not None and name in standardized.index:
            other = standardized.loc[name]
            line += (
                f"; Std. beta = {number(other.estimate)}, 95% CI [{number(other.conf_low)}, "
                f"{number(other.conf_high)}]"
            )
        lines.append(line + ")")
    return "\n".join(lines)


def _closing(model, X) -> str:
    text = "95% confidence intervals and p-values were computed by Wald's normal approximation."
    if X is not None:
        text = (
            "Standardised parameters were obtained by fitting the model on a standardised version "
            "of the data. " + text
        )
    if model.result_.terms:
        text += " Words for explanatory power follow Cohen (1988)."
    return text
