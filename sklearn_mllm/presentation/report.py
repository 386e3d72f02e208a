"""A fitted model in sentences, in the manner of R's `report` package."""

from __future__ import annotations

import numpy as np

from .words import (
    SHIFT_THAT_MATTERS,
    effect_words,
    enumeration,
    group_counts,
    method_words,
    number,
    p_value,
    plural,
    reference_point,
    strength,
)

__all__ = ["Report", "report"]

_KINDS = {"logit": "logistic"}


class Report(str):
    """Text of a report; prints as it is."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


def report(model, X=None, y=None, groups=None, *, sample_weight=None, offset=None) -> Report:
    """What was fitted and what came out, in sentences.

    Parameters
    ----------
    model : MixedLogisticClassifier
        Fitted.
    X : data frame or array of shape (n, n_features), optional
        The training data; with them each effect also gets its standardised coefficient, by a refit
        on standardised data.
    y : array-like of shape (n,), optional
        Labels, where X does not hold the response.
    groups : array-like of shape (n,), data frame or dict, optional
        Grouping factors that are no columns of X.
    sample_weight : array-like of shape (n,), optional
        As in `fit`.
    offset : array-like of shape (n,), optional
        As in `fit`.

    Returns
    -------
    Report
        A string.

    Raises
    ------
    ValueError
        X and y that are not those of the fit.

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
    parts = [
        _opening(model),
        _intercept(model),
        _effects(model, standardized),
        _closing(model, standardized is not None),
    ]
    return Report("\n\n".join(p for p in parts if p))


def _opening(model) -> str:
    result, parsed = model.result_, model.spec_.parsed
    kind = f"{_KINDS.get(result.link, result.link)} regression"
    rows = _rows(model)
    if parsed.response is None:
        event = f"the event ({model.classes_[1]})"
    elif parsed.response_name is None:
        event = _unnamed_event(parsed, model)
    else:
        event = f"{parsed.response_name} ({model.classes_[1]})"
    how = method_words(result, model.prior is not None)
    how = how.replace("joint mode", "the joint mode").replace(" (n_agq=0)", "")
    how = how.replace(", Laplace", " with the Laplace").replace(", adaptive", " using adaptive")
    text = f"(estimated by {how}) to predict {event} from {rows}"
    formula = f" (formula: {' '.join(parsed.text.split())})."
    if not result.terms:
        return f"We fitted a {kind} {text}{formula}{_power(model)}{_warnings(result)}"
    groups = enumeration([_counted_groups(g, n) for g, n in group_counts(result).items()])
    return (
        f"We fitted a multilevel {kind} {text} in {groups}{formula} The model has "
        f"{_random_words(model)} as random effects.{_power(model)}{_warnings(result)}"
    )


def _counted_groups(group: str, count: int) -> str:
    """`60 groups of district`; a factor called groups is that."""
    return plural(count, "group") + ("" if group == "groups" else f" of {group}")


def _unnamed_event(parsed, model) -> str:
    from ..formula.parse import Cbind

    if isinstance(parsed.response, Cbind):
        return "the probability of success"
    return f"{_response_text(parsed)} ({model.classes_[1]})"


def _rows(model) -> str:
    """`1934 observations`, `56 rows of counts (842 trials)`."""
    from ..formula.parse import Cbind

    trace = model.result_.trace
    if isinstance(model.spec_.parsed.response, Cbind):
        return f"{plural(trace.n_rows, 'row')} of counts ({trace.n_trials:.10g} trials)"
    rows = plural(trace.n_rows, "observation")
    if trace.n_trials != trace.n_rows:
        rows += f" (with weights that sum to {trace.n_trials:.10g})"
    return rows


def _response_text(parsed) -> str:
    return parsed.text.split("~", 1)[0].strip()


def _random_words(model) -> str:
    """`intercepts and slopes of age by district`."""
    out = []
    for term, design in zip(model.result_.terms, model.spec_.effects, strict=True):
        words = effect_words(design)
        slopes = [" × ".join(words[e]) for e in term.effects if e != "Intercept"]
        said = ["intercepts"] if "Intercept" in term.effects else []
        if slopes:
            said.append(f"{'slopes' if said else 'effects'} of {enumeration(slopes)}")
        correlated = "correlated " if len(term.effects) > 1 else ""
        by = "group" if term.group == "groups" else term.group
        out.append(f"{correlated}{' and '.join(said)} by {by}")
    return enumeration(out) if len(out) < 3 else "; ".join(out)


