"""New responses drawn from a fitted model."""

from __future__ import annotations

import numpy as np

from ..result.fit_result import FitResult
from .probabilities import fixed_part

__all__ = ["simulate_events"]


def simulate_events(
    result: FitResult,
    link,
    matrices,
    offset,
    *,
    n_samples: int,
    random_state,
    new_effects: bool,
    trials: np.ndarray | None = None,
) -> np.ndarray:
    """0/1 draws, or events among the `trials` of each row; shape (n, n_samples).

    Known levels keep their modes unless `new_effects`. Codes beyond the known levels (as
    `ModelSpec.extend` gives) are new levels: each draws its effects once per sample, for all of
    its rows.
    """
    from sklearn.utils import check_random_state

    generator = check_random_state(random_state)
    n = matrices.X.shape[0]
    base = fixed_part(result, matrices.X, offset)
    out = np.empty((n, n_samples), dtype=np.intp)
    for sample in range(n_samples):
        eta = base.copy()
        for term_result, term in zip(result.terms, matrices.random, strict=True):
            k = len(term.effects)
            modes = result.factors[term_result.factor].modes
            kept = 0 if new_effects else len(modes)
            known = modes[:kept, term_result.start : term_result.start + k]
            fresh = generator.standard_normal((len(term.levels) - kept, k)) @ term_result.root.T
            b = np.concatenate([known, fresh])[term.codes]
            eta += b[:, 0] if term.Z is None else np.einsum("na,na->n", b, term.Z)
        probability = link.inverse(eta)
        if trials is None or (trials == 1).all():
            out[:, sample] = generator.uniform(size=n) < probability
        else:
            out[:, sample] = generator.binomial(trials, np.clip(probability, 0.0, 1.0))
    return out
