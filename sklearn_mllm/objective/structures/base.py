"""What a random-effects structure offers; nothing outside this folder knows which one it talks to.

Random effects on the spherical scale are a flat vector `u` of length q: per factor an array
(k, J), raveled, factors one after another. `b = Lambda u` is laid out alike.
H = Lambda' Z' W Z Lambda + I throughout.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext

import numpy as np

from ...design.problem import Problem
from ..rows import BLOCK_ROWS, Workers

__all__ = ["Factorization", "Structure"]


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
