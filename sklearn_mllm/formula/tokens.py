"""Tokens of a formula. Only these exist: anything else is refused here, by its position."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["FormulaError", "Token", "tokenize"]


class FormulaError(ValueError):
    """A formula that cannot be read, or does not fit the data."""


@dataclass(frozen=True)
class Token:
    """One token: `kind` is name, number, string, or op; `text` as written, `at` its position."""

    kind: str
    text: str
    at: int


_PATTERN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
  | `(?P<quoted>[^`]+)`
  | (?P<string>'[^'\\]*'|"[^"\\]*")
  | (?P<name>[^\W\d]\w*(?:\.\w+)*)
  | (?P<op>\|\||%in%|\*\*|==|!=|<=|>=|[~+\-*/^:()|,<>=.])
    """,
    re.VERBOSE,
)


def tokenize(text: str) -> list[Token]:
    """Tokens of a formula.

    Raises
    ------
    FormulaError
        A character that no formula has.
    """
    tokens, at = [], 0
    while at < len(text):
        match = _PATTERN.match(text, at)
        if match is None:
            raise FormulaError(
                f"formula: cannot read {text[at]!r} at position {at + 1} of {text!r}; names of "
                "columns with other characters go in back-quotes"
            )
        kind = match.lastgroup
        if kind == "quoted":
            tokens.append(Token("name", match.group("quoted"), at))
        elif kind != "space":
            value = match.group()
            if kind == "op" and value == "^":
                value = "**"
            tokens.append(Token(kind, value, at))
        at = match.end()
    return tokens
