"""Levels learnt from one column, and the place of other values among them."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from .columns import MISSING, UNKNOWN, Coded, factorize, objects

__all__ = ["Levels", "text_of", "texts_of"]


def text_of(value) -> str:
    """Label of a level: integers without a point."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def texts_of(values: np.ndarray) -> np.ndarray:
    """Labels of levels (object array)."""
    out = np.empty(len(values), dtype=object)
    out[:] = [text_of(v) for v in values.tolist()]
    return out


class Levels:
    """The levels of a column, in order; never changed.

    Parameters
    ----------
    values : ndarray of shape (J,), object
    """

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    @classmethod
    def of(cls, column: np.ndarray | Coded) -> Levels:
        """The levels that occur in a column without missing values."""
        return cls(factorize(column)[1])

    def __len__(self) -> int:
        return len(self.values)

    def __getstate__(self) -> dict:
        return {"values": self.values}

    def codes(self, column: np.ndarray | Coded) -> np.ndarray:
        """Place of each value: `MISSING`, or `UNKNOWN` where it is not among the levels.

        Values are compared as Python does (1 == 1.0); where none is found, by their text, so that
        levels that were numbers in one table and text in another are still known.
        """
        import pandas as pd

        if isinstance(column, Coded):
            if column.levels is self.values:
                return column.codes
            codes, values = column.codes, column.levels
        else:
            fast = self._integer_codes(column)
            if fast is not None:
                return fast
            codes, values = pd.factorize(column)
            values = objects(values)
        known = self._places
        place = [known.get(value, UNKNOWN) for value in values.tolist()]
        if place and max(place) == UNKNOWN:
            texts = self._text_places
            if len(texts) == len(self):
                place = [texts.get(text_of(value), UNKNOWN) for value in values.tolist()]
        return np.array([*place, MISSING], dtype=np.intp)[codes]

    @cached_property
    def _places(self) -> dict:
        return {level: i for i, level in enumerate(self.values.tolist())}

    @cached_property
    def _text_places(self) -> dict:
        return {text_of(level): i for i, level in enumerate(self.values.tolist())}

    @cached_property
    def _integer_table(self) -> tuple[int, np.ndarray] | None:
        """(lowest level, place of each integer from there on), for dense integer levels."""
        values = self.values.tolist()
        if not values or not all(type(v) is int for v in values):
            return None
        low, high = min(values), max(values)
        if high - low >= max(100_000, 20 * len(values)) or max(-low, high) >= 2**60:
            return None
        # a place before and one behind, for what lies outside
        table = np.full(high - low + 3, UNKNOWN, dtype=np.intp)
        table[self.values.astype(np.intp) - (low - 1)] = np.arange(len(values))
        return low, table

    def _integer_codes(self, column: np.ndarray) -> np.ndarray | None:
        if column.dtype.kind not in "iu" or self._integer_table is None:
            return None
        low, table = self._integer_table
        inside = np.clip(column, low - 1, low + len(table) - 2).astype(np.intp)
        inside -= low - 1
        return table[inside]
