"""`ModelSpec`: what a formula has learnt from its training data, frozen, to replay on new data."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .columns import read_columns, require
from .complete import Complete, complete_rows, recoded, take_levels
from .expressions import Factor
from .grouping import Grouping
from .levels import Levels, text_of
from .matrix import Design, evaluate
from .names import alias, display
from .parse import Cbind, ParsedFormula, Side, expand_fixed
from .tokens import FormulaError

__all__ = ["Matrices", "ModelSpec", "RandomMatrices", "response_values"]


@dataclass(frozen=True, eq=False)
class RandomMatrices:
    """One random-effects term on the rows at hand.

    Attributes
    ----------
    group : str
    effects : tuple of str
    levels : ndarray of shape (J,), object
    codes : ndarray of shape (n,), intp
        -1 for a level that was not learnt.
    Z : ndarray of shape (n, k), column-contiguous, or None
        None is one column of ones.
    """

    group: str
    effects: tuple[str, ...]
    levels: np.ndarray
    codes: np.ndarray
    Z: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Matrices:
    """Design arrays.

    Attributes
    ----------
    X : ndarray of shape (n, p), column-contiguous
    names : tuple of str
    random : tuple of RandomMatrices
    offset : ndarray of shape (n,) or None
        Of the formula's offset() terms.
    rows : ndarray of bool or None
        Rows of the input that the arrays hold; None is all.
    """

    X: np.ndarray
    names: tuple[str, ...]
    random: tuple[RandomMatrices, ...]
    offset: np.ndarray | None
    rows: np.ndarray | None


@dataclass(frozen=True, eq=False)
class ModelSpec:
    """A formula with what it learnt: levels, knots, means.

    Use `ModelSpec.learn`; a spec holds no rows of the training data.

    Attributes
    ----------
    parsed : ParsedFormula
    fixed : Design
    effects : tuple of Design
        One for each random-effects term.
    offset : Design or None
    groupings : tuple of Grouping
        One for each random-effects term.
    levels : dict
        Column of the design -> its Levels; None for numbers.
    numeric_levels : dict
        Numeric column that stands in C() -> its Levels.
    """

    parsed: ParsedFormula
    fixed: Design
    effects: tuple[Design, ...]
    offset: Design | None
    groupings: tuple[Grouping, ...]
    levels: dict[str, Levels | None]
    numeric_levels: dict[str, Levels]

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that the fixed side, the effects and the offset need."""
        return tuple(self.levels)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the fixed-effect coefficients."""
        return self.fixed.names

    @classmethod
    def learn(
        cls,
        parsed: ParsedFormula,
        table,
        *,
        missing: str = "raise",
        keep: np.ndarray | None = None,
    ) -> tuple[ModelSpec, Matrices]:
        """Learn from training data.

        Levels of a factor are those of a pandas Categorical in its order, else sorted; levels that
        no row in use has are left out.

        Parameters
        ----------
        parsed : ParsedFormula
        table : Table
        missing : {"raise", "drop"}
            What to do with rows that miss a value in a column of the formula.
        keep : ndarray of bool, optional
            Rows in use.

        Returns
        -------
        (ModelSpec, Matrices)

        Raises
        ------
        FormulaError
            A column that is not there, misses values, is infinite, or cannot be used as written;
            names the column and what to do.
        """
        require(table, parsed.mentioned)
        fixed = _fixed(parsed, table)
        names = tuple(dict.fromkeys((*fixed.columns, *parsed.columns)))
        design = read_columns(table, names)
        groups = _grouping_columns(parsed, table, design)
        complete = complete_rows(design, groups, table.n_rows, missing, keep)
        n = complete.n
        if n == 0:
            raise FormulaError("no complete row is left to fit: every row misses some value")
        columns, levels = take_levels(complete.design)
        numeric = {
            name: Levels.of(columns[name])
            for name in dict.fromkeys((*fixed.as_levels, *parsed.as_levels))
            if levels[name] is None
        }
        design_fixed, X = Design.learn(fixed, columns, numeric, n)
        random, effects = [], []
        learnt: dict[tuple[str, ...], tuple[Grouping, np.ndarray]] = {}
        for term in parsed.random:
            if term.grouping not in learnt:
                learnt[term.grouping] = Grouping.learn(term.grouping, complete.groups)
            grouping, codes = learnt[term.grouping]
            one, Z = Design.learn(term.side, columns, numeric, n)
            if not one.names:
                raise FormulaError(
                    f"formula: the random-effects term ({display(term.effects)} | {term.label}) has "
                    "no effect in it"
                )
            effects.append(one)
            random.append(_random_matrices(one, grouping, codes, Z))
        _refuse_repeated(parsed, effects)
        offset_design, offset = None, None
        if parsed.offset_factor is not None:
            offset_design, values = Design.learn(_whole(parsed.offset_factor), columns, numeric, n)
            if values.shape[1] != 1:
                raise FormulaError(
                    f"formula: offset {display(parsed.offset_factor.text)!r} is not one number for "
                    "each row"
                )
            offset = values[:, 0]
        spec = cls(
            parsed, design_fixed, tuple(effects), offset_design,
            tuple(learnt[t.grouping][0] for t in parsed.random), levels, numeric,
        )  # fmt: skip
        return spec, Matrices(X, design_fixed.names, tuple(random), offset, complete.rows)

    @property
    def single_levels(self) -> dict[str, str]:
        """Factors of the fixed side with one level, and so without any contrast: name to level."""
        names, found = self.fixed.names, {}
        for name in self.fixed.columns:
            known = self.levels[name]
            if known is not None and len(known) == 1 and not any(f"{name}[" in n for n in names):
                found[name] = text_of(known.values[0])
        return found

    def replay(
        self,
        table,
        *,
        random: bool = True,
        levels: bool = True,
        missing: str = "raise",
        keep: np.ndarray | None = None,
    ) -> Matrices:
        """Design arrays of new rows.

        Parameters
        ----------
        table : Table
        random : bool
            False leaves the random-effect terms out: their columns need not be there.
        levels : bool
            False takes every level as not known: grouping columns need not be there.
        missing : {"raise", "drop"}
        keep : ndarray of bool, optional

        Raises
        ------
        FormulaError
            A missing column, a missing value, or a new level of a fixed effect.
        """
        complete, columns = self._read(table, random and levels, missing, keep)
        terms = []
        if random:
            codes: dict[tuple[str, ...], np.ndarray] = {}
            for one, grouping in zip(self.effects, self.groupings):
                if grouping.columns not in codes:
                    codes[grouping.columns] = (
                        grouping.replay(complete.groups)
                        if levels
                        else np.full(complete.n, -1, dtype=np.intp)
                    )
                Z = None if one.is_intercept else one.replay(columns, complete.n)
                terms.append(_random_matrices(one, grouping, codes[grouping.columns], Z))
        return self._matrices(complete, columns, terms)

    def extend(
        self, table, *, missing: str = "raise", keep: np.ndarray | None = None
    ) -> tuple[ModelSpec, Matrices]:
        """A spec that also knows the grouping levels of these rows, and the rows' arrays.

        New levels stand after the known ones, in the spec and in the arrays.

        Parameters
        ----------
        table, missing, keep
            As in `replay`.
        """
        complete, columns = self._read(table, True, missing, keep)
        wider: dict[tuple[str, ...], tuple[Grouping, np.ndarray]] = {}
        terms = []
        for one, grouping in zip(self.effects, self.groupings):
            key = grouping.columns
            if key not in wider:
                wider[key] = grouping.extend(complete.groups)
            Z = None if one.is_intercept else one.replay(columns, complete.n)
            terms.append(_random_matrices(one, *wider[key], Z))
        spec = replace(self, groupings=tuple(wider[g.columns][0] for g in self.groupings))
        return spec, self._matrices(complete, columns, terms)

    def _read(self, table, levels: bool, missing: str, keep) -> tuple[Complete, dict]:
        require(table, self.columns)
        read = read_columns(table, self.columns)
        groups = _grouping_columns(self.parsed, table, read) if levels else {}
        design = {name: recoded(read[name], levels, name) for name, levels in self.levels.items()}
        complete = complete_rows(design, groups, table.n_rows, missing, keep)
        return complete, complete.known(self.levels, self.numeric_levels)

    def _matrices(self, complete: Complete, columns: dict, terms: list) -> Matrices:
        X = self.fixed.replay(columns, complete.n)
        offset = None
        if self.offset is not None:
            offset = self.offset.replay(columns, complete.n)[:, 0]
        return Matrices(X, self.fixed.names, tuple(terms), offset, complete.rows)


def response_values(parsed: ParsedFormula, table, keep: np.ndarray | None = None):
    """Values of the formula's left side.

    Returns
    -------
    array or Series
        A column as it is; an expression as numbers, NaN where one of its columns misses a value;
        a pair (successes, failures) for cbind.
    """
    names = parsed.response_columns
    require(table, names, "response")
    if parsed.response_name is not None:
        values = table.column(parsed.response_name)
        return values if keep is None else values[keep]
    columns = read_columns(table, names)
    complete = complete_rows(columns, {}, table.n_rows, "drop", keep, finite=False)
    columns, _ = take_levels(complete.design)
    cbind = isinstance(parsed.response, Cbind)
    texts = (parsed.response.successes, parsed.response.failures) if cbind else (parsed.response,)
    size = table.n_rows if keep is None else int(keep.sum())
    out = []
    for text in texts:
        bare = next((c for c in names if alias(c) == text), None)
        if bare is not None and isinstance(columns[bare], np.ndarray):
            values = columns[bare].astype(float)
        else:
            values = evaluate(text, columns, complete.n)
        if complete.rows is not None and len(values) != size:
            rows = complete.rows if keep is None else complete.rows[keep]
            values, short = np.full(size, np.nan), values
            values[rows] = short
        out.append(values)
    if cbind:
        return tuple(out)
    whole = out[0].astype(np.int64) if np.isin(out[0], (0.0, 1.0)).all() else out[0]
    return whole


def _whole(factor: Factor) -> Side:
    """One expression as a side of its own."""
    return Side(False, ((replace(factor, text=f"I({factor.text})"),),))


def _fixed(parsed: ParsedFormula, table) -> Side:
    """The fixed side, with `.` for every column that is not used otherwise."""
    if not parsed.has_dot:
        return parsed.fixed_side
    used = {*parsed.columns, *parsed.grouping_columns, *parsed.response_columns}
    used.update(table.group_columns)
    return expand_fixed(parsed.text, tuple(c for c in table.columns if c not in used))


def _grouping_columns(parsed: ParsedFormula, table, design: dict) -> dict:
    names = parsed.grouping_columns
    require(table, names, "grouping factor")
    groups = read_columns(table, [c for c in names if c not in design], grouping=True)
    return {name: design[name] if name in design else groups[name] for name in names}


def _random_matrices(one: Design, grouping: Grouping, codes, Z) -> RandomMatrices:
    return RandomMatrices(
        grouping.label, one.names, grouping.levels, codes, None if one.is_intercept else Z
    )


def _refuse_repeated(parsed: ParsedFormula, effects: list[Design]) -> None:
    seen = set()
    for term, one in zip(parsed.random, effects):
        for name in one.names:
            key = (frozenset(term.grouping), name)
            if key in seen:
                raise FormulaError(
                    f"formula: the effect {name!r} varies over {term.label!r} in two random-effects "
                    "terms, so that neither variance is determined; write it in one, with 0 + ... "
                    "in the other to leave out its intercept"
                )
            seen.add(key)
