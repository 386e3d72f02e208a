"""Adaptive Gauss-Hermite quadrature for one grouping factor, with its exact gradient.

Level j contributes the logarithm of an integral over its k spherical effects,

    L_j = log int exp(f_j(u)) (2 pi)^(-k/2) du,      f_j(u) = sum_i l_i(eta_i) - u'u / 2.

The grid is centred at the mode m_j of f_j and scaled by C_j with C_j C_j' = H_j^-1, where
H_j = R_j R_j' is the negative Hessian of f_j at the mode and C_j = R_j^-T (Liu & Pierce 1994,
Biometrika 81; Pinheiro & Bates 1995, JCGS 4): with nodes u_q = m_j + C_j z_q

    L_j = -log|H_j| / 2 + log sum_q w_q exp(f_j(u_q) + z_q'z_q / 2).

One node, z = 0, is the Laplace approximation. The exponents are taken relative to f_j(m_j): as m_j is
the maximum and w_q exp(z_q'z_q / 2) is of order one, no term overflows and the sum cannot vanish.

Gradient. Let p_q be the normalised terms of the sum, g_q = Lambda' Z' s(u_q) - u_q the gradient of f,
gbar = sum_q p_q g_q and B = sum_q p_q g_q z_q'. The nodes move with the mode and the scale:

    dL_j = sum_q p_q df(u_q) + gbar' dm + tr(B' dC) - tr(H^-1 dH) / 2.

From C' H C = I follows dC = -C U(C' dH C), with U the upper triangle and half of the diagonal. The
last two terms are therefore -tr(K dH) / 2 with

    K = C (I + S) C',      S the symmetric matrix with the upper triangle of C'B,

and this is the Laplace gradient with K for H^-1. With c_i = W'_i z_i' Lambda K Lambda' z_i,
y = H^-1 (gbar - Lambda' Z' c / 2) and the mean score sbar_i = sum_q p_q s_i(u_q),

    r = sbar - c / 2 - W Z Lambda y                                              dL/dbeta = X' r
    dL/dLambda = sum_q p_q (Z's_q) u_q' - Z'W Z Lambda K - (Z'c) m' / 2 + (Z's) y' - (Z'W Z Lambda y) m'

summed over levels. For one node gbar = B = 0, K = H^-1, y = -v / 2: the formulas of `laplace.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from ..design.problem import Problem
from . import blocks as bl
from .laplace import Evaluation, LaplaceObjective, ModeState
from .rules import Grid, product_grid
from .structures.one_factor import OneFactor
from .tangents import mode_tangents

__all__ = [
    "Integral",
    "ModeBased",
    "Quadrature",
    "QuadratureObjective",
    "inverse_scale",
    "moved_inverse",
    "quadrature_objective",
]

#: Loosest squared Newton decrement of the modes; a step more costs less than a node.
MODE_TOL = 1e-10


def quadrature_objective(n_agq: int, problem: Problem) -> Callable[..., Quadrature]:
    """Constructor (problem, link, n_threads=...) of the quadrature for a problem's factors.

    Raises
    ------
    ValueError
        For crossed factors, whose integral does not factorise, and for no factor at all.
    """
    if not problem.factors:
        raise ValueError("n_agq > 1 needs a grouping factor; without one there is no integral")
    if len(problem.factors) == 1:
        return partial(QuadratureObjective, n_agq=n_agq)
    from .nested_quadrature import NestedQuadratureObjective, checked_parents

    checked_parents(problem)
    return partial(NestedQuadratureObjective, n_agq=n_agq)


class ModeBased:
    """An objective that rests on the conditional modes of a `LaplaceObjective`, which it holds.

    Attributes
    ----------
    laplace : LaplaceObjective
        Finds the modes; its problem, rows, layout, structure, modes and state are passed on.
    """

    def __init__(self, problem: Problem, link, n_threads: int = 1) -> None:
        self.laplace = LaplaceObjective(problem, link, n_threads=n_threads)
        self.problem = problem
        self.workers = self.laplace.workers
        self.rows = self.laplace.rows
        self.layout = self.laplace.layout
        self.structure = self.laplace.structure
        self.n_evaluations = 0

    @property
    def u(self) -> np.ndarray:
        return self.laplace.u

    @u.setter
    def u(self, value: np.ndarray) -> None:
        self.laplace.u = value

    @property
    def tangent(self) -> np.ndarray | None:
        return self.laplace.tangent

    @tangent.setter
    def tangent(self, value: np.ndarray | None) -> None:
        self.laplace.tangent = value

    @property
    def state(self) -> ModeState | None:
        return self.laplace.state

    @property
    def n_mode_steps(self) -> int:
        return self.laplace.n_mode_steps

    @property
    def n_parameters(self) -> int:
        return self.laplace.n_parameters

    def split(self, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self.laplace.split(phi)

    def find_modes(self, phi: np.ndarray, tol: float = 1e-12) -> ModeState:
        return self.laplace.find_modes(phi, tol)

    def mode_tangents(self) -> np.ndarray:
        """du/d(beta, theta) at the last evaluation, shape (M, q)."""
        return mode_tangents(self.laplace)

    def close(self) -> None:
        self.laplace.close()


@dataclass(frozen=True, eq=False)
class Integral:
    """The integrals over the effects of each level, and their derivatives.

    Attributes
    ----------
    values : ndarray of shape (J,)
        Log-likelihood of each level.
    r : ndarray of shape (n,)
        Derivative of a row's level in the row's predictor; a buffer.
    theta : ndarray of shape (m, J)
        Derivative of each level in theta.
    """

    values: np.ndarray
    r: np.ndarray
    theta: np.ndarray


def inverse_scale(R: np.ndarray) -> np.ndarray:
    """C = R^-T for lower-triangular blocks R (k, k, J), so that C C' = (R R')^-1."""
    eye = np.zeros_like(R)
    for a in range(R.shape[0]):
        eye[a, a] = 1.0
    return bl.solve_lower(R, eye, transposed=True)


def moved_inverse(C: np.ndarray, B: np.ndarray) -> np.ndarray:
    """K = C (I + S) C' with the upper triangle of C'B in the symmetric S, shape (k, k, J)."""
    A = np.einsum("baj,bcj->acj", C, B)
    for a in range(C.shape[0]):
        for b in range(a):
            A[a, b] = A[b, a]
        A[a, a] += 1.0
    return np.einsum("abj,bcj,dcj->adj", C, A, C, optimize=["einsum_path", (0, 1), (0, 1)])


class Quadrature(ModeBased):
    """A likelihood that is a sum of integrals, one for each level of the outermost factor.

    Attributes
    ----------
    n_agq : int
        Points per dimension; 1 is the Laplace approximation.
    """

    n_agq: int

    def evaluate(self, phi: np.ndarray, tol: float = 1e-12) -> Evaluation:
        """Value and exact gradient at phi = (beta, theta)."""
        self.n_evaluations += 1
        if self.n_agq == 1:
            return self.laplace.evaluate(phi, tol)
        integral = self.integrate(phi, tol)
        gradient = np.concatenate([self.rows.transpose_dot(integral.r), integral.theta.sum(axis=1)])
        return Evaluation(phi, float(integral.values.sum()), gradient)

    def integrate(self, phi: np.ndarray, tol: float = 1e-12) -> Integral:
        """The integral of every level of the outermost factor at phi."""
        raise NotImplementedError


class QuadratureObjective(Quadrature):
    """Log-likelihood of one grouping factor by adaptive Gauss-Hermite quadrature.

    Parameters
    ----------
    problem : Problem
        With one grouping factor.
    link : Link
    n_agq : int
        Points per dimension; 1 is the Laplace approximation.
    n_threads : int

    Raises
    ------
    ValueError
        For several grouping factors, or a grid without end.
    """

    def __init__(self, problem: Problem, link, n_agq: int, n_threads: int = 1) -> None:
        if len(problem.factors) != 1:
            raise ValueError(
                f"QuadratureObjective integrates over one grouping factor, got "
                f"{len(problem.factors)}"
            )
        super().__init__(problem, link, n_threads)
        self.link = link
        self.n_agq = int(n_agq)
        self.grid: Grid = product_grid(self.n_agq, problem.factors[0].size)
        self._r = np.empty(problem.n)
        self._row = np.empty(problem.n)

    def integrate(self, phi: np.ndarray, tol: float = 1e-12) -> Integral:
        """The integral of every level at phi."""
        state = self.laplace.find_modes(phi, min(tol, MODE_TOL))
        structure: OneFactor = self.structure
        k, J = structure.k, structure.n_levels
        Lam, F = state.matrices[0], state.factorization
        base, correction = np.empty(J), np.empty(J)
        mean_score = np.empty((k, J))
        K = np.empty((k, k, J))
        moments = np.empty((k, k, J))

        def work(task) -> None:
            levels = task[0]
            nodes = _NodeSums(self, state, task)
            base[levels], correction[levels] = nodes.base, nodes.correction
            mean_score[:, levels] = nodes.mean_score
            K[..., levels] = nodes.K
            moments[..., levels] = nodes.moments

        self.workers.map(work, structure.by_level.tasks)
        u, Zs = state.u.reshape(k, J), state.Zs.reshape(k, J)
        values = base - 0.5 * np.einsum("aj,aj->j", u, u) - 0.5 * bl.logdet(F.factor) + correction

        LK = np.einsum("ab,bcj->acj", Lam, K)
        c = structure.by_level.quadratic(np.einsum("abj,cb->acj", LK, Lam), self._row)
        c *= state.W1
        Zc = structure.sums(c).reshape(k, J)
        y = bl.solve(F.factor, (mean_score - 0.5 * (Lam.T @ Zc))[:, None])[:, 0]
        Ly = Lam @ y
        r = self._r
        c *= 0.5
        r -= c
        wzy = structure.predictor(Ly.ravel(), None, self._row)
        wzy *= state.W
        r -= wzy

        GLy = np.einsum("abj,bj->aj", F.G, Ly)
        blocks = moments - np.einsum("abj,bcj->acj", F.G, LK)
        blocks -= (0.5 * Zc + GLy)[:, None] * u
        blocks += Zs[:, None] * y
        theta = blocks[self.layout.row, self.layout.col]
        return Integral(values, r, theta)


class _NodeSums:
    """Sums over the nodes for one block of whole levels; writes the mean score into `_r`.

    base : sum of l at the mode, per level; correction : log sum_q; mean_score : gbar (k, J);
    K (k, k, J); moments : sum_q p_q (Z's_q) u_q' (k, k, J).
    """

    def __init__(self, objective: QuadratureObjective, state: ModeState, task) -> None:
        levels, rows, starts = task
        structure = objective.structure
        k, J = structure.k, starts.shape[0]
        link, problem = objective.link, objective.problem
        successes = problem.successes[rows]
        trials = None if problem.trials is None else problem.trials[rows]
        codes = structure.by_level.codes[rows] - levels.start
        Z = None if structure.by_level.Z is None else structure.by_level.Z[:, rows]
        Lam = state.matrices[0]
        R = state.factorization.factor[..., levels]
        u = state.u.reshape(k, -1)[:, levels]
        eta = state.eta[rows]

        C = inverse_scale(R)
        self.base = np.add.reduceat(link.derivatives(eta, successes, trials, 0)[0], starts)

        total = np.zeros(J)
        score = objective._r[rows]
        score[...] = 0.0
        gbar, B, moments = np.zeros((k, J)), np.zeros((k, k, J)), np.zeros((k, k, J))
        row = np.empty(eta.shape[0])
        for z, log_weight in zip(objective.grid.nodes, objective.grid.log_weights, strict=True):
            shift = np.tensordot(z, C, axes=(0, 1))
            b = Lam @ shift
            if Z is None:
                np.take(b[0], codes, out=row, mode="clip")
                row += eta
            else:
                row[...] = eta
                for a in range(k):
                    row += np.take(b[a], codes) * Z[a]
            l, s = link.derivatives(row, successes, trials, 1)
            exponent = np.add.reduceat(l, starts)
            exponent -= self.base
            exponent -= np.einsum("aj,aj->j", shift, u + 0.5 * shift)
            exponent += log_weight
            weight = np.exp(exponent)
            total += weight
            scores = np.empty((k, J))
            for a in range(k):
                np.add.reduceat(s if Z is None else s * Z[a], starts, out=scores[a])
            # a node that weighs nothing may lie where scores are huge
            scores[:, weight == 0.0] = 0.0
            np.take(weight, codes, out=row, mode="clip")
            row *= s
            score += row
            node = u + shift
            slope = Lam.T @ scores - node
            slope *= weight
            scores *= weight
            gbar += slope
            B += slope[:, None] * z[:, None]
            moments += scores[:, None] * node
        score /= np.take(total, codes)
        gbar /= total
        B /= total
        moments /= total
        self.K = moved_inverse(C, B)
        self.correction = np.log(total)
        self.mean_score = gbar
        self.moments = moments
