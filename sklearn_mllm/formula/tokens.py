"""Tokens of a formula. Only these exist: anything else is refused here, by its position."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["FormulaError", "Token", "error_at", "tokenize"]

_LONGEST = 100_000


class FormulaError(ValueError):
    """A formula that cannot be read, or does not fit the data."""


@dataclass(frozen=True)
class Token:
    """One token.

    Attributes
    ----------
    kind : {"name", "quoted", "number", "string", "op", "end"}
    text : str
        As written, without back-quotes or quotes.
    at : int
        Position in the formula, from 0.
    """

    kind: str
    text: str
    at: int

    def is_op(self, *texts: str) -> bool:
        return self.kind == "op" and self.text in texts


_PATTERN = re.compile(
    r"""
    (?P<space>(?:\s+|\#[^\n]*)+)
  | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)L?(?![\w.])
  | `(?P<quoted>[^`]+)`
  | (?P<string>'[^'\\]*'|"[^"\\]*")
  | (?P<name>(?:[^\W\d]|\.(?=[^\W\d]))[\w.]*)
  | (?P<op>\|\||%in%|\*\*|==|!=|<=|>=|[~+\-*/^:()|,<>=.])
    """,
    re.VERBOSE,
)

_REMEDIES = {
    "`": "a back-quote ('`') opens here and is not closed",
    "'": "a string opens here and is not closed (a backslash cannot stand in it)",
    '"': "a string opens here and is not closed (a backslash cannot stand in it)",
    "[": "'[' is not read: no subscripts; make the column before the fit",
    "{": "'{' is not read: a formula holds columns, operators and known functions only",
}


def error_at(text: str, at: int, message: str) -> FormulaError:
    """A FormulaError that shows the place in the formula."""
    lead = max(0, at - 60)
    shown = re.sub(r"\s", " ", text[lead : at + 40])
    return FormulaError(
        f"formula: {message} (position {at + 1})\n    {shown}\n    {' ' * (at - lead)}^"
    )


def tokenize(text: str) -> list[Token]:
    """Tokens of a formula, with an `end` token after them.

    Parameters
    ----------
    text : str
        What follows a `#` in a line is a comment.

    Raises
    ------
    FormulaError
        A character that no formula has, or one that opens and is not closed.
    """
    if len(text) > _LONGEST:
        raise FormulaError(f"formula: {len(text)} characters; at most {_LONGEST} are read")
    tokens, at = [], 0
    while at < len(text):
        match = _PATTERN.match(text, at)
        if match is None:
            remedy = _REMEDIES.get(
                text[at], f"cannot read {text[at]!r}; other names of columns go in back-quotes"
            )
            if text[at].isdigit() or text[at] == ".":
                remedy = "this is neither a number nor a name; such a column goes in back-quotes"
            raise error_at(text, at, remedy)
        kind = match.lastgroup
        value = match.group(kind)
        if kind == "string":
            tokens.append(Token(kind, value[1:-1], at))
        elif kind != "space":
            tokens.append(Token(kind, "**" if kind == "op" and value == "^" else value, at))
        at = match.end()
    tokens.append(Token("end", "", len(text)))
    return tokens
