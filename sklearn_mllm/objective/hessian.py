"""The Hessian of an objective: closed form where there is one, else differences of the gradient."""

from __future__ import annotations

import numpy as np

from .curvature import closed_form_hessian, has_closed_form
from .differences import difference_hessian

__all__ = ["hessian"]


def hessian(objective) -> tuple[np.ndarray, np.ndarray]:
    """Hessian in (beta, theta), shape (M, M), and du/d(beta, theta), shape (M, q).

    At the parameters of the objective's last evaluation.
    """
    if has_closed_form(objective):
        return closed_form_hessian(objective)
    return difference_hessian(objective)
