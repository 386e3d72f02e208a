"""Which factors of which term are coded in full: formulaic's choice, so that no column is redundant."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

__all__ = ["Part", "coding"]

#: Factors of one product of columns, each with whether it is coded in full.
Part = tuple[tuple[int, bool], ...]


@lru_cache(maxsize=512)
def coding(
    intercept: bool, terms: tuple[tuple[int, ...], ...], spans: tuple[bool, ...]
) -> tuple[tuple[Part, ...], ...]:
    """The parts of each term, the intercept before them as the part without factors.

    The choice depends on nothing but which factors are levels, so formulaic is asked once, with
    stand-ins for the data.

    Parameters
    ----------
    intercept : bool
    terms : tuple of tuple of int
        Factors of each term, by degree.
    spans : tuple of bool
        Whether a factor in full adds up to a constant, as indicators of levels do.
    """
    if not any(spans):
        whole = tuple((tuple((f, True) for f in term),) for term in terms)
        return (((),), *whole) if intercept else whole
    import pandas as pd
    from formulaic import Formula

    levels = pd.Categorical(["a", "b"])
    frame = pd.DataFrame({f"f{i}": levels if s else np.ones(2) for i, s in enumerate(spans)})
    text = ["1" if intercept else "0", *(":".join(f"f{i}" for i in term) for term in terms)]
    spec = Formula(" + ".join(text)).get_model_matrix(frame).model_spec
    return tuple(
        tuple(
            tuple((int(f.factor.expr[1:]), not f.reduced) for f in part.factors)
            for part in term.scoped_terms
        )
        for term in spec.structure
    )
