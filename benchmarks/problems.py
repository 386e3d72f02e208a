"""Benchmark problems with fixed seeds: a frame and a formula each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True, eq=False)
class Problem:
    name: str
    formula: str
    frame: pd.DataFrame


def _events(generator, eta) -> np.ndarray:
    return (generator.uniform(size=eta.shape[0]) < 1.0 / (1.0 + np.exp(-eta))).astype(float)


def one_factor(n: int, J: int, slope: bool = False, seed: int = 1) -> Problem:
    generator = np.random.default_rng(seed)
    share = generator.gamma(2.0, size=J)
    g = generator.choice(J, size=n, p=share / share.sum())
    X = generator.normal(size=(n, 5))
    eta = -0.5 + X @ np.linspace(0.5, -0.3, 5) + (0.8 * generator.normal(size=J))[g]
    if slope:
        eta += X[:, 0] * (0.4 * generator.normal(size=J))[g]
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(1, 6)])
    frame["g"], frame["y"] = g, _events(generator, eta)
    bar = "(1 + x1 | g)" if slope else "(1 | g)"
    kind = "slope" if slope else "intercept"
    return Problem(f"{kind}, n={n:,}, J={J:,}", f"y ~ x1 + x2 + x3 + x4 + x5 + {bar}", frame)


def m_05() -> Problem:
    from sklearn_mllm.datasets import load_contraception

    frame = load_contraception().frame
    frame = frame.assign(use=(frame["use"] == "Y").astype(float))
    for name in ("livch", "urban", "ch"):
        frame[name] = frame[name].astype(str)
    frame["district"] = frame["district"].astype(str)
    return Problem("m_05", "use ~ age*ch + I(age^2) + urban + (1 | urban:district)", frame)


def crossed(n: int, J: int, K: int, seed: int = 2) -> Problem:
    generator = np.random.default_rng(seed)
    u, i = generator.integers(0, J, n), generator.integers(0, K, n)
    x = generator.normal(size=n)
    eta = -0.3 + 0.5 * x + (0.8 * generator.normal(size=J))[u] + (0.5 * generator.normal(size=K))[i]
    frame = pd.DataFrame({"x": x, "u": u, "i": i, "y": _events(generator, eta)})
    return Problem(f"crossed {J:,} x {K:,}, n={n:,}", "y ~ x + (1 | u) + (1 | i)", frame)


def verbagg() -> Problem:
    from sklearn_mllm.datasets import load_verbagg

    frame = load_verbagg().frame
    frame = frame.assign(r2=(frame["r2"] == "Y").astype(float))
    for name in ("id", "item", "Gender", "btype", "situ"):
        frame[name] = frame[name].astype(str)
    return Problem("VerbAgg", "r2 ~ Anger + Gender + btype + situ + (1 | id) + (1 | item)", frame)


def three_level(seed: int = 3) -> Problem:
    generator = np.random.default_rng(seed)
    community = np.sort(generator.integers(0, 161, 1595))
    mother = np.concatenate([np.arange(1595), generator.integers(0, 1595, 2159 - 1595)])
    x = generator.normal(size=2159)
    eta = 0.3 * x + (1.2 * generator.normal(size=1595))[mother]
    eta += (0.7 * generator.normal(size=161))[community[mother]]
    frame = pd.DataFrame(
        {"x": x, "mother": mother, "community": community[mother], "y": _events(generator, eta)}
    )
    return Problem("three levels, n=2,159", "y ~ x + (1 | community) + (1 | mother)", frame)


PROBLEMS: dict[str, Callable[[], Problem]] = {
    "m_05": m_05,
    "small": lambda: one_factor(5_000, 100),
    "medium": lambda: one_factor(100_000, 1_000),
    "slope": lambda: one_factor(100_000, 1_000, slope=True),
    "million": lambda: one_factor(1_000_000, 10_000),
    "verbagg": verbagg,
    "three": three_level,
    "crossed": lambda: crossed(100_000, 2_000, 500),
    "crossed_large": lambda: crossed(1_000_000, 20_000, 5_000),
    "crossed_huge": lambda: crossed(500_000, 50_000, 50_000),
}
