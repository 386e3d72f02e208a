"""The joint mode of (beta, u): the objective of n_agq=0, and start values for every fit.

For a given theta let (beta, u) maximise sum_i l_i - u'u/2 (penalised iteratively reweighted least
squares, Bates et al. 2015, section 5). With n_agq=0 the log-likelihood is the Laplace approximation
at that joint mode,

    P(theta) = L(beta(theta), theta),

faster than maximising L itself and a little biased, as lme4's nAGQ = 0. Since u(beta, theta) is the
conditional mode at beta(theta), P has the gradient

    dP/dtheta = dL/dtheta + N' A^-1 dL/dbeta

with the gradient of `laplace.py` and A, N of `tangents.py`. A normal prior on the coefficients with
precision Q adds -beta'Q beta/2 to both: to what (beta, u) maximise, so that A becomes A + Q, and to P,

    dP/dtheta = dL/dtheta + N' (A + Q)^-1 (dL/dbeta - Q beta).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy import linalg

from ..design.problem import Problem
from .laplace import Evaluation, ModeError
from .newton import newton_step
from .quadrature import ModeBased
from .reach import reach
from .tangents import Tangents, tangents

__all__ = ["JointModeObjective", "JointStart", "fisher_theta", "joint_start"]

MAX_STEPS = 60
#: A joint step on coefficients and variances that makes the log density this many times as low is cut,
#: so often at most.
FALL, MAX_RETREATS = 10.0, 20
#: Share of the largest eigenvalue below which the others are not left.
RAISED = 1e-10


class JointModeObjective(ModeBased):
    """Laplace log-likelihood at the joint mode of (beta, u), a function of theta alone.

    To the optimizer this is a problem without fixed effects: its parameters are theta, and
    `problem` has p = 0. The coefficients that belong to the last evaluation are in `beta`, and
    `joint_parameters`, `joint_hessian` and `mode_tangents` speak of (beta, theta).

    Parameters
    ----------
    problem : Problem
    link : Link
    n_threads : int

    Attributes
    ----------
    beta : ndarray of shape (p,)
        Where the next evaluation starts.
    beta_tangent : ndarray of shape (p, m)
        dbeta/dtheta at the last evaluation.
    prior_precision : ndarray of shape (p, p)
        Q of a normal prior on the coefficients.
    """

    def __init__(self, problem: Problem, link, n_threads: int = 1) -> None:
        super().__init__(problem, link, n_threads)
        self.problem = replace(problem, X=np.empty((0, problem.n)))
        self.beta = np.zeros(problem.p)
        self.prior_precision = np.zeros((problem.p, problem.p))
        self.beta_tangent = np.zeros((problem.p, self.layout.n_theta))
        self._theta: np.ndarray | None = None
        self._tangents: Tangents | None = None
        self._factor = None

    @property
    def n_parameters(self) -> int:
        return self.layout.n_theta

    @property
    def tangent(self) -> None:
        """The modes are predicted inside; what the optimizer offers is not used."""
        return None

    @tangent.setter
    def tangent(self, value) -> None:
        pass

    def split(self, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(beta, theta) for phi = theta, with the coefficients of the last evaluation."""
        return self.beta, phi

    def _linearise(self) -> Tangents:
        """Tangents and the factor of A at the current modes; the modes follow them from here."""
        state = self.laplace.state
        found = tangents(
            self.rows, self.structure, self.layout, state.matrices, state.u, state.Zs, state.W,
            state.factorization,
        )  # fmt: skip
        self.laplace.tangent = found.modes
        return found

    def _within_reach(self, beta: np.ndarray, step: np.ndarray) -> np.ndarray:
        return step * reach(self.rows.X, beta, step)

    def find_joint_mode(self, theta: np.ndarray, tol: float = 1e-12) -> None:
        """Newton steps on beta, u following, until their squared decrement is below `tol`.

        Raises
        ------
        ModeError
            When they do not converge: the data leave some coefficient without a finite estimate.
        """
        beta = self.beta
        if self._theta is not None:
            beta = beta + self._within_reach(beta, self.beta_tangent @ (theta - self._theta))
        value, slope = -np.inf, 0.0
        step = np.zeros_like(beta)
        for _ in range(MAX_STEPS):
            pull = self.prior_precision @ beta
            try:
                state = self.laplace.find_modes(np.concatenate([beta, theta]), min(tol, 1e-8))
            except ModeError:
                if not (step.any() and slope > tol):
                    raise
                new = -np.inf
            else:
                new = state.log_likelihood - 0.5 * float(state.u @ state.u)
                new += 0.5 * (state.decrement - float(beta @ pull))
            if new < value - 1e-10 * abs(value) and slope > tol:
                step = 0.25 * step
                beta = beta - 3.0 * step
                slope *= 0.25
                continue
            value = new
            found = self._linearise()
            gradient = self.rows.transpose_dot(state.s) - pull
            # the last step on u is still to be taken: X's changes by - X'WZ Lambda step
            gradient -= found.coupling @ state.step
            factor = _factorise(found.schur + self.prior_precision)
            step = linalg.cho_solve(factor, gradient, check_finite=False)
            slope = float(step @ gradient)
            if slope < tol:
                self.beta = beta + step
                self._theta = theta
                self._tangents, self._factor = found, factor
                self.beta_tangent = linalg.cho_solve(factor, found.pull, check_finite=False)
                return
            step = self._within_reach(beta, step)
            beta = beta + step
        raise ModeError("the joint modes of coefficients and random effects do not converge")

    def evaluate(self, phi: np.ndarray, tol: float = 1e-12) -> Evaluation:
        """Value and gradient at phi = theta."""
        self.n_evaluations += 1
        theta = np.array(phi, dtype=float)
        if self.rows.p == 0:
            self._theta = theta
            plain = self.laplace.evaluate(theta, tol)
            self._tangents = self._linearise()
            return plain
        # a squared decrement of d, with the step taken, leaves an error of about d in beta
        self.find_joint_mode(theta, min(tol, 1e-12))
        plain = self.laplace.evaluate(np.concatenate([self.beta, theta]), min(tol, 1e-12))
        in_beta, in_theta = np.split(plain.gradient, [self.rows.p])
        pull = self.prior_precision @ self.beta
        shift = linalg.cho_solve(self._factor, in_beta - pull, check_finite=False)
        value = plain.value - 0.5 * float(self.beta @ pull)
        return Evaluation(phi, value, in_theta + self._tangents.pull.T @ shift)

    # -- back to (beta, theta) -------------------------------------------------------------------

    def joint_parameters(self) -> np.ndarray:
        """(beta, theta) of the last evaluation."""
        return np.concatenate([self.beta, self._theta])

    def joint_hessian(self, theta_hessian: np.ndarray) -> np.ndarray:
        """Hessian in (beta, theta) from that of P, shape (M, M).

        A quadratic in (beta, theta) with curvature -A (or -A - Q) in beta, whose maximum over beta
        lies at beta(theta) and is P: with D = dbeta/dtheta its Hessian is
        [[-A, A D], [D'A, P'' - D'A D]], and the covariance of beta is A^-1 - D P''^-1 D'.
        """
        A, D = self._tangents.schur + self.prior_precision, self.beta_tangent
        AD = A @ D
        return np.block([[-A, AD], [AD.T, theta_hessian - D.T @ AD]])

    def mode_tangents(self) -> np.ndarray:
        """du/d(beta, theta) at the last evaluation, shape (M, q)."""
        return self._tangents.modes


