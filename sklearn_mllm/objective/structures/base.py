"""What a random-effects structure offers; nothing outside this folder knows which one it talks to.

Random effects on the spherical scale are a flat vector `u` of length q: per factor an array
(k, J), raveled, factors one after another. `b = Lambda u` is laid out alike.
H = Lambda' Z' W Z Lambda + I throughout.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import numpy as np

from ...design.problem import Problem
from ..rows import BLOCK_ROWS, RowPasses, Workers

__all__ = ["LOWEST", "Factorization", "Pull", "Structure", "Visit"]

#: Log-likelihood so low that products of its derivatives may overflow: as good as not finite.
LOWEST = -1e100


class Visit:
    """What one visit of all rows finds at a predictor; the row arrays are shared buffers.

    Attributes
    ----------
    log_likelihood : float
    s, W, W1 : ndarray of shape (n,)
    Zs : ndarray of shape (q,)
    """

    def __init__(self, log_likelihood: float, derivatives: list[np.ndarray], Zs) -> None:
        self.log_likelihood = log_likelihood
        self.s, self.W, self.W1 = derivatives
        self.Zs = Zs


class Pull(NamedTuple):
    """How log|H|/2 pulls at the modes, and with them at the parameters.

    Attributes
    ----------
    ltzc, v : ndarray of shape (q,)
        Lambda' Z' c for c = h W1, and H^-1 times it.
    Zr : ndarray of shape (q,)
        Z' r for r = s - (c - W Z Lambda v) / 2.
    Xr : ndarray of shape (p,)
    """

    ltzc: np.ndarray
    v: np.ndarray
    Zr: np.ndarray
    Xr: np.ndarray


class Factorization(ABC):
    """H factorised for one W and one Lambda."""

    definite: bool
    #: whether it holds a definite matrix near H where H is not definite
    turned: bool = False
    logdet: float
    #: standard error of `logdet`; zero where it is exact
    logdet_error: float = 0.0

    @abstractmethod
    def solve(self, rhs: np.ndarray) -> np.ndarray:
        """H^-1 rhs for rhs of shape (q,) or (r, q), the right-hand sides as rows."""

    @abstractmethod
    def leverages(self) -> np.ndarray:
        """h_i = (Z Lambda H^-1 Lambda' Z')_ii, shape (n,), in a buffer."""

    @abstractmethod
    def theta_traces(self) -> list[np.ndarray]:
        """d(log|H|/2)/dLambda at fixed W: per factor (k, k), sum over levels of the diagonal
        blocks of (H^-1 Lambda' Z' W Z)'."""

    @abstractmethod
    def inverse_blocks(self) -> list[np.ndarray]:
        """Diagonal blocks of H^-1 of each factor, shape (k, k, J)."""


class Structure(ABC):
    """Algebra of Z for one layout of grouping factors.

    Attributes
    ----------
    q : int
    blas_threads : int or None
        Threads that BLAS should use at most; None leaves it as it is.
    dear : bool
        Whether a factorisation costs so much more than a pass over the rows that some of these are
        well spent to save one.
    """

    dear = False
    #: whether `approximately` pays, and whether it is on
    approximates = False
    approximating = False

    def __init__(self, problem: Problem, workers: Workers) -> None:
        self.problem = problem
        self.workers = workers
        self.blas_threads: int | None = 1 if problem.n > BLOCK_ROWS else None
        self.shapes = [(f.size, f.n_levels) for f in problem.factors]
        ends = np.cumsum([k * levels for k, levels in self.shapes])
        self.q = int(ends[-1]) if len(ends) else 0
        self.slices = [slice(int(e) - k * j, int(e)) for e, (k, j) in zip(ends, self.shapes)]

    def parts(self, v: np.ndarray) -> list[np.ndarray]:
        """Views of a (q,) or (r, q) array: per factor (..., k, J)."""
        return [
            v[..., s].reshape(*v.shape[:-1], *shape)
            for s, shape in zip(self.slices, self.shapes, strict=True)
        ]

    def scale(self, matrices: list[np.ndarray], v: np.ndarray) -> np.ndarray:
        """Lambda v for v of shape (q,) or (r, q); pass transposed matrices for Lambda' v."""
        out = np.empty_like(v)
        for target, source, m in zip(self.parts(out), self.parts(v), matrices, strict=True):
            target[...] = source * m[0, 0] if m.size == 1 else np.matmul(m, source)
        return out

    @abstractmethod
    def predictor(self, b: np.ndarray, eta0: np.ndarray, out: np.ndarray) -> np.ndarray:
        """eta0 + Z b, shape (n,), written to `out`; eta0 may be None for zero."""

    @abstractmethod
    def sums(self, v: np.ndarray) -> np.ndarray:
        """Z' v, shape (q,), for a row vector v of shape (n,)."""

    @abstractmethod
    def factorize(self, W: np.ndarray, matrices: list[np.ndarray]) -> Factorization:
        """H for row weights W (n,) and the Lambda of each factor."""

    def factorize_at(self, at: Visit, matrices: list[np.ndarray]) -> Factorization:
        """H at a visit, as `factorize` with its W."""
        return self.factorize(at.W, matrices)

    def visit(self, b: np.ndarray, eta0: np.ndarray, eta: np.ndarray, rows: RowPasses) -> Visit:
        """The derivatives at eta0 + Z b, which is written to `eta`, and their sums."""
        self.predictor(b, eta0, eta)
        value, derivatives = rows.derivatives(eta)
        Zs = self.sums(derivatives[0]) if value > LOWEST else np.zeros(self.q)
        return Visit(value, derivatives, Zs)

    def pull(
        self, F: Factorization, at: Visit, matrices: list[np.ndarray], rows: RowPasses
    ) -> Pull:
        """What the gradient needs of the rows."""
        c = F.leverages()
        c *= at.W1
        ltzc = self.scale([m.T for m in matrices], self.sums(c))
        v = F.solve(ltzc)
        r = self.predictor(self.scale(matrices, v), None, rows.spare)
        rows.half_difference(r, at.W, c, at.s)
        return Pull(ltzc, v, self.sums(r), rows.transpose_dot(r))

    def moved_sums(
        self, beta: np.ndarray, dbeta: np.ndarray, db: np.ndarray, W: np.ndarray, rows: RowPasses
    ) -> np.ndarray:
        """Z'W (X dbeta + Z db), shape (q,), for a step from `beta`."""
        row = rows.product(dbeta)
        self.predictor(db, row, row)
        rows.multiply(row, W)
        return self.sums(row)

    def rough(self, W: np.ndarray, matrices: list[np.ndarray]) -> Factorization:
        """A cheap stand-in for `factorize`, to approach modes and start values with."""
        return self.factorize(W, matrices)

    def approximately(self) -> AbstractContextManager:
        """Inside, `factorize` gives a much cheaper approximation where `approximates`.

        Its solutions are exact; log|H| and the parts of the inverse are not.
        """
        return nullcontext()

    @abstractmethod
    def independent_sums(self, v: np.ndarray) -> np.ndarray:
        """Sum of a (q,) vector over each block of random effects that H does not couple."""

    @abstractmethod
    def spread(self, values: np.ndarray) -> np.ndarray:
        """One value per independent block, spread to a (q,) vector."""
