"""theta and the relative covariance factors Lambda (Bates et al. 2015, eq. 4).

Every theta is one entry of the lower-triangular factor of its term, column by column as in lme4.
Terms on one grouping factor share a block-diagonal Lambda of that factor.
"""

from __future__ import annotations

import numpy as np

from ..design.problem import Problem

__all__ = ["CovarianceLayout"]


class CovarianceLayout:
    """Where each theta stands.

    Attributes
    ----------
    sizes : list of int
        Order k of each factor's Lambda.
    factor, row, col : ndarray of shape (m,)
        Factor and entry of each theta.
    diagonal : ndarray of shape (m,), bool
    """

    def __init__(self, problem: Problem) -> None:
        self.sizes = [factor.size for factor in problem.factors]
        self.terms = problem.terms
        factor, row, col, term_of = [], [], [], []
        for number, term in enumerate(problem.terms):
            for c in range(term.size):
                for r in range(c, term.size):
                    factor.append(term.factor)
                    row.append(term.start + r)
                    col.append(term.start + c)
                    term_of.append(number)
        self.factor = np.array(factor, dtype=np.intp)
        self.row = np.array(row, dtype=np.intp)
        self.col = np.array(col, dtype=np.intp)
        self.term_of = np.array(term_of, dtype=np.intp)
        self.diagonal = self.row == self.col

    @property
    def n_theta(self) -> int:
        return self.factor.shape[0]

    def matrices(self, theta: np.ndarray) -> list[np.ndarray]:
        """Lambda of each factor, a list of (k, k) arrays."""
        out = [np.zeros((k, k)) for k in self.sizes]
        for value, f, i, j in zip(theta, self.factor, self.row, self.col, strict=True):
            out[f][i, j] = value
        return out

    def pick(self, gradients: list[np.ndarray]) -> np.ndarray:
        """Entries of d/dLambda (one (k, k) array per factor) in the order of theta."""
        out = np.empty(self.n_theta)
        for t, (f, i, j) in enumerate(zip(self.factor, self.row, self.col, strict=True)):
            out[t] = gradients[f][i, j]
        return out

    def term_factor(self, theta: np.ndarray, number: int) -> np.ndarray:
        """Lower-triangular factor of one term, shape (size, size)."""
        term = self.terms[number]
        block = slice(term.start, term.start + term.size)
        return self.matrices(theta)[term.factor][block, block]