def _factorise(A: np.ndarray) -> tuple:
    """Cholesky factor of A, or of |A| with small eigenvalues raised where it is not definite."""
    size = np.abs(A.diagonal())
    if not (size > 1e-290).all():
        raise ModeError("the information of the coefficients is zero to the last digit")
    try:
        return linalg.cho_factor(A, lower=True, check_finite=False)
    except linalg.LinAlgError:
        scale = np.sqrt(size)
        values, vectors = linalg.eigh(A / scale / scale[:, None])
    values = np.abs(values)
    root = vectors * np.sqrt(np.maximum(values, RAISED * values.max()))
    return linalg.cho_factor((root @ root.T) * scale * scale[:, None], lower=True)


@dataclass(frozen=True, eq=False)
class JointStart:
    """Where a fit can start.

    Attributes
    ----------
    phi : ndarray of shape (M,)
        (beta, theta).
    u : ndarray of shape (q,)
        Modes that belong to it, nearly.
    negative_hessian : ndarray of shape (M, M)
        Guess of the negative Hessian of the Laplace log-likelihood, positive definite.
    """

    phi: np.ndarray
    u: np.ndarray
    negative_hessian: np.ndarray


def fisher_theta(layout, matrices: list[np.ndarray], inverses: list[np.ndarray]) -> np.ndarray:
    """Approximate information of theta, shape (m, m), from the diagonal blocks of H^-1.

    As for a Gaussian response: (1/2) sum over levels of tr(Q dS_s Q dS_t), where
    Q = Lambda'^-1 (I - H^-1) Lambda^-1 per level and dS = D Lambda' + Lambda D'. A small ridge keeps
    it positive definite.
    """
    m = layout.n_theta
    out = np.zeros((m, m))
    for f, (inverse, Lam) in enumerate(zip(inverses, matrices, strict=True)):
        Lam = _regular(Lam)
        k = Lam.shape[0]
        Linv = np.linalg.inv(Lam)
        Q = np.einsum("ba,bcj,cd->adj", Linv, np.eye(k)[:, :, None] - inverse, Linv, optimize=True)
        mine = np.flatnonzero(layout.factor == f)
        products = []
        for t in mine:
            dS = np.zeros((k, k))
            dS[layout.row[t]] += Lam[:, layout.col[t]]
            products.append(np.einsum("abj,bc->acj", Q, dS + dS.T))
        for a, s in enumerate(mine):
            for b, t in enumerate(mine[: a + 1]):
                out[s, t] = out[t, s] = 0.5 * np.einsum("abj,baj->", products[a], products[b])
    floor = 1e-3 * max(float(np.diag(out).max(initial=0.0)), 1.0)
    diagonal = np.diag_indices(m)
    out[diagonal] = np.maximum(out[diagonal], floor)
    return out


