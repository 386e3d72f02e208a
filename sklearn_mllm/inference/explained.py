"""Explained variance and intraclass correlation (Nakagawa, Johnson & Schielzeth 2017)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["R2", "icc", "r2"]


@dataclass(frozen=True)
class R2:
    """Pseudo-R2 of a mixed model.

    Attributes
    ----------
    marginal : float
        Share of the variance explained by the fixed effects.
    conditional : float
        Share explained by fixed and random effects.
    """

    marginal: float
    conditional: float

    def __getitem__(self, name: str) -> float:
        return getattr(self, name)


def _variances(model, method: str) -> tuple[float, dict[str, float], float]:
    """Variance of the fixed part, of each factor's random part, and of the distribution."""
    from sklearn.utils.validation import check_is_fitted

    from ..links import get_link

    check_is_fitted(model, "result_")
    if method not in ("theoretical", "delta"):
        raise ValueError(f"method={method!r} is not one of 'theoretical', 'delta'")
    result = model.result_
    random: dict[str, float] = {}
    for term in result.terms:
        random[term.group] = random.get(term.group, 0.0) + term.mean_variance
    link = get_link(result.link)
    if method == "theoretical":
        if link.latent_variance is None:
            raise ValueError(
                f"the latent variable of link={result.link!r} has no variance; use method='delta'"
            )
        distribution = link.latent_variance
    else:
        p = result.mean_response
        eta = link.link(np.array([p]))
        distribution = float(p * (1.0 - p) / link.density(eta)[0] ** 2)
    return result.fixed_predictor_variance, random, distribution


def r2(model, method: str = "theoretical") -> R2:
    """Marginal and conditional R2.

    Parameters
    ----------
    model : MixedLogisticClassifier
        Fitted.
    method : {"theoretical", "delta"}, default="theoretical"
        Residual variance: of the link's latent variable (pi^2/3 for the logit), or
        p (1 - p) / (dp/deta)^2 at the mean response.

    Returns
    -------
    R2
        `.marginal` and `.conditional`.

    Raises
    ------
    ValueError
        An unknown method, or "theoretical" with the cauchit link.

    References
    ----------
    Nakagawa, Johnson & Schielzeth (2017), Journal of the Royal Society Interface 14; Johnson
    (2014), Methods in Ecology and Evolution 5, for random slopes.

    Examples
    --------
    >>> from sklearn_mllm import MixedLogisticClassifier, r2
    >>> from sklearn_mllm.datasets import load_contraception
    >>> women = load_contraception().frame
    >>> model = MixedLogisticClassifier("use ~ urban + ch + (1 | district)").fit(women)
    >>> share = r2(model)
    >>> round(share.marginal, 2), round(share.conditional, 2)
    (0.08, 0.13)
    """
    fixed, random, distribution = _variances(model, method)
    between = sum(random.values())
    total = fixed + between + distribution
    return R2(fixed / total, (fixed + between) / total)


def icc(model, method: str = "theoretical"):
    """Intraclass correlation of each grouping factor and of all together.

    Parameters
    ----------
    model : MixedLogisticClassifier
        Fitted.
    method : {"theoretical", "delta"}, default="theoretical"
        As in `r2`.

    Returns
    -------
    DataFrame
        Index: the factors and `all`; columns `adjusted` (share of the variance that the fixed
        effects leave) and `unadjusted` (share of all variance).

    Raises
    ------
    ValueError
        A model without random effects, or as `r2`.

    References
    ----------
    Nakagawa, Johnson & Schielzeth (2017), Journal of the Royal Society Interface 14.

    Examples
    --------
    >>> from sklearn_mllm import MixedLogisticClassifier, icc
    >>> from sklearn_mllm.datasets import load_contraception
    >>> women = load_contraception().frame
    >>> model = MixedLogisticClassifier("use ~ urban + ch + (1 | district)").fit(women)
    >>> icc(model).round(3)
              adjusted  unadjusted
    district      0.06       0.055
    all           0.06       0.055
    """
    from ..design.printed import PrintedFrame

    fixed, random, distribution = _variances(model, method)
    if not random:
        raise ValueError("icc: the model has no random effects")
    between = sum(random.values())
    parts = {**random, "all": between}
    return PrintedFrame(
        {
            "adjusted": [v / (between + distribution) for v in parts.values()],
            "unadjusted": [v / (fixed + between + distribution) for v in parts.values()],
        },
        index=list(parts),
    )
