"""How modes and profiled coefficients move with the parameters (implicit function theorem).

At fixed parameters the modes solve Lambda' Z' s - u = 0, so that

    H du = dLambda' Z' s - Lambda' Z' W (X dbeta + Z dLambda u).

Eliminating u from the joint system of (beta, u) leaves the Schur complement

    A = X'WX - X'WZ Lambda H^-1 Lambda' Z'WX,

the negative Hessian in beta of the joint log density maximised over u. Where also X's = 0, the
joint mode moves by dbeta = A^-1 N dtheta, N_t = -X'W (Z dLambda_t u + Z Lambda du/dtheta_t).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .covariance import CovarianceLayout
from .rows import RowPasses
from .structures import Factorization, Structure

__all__ = ["Tangents", "mode_tangents", "tangents"]


@dataclass(frozen=True, eq=False)
class Tangents:
    """Derivatives of the modes, and what couples them to beta.

    Attributes
    ----------
    modes : ndarray of shape (M, q)
        du/d(beta, theta).
    coupling : ndarray of shape (p, q)
        X'WZ Lambda.
    schur : ndarray of shape (p, p)
        A.
    pull : ndarray of shape (p, m)
        N, so that dbeta/dtheta = A^-1 N at the joint mode.
    """

    modes: np.ndarray
    coupling: np.ndarray
    schur: np.ndarray
    pull: np.ndarray


def tangents(
    rows: RowPasses,
    structure: Structure,
    layout: CovarianceLayout,
    matrices: list[np.ndarray],
    u: np.ndarray,
    Zs: np.ndarray,
    W: np.ndarray,
    factorization: Factorization,
    *,
    schur: bool = True,
) -> Tangents:
    """Tangents at `u` for row weights W; without `schur`, A and N are left empty."""
    p, m, q = rows.p, layout.n_theta, structure.q
    transposed = [matrix.T for matrix in matrices]
    plain = np.empty((p, q))
    row = np.empty(rows.n)
    for j in range(p):
        np.multiply(rows.X[j], W, out=row)
        plain[j] = structure.sums(row)
    rhs = np.empty((p + m, q))
    coupling = structure.scale(transposed, plain) if p else plain
    np.negative(coupling, out=rhs[:p])
    modes_of = structure.parts(u)
    scores = structure.parts(Zs)
    entries = list(zip(layout.factor, layout.row, layout.col, strict=True))
    for t, (f, i, j) in enumerate(entries):
        b = np.zeros(q)
        structure.parts(b)[f][i] = modes_of[f][j]
        structure.predictor(b, None, row)
        row *= W
        rhs[p + t] = -structure.sums(row)
    if m:
        rhs[p:] = structure.scale(transposed, rhs[p:])
    for t, (f, i, j) in enumerate(entries):
        structure.parts(rhs[p + t])[f][j] += scores[f][i]
    modes = factorization.solve(rhs) if q else rhs
    if not schur:
        return Tangents(modes, coupling, np.zeros((0, 0)), np.zeros((0, 0)))
    A = rows.gram(W) + coupling @ modes[:p].T
    pull = -(coupling @ modes[p:].T)
    columns = structure.parts(plain)
    for t, (f, i, j) in enumerate(entries):
        pull[:, t] -= columns[f][:, i] @ modes_of[f][j]
    return Tangents(modes, coupling, 0.5 * (A + A.T), pull)


def mode_tangents(objective) -> np.ndarray:
    """du/d(beta, theta) at the last evaluation of an objective, shape (M, q)."""
    state = objective.state
    return tangents(
        objective.rows, objective.structure, objective.layout, state.matrices, state.u, state.Zs,
        state.W, state.factorization, schur=False,
    ).modes  # fmt: skip
