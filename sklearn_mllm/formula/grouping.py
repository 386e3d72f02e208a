"""Grouping factors: columns to integer codes, learnt once and replayed on new data."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from .columns import Coded, factorize
from .levels import Levels, texts_of
from .tokens import FormulaError

__all__ = ["Grouping"]

#: Combinations up to which a table of all of them is made.
_DENSE = 1_000_000


@dataclass(frozen=True, eq=False)
class Grouping:
    """A learnt grouping factor.

    Attributes
    ----------
    columns : tuple of str
    parts : tuple of Levels
        Known levels of each column.
    combinations : ndarray of shape (J,), int64
        Mixed-radix code of each level over the columns, ascending for learnt levels.
    """

    columns: tuple[str, ...]
    parts: tuple[Levels, ...]
    combinations: np.ndarray

    def __getstate__(self) -> dict:
        return {f.name: getattr(self, f.name) for f in fields(self)}

    @classmethod
    def learn(cls, names: tuple[str, ...], columns: dict) -> tuple[Grouping, np.ndarray]:
        """Levels that occur, and the code (n,) of each row.

        Parameters
        ----------
        names : tuple of str
        columns : dict
            Name -> ndarray or Coded, without missing values.
        """
        parts, codes, size = [], None, 1
        for name in names:
            part_codes, values = factorize(columns[name])
            parts.append(Levels(values))
            size *= len(values)
            codes = part_codes if codes is None else codes * len(values) + part_codes
        if len(names) == 1:
            combinations = np.arange(len(parts[0]), dtype=np.int64)
            return cls(tuple(names), tuple(parts), combinations), codes
        _bounded(names, size)
        if size <= max(_DENSE, 4 * codes.shape[0]):
            present = np.zeros(size, dtype=bool)
            present[codes] = True
            combinations = np.flatnonzero(present)
            codes = (np.cumsum(present) - 1)[codes]
        else:
            import pandas as pd

            compressed, values = pd.factorize(codes)
            order = np.argsort(values)
            rank = np.empty(len(values), dtype=np.intp)
            rank[order] = np.arange(len(values))
            combinations, codes = values[order], rank[compressed]
        grouping = cls(tuple(names), tuple(parts), combinations.astype(np.int64))
        return grouping, codes.astype(np.intp, copy=False)

    @property
    def label(self) -> str:
        return ":".join(self.columns)

    @cached_property
    def levels(self) -> np.ndarray:
        """Values of a single column, or labels joined by ':' (object array)."""
        if len(self.columns) == 1:
            return self.parts[0].values
        rest = self.combinations
        texts: list[np.ndarray] = []
        for part in reversed(self.parts):
            texts.append(texts_of(part.values)[rest % len(part)])
            rest = rest // len(part)
        out = texts.pop()
        while texts:
            out = out + ":" + texts.pop()
        return out

    @property
    def labels(self) -> np.ndarray:
        """Levels as text (object array)."""
        return texts_of(self.levels)

    def replay(self, columns: dict) -> np.ndarray:
        """Code of each row, -1 for a level that was not learnt."""
        codes = [part.codes(columns[c]) for c, part in zip(self.columns, self.parts)]
        if len(codes) == 1:
            return np.maximum(codes[0], -1)
        combined, known = self._combined(codes)
        if not len(self.combinations):
            return np.full(combined.shape, -1, dtype=np.intp)
        sorter = self._sorter
        place = np.searchsorted(self.combinations, combined, sorter=sorter)
        place = np.minimum(place, len(self.combinations) - 1)
        if sorter is not None:
            place = sorter[place]
        found = known & (self.combinations[place] == combined)
        return np.where(found, place, -1).astype(np.intp, copy=False)

    @cached_property
    def _sorter(self) -> np.ndarray | None:
        ascending = (self.combinations[1:] >= self.combinations[:-1]).all()
        return None if ascending else np.argsort(self.combinations)

    def _combined(self, codes: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        combined, known = 0, True
        for part, one in zip(self.parts, codes):
            known = known & (one >= 0)
            combined = combined * len(part) + np.maximum(one, 0)
        return combined, known

    def extend(self, columns: dict) -> tuple[Grouping, np.ndarray]:
        """With new levels of these rows after the known ones, and the code of each row."""
        parts, codes = [], []
        for name, part in zip(self.columns, self.parts):
            _, values = factorize(columns[name])
            unknown = part.codes(Coded(np.arange(len(values)), values)) < 0
            if unknown.any():
                part = Levels(np.concatenate([part.values, values[unknown]]))
            parts.append(part)
            codes.append(part.codes(columns[name]))
        if all(new is old for new, old in zip(parts, self.parts)):
            place = self.replay(columns) if len(parts) > 1 else codes[0]
            if len(parts) == 1 or (place >= 0).all():
                return self, place
        if len(parts) == 1:
            everything = np.arange(len(parts[0]), dtype=np.int64)
            return Grouping(self.columns, tuple(parts), everything), codes[0]
        _bounded(self.columns, math.prod(len(part) for part in parts))
        # the known combinations in the radix of the longer parts
        rest, digits = self.combinations, []
        for part in reversed(self.parts):
            digits.append(rest % len(part))
            rest = rest // len(part)
        known = np.zeros_like(self.combinations)
        for part in parts:
            known = known * len(part) + digits.pop()
        wide = Grouping(self.columns, tuple(parts), known)
        fresh = np.setdiff1d(wide._combined(codes)[0], known)
        wide = Grouping(self.columns, tuple(parts), np.concatenate([known, fresh]))
        return wide, wide.replay(columns)


def _bounded(names: tuple[str, ...], size: int) -> None:
    if size >= 2**62:
        raise FormulaError(
            f"grouping factor {':'.join(names)!r}: its columns have {size:.3g} combinations, too many "
            "to number; join some of them into one column first"
        )
