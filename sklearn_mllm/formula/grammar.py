"""Grammar of formulas: tokens to a tree, with R's precedence of operators.

From tight to loose: `^`, sign, `:`, `%in%`, `* /`, `+ -`, comparison, `|`. Arguments of functions
are arithmetic, where `:`, `%in%`, `.` and bars do not exist.
"""

from __future__ import annotations

from dataclasses import dataclass

from .tokens import FormulaError, Token, error_at, tokenize

__all__ = [
    "Bar", "Binary", "Call", "Dot", "Group", "Name", "Node", "Number", "Sign", "String", "Sum",
    "read",
]  # fmt: skip

_DEEPEST = 60
_COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")


@dataclass(frozen=True)
class Node:
    """A part of a formula, and where it begins."""

    at: int


@dataclass(frozen=True)
class Name(Node):
    text: str


@dataclass(frozen=True)
class Number(Node):
    text: str


@dataclass(frozen=True)
class String(Node):
    text: str


@dataclass(frozen=True)
class Dot(Node):
    """All columns that are not used otherwise."""


@dataclass(frozen=True)
class Group(Node):
    """Parentheses."""

    inner: Node


@dataclass(frozen=True)
class Sign(Node):
    op: str
    operand: Node


@dataclass(frozen=True)
class Sum(Node):
    """Parts, each with its sign."""

    parts: tuple[tuple[str, Node], ...]


@dataclass(frozen=True)
class Binary(Node):
    op: str
    left: Node
    right: Node


@dataclass(frozen=True)
class Call(Node):
    name: str
    arguments: tuple[Node, ...]
    keywords: tuple[tuple[str, Node], ...]


@dataclass(frozen=True)
class Bar(Node):
    """`(effects | grouping)`; `double` for `||`."""

    effects: Node
    grouping: Node
    double: bool


def read(text: str) -> tuple[Node | None, Node | None]:
    """Trees of the left and the right side of a formula; the left is None where there is none.

    Raises
    ------
    FormulaError
        Not a formula; shows the position.
    """
    reader = _Reader(text)
    left = None
    tildes = [t for t in reader.tokens if t.is_op("~")]
    if len(tildes) > 1:
        raise error_at(text, tildes[1].at, "a formula has one '~'")
    if tildes:
        if not reader.token.is_op("~"):
            left = reader.comparison()
            if not reader.token.is_op("~"):
                raise reader.unexpected()
        reader.advance()
    if reader.token.kind == "end":
        raise error_at(text, len(text.rstrip()), "nothing stands at the right side; write '~ 1'")
    right = reader.sum(formula=True)
    if reader.token.is_op("|", "||"):
        raise error_at(
            text,
            reader.token.at,
            "a bar needs parentheses around its term: '(1 | group)'",
        )
    if reader.token.kind != "end":
        raise reader.unexpected()
    return left, right


def _check_parentheses(tokens: list[Token], text: str) -> None:
    opened: list[Token] = []
    for token in tokens:
        if token.is_op("("):
            opened.append(token)
        elif token.is_op(")"):
            if not opened:
                raise error_at(text, token.at, "this ')' has no '('")
            opened.pop()
    if opened:
        raise error_at(text, opened[-1].at, "this '(' has no ')'")


