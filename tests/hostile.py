"""A small frame to spoil."""

from __future__ import annotations

import numpy as np
import pandas as pd

__all__ = ["FORMULA", "make", "with_values"]

FORMULA = "y ~ x + (1 | g)"


def make(n=240, J=12, seed=0):
    generator = np.random.default_rng(seed)
    g = generator.integers(0, J, n)
    x = generator.normal(size=n)
    eta = 0.5 * x + generator.normal(size=J)[g]
    y = (generator.uniform(size=n) < 1 / (1 + np.exp(-eta))).astype(int)
    return pd.DataFrame(
        {"x": x, "g": g, "y": y, "f": np.where(generator.uniform(size=n) < 0.5, "a", "b")}
    )


def with_values(column, rows, value):
    def change(frame):
        frame = frame.astype({column: float if column in "xyg" else object})
        frame.loc[rows, column] = value
        return frame

    return change
