"""Standard errors of standard deviations and correlations, by the delta method."""

from __future__ import annotations

import numpy as np

__all__ = ["term_errors"]

#: 1 - cor^2, below which a correlation is at its bound.
AT_BOUND = 1e-8


def term_errors(layout, theta: np.ndarray, maps, covariance: np.ndarray, free: np.ndarray):
    """Errors of each term's standard deviations (k,) and correlations (k, k), NaN at the boundary.

    With L = C Lambda the covariance factor in the user's coordinates and l_i its rows,
    sd_i = |l_i| and cor_ij = l_i' l_j / (sd_i sd_j).

    Parameters
    ----------
    layout : CovarianceLayout
    theta : ndarray of shape (m,)
        Of the solver.
    maps : sequence of ndarray of shape (k, k)
        C of each term.
    covariance : ndarray of shape (m, m)
        Of theta, zero rows for those held at zero.
    free : ndarray of shape (m,), bool

    Returns
    -------
    list of (ndarray of shape (k,), ndarray of shape (k, k))
    """
    out = []
    for number, C in enumerate(maps):
        k = C.shape[0]
        mine = np.flatnonzero(layout.term_of == number)
        start = layout.terms[number].start
        V = covariance[np.ix_(mine, mine)]
        L = C @ layout.term_factor(theta, number)
        sds = np.sqrt(np.einsum("ij,ij->i", L, L))
        sd_errors, cor_errors = np.full(k, np.nan), np.full((k, k), np.nan)
        out.append((sd_errors, cor_errors))
        if not free[mine].any():
            continue
        # d(sd_i)/d(theta): of L only the entries (., col) move, by C[., row]
        rows, cols = layout.row[mine] - start, layout.col[mine] - start
        inside = sds > 1e-12
        slopes = np.zeros((k, mine.size))
        slopes[inside] = L[inside][:, cols] * C[inside][:, rows] / sds[inside, None]
        for i in np.flatnonzero(inside):
            sd_errors[i] = _error(slopes[i], V)
            for j in np.flatnonzero(inside[:i]):
                product = sds[i] * sds[j]
                cor = float(L[i] @ L[j]) / product
                if 1.0 - cor * cor < AT_BOUND:
                    continue
                cross = (C[i, rows] * L[j, cols] + C[j, rows] * L[i, cols]) / product
                slope = cross - cor * (slopes[i] / sds[i] + slopes[j] / sds[j])
                cor_errors[i, j] = cor_errors[j, i] = _error(slope, V)
    return out


def _error(slope: np.ndarray, covariance: np.ndarray) -> float:
    variance = float(slope @ covariance @ slope)
    return np.sqrt(variance) if variance >= 0.0 else np.nan
