"""What a link is to the solver: the log-likelihood of a row and its derivatives in eta.

A row has k weighted successes in m weighted trials (m None: all ones) and probability p = F(eta):
l = k log p + (m - k) log(1 - p), s = dl/deta, W = -ds/deta, W1 = dW/deta, W2 = dW1/deta.

With L1 = log F and L0 = log(1 - F) every derivative is k times that of L1 plus (m - k) times that
of L0, so a link only has to give these two and their derivatives, accurate in both tails. Where
the latent variable is symmetric, L0 is L1 mirrored (`SymmetricLink`), and a row that is all
successes or all failures needs one of the two.

Predictors are finite; at any finite one every value is finite. A link whose terms would overflow
holds eta at its file's ``_LIMIT``.

A new link is a subclass in a file of its own and a row in `LINKS`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

__all__ = ["Link", "SymmetricLink"]

_CHUNK_ROWS = 4096
#: Step in eta of the differences in `averaged_derivatives`.
_AVERAGE_STEP = 2e-3
#: Slope of a log density from which the variance is moved instead.
_STEEP = 100.0


def _chunks(n: int) -> list[slice]:
    return [slice(a, a + _CHUNK_ROWS) for a in range(0, n, _CHUNK_ROWS)]


class Link(ABC):
    """A link function.

    Attributes
    ----------
    name : str
    latent_variance : float or None
        Variance of the latent variable whose distribution function is the inverse link.
    median : float
        eta at probability one half.
    """

    name: str
    latent_variance: float | None
    median: float = 0.0

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

    def averaged(self, eta: np.ndarray, sd: np.ndarray | float) -> np.ndarray:
        """E F(eta + sd z), z ~ N(0, 1): probabilities averaged over a normal random effect."""
        return self.inverse(self.averaged_predictor(eta, sd))

    @abstractmethod
    def averaged_predictor(self, eta: np.ndarray, sd: np.ndarray | float) -> np.ndarray:
        """The predictor of that average, finite also where it is 0 or 1 to the last digit."""

    def averaged_derivatives(
        self, eta: np.ndarray, sd: np.ndarray | float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`averaged_predictor` with its derivatives in eta and in the variance sd^2.

        By the heat equation dp/dsd^2 is half of d2p/deta2.
        """
        h = _AVERAGE_STEP
        low, middle, high = (self.averaged_predictor(eta + move, sd) for move in (-h, 0.0, h))
        slope, bend = (high - low) / (2.0 * h), (high - 2.0 * middle + low) / (h * h)
        steep = self.log_density_slope(middle)
        by_variance = 0.5 * (bend + steep * slope * slope)
        sd = np.broadcast_to(sd, middle.shape)
        far = np.flatnonzero((np.abs(steep) > _STEEP) & (sd > 0.0))
        if far.size:
            # the two terms nearly cancel
            h, e, v = 0.01, np.asarray(eta)[far], np.square(sd[far])
            low, high = (self.averaged_predictor(e, np.sqrt(v * (1.0 + move))) for move in (-h, h))
            by_variance[far] = (high - low) / (2.0 * h * v)
        return middle, slope, by_variance

    def log_density_slope(self, eta: np.ndarray) -> np.ndarray:
        """d log(dF/deta) / deta."""
        one, zero = self.log_derivatives(eta, 2)
        # f = F (log F)' = -(1 - F) (log(1 - F))', whichever is the smaller tail
        upper = eta > self.median
        first, second = (np.where(upper, zero[d], one[d]) for d in (1, 2))
        return first + second / first

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
        """(l, s, W, W1, W2)[:order + 1], each of shape (n,); other shapes broadcast."""
        arrays = [eta, k] if m is None else [eta, k, m]
        if np.ndim(eta) != 1 or len({np.shape(a) for a in arrays}) > 1:
            arrays = np.broadcast_arrays(*arrays)
            flat = [np.ravel(a) for a in arrays]
            values = self.derivatives(flat[0], flat[1], None if m is None else flat[2], order)
            return tuple(v.reshape(arrays[0].shape) for v in values)
        out = tuple(np.empty(eta.shape[0]) for _ in range(order + 1))
        for rows in _chunks(eta.shape[0]):
            values = self.chunk_derivatives(
                eta[rows], k[rows], None if m is None else m[rows], order
            )
            for target, value in zip(out, values, strict=True):
                target[rows] = value
        return out

    def accumulate(
        self, eta: np.ndarray, k: np.ndarray, m: np.ndarray | None, out: list[np.ndarray]
    ) -> float:
        """Sum of l; fills `out` with s, W, W1, W2, as many as it holds."""
        total = 0.0
        for rows in _chunks(eta.shape[0]):
            values = self.chunk_derivatives(
                eta[rows], k[rows], None if m is None else m[rows], len(out)
            )
            for target, value in zip(out, values[1:], strict=True):
                target[rows] = value
            total += float(values[0].sum())
        return total

    def chunk_derivatives(
        self, eta: np.ndarray, k: np.ndarray, m: np.ndarray | None, order: int
    ) -> list[np.ndarray]:
        """`derivatives` of so few rows that intermediate results stay in cache."""
        one, zero = self.log_derivatives(eta, order)
        rest = (1.0 if m is None else m) - k
        out = []
        for d in range(order + 1):
            # 0 * -inf never occurs: the log probabilities are finite
            value = k * one[d] + rest * zero[d]
            out.append(value if d < 2 else -value)
        return out

    def total(self, eta: np.ndarray, k: np.ndarray, m: np.ndarray | None) -> float:
        """Sum of l."""
        return self.accumulate(eta, k, m, [])


class SymmetricLink(Link):
    """A link with F(-eta) = 1 - F(eta)."""

    @abstractmethod
    def log_inverse_derivatives(self, t: np.ndarray, order: int) -> list[np.ndarray]:
        """log F and its first `order` derivatives."""

    def complement(self, eta: np.ndarray) -> np.ndarray:
        return self.inverse(-np.asarray(eta, dtype=float))

    def log_derivatives(self, eta: np.ndarray, order: int) -> tuple[list, list]:
        one = self.log_inverse_derivatives(eta, order)
        zero = self.log_inverse_derivatives(-eta, order)
        # derivatives of an odd order change sign with the argument
        return one, [v if d % 2 == 0 else -v for d, v in enumerate(zero)]

    def chunk_derivatives(
        self, eta: np.ndarray, k: np.ndarray, m: np.ndarray | None, order: int
    ) -> list[np.ndarray]:
        if m is not None or not np.all((k == 0.0) | (k == 1.0)):
            return super().chunk_derivatives(eta, k, m, order)
        sign = 2.0 * k - 1.0
        values = self.log_inverse_derivatives(sign * eta, order)
        for d in range(1, order + 1, 2):
            values[d] *= sign
        for value in values[2:]:
            np.negative(value, out=value)
        return values
