"""`Table`: X and groups in any container as named columns, converted only when asked for."""

from __future__ import annotations

import numpy as np

__all__ = ["Table", "is_frame", "make_table"]


def is_frame(X) -> bool:
    """Whether X has named columns (pandas, polars, or another frame that narwhals knows)."""
    return hasattr(X, "columns") and hasattr(X, "__getitem__") and not isinstance(X, np.ndarray)


class Table:
    """Named columns of equal length.

    Attributes
    ----------
    columns : dict
        Name -> function that gives the column.
    n_rows : int
    group_columns : tuple of str
        Columns that came with `groups`.
    """

    def __init__(self, n_rows: int) -> None:
        self.n_rows = n_rows
        self.columns: dict = {}
        self.group_columns: tuple[str, ...] = ()

    def frame(self, names: list[str]):
        """A pandas DataFrame of these columns, index 0..n-1; columns are not copied."""
        import pandas as pd

        index = pd.RangeIndex(self.n_rows)
        data = {name: _series(self.columns[name](), index) for name in names}
        return pd.DataFrame(data, index=index, copy=False)


def _series(values, index):
    import pandas as pd

    if isinstance(values, pd.Series):
        out = values.copy(deep=False)
        out.index = index
        return out
    if not isinstance(values, np.ndarray):
        values = _plain_column(values)
    return pd.Series(values, index=index, copy=False)


def _plain_column(values):
    """A column of another library as an array, or a Categorical where its levels have an order."""
    import narwhals as nw
    import pandas as pd

    column = nw.from_native(values, series_only=True, pass_through=True)
    if not isinstance(column, nw.Series):
        return np.asarray(values)
    if column.dtype == nw.Enum:
        return pd.Categorical(column.to_list(), categories=column.cat.get_categories().to_list())
    if column.dtype in (nw.Categorical, nw.String):
        out = np.empty(len(column), dtype=object)
        out[:] = column.to_list()
        return out
    return column.to_numpy()


def _frame_columns(X) -> tuple[int, dict]:
    """Number of rows, and a getter for each column of a frame."""
    module = type(X).__module__.split(".")[0]
    if module == "pandas":
        names = [str(c) for c in X.columns]
        if len(set(names)) != len(names):
            twice = sorted({n for n in names if names.count(n) > 1})
            raise ValueError(f"X has several columns of the name(s) {twice}; rename them")
        return len(X), {
            name: (lambda position=i: X.iloc[:, position]) for i, name in enumerate(names)
        }
    import narwhals as nw

    frame = nw.from_native(X, eager_only=True)
    return len(frame), {
        name: (lambda name=name: frame.get_column(name).to_native()) for name in frame.columns
    }


def _array_columns(X, prefix: str | None, names: list[str] | None = None) -> tuple[int, dict]:
    n, p = X.shape
    names = [f"{prefix}{j}" for j in range(p)] if names is None else names
    if hasattr(X, "tocsc"):
        X = X.tocsc()
        return n, {name: (lambda j=j: X[:, [j]].toarray().ravel()) for j, name in enumerate(names)}
    return n, {name: (lambda j=j: X[:, j]) for j, name in enumerate(names)}


def _group_columns(groups, n: int) -> tuple[int, dict]:
    if isinstance(groups, dict):
        arrays = {str(k): _one_dimensional(v, str(k)) for k, v in groups.items()}
        for name, values in arrays.items():
            _same_length(n, len(values), f"groups[{name!r}]")
        return n, {name: (lambda v=v: v) for name, v in arrays.items()}
    if is_frame(groups):
        return _frame_columns(groups)
    if hasattr(groups, "dtype") or hasattr(groups, "to_numpy"):
        values = groups
    else:
        values = np.asarray(groups)
        if values.dtype.kind in "US":
            values = values.astype(object)
    ndim = getattr(values, "ndim", 1)
    if ndim == 0:
        raise ValueError("groups must hold one value for each row of X, got a single value")
    if ndim == 2:
        values = np.asarray(values)
        if values.shape[1] == 1:
            return values.shape[0], {"groups": lambda: values[:, 0]}
        names = [f"groups{j}" for j in range(values.shape[1])]
        return _array_columns(values, None, names)
    return len(values), {"groups": lambda: values}


def _one_dimensional(values, name: str):
    if hasattr(values, "dtype") or hasattr(values, "to_numpy"):
        return values
    out = np.asarray(values)
    if out.ndim != 1:
        raise ValueError(f"groups[{name!r}] must be 1-dimensional, got shape {out.shape}")
    return out.astype(object) if out.dtype.kind in "US" else out


def _same_length(n: int, m: int, name: str) -> None:
    if n != m:
        raise ValueError(
            f"Found input variables with inconsistent numbers of samples: X has {n} rows, {name} {m}"
        )


def make_table(X, groups=None) -> Table:
    """Named columns of X and of groups.

    Parameters
    ----------
    X : data frame, ndarray or sparse matrix of shape (n, p)
        Columns of an array are called x0, x1, ...
    groups : None, 1-d array-like (column `groups`), data frame, dict or 2-d array

    Raises
    ------
    ValueError
        Lengths that differ; a column of groups that X has with other values.
    """
    n, columns = _frame_columns(X) if is_frame(X) else _array_columns(X, "x")
    table = Table(n)
    table.columns = dict(columns)
    if groups is not None:
        m, extra = _group_columns(groups, n)
        _same_length(n, m, "groups")
        for name, get in extra.items():
            if name in table.columns:
                here, there = np.asarray(table.columns[name]()), np.asarray(get())
                if not bool(np.all((here == there) | ((here != here) & (there != there)))):
                    raise ValueError(
                        f"column {name!r} stands in X and in groups with different values; rename "
                        "one of them"
                    )
            table.columns[name] = get
        table.group_columns = tuple(extra)
    return table
