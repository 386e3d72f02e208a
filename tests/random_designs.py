"""Random designs from seeds: what a mixed logistic regression may be given, mild and hard.

`draw(kind, seed)` always gives the same design: the stream of `numpy.random.RandomState` is
frozen. The agreement study in `benchmarks/agreement.py` and the tests of hard designs share it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import special

__all__ = ["KINDS", "Design", "draw", "fingerprint", "kind_of"]

#: Structures of random effects with their share of the designs.
KINDS = {
    "intercept": 20,
    "slope": 14,
    "two_slopes": 5,
    "nested": 12,
    "three_levels": 4,
    "crossed": 14,
    "crossed_slope": 6,
    "nested_crossed": 5,
    "interaction": 5,
    "row_effect": 5,
    "uncorrelated": 4,
    "two_terms": 2,
    "slope_only": 2,
    "random_only": 2,
}


@dataclass(frozen=True, eq=False)
class Design:
    """One drawn data set with its model.

    Attributes
    ----------
    kind : str
    seed : int
    formula : str
    frame : DataFrame
        Response `y`, or counts `yes` and `no`; covariates; grouping factors.
    link : str
    weights, offset : ndarray of shape (n,) or None
    sds : tuple of float
        Standard deviations drawn from, in the order of the random effects.
    traits : tuple of str
        What is special: rare, unbalanced, aliased, separated, unscaled, weights, offset, counts.
    """

    kind: str
    seed: int
    formula: str
    frame: pd.DataFrame
    link: str
    weights: np.ndarray | None
    offset: np.ndarray | None
    sds: tuple[float, ...]
    traits: tuple[str, ...]


def kind_of(seed: int) -> str:
    """The structure that belongs to a seed when none is asked for."""
    shares = np.array(list(KINDS.values()), dtype=float)
    generator = np.random.RandomState([7, seed])
    return str(generator.choice(list(KINDS), p=shares / shares.sum()))


def _n_rows(generator) -> int:
    low, high = [(60, 300), (300, 1500), (1500, 6000), (6000, 30_000)][
        generator.choice(4, p=[0.6, 0.28, 0.09, 0.03])
    ]
    return int(np.exp(generator.uniform(np.log(low), np.log(high))))


def _codes(generator, n: int, unbalanced: bool, rows_a_level: float | None = None) -> np.ndarray:
    """Levels of a factor: a few dense ones, or many sparse ones."""
    if rows_a_level is None:
        rows_a_level = float(generator.choice([1.5, 2.5, 5.0, 12.0, 40.0, 150.0]))
    n_levels = int(np.clip(n / rows_a_level, 3, 4000))
    if unbalanced:
        shares = generator.gamma(0.4, size=n_levels) + 1e-3
        return generator.choice(n_levels, size=n, p=shares / shares.sum())
    return generator.randint(0, n_levels, n)


def _effects(generator, codes: np.ndarray, sds: np.ndarray) -> np.ndarray:
    """Correlated normal effects of each row's level, shape (n, k)."""
    k = sds.shape[0]
    mix = np.eye(k)
    if k > 1:
        mix = np.linalg.qr(generator.normal(size=(k, k)))[0]
        if generator.uniform() < 0.15:
            mix[:, 0] = 0.0  # linearly dependent effects
    drawn = generator.normal(size=(codes.max() + 1, k)) @ mix * sds
    return drawn[codes]


def _sds(generator, k: int) -> np.ndarray:
    return generator.choice(
        [0.0, 0.05, 0.3, 0.7, 1.2, 2.0, 4.0, 8.0],
        size=k,
        p=[0.12, 0.08, 0.2, 0.2, 0.2, 0.12, 0.06, 0.02],
    )


