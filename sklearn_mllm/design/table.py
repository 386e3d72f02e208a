"""`Table`: X and groups in any container as named columns, converted only when asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

__all__ = ["Table", "is_frame", "make_table", "pandas_frame", "refuse_lazy"]


def is_frame(X) -> bool:
    """Whether X has named columns (pandas, polars, dask, or another frame that narwhals knows)."""
    # of the type: what a lazy frame has to work out is not asked for
    return hasattr(type(X), "columns") and getattr(X, "ndim", 2) == 2


def refuse_lazy(X, name: str) -> None:
    """Raise ValueError for a frame whose rows are not there yet."""
    if not hasattr(X, "__len__") and hasattr(X, "collect"):
        raise ValueError(f"{name} is a lazy frame ({type(X).__name__}); collect it first")


class Table:
    """Named columns of equal length.

    Attributes
    ----------
    columns : dict
        Name -> function that gives the column.
    n_rows : int
    x_columns : tuple of str
        Columns of X.
    group_columns : tuple of str
        Columns that came with `groups`.
    """

    def __init__(self, n_rows: int, columns: dict[str, Callable]) -> None:
        self.n_rows = n_rows
        self.columns = columns
        self.x_columns: tuple[str, ...] = tuple(columns)
        self.group_columns: tuple[str, ...] = ()

    def column(self, name: str):
        """A column as it is: a NumPy array, or a pandas Series where NumPy has no such type."""
        return _plain(self.columns[name]())

    def frame(self, names: Sequence[str]):
        """A pandas DataFrame of these columns, index 0..n-1; numbers are not copied."""
        import pandas as pd

        index = pd.RangeIndex(self.n_rows)
        data = {}
        for name in names:
            values = self.column(name)
            data[name] = values if isinstance(values, np.ndarray) else values.set_axis(index)
        return pd.DataFrame(data, index=index, copy=False)


def _plain(values):
    """An array, or a pandas Series of an extension type."""
    if isinstance(values, np.ndarray):
        return values
    if type(values).__module__.startswith("pandas"):
        if isinstance(values.dtype, np.dtype):
            return values.to_numpy()
        import pandas as pd

        return values if isinstance(values, pd.Series) else pd.Series(values)
    if not hasattr(values, "to_numpy"):
        return np.asarray(values)
    return _from_narwhals(values)


def _from_narwhals(values):
    """A Series of polars or another library: numbers as they are, the rest as Python objects."""
    import narwhals as nw
    import pandas as pd

    series = nw.from_native(values, series_only=True)
    dtype = series.dtype
    if dtype.is_numeric() and not isinstance(dtype, nw.Decimal):
        return series.to_numpy()
    if dtype == nw.Boolean and not series.is_null().any():
        return series.to_numpy()
    if dtype.is_temporal():
        return pd.Series(series.to_list())
    objects = np.empty(len(series), dtype=object)
    objects[:] = series.to_list()
    if isinstance(dtype, nw.Enum):
        return pd.Series(pd.Categorical(objects, categories=list(dtype.categories)))
    return objects


def _frame_columns(X, wanted: Sequence[str] | None = None) -> tuple[int, dict]:
    """Number of rows, and a getter for each column of a frame."""
    if type(X).__module__.startswith("pandas"):
        labels = list(X.columns)
        names = _distinct([str(c) for c in labels])
        return len(X), {name: (lambda c=c: X[c]) for name, c in zip(names, labels)}
    import narwhals as nw

    if nw.dependencies.is_dask_dataframe(X):
        return _dask_columns(X, wanted)
    try:
        frame = nw.from_native(X, eager_only=True)
    except TypeError as error:
        raise ValueError(
            f"{type(X).__module__}.{type(X).__name__} is no data frame whose rows can be read here; "
            "turn it into a pandas or polars one"
        ) from error
    names = _distinct([str(c) for c in frame.columns])
    return len(frame), {
        name: (lambda c=c: frame.get_column(c).to_native()) for name, c in zip(names, frame.columns)
    }


def _dask_columns(X, wanted: Sequence[str] | None) -> tuple[int, dict]:
    """The wanted columns of a dask frame, computed together; others if they are asked for."""
    labels = list(X.columns)
    names = _distinct([str(c) for c in labels])
    chosen = [c for c, name in zip(labels, names) if wanted is None or name in wanted]
    frame = X[chosen or labels[:1]].compute()
    return len(frame), {
        name: (lambda c=c: (frame if c in frame.columns else X[[c]].compute())[c])
        for name, c in zip(names, labels)
    }


def _distinct(names: list[str]) -> list[str]:
    if len(set(names)) != len(names):
        twice = sorted({n for n in names if names.count(n) > 1})
        raise ValueError(f"several columns have the name(s) {twice}; rename them")
    return names


def _array_columns(X, names: Sequence[str]) -> tuple[int, dict]:
    n = X.shape[0]
    if hasattr(X, "tocsc"):
        X = X.tocsc()
        return n, {name: (lambda j=j: X[:, [j]].toarray().ravel()) for j, name in enumerate(names)}
    return n, {name: (lambda j=j: X[:, j]) for j, name in enumerate(names)}


def _x_columns(X, feature_names: Sequence[str] | None, wanted) -> tuple[int, dict]:
    if is_frame(X):
        return _frame_columns(X, wanted)
    if not hasattr(X, "shape"):
        X = np.asarray(X)
    if X.ndim != 2:
        raise ValueError(
            f"Expected 2D array, got {X.ndim}D array instead: X has the shape {X.shape}; it holds "
            "one row per observation and one column per feature. Reshape your data"
        )
    names = [f"x{j}" for j in range(X.shape[1])] if feature_names is None else feature_names
    if len(names) != X.shape[1]:
        raise ValueError(f"{len(names)} feature names for {X.shape[1]} columns of X")
    return _array_columns(X, _distinct([str(name) for name in names]))


def _group_columns(groups, n: int) -> dict:
    """Getters of the columns of `groups`, all of length n."""
    refuse_lazy(groups, "groups")
    if isinstance(groups, dict):
        columns = {}
        for key, values in groups.items():
            values = _vector(values, f"groups[{str(key)!r}]")
            _same_length(n, len(values), f"groups[{str(key)!r}]")
            columns[str(key)] = lambda values=values: values
        return columns
    if is_frame(groups):
        m, columns = _frame_columns(groups)
        _same_length(n, m, "groups")
        return columns
    if isinstance(groups, list | tuple) and groups and isinstance(groups[0], list | np.ndarray):
        # rows of several grouping factors; a tuple is one level
        groups = np.array(groups, dtype=object)
    if getattr(groups, "ndim", 1) == 2:
        groups = np.asarray(groups)
        _same_length(n, groups.shape[0], "groups")
        width = groups.shape[1]
        names = ["groups"] if width == 1 else [f"groups{j}" for j in range(width)]
        return _array_columns(groups, names)[1]
    values = _vector(groups, "groups")
    _same_length(n, len(values), "groups")
    return {"groups": lambda: values}


def _vector(values, name: str):
    """One column of groups; anything that is no Series as an array."""
    if isinstance(values, str):
        raise ValueError(
            f"{name} must hold one value for each row of X, got the text {values!r}; to name a "
            f"column of X write it in the formula: '(1 | {values})'"
        )
    if hasattr(values, "to_numpy") and hasattr(values, "dtype"):
        return values
    if not hasattr(values, "dtype"):
        # Python values keep their types: [1, 'a'] is not ['1', 'a']
        values = list(values) if hasattr(values, "__iter__") else values
        if isinstance(values, list) and any(isinstance(v, str | tuple) for v in values):
            out = np.empty(len(values), dtype=object)
            out[:] = values
            return out
    out = np.asarray(values)
    if out.ndim != 1:
        raise ValueError(
            f"{name} must hold one value for each row of X, got an array of shape {out.shape}"
        )
    return out


def _same_length(n: int, m: int, name: str) -> None:
    if n != m:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: [{n}, {m}] (X has {n} "
            f"rows, {name} has {m})"
        )


def make_table(
    X,
    groups=None,
    *,
    feature_names: Sequence[str] | None = None,
    wanted: Sequence[str] | None = None,
) -> Table:
    """Named columns of X and of groups.

    Parameters
    ----------
    X : data frame, array-like or sparse matrix of shape (n, p)
        Columns of an array are called x0, x1, ...
    groups : None, 1-d array-like (column `groups`), data frame, dict or 2-d array
        Columns of an array are called groups0, groups1, ...
    feature_names : sequence of str, optional
        Names of the columns of an array.
    wanted : sequence of str, optional
        Columns of a dask frame to compute at once; all of them by default.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        Lengths that differ; two columns of one name; a column of groups that X has with other
        values.
    """
    n, columns = _x_columns(X, feature_names, wanted)
    table = Table(n, columns)
    if groups is not None:
        for name, get in _group_columns(groups, n).items():
            if name in columns and not _equal(_plain(columns[name]()), _plain(get())):
                raise ValueError(
                    f"column {name!r} stands in X and in groups with different values; rename one "
                    "of them"
                )
            columns[name] = get
            table.group_columns += (name,)
    return table


def pandas_frame(X):
    """X, in any container or a dict of columns, as a pandas frame; an array's are x0, x1, ..."""
    import pandas as pd

    if isinstance(X, pd.DataFrame):
        return X
    table = make_table(pd.DataFrame(X) if isinstance(X, dict) else X)
    return table.frame(table.x_columns)


def _equal(a, b) -> bool:
    """Whether two columns hold the same values, missing ones in the same places."""
    import pandas as pd

    a, b = (pd.Series(v, dtype=object).reset_index(drop=True) for v in (a, b))
    same = (a == b) | (a.isna() & b.isna())
    return bool(same.all())
