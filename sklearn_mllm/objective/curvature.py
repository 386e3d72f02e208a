"""Exact Hessian of the Laplace log-likelihood for one grouping factor.

The gradient of `laplace.py` differentiated in every direction d of (beta, theta) at once. A direction
moves the predictor of row i by x_i' dbeta + z_i' w_j with w_j = (dLambda u_j + Lambda du_j) and
du_j = H_j^-1 (dLambda' Z's - Lambda' Z'W (X dbeta + Z dLambda u))_j, so all that is needed of the
rows are sums over levels of products of x, z and W, W', h W''. The rest is algebra of k x k blocks,
done for all levels and directions together. Work goes in blocks of whole levels.
"""

from __future__ import annotations

import numpy as np

from .laplace import LaplaceObjective
from .structures.none import NoEffects
from .structures.one_factor import OneFactor

__all__ = ["closed_form_hessian", "has_closed_form"]


def has_closed_form(objective: LaplaceObjective) -> bool:
    """Whether `closed_form_hessian` covers the objective's structure."""
    return type(objective) is LaplaceObjective and isinstance(
        objective.structure, OneFactor | NoEffects
    )


def closed_form_hessian(objective: LaplaceObjective) -> tuple[np.ndarray, np.ndarray]:
    """Hessian in (beta, theta), shape (M, M), and du/d(beta, theta), shape (M, q).

    At the parameters of the objective's last evaluation.
    """
    state = objective.state
    if isinstance(objective.structure, NoEffects):
        return -objective.rows.gram(state.W), np.zeros((objective.problem.p, 0))
    return _Curvature(objective).compute()


