"""`FitResult`: the frozen value that a fit leaves behind. It holds no training rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .precision import Precision
from .trace import Trace

__all__ = ["FactorResult", "FitResult", "TermResult", "Verdict"]


@dataclass(frozen=True)
class LaplaceCheck:
    """How far the Laplace approximation of a fit is off, found with the fit on small data.

    Attributes
    ----------
    log_likelihood_difference : float
        A better approximation less the Laplace approximation, at the estimates.
    shift : float
        Largest change of a parameter that a better approximation would make, in standard errors.
    parameter : str
        Which one.
    n_points : int
        Points per dimension of the quadrature behind these figures; 0 for the next terms of the
        Laplace expansion, which are rough but cost next to nothing.
    """

    log_likelihood_difference: float
    shift: float
    parameter: str
    n_points: int


@dataclass(frozen=True, eq=False)
class Verdict:
    """Whether the estimate is a maximum, in scale-free quantities.

    Attributes
    ----------
    converged : bool
        The estimate is a proper maximum.
    expected_gain : float
        g' A^-1 g / 2, the log-likelihood that a further Newton step promises.
    gradient_norm : float
        sqrt(2 expected_gain), the gradient's length in the metric of the Hessian.
    definite : bool
        Whether the negative Hessian of the free parameters is positive definite.
    smallest_eigenvalue : float
        Of that matrix, scaled to unit diagonal.
    singular_terms : tuple of str
        Words for each variance at zero or correlation at +-1.
    runaway : tuple of str
        Names of coefficients or variances without a finite estimate.
    n_steps : int
        Outer steps taken.
    message : str
    log_likelihood_error : float
        Standard error of the log-likelihood where random probes stand in for an exact determinant
        (crossed factors with very many levels each), else 0.
    laplace_error : LaplaceCheck or None
        For Laplace fits of small data with random effects.
    """

    converged: bool
    expected_gain: float
    gradient_norm: float
    definite: bool
    smallest_eigenvalue: float
    singular_terms: tuple[str, ...]
    runaway: tuple[str, ...]
    n_steps: int
    message: str
    log_likelihood_error: float = 0.0
    laplace_error: LaplaceCheck | None = None


@dataclass(frozen=True, eq=False)
class TermResult:
    """One random-effects term.

    Attributes
    ----------
    group : str
    effects : tuple of str
    root : ndarray of shape (k, k)
        L of the covariance L L'.
    factor : int
        Its grouping factor among `FitResult.factors`.
    start : int
        Its first column among the factor's effects.
    std_error_sd : ndarray of shape (k,)
        Standard errors of the standard deviations (delta method); NaN at the boundary.
    mean_square : ndarray of shape (k,)
        Of each column of Z over the rows.
    mean_variance : float
        Mean over the rows of the variance z'Sz of the predictor.
    std_error_cor : ndarray of shape (k, k)
        Standard errors of the correlations (delta method); NaN at the boundary.
    root_tangent : ndarray of shape (M, k, k)
        dL/dxi, where the parameters move as `FitResult.joint_root` xi, xi ~ N(0, I).
    """

    group: str
    effects: tuple[str, ...]
    root: np.ndarray
    factor: int
    start: int
    std_error_sd: np.ndarray
    mean_square: np.ndarray
    mean_variance: float
    std_error_cor: np.ndarray
    root_tangent: np.ndarray

    @property
    def covariance(self) -> np.ndarray:
        """Covariance matrix of the effects, shape (k, k)."""
        return self.root @ self.root.T


@dataclass(frozen=True, eq=False)
class FactorResult:
    """One grouping factor with the effects of all its terms.

    Attributes
    ----------
    group : str
    effects : tuple of str
    levels : ndarray of shape (J,), object
    root : ndarray of shape (k, k)
        L of the effects' covariance L L' (zero between terms).
    modes : ndarray of shape (J, k)
        Conditional modes b.
    conditional_root : ndarray of shape (J, k, k)
        R of the covariance R R' of b given the data and the parameters.
    tangent : ndarray of shape (J, k, M) or None
        db/dxi, where the parameters move as `FitResult.joint_root` xi, xi ~ N(0, I).
    """

    group: str
    effects: tuple[str, ...]
    levels: np.ndarray
    root: np.ndarray
    modes: np.ndarray
    conditional_root: np.ndarray
    tangent: np.ndarray | None

    @property
    def covariance(self) -> np.ndarray:
        """Covariance matrix of the effects, shape (k, k)."""
        return self.root @ self.root.T

    @property
    def conditional_covariance(self) -> np.ndarray:
        """Covariance of b given the data and the parameters, shape (J, k, k)."""
        return self.conditional_root @ self.conditional_root.swapaxes(1, 2)


@dataclass(frozen=True, eq=False)
class FitResult:
    """Estimates of one fit.

    Attributes
    ----------
    names : tuple of str
        Coefficients, aliased ones included.
    fixed : ndarray of shape (p,)
        Estimates, 0 where aliased.
    aliased : ndarray of shape (p,), bool
    theta : ndarray of shape (m,)
        Lower triangles of each term's covariance factor, in the user's coordinates.
    phi : ndarray of shape (M,)
        The solver's parameters at the maximum, of use for warm starts on the same design only.
    joint_root : ndarray of shape (M, M)
        R of the covariance R R' of (fixed kept, theta of the solver): zero rows for parameters held at
        zero.
    terms : tuple of TermResult
    factors : tuple of FactorResult
    log_likelihood : float
    null_log_likelihood : float or None
        Of the model with intercept alone; only without random effects.
    trace : Trace
        Totals of the data.
    link : str
    n_agq : int
    verdict : Verdict
    fixed_predictor_variance : float
        Variance (divisor n - 1) of X beta over the rows.
    residual_quantiles : tuple of float
        Minimum, quartiles and maximum of the Pearson residuals.
    precision : Precision or None
        Joint conditional precision of the random effects of several factors.
    """

    names: tuple[str, ...]
    fixed: np.ndarray
    aliased: np.ndarray
    theta: np.ndarray
    phi: np.ndarray
    joint_root: np.ndarray
    terms: tuple[TermResult, ...]
    factors: tuple[FactorResult, ...]
    log_likelihood: float
    null_log_likelihood: float | None
    trace: Trace
    link: str
    n_agq: int
    verdict: Verdict
    fixed_predictor_variance: float
    residual_quantiles: tuple[float, ...]
    precision: Precision | None = None

    @property
    def n_rows(self) -> int:
        """Rows of the fit."""
        return self.trace.n_rows

    @property
    def mean_response(self) -> float:
        """Weighted share of events."""
        return self.trace.n_events / self.trace.n_trials

    @property
    def joint_covariance(self) -> np.ndarray:
        """Covariance of (fixed kept, theta of the solver), shape (M, M)."""
        return self.joint_root @ self.joint_root.T

    @property
    def random_names(self) -> tuple[str, ...]:
        """`var(x|group)` and `cov(x,y|group)`, as `random_values`."""
        out = []
        for term in self.terms:
            for a, b in zip(*np.triu_indices(len(term.effects)), strict=True):
                x, y = term.effects[a], term.effects[b]
                out.append(f"var({x}|{term.group})" if a == b else f"cov({x},{y}|{term.group})")
        return tuple(out)

    @property
    def random_values(self) -> np.ndarray:
        """Rows of the upper triangles of each term's covariance matrix, shape (m,)."""
        parts = [t.covariance[np.triu_indices(len(t.effects))] for t in self.terms]
        return np.concatenate(parts) if parts else np.zeros(0)

    @property
    def parameter_slopes(self) -> np.ndarray:
        """Derivatives of (fixed, `random_values`) in xi, see `joint_root`; shape (p + m, M)."""
        kept = np.flatnonzero(~self.aliased)
        fixed = np.full((len(self.names), self.joint_root.shape[1]), np.nan)
        fixed[kept] = self.joint_root[: kept.size]
        rows = [fixed]
        for term in self.terms:
            half = term.root_tangent @ term.root.T
            a, b = np.triu_indices(len(term.effects))
            rows.append((half[:, a, b] + half[:, b, a]).T)
        return np.concatenate(rows)

    @property
    def n_parameters(self) -> int:
        """Free parameters of the model: kept coefficients and every theta."""
        return int((~self.aliased).sum()) + self.theta.shape[0]

    @property
    def fixed_covariance(self) -> np.ndarray:
        """Covariance of the fixed effects, shape (p, p), NaN where aliased."""
        out = np.full((len(self.names), len(self.names)), np.nan)
        kept = np.flatnonzero(~self.aliased)
        m = kept.shape[0]
        out[np.ix_(kept, kept)] = self.joint_covariance[:m, :m]
        return out
