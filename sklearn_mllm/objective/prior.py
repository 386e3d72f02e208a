"""Priors on fixed effects and on random-effect covariances, as penalties of the likelihood.

The same families as R's blme (Chung et al. 2013, Psychometrika 78; 2015, JEBS 40): they keep
estimates finite under separation and variances away from zero in tiny data. Additive constants are
left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real

import numpy as np

__all__ = ["Penalty", "Prior", "check_terms"]


@dataclass(frozen=True)
class Prior:
    """Penalty on a mixed model's parameters; the estimate is then the posterior mode.

    Parameters
    ----------
    fixed_sd : float, mapping of coefficient name to float, or None, default=2.5
        Standard deviation of independent normal priors, mean 0, on the fixed effects in the units
        of the data. None, or a name that a mapping leaves out: no penalty.
    intercept_sd : float or None, default=10.0
        The same for `Intercept`, where `fixed_sd` is not a mapping.
    random : {"wishart", "gamma", None}, default=None
        Penalty on each random-effects term. `"wishart"`: density of the k x k covariance S
        proportional to ``|S|^((df - k - 1)/2) exp(-tr(S)/(2 scale^2))``. `"gamma"`: each standard
        deviation s has density ``s^(shape - 1) exp(-rate s)``.
    df : float or None, default=None
        Of the Wishart, at least k + 1: below that the density has no bound at a zero variance, and
        there is no mode. None is k + 2.5, blme's default.
    scale : float, default=inf
        Of the Wishart, on the scale of a standard deviation; inf drops the exponential, and then
        nothing but the data keeps a variance from growing.
    shape, rate : float, default=2.5 and 0.0
        Of the gamma; a rate of 0 bounds nothing from above either.

    References
    ----------
    Chung, Rabe-Hesketh, Dorie, Gelman & Liu (2013), Psychometrika 78; Chung et al. (2015), Journal of
    Educational and Behavioral Statistics 40.

    Examples
    --------
    >>> from sklearn_mllm import Prior
    >>> Prior(fixed_sd=2.5, random="wishart")
    Prior(fixed_sd=2.5, intercept_sd=10.0, random='wishart', df=None, scale=inf, shape=2.5, rate=0.0)
    """

    fixed_sd: float | Mapping[str, float] | None = 2.5
    intercept_sd: float | None = 10.0
    random: str | None = None
    df: float | None = None
    scale: float = float("inf")
    shape: float = 2.5
    rate: float = 0.0

    def __post_init__(self) -> None:
        if self.random not in (None, "wishart", "gamma"):
            raise ValueError(
                f"prior: random must be 'wishart', 'gamma' or None, got {self.random!r}"
            )
        sds = self.fixed_sd.values() if isinstance(self.fixed_sd, Mapping) else [self.fixed_sd]
        for value in [*sds, self.intercept_sd]:
            if value is not None and not (isinstance(value, Real) and value > 0.0):
                raise ValueError(
                    f"prior: standard deviations must be positive numbers, or None, got {value!r}"
                )
        if not (isinstance(self.scale, Real) and self.scale > 0.0):
            raise ValueError(f"prior: scale must be a positive number, got {self.scale!r}")
        for name, lowest in (("df", 2.0), ("shape", 1.0), ("rate", 0.0)):
            value = getattr(self, name)
            if value is None and name == "df":
                continue
            if not (isinstance(value, Real) and lowest <= value < np.inf):
                raise ValueError(
                    f"prior: {name} must be a finite number >= {lowest:g}, got {value!r}"
                )

    def precisions(self, names) -> np.ndarray:
        """Precision of each named coefficient.

        Parameters
        ----------
        names : sequence of str
            Coefficient names.

        Returns
        -------
        ndarray of shape (len(names),)
            1 / sd^2, and 0 where there is no penalty.
        """
        out = np.zeros(len(names))
        if isinstance(self.fixed_sd, Mapping):
            unknown = sorted(set(self.fixed_sd) - set(names))
            if unknown:
                raise ValueError(
                    f"prior: fixed_sd names {unknown}, which are not coefficients of this model; "
                    f"these are {list(names)}"
                )
        for j, name in enumerate(names):
            if isinstance(self.fixed_sd, Mapping):
                sd = self.fixed_sd.get(name)
            else:
                sd = self.intercept_sd if name == "Intercept" else self.fixed_sd
            out[j] = 0.0 if sd is None else 1.0 / sd**2
        return out


def check_terms(prior: Prior, terms) -> None:
    """Refuse a Wishart density without a mode.

    Parameters
    ----------
    prior : Prior
    terms : iterable of (group, effects)

    Raises
    ------
    ValueError
        A term has more effects than `df` allows.
    """
    if prior.random != "wishart" or prior.df is None:
        return
    for group, effects in terms:
        k = len(effects)
        if prior.df < k + 1.0:
            raise ValueError(
                f"prior: df={prior.df:g} is too few for the {k} effects "
                f"({', '.join(map(repr, effects))}) of {group!r}: below {k + 1} the Wishart "
                "density has no bound at a zero variance, so that there is no mode; pass "
                f"df >= {k + 1}, or df=None for {k + 2.5:g}"
            )


class Penalty:
    """Log prior density in the solver's parameters, with gradient and Hessian.

    Parameters
    ----------
    prior : Prior
    names : sequence of str
        The kept coefficients.
    T : ndarray of shape (p, p)
        beta = T gamma.
    maps : sequence of ndarray
        Per term, b = C b_solver.
    layout : CovarianceLayout
    """

    def __init__(self, prior: Prior, names, T: np.ndarray, maps, layout) -> None:
        self.prior = prior
        self.precision = T.T @ (prior.precisions(names)[:, None] * T)
        self.maps = maps
        self.layout = layout
        self.p = T.shape[0]

    def __call__(self, phi: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Value, gradient (M,) and Hessian (M, M) at phi."""
        p, M = self.p, phi.shape[0]
        gamma = phi[:p]
        gradient, H = np.zeros(M), np.zeros((M, M))
        pull = self.precision @ gamma
        gradient[:p] = -pull
        H[:p, :p] = -self.precision
        value, gradient[p:], H[p:, p:] = self.of_theta(phi[p:])
        return value - 0.5 * float(gamma @ pull), gradient, H

    def of_theta(self, theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """The part in theta alone: value, gradient (m,) and Hessian (m, m)."""
        m = theta.shape[0]
        value, gradient, H = 0.0, np.zeros(m), np.zeros((m, m))
        if self.prior.random is not None:
            for number, C in enumerate(self.maps):
                part = self._wishart if self.prior.random == "wishart" else self._gamma
                value += part(number, C, theta, gradient, H)
        return value, gradient, H

    def _entries(self, number: int):
        start = self.layout.terms[number].start
        for t in np.flatnonzero(self.layout.term_of == number):
            yield t, self.layout.row[t] - start, self.layout.col[t] - start

    def _wishart(self, number, C, theta, gradient, H) -> float:
        k = C.shape[0]
        df = k + 2.5 if self.prior.df is None else self.prior.df
        power = df - k - 1.0
        # |S| = (det C)^2 prod L_jj^2;  tr S = sum (C L)^2
        value = power * float(np.log(np.abs(np.linalg.det(C))))
        inverse_scale = 0.0 if np.isinf(self.prior.scale) else 1.0 / self.prior.scale**2
        CtC = C.T @ C
        entries = list(self._entries(number))
        L = self.layout.term_factor(theta, number)
        value -= 0.5 * inverse_scale * float(np.sum((C @ L) ** 2))
        slope = CtC @ L
        for t, i, j in entries:
            gradient[t] -= inverse_scale * slope[i, j]
            if i == j:
                if power and theta[t] == 0.0:
                    return -np.inf
                if power:
                    value += power * float(np.log(abs(theta[t])))
                    gradient[t] += power / theta[t]
                    H[t, t] -= power / theta[t] ** 2
            for s, i2, j2 in entries:
                if j2 == j:
                    H[t, s] -= inverse_scale * CtC[i, i2]
        return value

    def _gamma(self, number, C, theta, gradient, H) -> float:
        L = C @ self.layout.term_factor(theta, number)
        sds = np.sqrt(np.einsum("ij,ij->i", L, L))
        if (sds == 0.0).any():
            return -np.inf
        power, rate = self.prior.shape - 1.0, self.prior.rate
        entries = list(self._entries(number))
        for a, sd in enumerate(sds):
            # s = |row a of C L|;  ds/dtheta = L_aj C_ai / s
            first = np.array([L[a, j] * C[a, i] / sd for _, i, j in entries])
            slope = power / sd - rate
            for x, (t, i, j) in enumerate(entries):
                gradient[t] += slope * first[x]
                for y, (s, i2, j2) in enumerate(entries):
                    second = (C[a, i] * C[a, i2] * (j == j2) - first[x] * first[y]) / sd
                    H[t, s] += slope * second - power / sd**2 * first[x] * first[y]
        return float(np.sum(power * np.log(sds) - rate * sds))
