"""Laplace log-likelihood of (beta, theta) with its exact gradient.

L(beta, theta) = sum_i l_i - u'u/2 - log|H|/2 at the mode u of the joint log density, with
H = Lambda' Z' W Z Lambda + I and W the observed information. With leverages h, c = h W',
v = H^-1 Lambda' Z' c and r = s - (c - W Z Lambda v)/2 the gradient is

    dL/dbeta   = X' r
    dL/dLambda = (Z' r) u' - d(log|H|/2)/dLambda - (Z' s) v'/2      (sums over levels)
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from ..design.problem import Problem
from .covariance import CovarianceLayout
from .rows import RowPasses, Workers
from .structures import LOWEST, Factorization, Structure, Visit, choose

__all__ = ["Evaluation", "LaplaceObjective", "ModeError"]

#: Change of a spherical mode, whose prior standard deviation is one, that a tangent may predict.
LARGEST_MOVE = 1.0
MAX_MODE_STEPS = 200
#: Squared Newton decrement at a point which is stationary but no maximum.
SADDLE_TOL = 1e-20
#: Share of a squared Newton decrement that a rough step leaves, about.
ROUGH_REST = 1e-5
#: Step in the parameters up to which modes are where their tangent leads.
NEAR_POINT = 1e-3


class ModeError(ArithmeticError):
    """The conditional modes were not found at these parameters."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Value and gradient at `phi` = (beta, theta)."""

    phi: np.ndarray
    value: float
    gradient: np.ndarray


@dataclass(eq=False)
class ModeState:
    """Everything at the mode that gradient and Hessian share (row arrays are shared buffers)."""

    phi: np.ndarray
    u: np.ndarray
    step: np.ndarray
    matrices: list[np.ndarray]
    eta: np.ndarray
    at: Visit
    factorization: Factorization
    decrement: float

    @property
    def log_likelihood(self) -> float:
        return self.at.log_likelihood

    @property
    def s(self) -> np.ndarray:
        return self.at.s

    @property
    def W(self) -> np.ndarray:
        return self.at.W

    @property
    def W1(self) -> np.ndarray:
        return self.at.W1

    @property
    def Zs(self) -> np.ndarray:
        return self.at.Zs


