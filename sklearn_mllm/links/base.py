"""What a link is to the solver: the log-likelihood of a row and its derivatives in eta.

A row has k weighted successes in m weighted trials (m None: all ones) and probability p = F(eta):
l = k log p + (m - k) log(1 - p), s = dl/deta, W = -ds/deta, W1 = dW/deta, W2 = dW1/deta.

With L1 = log F and L0 = log(1 - F) every derivative is k times that of L1 plus (m - k) times that
of L0, so a link only has to give these two and their derivatives, accurate in both tails.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

__all__ = ["Link"]


class Link(ABC):
    """A link function.

    Attributes
    ----------
    name : str
    latent_variance : float or None
        Variance of the latent variable whose distribution function is the inverse link.
    """

    name: str
    latent_variance: float | None

    @abstractmethod
    def inverse(self, eta: np.ndarray) -> np.ndarray:
        """p = F(eta)."""

    @abstractmethod
    def complement(self, eta: np.ndarray) -> np.ndarray:
        """1 - F(eta) without cancellation."""

    @abstractmethod
    def density(self, eta: np.ndarray) -> np.ndarray:
        """dF/deta."""

    @abstractmethod
    def link(self, p: np.ndarray) -> np.ndarray:
        """eta with F(eta) = p."""

    @abstractmethod
    def log_derivatives(self, eta: np.ndarray, order: int) -> tuple[list, list]:
        """log F and its first `order` derivatives, and those of log(1 - F)."""

    def log_probabilities(self, eta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(log p, log(1 - p))."""
        one, zero = self.log_derivatives(np.asarray(eta, dtype=float), 0)
        return one[0], zero[0]

    def derivatives(
        self, eta: np.ndarray, k: np.ndarray, m: np.ndarray | None, order: int
    ) -> tuple[np.ndarray, ...]:
        """(l, s, W, W1, W2)[:order + 1], each of shape (n,)."""
        one, zero = self.log_derivatives(eta, order)
        rest = (1.0 if m is None else m) - k
        out = []
        for d in range(order + 1):
            # 0 * -inf never occurs: the log probabilities are finite
            value = k * one[d] + rest * zero[d]
            out.append(value if d < 2 else -value)
        return tuple(out)

    def accumulate(
        self, eta: np.ndarray, k: np.ndarray, m: np.ndarray | None, out: list[np.ndarray]
    ) -> float:
        """Sum of l; fills `out` with s, W, W1, W2, as many as it holds."""
        values = self.derivatives(eta, k, m, len(out))
        for target, value in zip(out, values[1:], strict=True):
            target[...] = value
        return float(values[0].sum())

    def total(self, eta: np.ndarray, k: np.ndarray, m: np.ndarray | None) -> float:
        """Sum of l."""
        return self.accumulate(eta, k, m, [])