class _Reader:
    """Recursive descent over the tokens."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokenize(text)
        _check_parentheses(self.tokens, text)
        self.place = 0
        self.depth = 0

    @property
    def token(self) -> Token:
        return self.tokens[self.place]

    def advance(self) -> Token:
        token = self.tokens[self.place]
        self.place += 1
        return token

    def unexpected(self) -> FormulaError:
        token = self.token
        if token.kind == "end":
            return error_at(self.text, token.at, "the formula ends too early")
        if token.kind in ("name", "quoted", "number", "string") and self.place:
            return error_at(
                self.text,
                token.at,
                f"an operator is missing before {token.text!r}; a column name with spaces or signs "
                "goes in back-quotes",
            )
        if token.is_op(*_COMPARISONS):
            return error_at(
                self.text, token.at, f"a comparison such as {token.text!r} goes inside I(...)"
            )
        if token.is_op(")"):
            return error_at(self.text, token.at, "nothing stands before this ')'")
        if token.is_op("|", "||"):
            return error_at(
                self.text,
                token.at,
                f"{token.text!r} is out of place: a random-effects term stands in parentheses of its "
                "own, (effects | factor), or (effects || factor) for uncorrelated ones",
            )
        return error_at(self.text, token.at, f"{token.text!r} is out of place")

    def close(self) -> None:
        if not self.token.is_op(")"):
            raise self.unexpected()
        self.advance()

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise error_at(self.text, self.token.at, "the formula is nested too deeply")

    # -- from loose to tight -----------------------------------------------------------------------

    def comparison(self) -> Node:
        left = self.sum(formula=False)
        if not self.token.is_op(*_COMPARISONS):
            return left
        op = self.advance()
        right = self.sum(formula=False)
        if self.token.is_op(*_COMPARISONS):
            raise error_at(self.text, self.token.at, "comparisons cannot be chained")
        return Binary(left.at, op.text, left, right)

    def sum(self, formula: bool) -> Node:
        self.deeper()
        at, parts, sign = self.token.at, [], "+"
        if self.token.is_op("+", "-"):
            sign = self.advance().text
            at = self.token.at
        parts.append((sign, self.product(formula)))
        while self.token.is_op("+", "-"):
            op = self.advance()
            if self.token.kind == "end" or self.token.is_op(")", ",", "|", "||"):
                raise error_at(self.text, op.at, f"nothing follows {op.text!r}")
            parts.append((op.text, self.product(formula)))
        self.depth -= 1
        if len(parts) == 1 and parts[0][0] == "+":
            return parts[0][1]
        return Sum(at, tuple(parts))

    def product(self, formula: bool) -> Node:
        return self.chain(("*", "/"), self.within if formula else self.signed, formula)

    def within(self, formula: bool) -> Node:
        return self.chain(("%in%",), self.interaction, formula)

    def interaction(self, formula: bool) -> Node:
        return self.chain((":",), self.signed, formula)

    def chain(self, ops: tuple[str, ...], operand, formula: bool) -> Node:
        left, deep = operand(formula), 0
        while self.token.is_op(*ops):
            self.deeper()
            deep += 1
            op = self.advance()
            left = Binary(left.at, op.text, left, operand(formula))
        self.depth -= deep
        return left

    def signed(self, formula: bool) -> Node:
        if self.token.is_op("+", "-"):
            token = self.advance()
            if formula:
                raise error_at(
                    self.text, token.at, f"the sign {token.text!r} of a term goes inside I(...)"
                )
            self.deeper()
            operand = self.signed(formula)
            self.depth -= 1
            return Sign(token.at, token.text, operand)
        return self.power(formula)

    def power(self, formula: bool) -> Node:
        base = self.atom(formula)
        if not self.token.is_op("**"):
            return base
        self.advance()
        self.deeper()
        exponent = self.signed(formula)
        self.depth -= 1
        return Binary(base.at, "**", base, exponent)

    def atom(self, formula: bool) -> Node:
        token = self.token
        if token.kind in ("name", "quoted"):
            self.advance()
            if token.kind == "name" and self.token.is_op("("):
                return self.call(token)
            if self.token.is_op("("):
                raise self.unexpected()
            return Name(token.at, token.text)
        if token.kind == "number":
            self.advance()
            return Number(token.at, token.text)
        if token.kind == "string":
            if formula:
                raise error_at(self.text, token.at, "a string goes inside a function")
            self.advance()
            return String(token.at, token.text)
        if token.is_op("(") and formula:
            return self.parentheses()
        if token.is_op("("):
            self.advance()
            inner = self.comparison()
            self.close()
            return Group(token.at, inner)
        if token.is_op(".") and formula:
            self.advance()
            return Dot(token.at)
        raise self.unexpected()

    def parentheses(self) -> Node:
        opened = self.advance()
        if self.token.is_op("|", "||"):
            raise error_at(
                self.text, self.token.at, "nothing stands before the bar; write (1 | group)"
            )
        inner = self.sum(formula=True)
        if not self.token.is_op("|", "||"):
            self.close()
            return Group(opened.at, inner)
        bar = self.advance()
        if self.token.is_op(")") or self.token.kind == "end":
            raise error_at(self.text, bar.at, "no grouping factor follows the bar")
        grouping = self.sum(formula=True)
        if self.token.is_op("|", "||"):
            raise error_at(self.text, self.token.at, "a random-effects term has one bar")
        self.close()
        return Bar(opened.at, inner, grouping, bar.text == "||")

    def call(self, name: Token) -> Node:
        self.advance()
        arguments, keywords = [], []
        if self.token.is_op(")"):
            self.advance()
            return Call(name.at, name.text, (), ())
        while True:
            after = self.tokens[self.place + 1] if self.token.kind == "name" else None
            if after is not None and after.is_op("="):
                key = self.advance().text
                self.advance()
                keywords.append((key, self.comparison()))
            else:
                if keywords:
                    raise error_at(
                        self.text, self.token.at, "this argument stands after a named one"
                    )
                arguments.append(self.comparison())
            if not self.token.is_op(","):
                break
            self.advance()
        if self.token.is_op("="):
            raise error_at(self.text, self.token.at, "'=' names an argument; equality is '=='")
        self.close()
        if self.token.is_op("("):
            raise error_at(self.text, self.token.at, "the value of a function cannot be called")
        return Call(name.at, name.text, tuple(arguments), tuple(keywords))
