"""`PrintedFrame`: a data frame that a plain terminal shows whole."""

from __future__ import annotations

from html import escape
from textwrap import wrap

import pandas as pd

__all__ = ["PrintedFrame"]

#: Columns beyond which pandas leaves some out, as it does.
_MOST_COLUMNS = 20
#: Rows beyond which labels are not listed apart.
_MOST_LABELS = 20
#: Characters of a label that leave room for a few columns.
_LONG_LABEL = 32


class PrintedFrame(pd.DataFrame):
    """A data frame whose columns all show within the width of the terminal.

    Columns that do not fit go below the others. Labels that are long then stand above the table, a
    number for each. What is made from it prints alike, without the note.

    Parameters
    ----------
    *args, **kwargs
        As for DataFrame.
    note : str, optional
        Words that stand below the table.
    """

    _note: str | None = None

    def __init__(self, *args, note: str | None = None, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self._note = note

    @property
    def _constructor(self):
        return PrintedFrame

    def __repr__(self) -> str:
        width = pd.get_option("display.width") or 80
        text = self._text()
        labels = [] if self.index.nlevels > 1 else [str(label) for label in self.index]
        longest = max(map(len, labels), default=0)
        if longest > _LONG_LABEL and len(labels) <= _MOST_LABELS:
            broken = "\\\n" in text or max(map(len, text.split("\n"))) > width
            if broken or longest > pd.get_option("display.max_colwidth"):
                numbers = [f"[{i}]" for i in range(1, len(labels) + 1)]
                lines = []
                for number, label in zip(numbers, labels, strict=True):
                    indent = " " * (len(number) + 1)
                    lines += wrap(f"{number} {label}", width, subsequent_indent=indent)
                text = "\n".join([*lines, "", self.set_axis(numbers, axis=0)._text()])
        if self._note is not None:
            text = "\n".join([text, "", *wrap(f"Note: {self._note}.", width)])
        return text

    def _text(self) -> str:
        """Rows and columns as pandas prints them, with no column left out."""
        if len(self.columns) > _MOST_COLUMNS:
            return super().__repr__()
        with pd.option_context("display.max_columns", None):
            return super().__repr__()

    def _repr_html_(self) -> str | None:
        html = super()._repr_html_()
        if html is None or self._note is None:
            return html
        return f"{html}\n<p>Note: {escape(self._note)}.</p>"