def _power(model) -> str:
    from ..inference import r2
    from ..links import get_link

    result = model.result_
    if get_link(result.link).latent_variance is None:
        return ""
    share = r2(model)
    if not result.terms:
        if len(result.names) < 2:
            return ""
        return (
            f" Its explanatory power is {strength(share.marginal)} (McKelvey and Zavoina's R2 = "
            f"{share.marginal:.2f})."
        )
    return (
        f" Its total explanatory power is {strength(share.conditional)} (conditional R2 = "
        f"{share.conditional:.2f}), and the part related to the fixed effects alone (marginal "
        f"R2) is {share.marginal:.2f}."
    )


def _warnings(result) -> str:
    verdict = result.verdict
    if not verdict.converged:
        return (
            " Caution: the fit did not converge, and its numbers are not to be trusted "
            f"({verdict.message})."
        )
    return f"{_singular_words(verdict)}{_laplace_words(verdict.laplace_error)}"


def _laplace_words(check) -> str:
    """What the check of the Laplace approximation found, where it matters."""
    if check is None or check.shift < SHIFT_THAT_MATTERS:
        return ""
    size = f"about {check.shift:.1f}" if check.shift <= 3.0 else "more than 3"
    if not check.n_points:
        return (
            " Caution: the Laplace approximation may be poor here; by a rough figure, "
            f"{check.parameter} would move by {size} standard errors with a better one."
        )
    return (
        " Caution: the Laplace approximation is poor here; quadrature "
        f"(n_agq={max(7, check.n_points)}) would move {check.parameter} by {size} standard errors."
    )


def _singular_words(verdict) -> str:
    if not verdict.singular_terms:
        return ""
    text = (
        " The fit is singular, at the boundary of the parameters: "
        f"{enumeration(list(verdict.singular_terms))}."
    )
    if all("variance" in words for words in verdict.singular_terms):
        return f"{text} The data show no such variation beyond chance."
    return f"{text} A model with fewer random effects may fit as well."


def _interval(row) -> str:
    if np.isnan(row.conf_low) or np.isnan(row.conf_high):
        return "no confidence interval available"
    return f"95% CI [{number(row.conf_low)}, {number(row.conf_high)}], {p_value(row.p_value)}"


def _intercept(model) -> str:
    table = model.fixed_effects_
    if "Intercept" not in table.index:
        return "The model has no intercept. Within this model:" if len(table) else ""
    row = table.loc["Intercept"]
    where = ", ".join(reference_point(model.spec_.fixed))
    where = f", corresponding to {where}," if where else ""
    text = f"The model's intercept{where} is at {number(row.estimate)} ({_interval(row)})."
    return f"{text} Within this model:" if len(table) > 1 else text


def _effects(model, standardized) -> str:
    words = effect_words(model.spec_.fixed)
    logit = model.result_.link == "logit"
    lines = []
    for name, row in model.fixed_effects_.iterrows():
        if name == "Intercept":
            continue
        parts = words.get(name, [name])
        what = f"effect of {parts[0]}"
        if len(parts) > 1:
            what = f"interaction of {enumeration(parts)}"
        if np.isnan(row.estimate):
            lines.append(
                f"- The {what} cannot be estimated: its column is a linear combination of others."
            )
            continue
        direction = "positive" if row.estimate > 0 else "negative"
        verdict = f"statistically {_significance(row.p_value)} and {direction}"
        if np.isnan(row.p_value):
            verdict = f"{direction}, without a standard error"
        line = f"- The {what} is {verdict} (beta = {number(row.estimate)}, {_interval(row)}"
        if logit:
            with np.errstate(over="ignore"):
                line += f"; odds ratio {number(float(np.exp(row.estimate)))}"
        if standardized is not None and name in standardized.index:
            line += _standardized_words(standardized.loc[name])
        lines.append(line + ")")
    return "\n".join(lines)


def _significance(p: float) -> str:
    return "significant" if p < 0.05 else "non-significant"


def _standardized_words(row) -> str:
    if np.isnan(row.estimate):
        return ""
    text = f"; Std. beta = {number(row.estimate)}"
    if np.isnan(row.conf_low):
        return text
    return f"{text}, 95% CI [{number(row.conf_low)}, {number(row.conf_high)}]"


def _closing(model, standardized: bool) -> str:
    parts = []
    if standardized and any(n != "Intercept" for n in model.result_.names):
        parts.append(
            "Standardised coefficients were obtained by fitting the model on a standardised "
            "version of the data."
        )
    if model.result_.names:
        parts.append(
            "95% confidence intervals and p-values were computed by Wald's normal approximation."
        )
    if _power(model):
        parts.append("Words for explanatory power follow Cohen (1988).")
    return " ".join(parts)
