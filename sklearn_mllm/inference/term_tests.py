"""Tests of the formula's fixed terms, type II and III."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg
from scipy.stats import chi2

from .contrasts import covariance_matrix, wald_statistic

__all__ = ["anova"]

TYPES = {"II": "II", "III": "III", 2: "II", 3: "III", "2": "II", "3": "III"}


def anova(
    model,
    type: str = "II",
    test: str = "wald",
    X=None,
    y=None,
    groups=None,
    *,
    sample_weight=None,
    offset=None,
    covariance=None,
):
    """Test each term of the fixed side.

    Type II tests a term among all others but those that contain it (`a` in the model without
    `a:b`); type III tests it with all others there, which for a main effect under treatment coding
    is its effect where the other factor is at its reference, or the other number at zero.

    Parameters
    ----------
    model : MixedLogisticClassifier
        Fitted.
    type : {"II", "III"}, default="II"
        As told above.
    test : {"wald", "lr"}, default="wald"
        "lr" fits the model again without the term's columns, and needs the training data.
    X : data frame or array of shape (n, n_features), optional
        The training data; "lr" needs them.
    y : array-like of shape (n,), optional
        Labels, where X does not hold the response.
    groups : array-like of shape (n,), data frame or dict, optional
        Grouping factors that are no columns of X.
    sample_weight : array-like of shape (n,), optional
        As in `fit`.
    offset : array-like of shape (n,), optional
        As in `fit`.
    covariance : data frame or ndarray of shape (p, p), optional
        Of the coefficients, for "wald"; e.g. from `robust_covariance`.

    Returns
    -------
    DataFrame
        Index: terms (with type III the intercept too). Columns chi2, df, p_value. Aliased columns
        are no part of the model: a term that has no others gets df 0 and no test.

    Raises
    ------
    ValueError
        An unknown type or test, or "lr" without the training data.

    References
    ----------
    Fox (2016), Applied Regression Analysis and Generalized Linear Models, sections 8.2 and 15.3;
    the same as `Anova` of R's car.

    Examples
    --------
    >>> from sklearn_mllm import MixedLogisticClassifier, anova
    >>> from sklearn_mllm.datasets import load_contraception
    >>> women = load_contraception().frame
    >>> model = MixedLogisticClassifier("use ~ urban + livch + (1 | district)").fit(women)
    >>> anova(model)["df"].to_dict()
    {'urban': 1, 'livch': 3}
    """
    from sklearn.utils.validation import check_is_fitted

    from ..design.printed import PrintedFrame

    check_is_fitted(model, "result_")
    if not isinstance(type, str | int):
        if hasattr(type, "spec_") or hasattr(type, "get_params"):
            raise ValueError("anova tests the terms of one model; compare_models compares models")
        raise ValueError("type must be 'II' or 'III'; the training data go to X=")
    if type not in TYPES:
        raise ValueError(f"type={type!r} is not one of 'II', 'III'")
    if test not in ("wald", "lr"):
        raise ValueError(f"test={test!r} is not one of 'wald', 'lr'")
    if test == "lr" and covariance is not None:
        raise ValueError("covariance is for test='wald'; leave it out with test='lr'")
    kind = TYPES[type]
    result = model.result_
    terms = [t for t in fixed_terms(model) if kind == "III" or t.factors]
    if test == "wald":
        statistic = _wald(result, covariance)
    else:
        statistic = _likelihood_ratio(model, X, y, groups, sample_weight, offset)
    rows, names = [], []
    for term in terms:
        tested = [j for j in term.columns if not result.aliased[j]]
        names.append(term.name)
        if not tested:
            rows.append({"chi2": np.nan, "df": 0, "p_value": np.nan})
            continue
        above: list[int] = []
        if kind == "II":
            for other in terms:
                if term.factors < other.factors:
                    above += [j for j in other.columns if not result.aliased[j]]
        value, df = statistic(tested, above)
        rows.append({"chi2": value, "df": df, "p_value": float(chi2.sf(value, df))})
    table = PrintedFrame(rows, index=names, columns=["chi2", "df", "p_value"])
    table.attrs.update(type=kind, test=test)
    return table


@dataclass(frozen=True)
class FixedTerm:
    """A term of the fixed side: its name, the factors it multiplies, and its columns."""

    name: str
    factors: frozenset[str]
    columns: tuple[int, ...]


def fixed_terms(model) -> list[FixedTerm]:
    """Terms of the fixed side in the order of the coefficients."""
    from ..formula.names import display

    design = model.spec_.fixed
    out = []
    for term in design.terms:
        factors = [display(design.factors[i].text) for i in term.factors]
        name = ":".join(factors) if factors else "Intercept"
        out.append(FixedTerm(name, frozenset(factors), tuple(term.columns)))
    return out


def _wald(result, covariance):
    """Wald statistic of some coefficients, after those in `above` have been set to zero."""
    V = covariance_matrix(result, covariance)

    def joint(columns: list[int]) -> tuple[float, int]:
        if not columns:
            return 0.0, 0
        return wald_statistic(result.fixed[columns], V[np.ix_(columns, columns)])

    def statistic(tested: list[int], above: list[int]) -> tuple[float, int]:
        # to hold `above` at zero changes the estimate to its conditional mean: the statistics add
        value, df = joint(tested + above)
        less, fewer = joint(above)
        return max(value - less, 0.0), df - fewer

    return statistic


def _likelihood_ratio(model, X, y, groups, sample_weight, offset):
    """Twice the fall of the maximal log-likelihood when `tested` are at zero too."""
    from .refit import training_problem

    refitter = training_problem(model, X, y, groups, sample_weight, offset)
    place = {int(j): i for i, j in enumerate(refitter.build.fixed_map.kept)}
    known: dict[frozenset[int], float] = {}

    def maximum(without: frozenset[int]) -> float:
        if without not in known:
            known[without] = _maximum_without(refitter, [place[j] for j in without])
        return known[without]

    def statistic(tested: list[int], above: list[int]) -> tuple[float, int]:
        fall = maximum(frozenset(above)) - maximum(frozenset(above + tested))
        return max(2.0 * fall, 0.0), len(tested)

    return statistic


def _maximum_without(refitter, places: list[int]) -> float:
    problem = refitter.build.problem
    start = np.array(refitter.start)
    if places:
        # beta = T gamma is zero at these places: gamma lies in the null space of the rows of T
        rows = refitter.build.fixed_map.T[places]
        N = linalg.null_space(rows / np.linalg.norm(rows, axis=1, keepdims=True))
        problem = replace(problem, X=np.ascontiguousarray(N.T @ problem.X))
        p = refitter.build.problem.p
        start = np.concatenate([N.T @ start[:p], start[p:]])
    outcome = refitter.fit(problem, start)
    outcome.objective.close()
    return outcome.maximum.value
