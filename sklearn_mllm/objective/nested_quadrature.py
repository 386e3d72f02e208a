"""Adaptive Gauss-Hermite quadrature for nested grouping factors, with its exact gradient.

Given the effects v of a level a of the outermost factor, the levels b inside it are independent:

    L_a = log int exp(F_a(v)) (2 pi)^(-k/2) dv,     F_a(v) = sum_b L_b(o + X beta + Z Lambda v) - v'v/2,

where L_b is the log integral over the effects inside b, itself by adaptive quadrature with a grid that
is adapted anew at every v (Rabe-Hesketh, Skrondal & Pickles 2005, J. Econometrics 128; the "mvaghermite"
of Stata's melogit). Depth is a matter of recursion: the innermost factor is a `QuadratureObjective`
without coefficients whose offset is the predictor of everything outside.

The outer grid sits at the outer part of the joint mode of all effects, scaled by C C' = S^-1 with S
the Schur complement of the joint H, the curvature of the density maximised over the inner effects. With
one node at every level this is the Laplace approximation.

Gradient. As in `quadrature.py`, with the derivative r_q of sum_b L_b in the predictor in place of the
score, and S = N'H N for H: its derivative is dS = N' dH N (N, the move of all effects with v at the
mode, drops out), so with K = C (I + S_B) C' and x_i = N' Lambda' z_i

    -tr(K dS)/2 = -tr(N K N' dH)/2,        c_i = W'_i x_i' K x_i,        y = H^-1 (gbar - Lambda' Z' c / 2)
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..design.problem import Factor, Problem
from . import blocks as bl
from .quadrature import (
    MODE_TOL,
    Integral,
    Quadrature,
    inverse_scale,
    moved_inverse,
    quadrature_objective,
)
from .rules import product_grid
from .structures.nested import parents

__all__ = ["NestedQuadratureObjective", "checked_parents"]


def checked_parents(problem: Problem) -> list[np.ndarray]:
    """For each factor but the last, the level of the next factor that holds each of its levels.

    Raises
    ------
    ValueError
        When the factors are not nested in each other.
    """
    found = parents(problem)
    if found is None:
        raise ValueError(
            "n_agq > 1 needs a single grouping factor, or factors nested in each other (a/b): with "
            "crossed factors the likelihood is one integral over all random effects together, "
            "which does not factorise into small ones; use n_agq=1 (Laplace)"
        )
    return found


class NestedQuadratureObjective(Quadrature):
    """Log-likelihood of nested grouping factors by recursive adaptive quadrature.

    Parameters
    ----------
    problem : Problem
        Factors from the innermost to the outermost, each nested in the next; rows sorted by the
        innermost.
    link : Link
    n_agq : int
        Points per dimension, at every level of nesting; 1 is the Laplace approximation.
    n_threads : int

    Raises
    ------
    ValueError
        For crossed factors, or a grid without end.
    """

    def __init__(self, problem: Problem, link, n_agq: int, n_threads: int = 1) -> None:
        if len(problem.factors) < 2:
            raise ValueError("NestedQuadratureObjective integrates over two factors or more")
        self._parents = checked_parents(problem)
        super().__init__(problem, link, n_threads)
        self.n_agq = int(n_agq)
        last = len(problem.factors) - 1
        self.grid = product_grid(self.n_agq, problem.factors[last].size)
        # near the centre first: the first node is the reference of all exponents
        self._order = np.argsort(np.einsum("qa,qa->q", self.grid.nodes, self.grid.nodes))
        #: outermost level of each level of each factor
        self._outermost = [np.arange(problem.factors[last].n_levels)]
        for parent in reversed(self._parents):
            self._outermost.insert(0, self._outermost[0][parent])
        self._outer = problem.factors[last]
        self._offset = np.zeros(problem.n)
        self._is_inner = self.layout.factor != last
        inner = replace(
            problem,
            X=np.empty((0, problem.n)),
            offset=self._offset,
            factors=problem.factors[:last],
            terms=tuple(term for term in problem.terms if term.factor != last),
        )
        self.inner = quadrature_objective(n_agq, inner)(inner, link, n_threads=n_threads)
        self._r = np.empty(problem.n)
        self._row = np.empty(problem.n)

    def close(self) -> None:
        super().close()
        self.inner.close()

    def integrate(self, phi: np.ndarray, tol: float = 1e-12) -> Integral:
        """The integral of every level of the outermost factor at phi."""
        tol = min(tol, MODE_TOL)
        state = self.laplace.find_modes(phi, tol)
        structure, outer, F = self.structure, self._outer, state.factorization
        S = bl.inverse(bl.cholesky(F.inverse_blocks()[-1])[0])
        R = bl.cholesky(S)[0]
        C = inverse_scale(R)
        rhs = np.zeros((outer.size, structure.q))
        rhs[:, structure.slices[-1]] = np.moveaxis(S, 1, 0).reshape(outer.size, -1)
        moves = F.solve(rhs)

        values, gbar, B, moments, theta = self._nodes(phi, tol, state, C, moves)
        values = values - 0.5 * bl.logdet(R)
        K = moved_inverse(C, B)
        return self._with_grid_moves(state, values, gbar, K, moments, moves, theta)

    def _nodes(self, phi, tol, state, C, moves):
        """Sums over the outer nodes; leaves the mean derivative of the rows in `_r`.

        log sum (J,), gbar (k, J), B (k, k, J), sum_q p_q (Z'r_q) v_q' (k, k, J), and the mean
        derivative of the inner integrals in all theta (m, J).
        """
        structure, outer, inner = self.structure, self._outer, self.inner
        k, J = outer.size, outer.n_levels
        beta, theta = self.split(phi)
        theta_inner = theta[self._is_inner]
        fixed = self.rows.fixed_predictor(beta).copy()
        Lam = state.matrices[-1]
        v = structure.parts(state.u)[-1]
        inner_modes = state.u[: structure.slices[-1].start]
        inner_moves = structure.parts(moves)[:-1]

        total = np.zeros(J)
        reference: np.ndarray | None = None
        mean, row = self._r, self._row
        mean[...] = 0.0
        gbar, B, moments = np.zeros((k, J)), np.zeros((k, k, J)), np.zeros((k, k, J))
        by_theta = np.zeros((self.layout.n_theta, J))
        for q in self._order:
            z = self.grid.nodes[q]
            shift = np.tensordot(z, C, axes=(0, 1))
            node = v + shift
            _add_effects(outer, Lam @ node, fixed, self._offset)
            inner.rows.offset_changed()
            u = inner_modes.copy()
            for f, target in enumerate(inner.structure.parts(u)):
                for c in range(k):
                    target += inner_moves[f][c] * shift[c][self._outermost[f]]
            inner.u = u
            found = inner.integrate(theta_inner, tol)
            exponent = np.bincount(self._parents[-1], weights=found.values, minlength=J)
            exponent -= 0.5 * np.einsum("aj,aj->j", node, node)
            exponent += self.grid.log_weights[q]
            if reference is None:
                reference = exponent.copy()
            exponent -= reference
            weight = np.exp(exponent)
            total += weight
            scores = _sums(outer, found.r)
            np.take(weight, outer.codes, out=row, mode="clip")
            row *= found.r
            mean += row
            slope = Lam.T @ scores - node
            slope *= weight
            scores *= weight
            gbar += slope
            B += slope[:, None] * z[:, None]
            moments += scores[:, None] * node
            for t, values in zip(np.flatnonzero(self._is_inner), found.theta, strict=True):
                by_theta[t] += weight * np.bincount(self._parents[-1], weights=values, minlength=J)
        mean /= np.take(total, outer.codes)
        for array in (gbar, B, moments, by_theta):
            array /= total
        return np.log(total) + reference, gbar, B, moments, by_theta

    def _with_grid_moves(self, state, values, gbar, K, moments, moves, theta) -> Integral:
        """Adds to the derivatives what comes of the grid's moves with the joint mode and S."""
        structure, outer, F, row = self.structure, self._outer, state.factorization, self._row
        k, n = outer.size, self.problem.n
        scaled = structure.scale(state.matrices, moves)
        x = np.empty((k, n))
        for a in range(k):
            structure.predictor(scaled[a], None, x[a])
        c = np.zeros(n)
        left = np.empty((k, structure.q))
        for a in range(k):
            for b in range(k):
                np.take(K[a, b], outer.codes, out=row, mode="clip")
                row *= x[a]
                row *= x[b]
                c += row
            np.multiply(state.W, x[a], out=row)
            left[a] = structure.sums(row)
        c *= state.W1
        Zc = structure.sums(c)
        rhs = -0.5 * structure.scale([m.T for m in state.matrices], Zc)
        structure.parts(rhs)[-1][...] += gbar
        y = F.solve(rhs)
        r = self._r
        c *= 0.5
        r -= c
        structure.predictor(structure.scale(state.matrices, y), None, row)
        row *= state.W
        r -= row

        pull = -0.5 * Zc - structure.sums(row)
        move_parts, left_parts = structure.parts(moves), structure.parts(left)
        u_parts, y_parts = structure.parts(state.u), structure.parts(y)
        s_parts, pull_parts = structure.parts(state.Zs), structure.parts(pull)
        last = len(u_parts) - 1
        for t in range(self.layout.n_theta):
            f, i, j = self.layout.factor[t], self.layout.row[t], self.layout.col[t]
            outermost = self._outermost[f]
            value = pull_parts[f][i] * u_parts[f][j] + s_parts[f][i] * y_parts[f][j]
            for a in range(k):
                for b in range(k):
                    value -= left_parts[f][a, i] * K[a, b][outermost] * move_parts[f][b, j]
            theta[t] += np.bincount(outermost, weights=value, minlength=outer.n_levels)
            if f == last:
                theta[t] += moments[i, j]
        return Integral(values, r, theta)


def _add_effects(factor: Factor, b: np.ndarray, eta: np.ndarray, out: np.ndarray) -> None:
    """eta + Z b of one factor for b (k, J), to `out`; its rows may stand in any order."""
    out[...] = eta
    for a in range(factor.size):
        effect = np.take(b[a], factor.codes)
        out += effect if factor.Z is None else effect * factor.Z[a]


def _sums(factor: Factor, v: np.ndarray) -> np.ndarray:
    """Z'v of one factor, shape (k, J)."""
    out = np.empty((factor.size, factor.n_levels))
    for a in range(factor.size):
        weights = v if factor.Z is None else v * factor.Z[a]
        out[a] = np.bincount(factor.codes, weights=weights, minlength=factor.n_levels)
    return out