class _Curvature:
    def __init__(self, objective: LaplaceObjective) -> None:
        self.objective = objective
        self.state = state = objective.state
        self.structure = structure = objective.structure
        self.rows = objective.rows
        self.p = objective.problem.p
        layout = objective.layout
        self.entries = list(zip(layout.row.tolist(), layout.col.tolist(), strict=True))
        self.n_directions = self.p + len(self.entries)
        # made here, not by whichever thread comes first
        self.rows.buffers(order=4)
        self.Lambda = state.matrices[0]
        F = state.factorization
        self.F = F
        k, J = structure.k, structure.n_levels
        self.k = k
        self.u = state.u.reshape(k, J)
        self.Zs = state.Zs.reshape(k, J)
        self.M = F.conditional_covariance
        self.tangent = np.empty((self.n_directions, k, J))

    def compute(self) -> tuple[np.ndarray, np.ndarray]:
        hessian = np.zeros((self.n_directions, self.n_directions))
        for part in self.objective.workers.map(self._block, self.structure.by_level.tasks):
            hessian += part
        return 0.5 * (hessian + hessian.T), self.tangent.reshape(self.n_directions, -1)

    def _row_sums(self, task):
        """Sums over the levels of one block of rows.

        P3 = sum z W x (k, p, J); P2 = sum zz' W1 x (k, k, p, J); P4 = sum z hW2 x (k, p, J);
        T3 = sum zz'z W1 (k, k, k, J); S = sum zz' hW2 (k, k, J).
        """
        _, rows, starts = task
        X = self.objective.problem.X[:, rows]
        _, (_, W, W1, W2) = self.rows.block_derivatives(self.state.eta[rows], rows, order=4)
        hW2 = self.structure.by_level.quadratic_of(self.M, task)
        hW2 *= W2
        k, p, J = self.k, self.p, starts.shape[0]

        def seg(column):
            return np.add.reduceat(column, starts, axis=-1)

        P3, P4 = np.empty((k, p, J)), np.empty((k, p, J))
        P2, T3, S = np.empty((k, k, p, J)), np.empty((k, k, k, J)), np.empty((k, k, J))
        z = None if self.structure.by_level.Z is None else self.structure.by_level.Z[:, rows]
        for a in range(k):
            wz = W if z is None else W * z[a]
            hz = hW2 if z is None else hW2 * z[a]
            P3[a] = seg(X * wz)
            P4[a] = seg(X * hz)
            for b in range(a + 1):
                w1zz = W1 if z is None else W1 * z[a] * z[b]
                P2[a, b] = P2[b, a] = seg(X * w1zz)
                S[a, b] = S[b, a] = seg(hz if z is None else hz * z[b])
                for c in range(b + 1):
                    value = seg(w1zz if z is None else w1zz * z[c])
                    for i, j, m in {
                        (a, b, c),
                        (a, c, b),
                        (b, a, c),
                        (b, c, a),
                        (c, a, b),
                        (c, b, a),
                    }:
                        T3[i, j, m] = value
        return X, W, W1, hW2, P3, P4, P2, T3, S

    def _block(self, task) -> np.ndarray:
        levels, _, starts = task
        X, W, W1, hW2, P3, P4, P2, T3, S = self._row_sums(task)
        k, p, J = self.k, self.p, starts.shape[0]
        m = len(self.entries)
        Lam = self.Lambda
        Hinv = self.F.inverse[..., levels]
        LtG = self.F.LtG[..., levels]
        G = self.F.G[..., levels]
        M = self.M[..., levels]
        u, Zs = self.u[:, levels], self.Zs[:, levels]
        HL = np.einsum("abj,cb->acj", Hinv, Lam)

        Zc = np.einsum("abcj,bcj->aj", T3, M)
        v = np.einsum("abj,bj->aj", HL, Zc)
        y = Lam @ v
        Zr = Zs - 0.5 * Zc + 0.5 * np.einsum("abj,bj->aj", G, y)

        # tangents of u and of the random part of the predictor
        rhs = np.zeros((k, p + m, J))
        rhs[:, :p] = -np.tensordot(Lam.T, P3, axes=(1, 0))
        for t, (i, j) in enumerate(self.entries):
            rhs[:, p + t] = -LtG[:, i] * u[j]
            rhs[j, p + t] += Zs[i]
        du = np.einsum("abj,bdj->adj", Hinv, rhs)
        self.tangent[:, :, levels] = du.swapaxes(0, 1)
        w = np.tensordot(Lam, du, axes=(1, 0))
        for t, (i, j) in enumerate(self.entries):
            w[i, p + t] += u[j]

        dZs = -np.einsum("abj,bdj->adj", G, w)
        dZs[:, :p] -= P3
        dG = np.einsum("abcj,cdj->abdj", T3, w)
        dG[:, :, :p] += P2
        LtdG = np.tensordot(Lam.T, dG, axes=(1, 0))
        dH = np.einsum("abdj,bc->acdj", LtdG, Lam)
        for t, (i, j) in enumerate(self.entries):
            dH[j, :, p + t] += LtG[:, i]
            dH[:, j, p + t] += LtG[:, i]
        dHinv = -np.einsum("abj,bedj->aedj", Hinv, np.einsum("bcdj,cej->bedj", dH, Hinv))
        dM = np.einsum("ab,bedj->aedj", Lam, np.einsum("bcdj,ec->bedj", dHinv, Lam))
        for t, (i, j) in enumerate(self.entries):
            dM[i, :, p + t] += HL[j]
            dM[:, i, p + t] += HL[j]
        dZc = np.einsum("abcj,bcdj->adj", T3, dM) + np.einsum("abj,bdj->adj", S, w)
        dZc[:, :p] += P4
        dy = np.einsum("abdj,bj->adj", dM, Zc) + np.einsum("abj,bdj->adj", M, dZc)
        dZr = dZs - 0.5 * dZc
        dZr += 0.5 * (np.einsum("abdj,bj->adj", dG, y) + np.einsum("abj,bdj->adj", G, dy))

        out = np.empty((p + m, p + m))
        # beta rows: X' dr
        zy = self.structure.by_level.block_effects(y, task)
        omega = W + 0.5 * hW2 - 0.5 * W1 * zy
        P2y = np.einsum("abpj,bj->apj", P2, y)
        top = -_contract(P3 + 0.5 * P4 - 0.5 * P2y, w)
        top -= 0.5 * _contract(P2.reshape(k * k, p, J), dM.reshape(k * k, p + m, J))
        top += 0.5 * _contract(P3, dy)
        top[:, :p] -= (X * omega) @ X.T
        out[:p] = top

        # theta rows
        ltzc = np.tensordot(Lam.T, Zc, axes=(1, 0))
        dltzc = np.tensordot(Lam.T, dZc, axes=(1, 0))
        for t, (i, j) in enumerate(self.entries):
            dltzc[j, p + t] += Zc[i]
        dv = np.einsum("abdj,bj->adj", dHinv, ltzc) + np.einsum("abj,bdj->adj", Hinv, dltzc)
        for t, (i, j) in enumerate(self.entries):
            row = np.einsum("dj,j->d", dZr[i], u[j]) + np.einsum("dj,j->d", du[j], Zr[i])
            row -= 0.5 * (dZs[i] @ v[j] + dv[j] @ Zs[i])
            # K = H^-1 Lambda' G, its entry (j, i)
            row -= np.einsum("bdj,bj->d", dHinv[j], LtG[:, i])
            row -= np.einsum("bj,bdj->d", Hinv[j], LtdG[:, i])
            for q, (i2, j2) in enumerate(self.entries):
                row[p + q] -= float(Hinv[j, j2] @ G[i2, i])
            out[p + t] = row
        return out


def _contract(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sum over the first and the last axis of (c, p, J) and (c, d, J), shape (p, d)."""
    out = a[0] @ b[0].T
    for first, second in zip(a[1:], b[1:], strict=True):
        out += first @ second.T
    return out