def _covariates(generator, n: int, traits: list[str]) -> pd.DataFrame:
    frame = pd.DataFrame({"x1": generator.normal(size=n)})
    for j in range(2, 2 + generator.randint(0, 4)):
        form = generator.randint(0, 4)
        if form == 0:
            values = (generator.uniform(size=n) < generator.uniform(0.05, 0.5)).astype(float)
        elif form == 1:
            values = generator.poisson(2.0, n).astype(float)
        else:
            values = generator.normal(size=n)
        frame[f"x{j}"] = values
    if "unscaled" in traits:
        last = frame.columns[-1]
        frame[last] = 1e4 + 10.0 ** generator.randint(-3, 4) * frame[last]
    if "aliased" in traits:
        frame["x9"] = frame["x1"] - frame[frame.columns[-1]] if frame.shape[1] > 1 else 2.0
    return frame


def _structure(generator, kind: str, frame: pd.DataFrame, traits: list[str]):
    """Adds grouping columns; gives bars, names that must be fixed, random predictor and sds."""
    n = len(frame)
    unbalanced = "unbalanced" in traits
    total = np.zeros(n)
    used: list[float] = []

    def add(codes: np.ndarray, columns: list[np.ndarray]) -> None:
        nonlocal total
        sds = _sds(generator, len(columns))
        effects = _effects(generator, codes, sds)
        for j, column in enumerate(columns):
            total = total + effects[:, j] * column
        used.extend(float(sd) for sd in sds)

    one = np.ones(n)
    g = _codes(generator, n, unbalanced)
    frame["g"] = g
    z1 = frame["x1"].to_numpy()
    if kind == "intercept":
        add(g, [one])
        return "(1 | g)", used, total
    if kind in ("slope", "uncorrelated", "two_terms"):
        add(g, [one, z1])
        bar = {
            "slope": "(1 + x1 | g)",
            "uncorrelated": "(1 + x1 || g)",
            "two_terms": "(1 | g) + (0 + x1 | g)",
        }
        return bar[kind], used, total
    if kind == "slope_only":
        add(g, [z1])
        return "(0 + x1 | g)", used, total
    if kind in ("two_slopes", "random_only"):
        if "x2" not in frame:
            frame.insert(1, "x2", generator.normal(size=n))
        if kind == "random_only":
            frame["z"] = generator.normal(size=n)
            add(g, [one, frame["z"].to_numpy()])
            return "(1 + z | g)", used, total
        add(g, [one, z1, frame["x2"].to_numpy()])
        return "(1 + x1 + x2 | g)", used, total
    if kind in ("nested", "nested_crossed", "three_levels", "interaction"):
        inner = generator.randint(0, generator.randint(2, 9), n)
        frame["h"] = inner
        cell = pd.factorize(g * 100 + inner)[0]
        if kind == "interaction":
            add(cell, [one])
            return "(1 | g:h)", used, total
        add(g, [one])
        add(cell, [one])
        if kind == "nested":
            return "(1 | g/h)", used, total
        if kind == "three_levels":
            innermost = generator.randint(0, 3, n)
            frame["m"] = innermost
            add(pd.factorize(cell * 10 + innermost)[0], [one])
            return "(1 | g/h/m)", used, total
        other = _codes(generator, n, False, float(generator.choice([5.0, 40.0])))
        frame["i"] = other
        add(other, [one])
        return "(1 | g/h) + (1 | i)", used, total
    if kind in ("crossed", "crossed_slope"):
        other = _codes(generator, n, unbalanced and generator.uniform() < 0.5)
        if generator.uniform() < 0.25:  # partially crossed: most levels meet few of the others
            other = (g // 2 + generator.randint(0, 3, n)) % (other.max() + 1)
        frame["i"] = other
        add(g, [one, z1] if kind == "crossed_slope" else [one])
        add(other, [one])
        first = "(1 + x1 | g)" if kind == "crossed_slope" else "(1 | g)"
        return f"{first} + (1 | i)", used, total
    if kind == "row_effect":
        frame["row"] = np.arange(n)
        add(g, [one])
        add(np.arange(n), [one])
        return "(1 | g) + (1 | row)", used, total
    raise ValueError(f"unknown kind {kind!r}; there are {', '.join(KINDS)}")


def _probability(link: str, eta: np.ndarray) -> np.ndarray:
    if link == "logit":
        return special.expit(eta)
    if link == "probit":
        return special.ndtr(eta)
    return -np.expm1(-np.exp(np.minimum(eta, 30.0)))


def draw(kind: str, seed: int) -> Design:
    """The design of a structure and a seed.

    Parameters
    ----------
    kind : str
        One of `KINDS`.
    seed : int

    Returns
    -------
    Design
        With at least one event and one other row.
    """
    generator = np.random.RandomState([list(KINDS).index(kind), seed])
    chances = {
        "rare": 0.15,
        "unbalanced": 0.35,
        "aliased": 0.08,
        "separated": 0.06,
        "unscaled": 0.15,
        "weights": 0.08,
        "offset": 0.1,
        "counts": 1.0 if kind == "row_effect" else 0.12,
    }
    traits = [name for name, chance in chances.items() if generator.uniform() < chance]
    if kind == "row_effect":
        traits = [t for t in traits if t != "separated"]
    link = str(generator.choice(["logit", "probit", "cloglog"], p=[0.8, 0.11, 0.09]))
    n = _n_rows(generator)
    frame = _covariates(generator, n, traits)
    bars, sds, random_part = _structure(generator, kind, frame, traits)
    covariates = [c for c in frame if c[0] == "x"]
    X = frame[covariates].to_numpy()
    spread = X.std(axis=0)
    X = (X - X.mean(axis=0)) / np.where(spread > 0.0, spread, 1.0)
    beta = generator.normal(size=X.shape[1]) * generator.choice([0.3, 0.8, 1.5])
    intercept = generator.normal() - (4.0 if "rare" in traits else 0.0)
    eta = intercept + X @ beta + random_part
    offset = generator.normal(size=n) if "offset" in traits else None
    if offset is not None:
        eta = eta + offset
    if link != "logit":
        eta = eta / 1.6
    p = _probability(link, eta)
    draws = generator.uniform(size=n)
    counts = "counts" in traits
    if counts:
        trials = generator.randint(1, int(generator.choice([3, 8, 30])) + 1, n)
        yes = generator.binomial(trials, np.clip(p, 0.0, 1.0)).astype(float)
        frame["yes"], frame["no"] = yes, trials - yes
    else:
        frame["y"] = (draws < p).astype(float)
    if "separated" in traits:
        last = np.zeros(n)
        last[generator.choice(n, max(3, n // 20), replace=False)] = 1.0
        frame["s"] = last
        covariates.append("s")
        if counts:
            frame["no"] = np.where(last > 0.0, 0.0, frame["no"])
            frame["yes"] = np.where(last > 0.0, np.maximum(frame["yes"], 1.0), frame["yes"])
        else:
            frame["y"] = np.where(last > 0.0, 1.0, frame["y"])
    both = ("yes", "no") if counts else ("y",)
    for name in both:  # at least one event and one other
        values = frame[name].to_numpy(copy=True)
        if not values.any():
            values[0] = 1.0
        if not counts and values.all():
            values[-1] = 0.0
        frame[name] = values
    weights = None
    if "weights" in traits:
        weights = generator.randint(1, 5, n) * (0.5 if generator.uniform() < 0.3 else 1.0)
    left = "cbind(yes, no)" if counts else "y"
    if len(covariates) > 2 and generator.uniform() < 0.15:
        covariates.append(f"{covariates[0]}:{covariates[1]}")
    formula = f"{left} ~ {' + '.join(covariates)} + {bars}"
    return Design(kind, seed, formula, frame, link, weights, offset, tuple(sds), tuple(traits))


def fingerprint(design: Design) -> list[float]:
    """Sums that change when a design does: responses, covariates, levels."""
    frame = design.frame
    left = ["yes", "no"] if "yes" in frame else ["y"]
    place = np.arange(1, len(frame) + 1)
    return [
        float(sum((frame[name].to_numpy() * place).sum() for name in left)),
        float(sum(np.abs(frame[name]).sum() for name in frame if name[0] == "x")),
        float(sum((frame[name].to_numpy() * place).sum() for name in "ghim" if name in frame)),
    ]
