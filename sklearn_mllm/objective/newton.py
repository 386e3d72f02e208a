"""A Newton step from a small dense matrix of second derivatives, whatever its scale or signature."""

from __future__ import annotations

import numpy as np
from scipy import linalg

__all__ = ["newton_step"]


def newton_step(
    negative_hessian: np.ndarray, gradient: np.ndarray
) -> tuple[np.ndarray, float, bool]:
    """Ascent step, expected gain, and whether the matrix was positive definite as given.

    An indefinite matrix is replaced by |A|, with small eigenvalues raised, in the scale of its
    diagonal.
    """
    if not gradient.size:
        return np.zeros(0), 0.0, True
    diagonal = np.abs(negative_hessian.diagonal())
    scale = 1.0 / np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
    scaled = negative_hessian * scale * scale[:, None]
    g = gradient * scale
    factor, info = linalg.lapack.dpotrf(scaled, lower=1)
    if info == 0 and factor.diagonal().min() > 1e-7:
        step = linalg.lapack.dpotrs(factor, g, lower=1)[0]
        return step * scale, 0.5 * float(step @ g), True
    # indefinite, or nearly: the eigenvalues decide
    values, vectors = linalg.eigh(scaled)
    floor = 1e-6 * max(float(np.abs(values).max()), 1e-300)
    raised = np.maximum(np.abs(values), floor)
    coordinates = vectors.T @ g
    definite = bool(values.min() > 1e-13 * np.abs(values).max())
    step = vectors @ (coordinates / (np.maximum(values, 1e-300) if definite else raised))
    return step * scale, 0.5 * float(step @ g), definite
