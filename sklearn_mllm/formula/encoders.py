"""One factor of a term as columns of numbers: what it has learnt, frozen, to replay on new rows.

A factor is a numeric column or arithmetic on such (`Numbers`), the indicators of a column's levels
(`Indicators`), or what formulaic's functions make of columns (`Transformed`: splines, polynomials,
scaling, contrasts). Columns are arrays of numbers, or `Coded`.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .columns import Coded
from .expressions import Factor
from .functions import arithmetic_context, evaluation_context
from .levels import Levels, text_of
from .names import alias, display
from .tokens import FormulaError

__all__ = ["Encoder", "Indicators", "Numbers", "Transformed", "learn_encoder"]

Columns = dict[str, "np.ndarray | Coded"]


@dataclass(frozen=True, eq=False)
class Encoder(ABC):
    """A factor, ready for any rows.

    Attributes
    ----------
    text : str
        The factor as written for Python, columns by their aliases.
    columns : tuple of str
        Columns in it.
    """

    text: str
    columns: tuple[str, ...]

    #: Whether its columns in full add up to a constant, so that it can be coded with one less.
    spans = False
    #: Whether its values are finite wherever its columns are.
    finite = False

    @abstractmethod
    def names(self, full: bool) -> tuple[str, ...]:
        """Names of its columns, coded in full or against the intercept."""

    @abstractmethod
    def values(self, columns: Columns, n: int, full: bool) -> list[np.ndarray]:
        """Its columns (n,) on some rows."""

    #: Whether its columns code levels.
    is_coded = False
    #: Whether it is a column of booleans, whose name does not tell that it stands for True.
    is_boolean = False

    @property
    def reference(self) -> str | None:
        """The level that the other ones are compared with; None where there is none."""
        return None


@dataclass(frozen=True, eq=False)
class Numbers(Encoder):
    """A numeric column, or arithmetic on numeric columns.

    Attributes
    ----------
    is_boolean : bool
    """

    is_boolean: bool = False

    @property
    def finite(self) -> bool:
        return alias(self.columns[0]) == self.text

    @property
    def reference(self) -> str | None:
        return "False" if self.is_boolean else None

    def names(self, full: bool) -> tuple[str, ...]:
        return (display(self.text),)

    def values(self, columns: Columns, n: int, full: bool) -> list[np.ndarray]:
        if self.finite:
            return [columns[self.columns[0]]]
        # as floats: integers would wrap around, or refuse negative powers
        known = {alias(c): columns[c].astype(float, copy=False) for c in self.columns}
        known.update(arithmetic_context())
        try:
            with np.errstate(all="ignore"):
                value = eval(_compiled(self.text), {"__builtins__": {}}, known)
        except (TypeError, ValueError, ArithmeticError) as error:
            raise _cannot(self.text, error) from error
        return [np.broadcast_to(value, (n,))]


@dataclass(frozen=True, eq=False)
class Indicators(Encoder):
    """Indicators of the levels of a column; the first level is the reference.

    Attributes
    ----------
    levels : Levels
    """

    levels: Levels
    spans = True
    finite = True
    is_coded = True

    def names(self, full: bool) -> tuple[str, ...]:
        mark = "" if full else "T."
        levels = self.levels.values[0 if full else 1 :].tolist()
        return tuple(f"{display(self.text)}[{mark}{level}]" for level in levels)

    def values(self, columns: Columns, n: int, full: bool) -> list[np.ndarray]:
        codes = self.levels.codes(columns[self.columns[0]])
        return [codes == code for code in range(0 if full else 1, len(self.levels))]

    @property
    def reference(self) -> str | None:
        return text_of(self.levels.values[0]) if len(self.levels) else None


@dataclass(frozen=True, eq=False)
class Transformed(Encoder):
    """What formulaic makes of a factor.

    Attributes
    ----------
    reduced, full : formulaic.ModelSpec
        Of the factor beside an intercept, and alone; the same where it does not span one.
    """

    reduced: object
    full: object

    @property
    def spans(self) -> bool:
        return self.full is not self.reduced

    def names(self, full: bool) -> tuple[str, ...]:
        if full and self.spans:
            return tuple(display(str(name)) for name in self.full.column_names)
        return tuple(display(str(name)) for name in self.reduced.column_names[1:])

    def values(self, columns: Columns, n: int, full: bool) -> list[np.ndarray]:
        alone = full and self.spans
        made = _materialize(self.full if alone else self.reduced, self, columns, n)
        return _columns_of(made, alone)

    @property
    def reference(self) -> str | None:
        if not self.is_coded:
            return None
        state = self.reduced.encoder_state[self.text][1]
        coding = state.get("contrasts")
        levels = list(getattr(coding, "levels", None) or state.get("categories", ()))
        contrasts = getattr(coding, "contrasts", None)
        if not levels or type(contrasts).__name__ not in ("TreatmentContrasts", "NoneType"):
            return None
        base = getattr(contrasts, "base", None)
        return text_of(base if base in levels else levels[0])

    @property
    def is_coded(self) -> bool:
        kind, _ = self.reduced.encoder_state.get(self.text, (None, {}))
        return getattr(kind, "value", None) == "categorical"


def learn_encoder(
    factor: Factor, columns: Columns, numeric_levels: dict[str, Levels], n: int
) -> tuple[Encoder, list[np.ndarray] | None]:
    """Learn one factor from training data.

    Parameters
    ----------
    factor : Factor
    columns : dict
    numeric_levels : dict
        Numeric column that stands in C() -> its Levels.
    n : int

    Returns
    -------
    encoder : Encoder
    values : list of ndarray of shape (n,), or None
        Its columns coded against the intercept, where learning gives them.

    Raises
    ------
    FormulaError
        Names the factor that cannot be evaluated.
    """
    text, needed = factor.text, factor.columns
    if len(needed) == 1 and text in (alias(needed[0]), f"C({alias(needed[0])})"):
        column = columns[needed[0]]
        if isinstance(column, Coded):
            return Indicators(text, needed, Levels(column.levels)), None
        if factor.as_levels:
            return Indicators(text, needed, numeric_levels[needed[0]]), None
        return Numbers(text, needed, column.dtype.kind == "b"), None
    if all(isinstance(columns[c], np.ndarray) for c in needed):
        known = {*map(alias, needed), *arithmetic_context()}
        if known.issuperset(_compiled(text).co_names):
            return Numbers(text, needed), None
    made = _materialize(_formula(f"1 + {text}"), factor, columns, n)
    reduced = full = made.model_spec
    if any(f.reduced for t in reduced.structure for part in t.scoped_terms for f in part.factors):
        full = _materialize(_formula(f"0 + {text}"), factor, columns, n).model_spec
    return Transformed(text, needed, reduced, full), _columns_of(made, False)


@lru_cache(maxsize=1024)
def _compiled(text: str):
    # written by `expressions` from the tree of the formula, never the user's own text
    return compile(text, "<formula>", "eval")


def _columns_of(made, alone: bool) -> list[np.ndarray]:
    values = np.asarray(made)
    return [values[:, j] for j in range(0 if alone else 1, values.shape[1])]


@lru_cache(maxsize=512)
def _formula(text: str):
    from formulaic import Formula
    from formulaic.errors import FormulaicError

    try:
        return Formula(text)
    except FormulaicError as error:
        raise FormulaError(f"formula: cannot read {display(text)!r}: {_reason(error)}") from error


class _Data(dict):
    """Columns by name, and the number of rows `n`."""


@lru_cache(maxsize=1)
def _materializer() -> type:
    from formulaic.materializers import PandasMaterializer
    from interface_meta import override

    class ColumnMaterializer(PandasMaterializer):
        """Works on a plain dict of arrays and Categoricals, and makes one copy of the columns."""

        @override
        def _init(self):
            """Nothing to prepare."""

        @property
        @override
        def nrows(self):
            return self.data.n

        @override
        def _combine_columns(self, cols, spec, drop_rows):
            out = np.empty((len(cols), self.nrows))
            for j, (_, values) in enumerate(cols):
                out[j] = values
            return out.T

    return ColumnMaterializer


def _materialize(what, factor: Factor | Encoder, columns: Columns, n: int):
    from formulaic.errors import FormulaicError

    levels = "C(" in factor.text
    data = _Data({alias(c): _for_formulaic(columns[c], levels) for c in factor.columns})
    data.n = n
    make = _materializer()(data, context=evaluation_context())
    try:
        with np.errstate(all="ignore"), _strict_levels(levels):
            return make.get_model_matrix(what, output="numpy", na_action="ignore")
    except (FormulaicError, Warning, TypeError, ValueError, ArithmeticError) as error:
        raise _cannot(factor.text, error) from error


def _for_formulaic(column: np.ndarray | Coded, levels: bool):
    """Levels as a Categorical; numbers as floats, but as they are where they become levels."""
    if isinstance(column, Coded):
        return column.categorical()
    return column if levels else column.astype(float, copy=False)


@contextmanager
def _strict_levels(levels: bool):
    """New levels of an expression in C(), of which formulaic warns only, as an error."""
    if not levels:
        yield
        return
    from formulaic.errors import DataMismatchWarning

    with warnings.catch_warnings():
        warnings.simplefilter("error", category=DataMismatchWarning)
        yield


def _cannot(text: str, error: Exception) -> FormulaError:
    return FormulaError(
        f"formula: {display(text)!r} cannot be evaluated on these data: {_reason(error)}"
    )


def _reason(error: Exception) -> str:
    text = str(error).strip()
    return display(text.splitlines()[0]) if text else type(error).__name__
