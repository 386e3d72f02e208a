"""Gauss-Hermite rules for a standard normal weight, and their product grids.

An integral against a standard normal density is approximated by

    int g(z) phi(z) dz  ~  sum_q w_q g(z_q),      sum_q w_q = 1,

exactly when g is a polynomial of degree 2n - 1 (Golub & Welsch 1969, Math. Comp. 23). Adaptive
quadrature integrates exp(f) after u = m + C z, so that g(z) = exp(f(m + C z) + z'z/2); the grids
here carry log w_q + z_q'z_q/2, which stays of order one where w_q underflows.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

__all__ = ["MAX_NODES", "MAX_POINTS", "Grid", "gauss_hermite", "product_grid"]

#: Points per dimension up to which the rules are offered.
MAX_POINTS = 200
#: Size of the largest grid.
MAX_NODES = 100_000
#: Grids up to this size keep every node.
FULL_GRID = 1000
#: Total weight of the nodes that a larger grid may leave out.
PRUNED_WEIGHT = 1e-20


@dataclass(frozen=True, eq=False)
class Grid:
    """Nodes of a rule in k dimensions.

    Attributes
    ----------
    nodes : ndarray of shape (Q, k)
    log_weights : ndarray of shape (Q,)
        log w_q + z_q'z_q / 2.
    """

    nodes: np.ndarray
    log_weights: np.ndarray

    def __len__(self) -> int:
        return self.nodes.shape[0]


@lru_cache(maxsize=64)
def gauss_hermite(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes z (n,), exactly symmetric, and weights w (n,) that sum to one."""
    from scipy.special import roots_hermitenorm

    z, w = roots_hermitenorm(n)
    z = 0.5 * (z - z[::-1])
    w = 0.5 * (w + w[::-1])
    w /= w.sum()
    for array in (z, w):
        array.setflags(write=False)
    return z, w


@lru_cache(maxsize=32)
def product_grid(n: int, k: int) -> Grid:
    """The product of k rules of n points.

    From more than `FULL_GRID` nodes on, the nodes of least weight are left out, as many as together
    weigh no more than `PRUNED_WEIGHT`: they are the corners of the cube (Jaeckel 2005, "A note on
    multivariate Gauss-Hermite quadrature"). The weight is tiny because what it multiplies is not
    always of order one: where clusters are small and variances large the density falls more slowly
    than the curvature at its mode says, and dropping 1e-10 cost as much as 1e-3 in the
    log-likelihood of 8 such clusters; 1e-20 costs less than the quadrature's own error. What is
    left depends on n and k alone, so the approximation stays a smooth function of the parameters.

    Raises
    ------
    ValueError
        When the grid would be too large to be of use.
    """
    if not 1 <= n <= MAX_POINTS:
        raise ValueError(f"n_agq must lie between 1 and {MAX_POINTS} here, got {n}")
    if n**k > 20 * MAX_NODES:
        raise ValueError(_too_large(n, k))
    z, w = gauss_hermite(n)
    nodes, weights = z[:, None], w
    for _ in range(k - 1):
        nodes = np.concatenate(
            [np.repeat(nodes, n, axis=0), np.tile(z, nodes.shape[0])[:, None]], axis=1
        )
        weights = np.outer(weights, w).ravel()
    if k > 1 and weights.shape[0] > FULL_GRID:
        order = np.argsort(weights, kind="stable")
        light = np.cumsum(weights[order]) <= PRUNED_WEIGHT
        keep = np.ones(weights.shape[0], dtype=bool)
        keep[order[light]] = False
        nodes, weights = nodes[keep], weights[keep]
    if weights.shape[0] > MAX_NODES:
        raise ValueError(_too_large(n, k))
    log_weights = np.log(weights) + 0.5 * np.einsum("qa,qa->q", nodes, nodes)
    for array in (nodes, log_weights):
        array.setflags(write=False)
    return Grid(nodes, log_weights)


def _too_large(n: int, k: int) -> str:
    most = int(MAX_NODES ** (1.0 / k))
    return (
        f"n_agq={n} means {n}^{k} = {n**k:.3g} nodes for a grouping factor with {k} random "
        f"effects; use n_agq={max(most, 1)} or less, or n_agq=1 (Laplace)"
    )
