"""Small problems for tests of the objectives, and finite differences."""

from __future__ import annotations

import numpy as np
from reference_cases import load_case, our_name
from scipy.special import gammaln

from sklearn_mllm.design.build import build_problem
from sklearn_mllm.design.problem import Factor, Problem, Term
from sklearn_mllm.design.table import make_table
from sklearn_mllm.formula import ModelSpec, parse

__all__ = ["nested_problem", "one_factor_problem", "reference_problem", "slope"]


def _columns(random, size: int, n: int) -> np.ndarray | None:
    if size == 1:
        return None
    return np.vstack([np.ones(n), random.normal(size=(size - 1, n))])


def _effect(random, Z, codes, n_levels: int, size: int) -> np.ndarray:
    b = random.normal(size=(size, n_levels))[:, codes]
    return b[0] if Z is None else (Z * b).sum(axis=0)


def one_factor_problem(n, n_levels, p, size, *, counts=False, offset=False, seed=0) -> Problem:
    """One factor with a term of `size` effects; every level has a row or more."""
    random = np.random.default_rng(seed)
    codes = np.concatenate([np.arange(n_levels), random.integers(0, n_levels, n - n_levels)])
    codes = np.sort(codes).astype(np.intp)
    X = np.vstack([np.ones((min(p, 1), n)), random.normal(size=(max(p - 1, 0), n))])
    Z = _columns(random, size, n)
    shift = random.normal(size=n) if offset else None
    eta = X.sum(axis=0) * 0.4 + _effect(random, Z, codes, n_levels, size)
    trials = random.integers(1, 6, n).astype(float) if counts else None
    successes = random.binomial(1 if trials is None else trials.astype(int), 1 / (1 + np.exp(-eta)))
    factor = Factor(codes, n_levels, Z, True)
    return Problem(X, successes.astype(float), trials, shift, (factor,), (Term(0, 0, size),))


def nested_problem(shape, n_per_level, sizes, *, seed=0) -> Problem:
    """Nested factors: `shape` from the outermost (counts within), `sizes` from the innermost."""
    random = np.random.default_rng(seed)
    n_inner = int(np.prod(shape))
    n = n_inner * n_per_level
    innermost = np.repeat(np.arange(n_inner), n_per_level)
    factors, terms, eta, within = [], [], np.zeros(n), 1
    for depth, size in zip(reversed(range(len(shape))), sizes, strict=True):
        codes = (innermost // within).astype(np.intp)
        n_levels = int(np.prod(shape[: depth + 1]))
        Z = _columns(random, size, n)
        eta += _effect(random, Z, codes, n_levels, size)
        terms.insert(0, Term(len(factors), 0, size))
        factors.append(Factor(codes, n_levels, Z, True))
        within *= shape[depth]
    X = np.vstack([np.ones(n), random.normal(size=n)])
    successes = (random.random(n) < 1 / (1 + np.exp(-eta))).astype(float)
    return Problem(X, successes, None, None, tuple(factors), tuple(terms))


def reference_problem(identifier: str) -> tuple[dict, Problem, np.ndarray, float]:
    """A reference case in the user's coordinates: case, problem, (beta, theta), constant."""
    case, frame = load_case(identifier)
    constant, trials = 0.0, None
    response = case["formula"].split("~")[0].strip()
    if case["response"] == "binomial_counts":
        successes = frame[case["successes"]].to_numpy(float)
        trials = frame[case["trials"]].to_numpy(float)
        frame["failures"] = trials - successes
        choose = gammaln(trials + 1) - gammaln(successes + 1) - gammaln(trials - successes + 1)
        constant = float(choose.sum())
    elif response in case["categorical"]:
        successes = frame[response].cat.codes.to_numpy(float)
    else:
        successes = frame[response].to_numpy(float)
    _, matrices = ModelSpec.learn(parse(case["formula"]), make_table(frame))
    build = build_problem(matrices.X, successes, trials, None, matrices.random, scale=False)
    fixed = {our_name(k, case): v["est"] for k, v in case["reference"]["fixed"].items()}
    beta = np.array([fixed[name] for name in matrices.names])
    return case, build.problem, np.concatenate([beta, case["reference"]["theta"]]), constant


def slope(function, x: np.ndarray, step: float = 1e-4) -> np.ndarray:
    """Derivative of function(x) by five-point differences, last axis over x."""
    columns = []
    for i in range(x.shape[0]):
        e = np.zeros_like(x)
        e[i] = step
        a, b, c, d = (np.asarray(function(x + m * e)) for m in (-2, -1, 1, 2))
        columns.append((a - 8 * b + 8 * c - d) / (12 * step))
    return np.stack(columns, axis=-1)