class LaplaceObjective:
    """Laplace log-likelihood on one problem.

    Parameters
    ----------
    problem : Problem
    link : Link
    n_threads : int

    Attributes
    ----------
    u : ndarray of shape (q,)
        Spherical modes of the last evaluation; where the next one starts.
    latest : Evaluation or None
    n_evaluations, n_mode_steps : int
    """

    def __init__(self, problem: Problem, link, n_threads: int = 1) -> None:
        self.problem = problem
        self.workers = Workers(n_threads)
        self.rows = RowPasses(
            problem.X, problem.successes, problem.trials, problem.offset, link, self.workers
        )
        self.layout = CovarianceLayout(problem)
        self.structure: Structure = choose(problem, self.workers)
        self._u = np.zeros(self.structure.q)
        self.tangent: np.ndarray | None = None
        self._u_phi: np.ndarray | None = None
        self._eta = np.empty(problem.n)
        self.state: ModeState | None = None
        self.latest: Evaluation | None = None
        # whether the shared buffers are those of `state`
        self._intact = False
        self.n_evaluations = 0
        self.n_mode_steps = 0

    @property
    def u(self) -> np.ndarray:
        return self._u

    @u.setter
    def u(self, value: np.ndarray) -> None:
        # modes that are given are taken as they are, not moved from where the last ones belong
        self._u, self._u_phi = value, None

    @property
    def n_parameters(self) -> int:
        return self.problem.p + self.layout.n_theta

    def split(self, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return phi[: self.problem.p], phi[self.problem.p :]

    def predicted_modes(self, phi: np.ndarray) -> np.ndarray:
        """Modes at `phi` by the implicit function theorem from the last ones."""
        if self._u_phi is None or phi is self._u_phi:
            return self.u
        if self.tangent is not None:
            return self.u + (phi - self._u_phi) @ self.tangent
        if not self._intact or self.state.phi is not self._u_phi:
            return self.u
        move = self._moved_modes(phi - self._u_phi)
        # along a curve that bends much a straight line leads nowhere
        return self.u if np.abs(move).max(initial=0.0) > LARGEST_MOVE else self.u + move

    def _follows_closely(self, phi: np.ndarray) -> bool:
        """Whether `phi` is so near the last point that the modes' tangent leaves next to nothing."""
        if self.tangent is None or self._u_phi is None:
            return False
        return float(np.abs(phi - self._u_phi).max(initial=0.0)) < NEAR_POINT

    def _moved_modes(self, direction: np.ndarray) -> np.ndarray:
        """Derivative of the modes along one direction: one visit of the rows and one solve."""
        state, structure = self.state, self.structure
        beta, theta = self.split(direction)
        change = self.layout.matrices(theta)
        before, _ = self.split(self._u_phi)
        moved = structure.moved_sums(
            before, beta, structure.scale(change, state.u), state.W, self.rows
        )
        rhs = structure.scale([m.T for m in change], state.Zs)
        rhs -= structure.scale([m.T for m in state.matrices], moved)
        return state.factorization.solve(rhs)

    def find_modes(self, phi: np.ndarray, tol: float = 1e-12) -> ModeState:
        """The modes at `phi`, from where the last ones lead or else from the middle of the prior.

        Raises
        ------
        ModeError
            When the steps converge from neither.
        """
        u = np.array(self.predicted_modes(phi))
        try:
            return self._climb_to_modes(phi, u, tol)
        except ModeError:
            if not u.any():
                raise
            return self._climb_to_modes(phi, np.zeros_like(u), tol)

    def _climb_to_modes(self, phi: np.ndarray, u: np.ndarray, tol: float) -> ModeState:
        """Damped Newton steps from `u`, until the squared Newton decrement is below `tol`."""
        beta, theta = self.split(phi)
        structure = self.structure
        matrices = self.layout.matrices(theta)
        transposed = [m.T for m in matrices]
        eta0 = self.rows.fixed_predictor(beta)
        self._intact = False
        step: np.ndarray | None = None
        slope: np.ndarray | None = None
        reached = -np.inf
        far = structure.dear and not self._follows_closely(phi)
        for _ in range(MAX_MODE_STEPS):
            self.n_mode_steps += 1
            at = structure.visit(structure.scale(matrices, u), eta0, self._eta, self.rows)
            log_likelihood, W = at.log_likelihood, at.W
            if not log_likelihood > LOWEST:
                if step is None:
                    if not u.any():
                        raise ModeError("the log-likelihood is not finite")
                    u[...] = 0.0
                else:
                    step *= 0.25
                    u -= 3.0 * step
                continue
            g = structure.scale(transposed, at.Zs) - u
            if step is not None:
                # overshoot: the slope along the last step has changed sign by more than half
                now = structure.independent_sums(g * step)
                over = (now < -0.5 * slope) & (slope > 1e-14)
                density = log_likelihood - 0.5 * float(u @ u)
                if not over.any() and density < reached - 1e-10 * max(1.0, abs(reached)):
                    # a kink between two flats, which full steps would cross for ever
                    over = (now < 0.0) & (slope > 1e-14)
                if over.any():
                    fraction = np.ones_like(now)
                    np.divide(slope, slope - now, out=fraction, where=over)
                    fraction = np.where(over, np.clip(fraction, 0.3, 0.6), 1.0)
                    kept = structure.spread(fraction) * step
                    u += kept - step
                    step = np.where(structure.spread(over), kept, 0.0)
                    slope = np.where(over, slope * fraction, 0.0)
                    if np.abs(step).max() < 1e-13 * (1.0 + np.abs(u).max()):
                        raise ModeError("the conditional modes do not converge")
                    continue
            reached = log_likelihood - 0.5 * float(u @ u)
            if far:
                # a rough step is enough from afar, and tells whether this is near
                rough = structure.rough(np.maximum(W, 0.0), matrices).solve(g)
                slope = structure.independent_sums(g * rough)
                decrement = float(slope.sum())
                if decrement > tol:
                    step = rough
                    u = u + step
                    far = max(ROUGH_REST * decrement, decrement * decrement) > tol
                    continue
            factorization = structure.factorize_at(at, matrices)
            if factorization.definite or factorization.turned:
                step = factorization.solve(g)
            else:
                step = structure.factorize(np.maximum(W, 0.0), matrices).solve(g)
            slope = structure.independent_sums(g * step)
            decrement = float(slope.sum())
            if decrement < tol and not factorization.definite and decrement < SADDLE_TOL:
                raise ModeError("the joint density has no proper maximum at these parameters")
            if decrement < tol and factorization.definite:
                self.state = ModeState(
                    phi, u, step, matrices, self._eta, at, factorization, decrement
                )
                self._u, self._u_phi = u + step, phi
                self._intact = True
                return self.state
            u = u + step
        raise ModeError("the conditional modes do not converge")

    def evaluate(self, phi: np.ndarray, tol: float = 1e-12) -> Evaluation:
        """Value and gradient at phi = (beta, theta)."""
        self.n_evaluations += 1
        state = self.find_modes(phi, tol)
        structure, F = self.structure, state.factorization
        value = state.log_likelihood - 0.5 * float(state.u @ state.u) - 0.5 * F.logdet
        value += 0.5 * state.decrement
        if structure.q == 0:
            self.latest = Evaluation(phi, value, self.rows.transpose_dot(state.s))
            return self.latest
        pull = structure.pull(F, state.at, state.matrices, self.rows)
        value -= 0.5 * float(pull.ltzc @ state.step)
        gradients = []
        for u_f, zr, zs, v_f, trace in zip(
            structure.parts(state.u),
            structure.parts(pull.Zr),
            structure.parts(state.Zs),
            structure.parts(pull.v),
            F.theta_traces(),
            strict=True,
        ):
            gradients.append(zr @ u_f.T - trace - 0.5 * (zs @ v_f.T))
        gradient = np.concatenate([pull.Xr, self.layout.pick(gradients)])
        self.latest = Evaluation(phi, value, gradient)
        return self.latest

    @contextmanager
    def staying(self) -> Iterator[None]:
        """Evaluations inside leave no trace: state, modes and buffers are put back after them."""
        state, latest, u, at = self.state, self.latest, np.array(self.u), self._u_phi
        shared = (state.eta, state.s, state.W, state.W1)
        copies = [array.copy() for array in shared]
        try:
            yield
        finally:
            for array, copy in zip(shared, copies, strict=True):
                array[...] = copy
            self.state, self.latest, self._u, self._u_phi = state, latest, u, at
            self._intact = True

    def close(self) -> None:
        self.workers.close()
