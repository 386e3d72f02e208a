"""Formula text to `ParsedFormula`: the response, the fixed side, and the random-effect terms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from .expressions import Factor, factor_of
from .grammar import Bar, Binary, Call, Group, Name, Node, Sum, read
from .names import alias, display, quote
from .terms import Side, expand
from .tokens import FormulaError, error_at

__all__ = [
    "Cbind", "ParsedFormula", "RandomTerm", "Side", "default_formula", "expand_fixed", "parse",
]  # fmt: skip


@dataclass(frozen=True)
class Cbind:
    """`cbind(successes, failures)` on the left side: two expressions, for formulaic."""

    successes: str
    failures: str


@dataclass(frozen=True)
class RandomTerm:
    """One `(effects | grouping)` term.

    Attributes
    ----------
    side : Side
        The left of the bar.
    grouping : tuple of str
        Columns whose combinations are the levels.
    """

    side: Side
    grouping: tuple[str, ...]

    @property
    def effects(self) -> str:
        """The left of the bar, every term written out."""
        return self.side.text

    @property
    def label(self) -> str:
        """The grouping columns joined by ':'."""
        return ":".join(self.grouping)


@dataclass(frozen=True)
class ParsedFormula:
    """A formula taken apart; frozen and hashable.

    Attributes
    ----------
    text : str
        As given.
    response : str, Cbind or None
        Expression of the left side, for formulaic.
    fixed_side : Side
        The right side without random-effect terms, offsets and `.`.
    random : tuple of RandomTerm
    offset_factor : Factor or None
        Sum of the offset() terms.
    columns : tuple of str
        Columns of the fixed side, the effects and the offset.
    as_levels : tuple of str
        Those of them that stand in C().
    response_columns : tuple of str
    mentioned : tuple of str
        All columns at the right side, also of terms that are taken away again.
    has_dot : bool
    """

    text: str
    response: str | Cbind | None
    fixed_side: Side
    random: tuple[RandomTerm, ...]
    offset_factor: Factor | None
    columns: tuple[str, ...]
    as_levels: tuple[str, ...]
    response_columns: tuple[str, ...]
    mentioned: tuple[str, ...]
    has_dot: bool

    @property
    def fixed(self) -> str:
        """The right side without random-effect terms and offsets, with `.` as written."""
        return self.fixed_side.text + (" + ." if self.has_dot else "")

    @property
    def grouping_columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(c for term in self.random for c in term.grouping))

    @property
    def response_name(self) -> str | None:
        """The column on the left side, where it is just one."""
        if isinstance(self.response, str) and len(self.response_columns) == 1:
            name = self.response_columns[0]
            return name if self.response == alias(name) else None
        return None


def default_formula(group_names: list[str]) -> str:
    """`~ . + (1 | g)` for each grouping factor."""
    return " + ".join(["~ .", *(f"(1 | {quote(g)})" for g in group_names)])


@lru_cache(maxsize=512)
def parse(text: str) -> ParsedFormula:
    """Read a formula in lme4's syntax.

    Parameters
    ----------
    text : str

    Returns
    -------
    ParsedFormula

    Raises
    ------
    FormulaError
        Shows the position, and says what to write instead.
    """
    if not text.strip():
        raise FormulaError(
            "formula: it is empty, nothing stands at its right side; write for instance "
            "'y ~ x + (1 | group)'"
        )
    left, right = read(text)
    response, response_columns = (None, ()) if left is None else _response(left, text)
    side = expand(right, text)
    random = tuple(term for bar in side.bars for term in _random_terms(bar, text))
    _refuse_repeated(random)
    fixed = side.side()
    used = dict.fromkeys(fixed.columns)
    for term in random:
        used.update(dict.fromkeys(term.side.columns))
    offset = _sum_of(side.offsets)
    used.update(dict.fromkeys(() if offset is None else offset.columns))
    mentioned = {**side.mentioned, **used}
    groupings = dict.fromkeys(c for term in random for c in term.grouping)
    whole = (response.successes, response.failures) if isinstance(response, Cbind) else (response,)
    for name in response_columns:
        if alias(name) in whole and (name in mentioned or name in groupings):
            raise FormulaError(
                f"formula: the response {name!r} also stands at the right side of {text!r}; take it "
                "away there"
            )
    levels = [*fixed.as_levels, *(c for term in random for c in term.side.as_levels)]
    return ParsedFormula(
        text, response, fixed, random, offset, tuple(used),
        tuple(dict.fromkeys(levels)), response_columns, tuple(mentioned), side.has_dot,
    )  # fmt: skip


@lru_cache(maxsize=128)
def expand_fixed(text: str, dot: tuple[str, ...]) -> Side:
    """The fixed side of a formula with columns for its `.`."""
    return expand(read(text)[1], text, dot).side()


def _sum_of(offsets: list[Factor]) -> Factor | None:
    if not offsets:
        return None
    columns = dict.fromkeys(c for o in offsets for c in o.columns)
    text = " + ".join(f"({o.text})" for o in offsets)
    return Factor(
        text, tuple(columns), tuple(dict.fromkeys(c for o in offsets for c in o.as_levels))
    )


def _response(node: Node, text: str) -> tuple[str | Cbind, tuple[str, ...]]:
    while isinstance(node, Group):
        node = node.inner
    if isinstance(node, Call) and node.name == "cbind":
        if len(node.arguments) != 2 or node.keywords:
            raise error_at(text, node.at, "cbind takes two arguments: cbind(successes, failures)")
        parts = [factor_of(argument, text) for argument in node.arguments]
        columns = tuple(dict.fromkeys(c for part in parts for c in part.columns))
        return Cbind(parts[0].text, parts[1].text), columns
    if (
        isinstance(node, Call)
        and node.name in ("C", "factor", "as.factor", "I")
        and len(node.arguments) == 1
        and isinstance(node.arguments[0], Name)
    ):
        node = node.arguments[0]
    response = factor_of(node, text)
    return response.text, response.columns


def _random_terms(bar: Bar, text: str) -> list[RandomTerm]:
    """The terms that one bar stands for."""
    left = expand(bar.effects, text)
    if left.bars or left.offsets or left.has_dot:
        raise error_at(text, bar.effects.at, "the left of a bar holds columns and functions only")
    intercept = left.intercept is not False
    if not intercept and not left.terms:
        raise error_at(text, bar.at, "no effect stands before the bar; write (1 | group)")
    out = []
    for grouping in _groupings(bar, text):
        if not bar.double:
            out.append(RandomTerm(left.side(), grouping))
            continue
        # (a + b || g) is (1 | g) + (0 + a | g) + (0 + b | g)
        if intercept:
            out.append(RandomTerm(Side(True, ()), grouping))
        out.extend(RandomTerm(Side(False, (term,)), grouping) for term in left.ordered)
    return out


def _groupings(bar: Bar, text: str) -> list[tuple[str, ...]]:
    """Columns of each grouping factor at the right of a bar."""
    side = expand(_columns_only(bar.grouping, text), text)
    if side.has_dot or side.intercept is not None or not side.terms:
        raise error_at(text, bar.grouping.at, "a grouping factor is a column, a:b or a/b")
    return [tuple(f.columns[0] for f in term) for term in side.ordered]


def _columns_only(node: Node, text: str) -> Node:
    """A grouping side with factor(g) as g, and nothing in it but columns."""
    if isinstance(node, Group):
        return Group(node.at, _columns_only(node.inner, text))
    if isinstance(node, Binary) and node.op != "**":
        return Binary(
            node.at, node.op, _columns_only(node.left, text), _columns_only(node.right, text)
        )
    if isinstance(node, Call) and node.name in ("factor", "as.factor", "C"):
        if len(node.arguments) == 1 and not node.keywords and isinstance(node.arguments[0], Name):
            return node.arguments[0]
    if isinstance(node, Sum) and all(sign == "+" for sign, _ in node.parts):
        return Sum(node.at, tuple((s, _columns_only(part, text)) for s, part in node.parts))
    if isinstance(node, Name):
        return node
    raise error_at(
        text, node.at, "a grouping factor is a column, a:b or a/b; make it a column before the fit"
    )


def _refuse_repeated(random: tuple[RandomTerm, ...]) -> None:
    seen = set()
    for term in random:
        key = (term.effects, frozenset(term.grouping))
        if key in seen:
            raise FormulaError(
                f"formula: the random-effects term ({display(term.effects)} | {term.label}) stands "
                "twice; drop one"
            )
        seen.add(key)
