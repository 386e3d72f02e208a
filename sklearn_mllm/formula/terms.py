"""Algebra of terms: `a*b`, `a/b`, `(a + b)^2` and the like expanded as R does.

A term is the tuple of its factors, and two terms are the same when their factors are. The intercept
is the term without factors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from .expressions import Factor, factor_of
from .grammar import Bar, Binary, Call, Dot, Group, Name, Node, Number, Sum
from .names import alias
from .tokens import error_at

__all__ = ["Side", "Terms", "expand"]

_MOST = 20_000

Term = tuple[Factor, ...]


@dataclass(frozen=True)
class Side:
    """Terms of a fixed side, or of the left of a bar, by degree and then as written.

    Attributes
    ----------
    intercept : bool
    terms : tuple of tuple of Factor
        Without the intercept.
    """

    intercept: bool
    terms: tuple[Term, ...]

    @cached_property
    def factors(self) -> tuple[Factor, ...]:
        """Each factor once."""
        return tuple(dict.fromkeys(f for term in self.terms for f in term))

    @cached_property
    def indices(self) -> tuple[tuple[int, ...], ...]:
        """Each term as places in `factors`."""
        place = {factor: i for i, factor in enumerate(self.factors)}
        return tuple(tuple(place[f] for f in term) for term in self.terms)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(c for f in self.factors for c in f.columns))

    @cached_property
    def as_levels(self) -> tuple[str, ...]:
        """Columns that stand in C()."""
        return tuple(dict.fromkeys(c for f in self.factors for c in f.as_levels))

    @cached_property
    def text(self) -> str:
        """Every term written out."""
        terms = [":".join(f.text for f in term) for term in self.terms]
        return " + ".join(["1" if self.intercept else "0", *terms])


@dataclass
class Terms:
    """An expanded side of a formula.

    Attributes
    ----------
    terms : dict of frozenset to tuple of Factor
        In the order of writing, without the intercept.
    intercept : bool or None
        None: not mentioned.
    bars : list of Bar
    offsets : list of Factor
    mentioned : dict of str
        All columns in it, also of terms taken away again.
    has_dot : bool
    """

    terms: dict[frozenset, Term] = field(default_factory=dict)
    intercept: bool | None = None
    bars: list[Bar] = field(default_factory=list)
    offsets: list[Factor] = field(default_factory=list)
    mentioned: dict[str, None] = field(default_factory=dict)
    has_dot: bool = False

    def add(self, term: Term) -> None:
        self.terms.setdefault(frozenset(term), term)

    @property
    def ordered(self) -> tuple[Term, ...]:
        """Terms by degree, then as written."""
        return tuple(sorted(self.terms.values(), key=len))

    def side(self) -> Side:
        """The terms; an intercept that is not mentioned is there."""
        return Side(self.intercept is not False, self.ordered)


def expand(node: Node, text: str, dot: tuple[str, ...] | None = None) -> Terms:
    """Terms of a side of a formula.

    Parameters
    ----------
    node : Node
    text : str
        The whole formula, for errors.
    dot : tuple of str, optional
        Columns that `.` stands for; without it `.` gives no term.

    Raises
    ------
    FormulaError
        Something that is not a term.
    """
    return _Expansion(text, dot).side(node)


class _Expansion:
    def __init__(self, text: str, dot: tuple[str, ...] | None) -> None:
        self.text = text
        self.dot = dot

    def side(self, node: Node) -> Terms:
        """Sums, where bars, offsets and the intercept may stand."""
        if isinstance(node, Group):
            return self.side(node.inner)
        if isinstance(node, Bar):
            return Terms(bars=[node])
        if isinstance(node, Call) and node.name == "offset":
            if len(node.arguments) != 1 or node.keywords:
                raise error_at(self.text, node.at, "offset() takes one expression")
            offset = factor_of(node.arguments[0], self.text)
            return Terms(offsets=[offset], mentioned=dict.fromkeys(offset.columns))
        if not isinstance(node, Sum):
            return self.product(node)
        out = Terms()
        for sign, part in node.parts:
            if isinstance(part, Number) and part.text == "0":
                out.intercept = sign == "-"
                continue
            more = self.side(part)
            out.has_dot |= more.has_dot
            if sign == "-":
                if more.bars or more.offsets:
                    what = "a random-effects term" if more.bars else "an offset"
                    raise error_at(self.text, part.at, f"{what} cannot be taken away")
                for key in more.terms:
                    out.terms.pop(key, None)
                if more.intercept is not None:
                    out.intercept = not more.intercept
            else:
                for term in more.terms.values():
                    out.add(term)
                if more.intercept is not None:
                    out.intercept = more.intercept
                out.bars += more.bars
                out.offsets += more.offsets
            out.mentioned.update(more.mentioned)
            self.bounded(out, part)
        return out

    def product(self, node: Node) -> Terms:
        """One term, or the terms that an operator other than + and - makes."""
        if isinstance(node, Number):
            if node.text in ("0", "1"):
                return Terms(intercept=node.text == "1")
            raise error_at(
                self.text, node.at, f"the number {node.text} is no term; arithmetic goes inside I()"
            )
        if isinstance(node, Dot):
            out = Terms(has_dot=True)
            for name in self.dot or ():
                out.add((Factor(alias(name), (name,)),))
            return out
        if isinstance(node, Name | Call):
            factor = factor_of(node, self.text)
            out = Terms(mentioned=dict.fromkeys(factor.columns))
            out.add((factor,))
            return out
        if not isinstance(node, Binary):
            return self.operand(node)
        if node.op == "**":
            return self.power(node)
        left, right = self.operand(node.left), self.operand(node.right)
        out = Terms(
            mentioned={**left.mentioned, **right.mentioned},
            has_dot=left.has_dot or right.has_dot,
        )
        if node.op in ("*", "/"):
            for term in left.terms.values():
                out.add(term)
        if node.op == "*":
            for term in right.terms.values():
                out.add(term)
        if node.op == "/":
            # a/b is a + a:b, and all of (a + b) goes into (a + b)/c
            whole = tuple(dict.fromkeys(f for term in left.terms.values() for f in term))
            for term in right.terms.values():
                out.add(_join(whole, term))
        elif node.op == "%in%":
            for a in right.terms.values():
                for b in left.terms.values():
                    out.add(_join(b, a))
        else:
            for a in left.terms.values():
                for b in right.terms.values():
                    out.add(_join(a, b))
                self.bounded(out, node)
        if node.op != "*" and (left.intercept or right.intercept):
            raise error_at(self.text, node.at, f"1 cannot stand beside {node.op!r}")
        return out

    def operand(self, node: Node) -> Terms:
        """What may stand beside an operator: no bar, no offset, and not 0."""
        out = self.side(node)
        if out.bars:
            raise error_at(
                self.text, out.bars[0].at, "a random-effects term can only be added to others"
            )
        if out.offsets:
            raise error_at(self.text, node.at, "an offset can only be added")
        if out.intercept is False:
            raise error_at(self.text, node.at, "0 or -1 can only stand in the outer sum")
        return out

    def power(self, node: Binary) -> Terms:
        base = self.operand(node.left)
        exponent = node.right
        if not isinstance(exponent, Number) or not exponent.text.isdigit() or exponent.text == "0":
            raise error_at(
                self.text,
                node.right.at,
                "the power of a sum of terms is a whole number; arithmetic goes inside I(...)",
            )
        out = Terms(dict(base.terms), base.intercept, mentioned=base.mentioned)
        out.has_dot = base.has_dot
        for _ in range(int(exponent.text) - 1):
            before = len(out.terms)
            for a in list(out.terms.values()):
                for b in base.terms.values():
                    out.add(_join(a, b))
                self.bounded(out, node)
            if len(out.terms) == before:
                break
        return out

    def bounded(self, out: Terms, node: Node) -> None:
        if len(out.terms) > _MOST:
            raise error_at(self.text, node.at, f"the formula has more than {_MOST} terms")


def _join(a: Term, b: Term) -> Term:
    return tuple(dict.fromkeys((*a, *b)))
