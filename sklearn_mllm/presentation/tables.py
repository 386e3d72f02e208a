"""Tables and paragraphs that come out as text of a given width and as HTML."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from textwrap import wrap
from unicodedata import combining, east_asian_width

__all__ = [
    "WIDTH",
    "Block",
    "Lines",
    "Table",
    "columns_of_decimals",
    "fixed_decimals",
    "shorten",
    "text_width",
]

_LABEL = re.compile(r"\w{1,7}: +")

#: Columns of text that no line goes beyond.
WIDTH = 80


def text_width(text: str) -> int:
    """Columns that a text takes on a terminal: two for a wide character, none for an accent."""
    if text.isascii():
        return len(text)
    return sum(
        0 if combining(letter) else 2 if east_asian_width(letter) in "WF" else 1 for letter in text
    )


def _folded(text: str, width: int, indent: str = "  ") -> list[str]:
    """Lines of at most `width` columns."""
    # where some characters take two columns, half as many fit for sure
    fit = width if text_width(text) <= len(text) else width // 2
    return wrap(text, fit, subsequent_indent=indent, break_on_hyphens=False)


@dataclass(frozen=True)
class Lines:
    """Lines of text, folded where they are too long."""

    lines: tuple[str, ...]

    def text(self, width: int) -> list[str]:
        """Lines of at most `width` columns."""
        out = []
        for line in self.lines:
            label = _LABEL.match(line)
            indent = " " * (label.end() if label else 2)
            out += _folded(line, width, indent) or [""]
        return out

    def html(self) -> str:
        """A paragraph with a line break after each line."""
        return f"<p>{'<br>'.join(map(escape, self.lines))}</p>"


@dataclass(frozen=True)
class Table:
    """Cells of text under a header.

    Attributes
    ----------
    header : tuple of str
    rows : tuple of tuple of str
    left : int
        So many columns are flush left, the others flush right.
    codes : bool
        Whether the last column is flush left too.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    left: int = 1
    codes: bool = False

    def _is_left(self, i: int) -> bool:
        return i < self.left or (self.codes and i == len(self.header) - 1)

    def text(self, width: int) -> list[str]:
        """Lines of at most `width` columns: a name that leaves no room has its own line."""
        everything = [self.header, *self.rows]
        widths = [max(text_width(row[i]) for row in everything) for i in range(len(self.header))]
        over = sum(widths) + len(widths) - 1 - width
        for i in sorted(range(self.left), key=lambda i: -widths[i]):
            least = min(widths[i], max(len(self.header[i]), 8))
            cut = min(max(over, 0), widths[i] - least)
            widths[i], over = widths[i] - cut, over - cut
        out: list[str] = []
        for row in everything:
            cells = list(row)
            for i in range(self.left):
                if text_width(cells[i]) > widths[i]:
                    out += _folded(cells[i], width)
                    cells[i] = ""
            padded = []
            for i, (cell, w) in enumerate(zip(cells, widths, strict=True)):
                blank = " " * (w - text_width(cell))
                padded.append(cell + blank if self._is_left(i) else blank + cell)
            line = " ".join(padded).rstrip()
            out += [line] if text_width(line) <= width else _folded(line, width)
        return out

    def html(self) -> str:
        """A table element."""
        head = "".join(f"<th>{escape(cell)}</th>" for cell in self.header)
        body = "".join(f"<tr>{self._html_cells(row)}</tr>" for row in self.rows)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

    def _html_cells(self, row: tuple[str, ...]) -> str:
        out = []
        for i, cell in enumerate(row):
            side = "left" if self._is_left(i) else "right"
            out.append(f"<td style='text-align: {side}'>{escape(cell)}</td>")
        return "".join(out)


Block = Lines | Table


def fixed_decimals(value: float, decimals: int) -> str:
    """A number with so many decimals, never a negative zero; `NA` for NaN."""
    if math.isnan(value):
        return "NA"
    if math.isinf(value) or abs(value) >= 1e9:
        return f"{value:.4g}"
    text = f"{value:.{decimals}f}"
    return text[1:] if text.startswith("-") and not text.strip("-0.") else text


def shorten(name: str, width: int) -> str:
    """A name of at most `width` columns, `~` for what is left out of its middle."""
    if text_width(name) <= width:
        return name
    tail = (width - 1) // 2
    first, last = width - 1 - tail, tail
    while text_width(name[:first]) > width - 1 - tail:
        first -= 1
    while text_width(name[-last:]) > tail:
        last -= 1
    return f"{name[:first]}~{name[-last:]}"


def columns_of_decimals(
    *columns: Iterable[float], deciding: int, digits: int = 4, most: int = 7
) -> list[list[str]]:
    """Columns of numbers with the same decimals throughout.

    Parameters
    ----------
    *columns : iterables of float
    deciding : int
        The column whose smallest number shows `digits` significant digits, where `most` allows.
    digits, most : int
        Significant digits, and the most decimals.
    """
    values = [list(c) for c in columns]
    sizes = [abs(v) for v in values[deciding] if math.isfinite(v) and v != 0.0]
    decimals = digits - 1 - math.floor(math.log10(min(sizes))) if sizes else digits
    decimals = min(max(decimals, 1), most)
    tiny = 0.5 * 10.0**-decimals
    return [
        [f"{v:.2e}" if 0.0 < abs(v) < tiny else fixed_decimals(v, decimals) for v in column]
        for column in values
    ]