def _regular(Lam: np.ndarray) -> np.ndarray:
    """Lambda with its zero pivots replaced by small ones."""
    return Lam + np.diag(np.where(np.abs(np.diag(Lam)) < 1e-3, 1e-3, 0.0))


def joint_start(objective, beta: np.ndarray, theta: np.ndarray, n_steps: int = 3) -> JointStart:
    """A few joint Newton steps on (beta, u), each followed by a scoring step on theta.

    One pass over the rows' likelihood and one factorisation a step; the modes are not iterated to
    convergence. The step on theta is Fisher scoring for the penalised quasi-likelihood, whose score
    is Lambda'^-1 sum_j (u_j u_j' + (H^-1)_jj - I) (Breslow & Clayton 1993, JASA 88).

    Parameters
    ----------
    objective : LaplaceObjective or one that holds its rows, structure and layout
    beta : ndarray of shape (p,)
        Coefficients of the plain regression, roughly.
    theta : ndarray of shape (m,)
        First guess, without zero on the diagonal.
    """
    rows, structure, layout = objective.rows, objective.structure, objective.layout
    beta, theta = np.array(beta, dtype=float), np.array(theta, dtype=float)
    u = np.zeros(structure.q)
    eta = np.empty(rows.n)
    p = rows.p
    information = np.eye(p + layout.n_theta)
    before, reached = (beta, theta, u), -np.inf
    for number in range(n_steps + 1):
        for _ in range(MAX_RETREATS):
            matrices = layout.matrices(theta)
            structure.predictor(structure.scale(matrices, u), rows.fixed_predictor(beta), eta)
            value, (s, W, _) = rows.derivatives(eta)
            density = value - 0.5 * float(u @ u)
            if density > reached - FALL * max(1.0, -reached):
                break
            if not number:
                raise ModeError("the log-likelihood is not finite at the start values")
            beta, theta, u = (
                old + 0.25 * (new - old) for old, new in zip(before, (beta, theta, u), strict=True)
            )
        else:
            raise ModeError("no step from the start values leads up")
        before, reached = (beta, theta, u), density
        np.maximum(W, 0.0, out=W)
        Zs = structure.sums(s)
        F = structure.rough(W, matrices)
        found = tangents(rows, structure, layout, matrices, u, Zs, W, F)
        inverses = F.inverse_blocks()
        fisher = fisher_theta(layout, matrices, inverses)
        factor = _factorise(found.schur) if p else None
        D = linalg.cho_solve(factor, found.pull, check_finite=False) if p else found.pull
        AD = found.schur @ D if p else D
        information = np.block([[found.schur, -AD], [-AD.T, fisher + D.T @ AD]])
        if number == n_steps:
            break
        g = structure.scale([m.T for m in matrices], Zs) - u
        du = F.solve(g)
        if p:
            step = rows.transpose_dot(s) - found.coupling @ du
            step = linalg.cho_solve(factor, step, check_finite=False)
            step *= reach(rows.X, beta, step)
            beta = beta + step
            du = du + step @ found.modes[:p]
        u = u + np.clip(du, -2.0, 2.0)
        if number == 0:
            continue
        dtheta = _theta_step(layout, theta, matrices, structure.parts(u), inverses, fisher)
        theta = theta + dtheta
        move = D @ dtheta if p else np.zeros(0)
        move *= reach(rows.X, beta, move)
        beta = beta + move
        u = u + np.clip(dtheta @ found.modes[p:] + move @ found.modes[:p], -1.0, 1.0)
    return JointStart(np.concatenate([beta, theta]), u, information)


def _theta_step(layout, theta, matrices, modes, inverses, fisher) -> np.ndarray:
    """Scoring step on theta, no term's diagonal by more than about a factor of two."""
    scores = []
    for Lam, u, inverse in zip(matrices, modes, inverses, strict=True):
        excess = u @ u.T + inverse.sum(axis=-1) - u.shape[1] * np.eye(u.shape[0])
        scores.append(np.linalg.solve(_regular(Lam).T, excess))
    step, _, _ = newton_step(fisher, layout.pick(scores))
    for number in range(len(layout.terms)):
        mine = layout.term_of == number
        diagonal = mine & layout.diagonal
        size = float(np.abs(theta[diagonal]).max())
        step[mine] *= min(1.0, 0.6 * size / max(float(np.abs(step[mine]).max()), 1e-300))
    return step
