"""Grouping factors: columns to integer codes, learnt once and replayed on new data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .tokens import FormulaError

__all__ = ["Grouping", "lookup"]

_DENSE = 20_000_000


@dataclass(frozen=True, eq=False)
class Grouping:
    """A learnt grouping factor.

    Attributes
    ----------
    columns : tuple of str
    parts : tuple of ndarray
        Known values of each column.
    combinations : ndarray of shape (J,), int64
        Mixed-radix code of each level over the columns, ascending for learnt levels.
    """

    columns: tuple[str, ...]
    parts: tuple[np.ndarray, ...]
    combinations: np.ndarray

    @classmethod
    def learn(cls, columns: tuple[str, ...], frame) -> tuple[Grouping, np.ndarray]:
        """Levels in the frame, and the code (n,) of each row."""
        parts, codes = [], None
        for name in columns:
            part_codes, values = _factorize(frame[name])
            parts.append(values)
            codes = part_codes if codes is None else codes * len(values) + part_codes
        if len(columns) == 1:
            combinations = np.arange(len(parts[0]), dtype=np.int64)
            return cls(tuple(columns), tuple(parts), combinations), codes
        size = int(np.prod([len(p) for p in parts], dtype=float))
        if size <= max(_DENSE // 20, 4 * codes.shape[0]):
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
        grouping = cls(tuple(columns), tuple(parts), combinations.astype(np.int64))
        return grouping, codes.astype(np.intp, copy=False)

    @property
    def label(self) -> str:
        return ":".join(self.columns)

    @property
    def levels(self) -> np.ndarray:
        """Values of a single column, or labels joined by ':' (object array)."""
        if len(self.columns) == 1:
            return self.parts[0]
        rest = self.combinations
        texts: list[np.ndarray] = []
        for part in reversed(self.parts):
            labels = np.array([_text(v) for v in part], dtype=object)
            texts.append(labels[rest % len(part)])
            rest = rest // len(part)
        out = texts.pop()
        while texts:
            out = out + ":" + texts.pop()
        return out

    def replay(self, frame) -> np.ndarray:
        """Code of each row, -1 for a level that was not learnt."""
        combined, known = self._combine(frame)
        if len(self.columns) == 1:
            return np.where(known, combined, -1)
        sorter = None
        if self.combinations.size > 1 and (np.diff(self.combinations) < 0).any():
            sorter = np.argsort(self.combinations)
        place = np.searchsorted(self.combinations, combined, sorter=sorter)
        place = np.minimum(place, self.combinations.shape[0] - 1)
        if sorter is not None:
            place = sorter[place]
        found = known & (self.combinations[place] == combined)
        return np.where(found, place, -1).astype(np.intp)

    def _combine(self, frame) -> tuple[np.ndarray, np.ndarray]:
        combined, known = None, None
        for name, part in zip(self.columns, self.parts, strict=True):
            codes = lookup(frame[name], part)
            ok = codes >= 0
            codes = np.where(ok, codes, 0)
            combined = codes if combined is None else combined * len(part) + codes
            known = ok if known is None else known & ok
        return combined, known

    def extend(self, frame) -> tuple[Grouping, np.ndarray]:
        """With the frame's new levels after the known ones, and the code of each row."""
        import pandas as pd

        parts = []
        for name, part in zip(self.columns, self.parts, strict=True):
            _, values = _factorize(frame[name])
            fresh = values[lookup(pd.Series(values), part) < 0]
            parts.append(np.concatenate([part, fresh]) if fresh.size else part)
        # the known combinations in the radix of the longer parts
        rest, digits = self.combinations, []
        for part in reversed(self.parts):
            digits.append(rest % len(part))
            rest = rest // len(part)
        combinations = np.zeros_like(self.combinations)
        for part in parts:
            combinations = combinations * len(part) + digits.pop()
        wide = Grouping(self.columns, tuple(parts), combinations)
        combined, _ = wide._combine(frame)
        fresh = np.setdiff1d(combined, combinations)
        wide = Grouping(self.columns, tuple(parts), np.concatenate([combinations, fresh]))
        return wide, wide.replay(frame)


def _text(value) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _factorize(column) -> tuple[np.ndarray, np.ndarray]:
    """Codes and sorted (or categorical) observed values of a column without missing values."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        codes = np.asarray(column.cat.codes, dtype=np.intp)
        present = np.zeros(len(column.cat.categories), dtype=bool)
        present[codes] = True
        values = np.asarray(column.cat.categories, dtype=object)[present]
        if not present.all():
            codes = (np.cumsum(present) - 1)[codes]
        return codes, _objects(values)
    values = column.to_numpy()
    if values.dtype.kind in "iu" and values.size:
        low, high = int(values.min()), int(values.max())
        if high - low < max(1_000_000, 4 * values.size) and high - low < 2**40:
            shifted = (values - low).astype(np.intp)
            present = np.zeros(high - low + 1, dtype=bool)
            present[shifted] = True
            codes = (np.cumsum(present) - 1)[shifted]
            return codes, _objects(np.flatnonzero(present) + low)
    try:
        codes, uniques = pd.factorize(values, sort=True)
    except TypeError:
        codes, uniques = pd.factorize(values)
        order = sorted(range(len(uniques)), key=lambda i: str(uniques[i]))
        rank = np.empty(len(uniques), dtype=np.intp)
        rank[order] = np.arange(len(uniques))
        codes, uniques = rank[codes], np.asarray(uniques, dtype=object)[order]
    return codes.astype(np.intp, copy=False), _objects(uniques)


def _objects(values) -> np.ndarray:
    out = np.empty(len(values), dtype=object)
    out[:] = values.tolist() if hasattr(values, "tolist") else list(values)
    return out


def lookup(column, part: np.ndarray) -> np.ndarray:
    """Place of each value among `part`, -1 where it is not there."""
    import pandas as pd

    if isinstance(column.dtype, pd.CategoricalDtype):
        place = _index(part).get_indexer(pd.Index(np.asarray(column.cat.categories, dtype=object)))
        codes = np.asarray(column.cat.codes)
        return np.where(codes >= 0, place[np.maximum(codes, 0)], -1).astype(np.intp)
    values = column.to_numpy()
    if values.dtype.kind == "O" or len(part) == 0:
        values = values.astype(object)
    index = _index(part)
    out = index.get_indexer(pd.Index(values))
    if len(out) and (out < 0).all():
        # numbers at one time, text at the other: compare as text
        texts = pd.Index([_text(v) for v in part])
        if texts.is_unique:
            codes, uniques = pd.factorize(values)
            place = texts.get_indexer(pd.Index([_text(v) for v in uniques]))
            out = np.where(codes >= 0, place[np.maximum(codes, 0)], -1)
    return out.astype(np.intp, copy=False)


def _index(part: np.ndarray):
    import pandas as pd

    index = pd.Index(part).infer_objects()
    if not index.is_unique:
        raise FormulaError("grouping factor: levels are not unique")
    return index
