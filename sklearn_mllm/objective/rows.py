"""All passes over the rows of a problem.

Rows are worked on in blocks that stay in cache, by a pool of threads where one is given (NumPy
releases the interpreter lock), with buffers that are allocated once. A compiled kernel would take
the place of this file.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
from threadpoolctl import ThreadpoolController

__all__ = ["BLOCK_ROWS", "RowPasses", "Workers", "blas_threads", "half_difference"]

BLOCK_ROWS = 16_384


@lru_cache(maxsize=1)
def blas_threads() -> ThreadpoolController:
    """Control of the threads that BLAS and LAPACK use."""
    return ThreadpoolController()


def half_difference(r: np.ndarray, W: np.ndarray, c: np.ndarray, s: np.ndarray) -> None:
    """r <- (W r - c) / 2 + s, at once."""
    r *= W
    r -= c
    r *= 0.5
    r += s


class Workers:
    """Maps a function over blocks of rows, on `n_threads` threads.

    Blocks are too small for threads of BLAS, which would only get in each other's way. A structure
    holds them for a whole fit, or sets `limits_blas` to hold them in each pass alone.
    """

    limits_blas = False

    def __init__(self, n_threads: int = 1) -> None:
        self.n_threads = max(1, int(n_threads))
        self._pool: ThreadPoolExecutor | None = None

    def map(self, function: Callable, items: list) -> list:
        if len(items) < 2:
            return [function(item) for item in items]
        if not self.limits_blas:
            return self._map(function, items)
        with blas_threads().limit(limits=1, user_api="blas"):
            return self._map(function, items)

    def _map(self, function: Callable, items: list) -> list:
        if self.n_threads == 1:
            return [function(item) for item in items]
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.n_threads)
        # one run of neighbouring blocks for each thread: handing out costs as much as a small block
        share = -(-len(items) // self.n_threads)
        runs = [items[a : a + share] for a in range(0, len(items), share)]
        done = self._pool.map(lambda run: [function(item) for item in run], runs)
        return [value for run in done for value in run]

    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None


class RowPasses:
    """Row-wise operations on one problem: predictor, derivatives, products with X.

    Parameters
    ----------
    X : ndarray of shape (p, n)
    successes : ndarray of shape (n,)
    trials, offset : ndarray of shape (n,) or None
    link : Link
    workers : Workers
    """

    def __init__(self, X, successes, trials, offset, link, workers: Workers) -> None:
        self.X = X
        self.successes = successes
        self.trials = trials
        self.offset = offset
        self.link = link
        self.workers = workers
        self.n = successes.shape[0]
        self.p = X.shape[0]
        self.blocks = [slice(a, min(a + BLOCK_ROWS, self.n)) for a in range(0, self.n, BLOCK_ROWS)]
        self._eta0 = np.empty(self.n)
        #: coefficients that `_eta0` belongs to
        self._fixed_at: np.ndarray | None = None
        self._derivatives = [np.empty(self.n) for _ in range(3)]
        self._second: np.ndarray | None = None

    def fixed_predictor(self, beta: np.ndarray) -> np.ndarray:
        """offset + X beta, shape (n,), in a buffer that the next call overwrites."""
        out = self._eta0
        if self._fixed_at is not None and np.array_equal(self._fixed_at, beta):
            return out

        def work(rows: slice) -> None:
            np.dot(beta, self.X[:, rows], out=out[rows])
            if self.offset is not None:
                out[rows] += self.offset[rows]

        self.workers.map(work, self.blocks)
        self._fixed_at = np.array(beta)
        return out

    def offset_changed(self) -> None:
        """To be called when `offset` has been written to."""
        self._fixed_at = None

    def fixed_move(self, beta: np.ndarray, step: np.ndarray) -> Callable[[slice], np.ndarray]:
        """Gives X step of a block of rows; every block is to be asked for, once.

        A fixed predictor at `beta` moves on with it, so that the next is there already.
        """
        follows = self._fixed_at is not None and np.array_equal(self._fixed_at, beta)
        self._fixed_at = beta + step if follows else None

        def move(rows: slice) -> np.ndarray:
            row = np.dot(step, self.X[:, rows])
            if follows:
                self._eta0[rows] += row
            return row

        return move

    def product(self, beta: np.ndarray) -> np.ndarray:
        """X beta, shape (n,), in the buffer of `fixed_predictor`."""
        out = self.spare
        self.workers.map(lambda rows: np.dot(beta, self.X[:, rows], out=out[rows]), self.blocks)
        return out

    def multiply(self, v: np.ndarray, w: np.ndarray) -> None:
        """v <- v w for row vectors."""
        self.workers.map(lambda rows: np.multiply(v[rows], w[rows], out=v[rows]), self.blocks)

    def derivatives(self, eta: np.ndarray, order: int = 3) -> tuple[float, list[np.ndarray]]:
        """Log-likelihood and (s, W, W1[, W2]) at `eta`, in buffers that the next call overwrites.

        `order` counts derivatives: 3 gives s, W and W1, 4 also W2.
        """
        out = self.buffers(order)

        def work(rows: slice) -> float:
            return self.block_derivatives(eta[rows], rows, order)[0]

        return float(sum(self.workers.map(work, self.blocks))), out

    def buffers(self, order: int) -> list[np.ndarray]:
        """The buffers of `derivatives`."""
        if order == 4 and self._second is None:
            self._second = np.empty(self.n)
        return [*self._derivatives, self._second][:order]

    def block_derivatives(
        self, eta: np.ndarray, rows: slice, order: int = 3
    ) -> tuple[float, list[np.ndarray]]:
        """`derivatives` of one block, whose predictor is `eta`, in its part of the buffers."""
        out = [array[rows] for array in self.buffers(order)]
        trials = None if self.trials is None else self.trials[rows]
        return self.link.accumulate(eta, self.successes[rows], trials, out), out

    def total(self, eta: np.ndarray) -> float:
        """Log-likelihood at `eta`."""
        return self.derivatives(eta, order=0)[0]

    @property
    def spare(self) -> np.ndarray:
        """A row vector to write to, shape (n,): the buffer of `fixed_predictor`."""
        self._fixed_at = None
        return self._eta0

    def half_difference(self, r: np.ndarray, W: np.ndarray, c: np.ndarray, s: np.ndarray) -> None:
        """r <- (W r - c) / 2 + s."""

        self.workers.map(
            lambda rows: half_difference(r[rows], W[rows], c[rows], s[rows]), self.blocks
        )

    def transpose_dot(self, v: np.ndarray) -> np.ndarray:
        """X' v, shape (p,)."""
        parts = self.workers.map(lambda rows: self.X[:, rows] @ v[rows], self.blocks)
        return np.sum(parts, axis=0) if parts else np.zeros(self.p)

    def gram(self, w: np.ndarray) -> np.ndarray:
        """X' diag(w) X, shape (p, p)."""
        out = np.zeros((self.p, self.p))
        for part in self.workers.map(
            lambda rows: (self.X[:, rows] * w[rows]) @ self.X[:, rows].T, self.blocks
        ):
            out += part
        return 0.5 * (out + out.T)
