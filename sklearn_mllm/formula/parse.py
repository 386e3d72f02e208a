"""Formula text to `ParsedFormula`: the response, the fixed side, and the random-effect terms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from .functions import ALIASES, FUNCTIONS
from .tokens import FormulaError, Token, tokenize

__all__ = ["Cbind", "ParsedFormula", "RandomTerm", "default_formula", "parse", "quote"]

_CONSTANTS = ("True", "False", "TRUE", "FALSE", "pi")


@dataclass(frozen=True)
class Cbind:
    """`cbind(successes, failures)` on the left side: two expressions."""

    successes: str
    failures: str


@dataclass(frozen=True)
class RandomTerm:
    """One `(effects | grouping)` term.

    Attributes
    ----------
    effects : str
        Formula of the left of the bar, for formulaic.
    grouping : tuple of str
        Columns whose combinations are the levels.
    label : str
        The columns joined by ':'.
    """

    effects: str
    grouping: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def label(self) -> str:
        return ":".join(self.grouping)


@dataclass(frozen=True)
class ParsedFormula:
    """A formula taken apart; frozen and hashable.

    Attributes
    ----------
    text : str
    response : str, Cbind or None
        Expression of the left side.
    fixed : str
        Right side for formulaic, `.` still in it.
    random : tuple of RandomTerm
    offset : str or None
        Sum of the offset() terms.
    columns : tuple of str
        Columns named on the right side outside of groupings.
    response_columns : tuple of str
    has_dot : bool
    """

    text: str
    response: str | Cbind | None
    fixed: str
    random: tuple[RandomTerm, ...]
    offset: str | None
    columns: tuple[str, ...]
    response_columns: tuple[str, ...]
    has_dot: bool

    @property
    def grouping_columns(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(c for term in self.random for c in term.grouping))

    @property
    def response_name(self) -> str | None:
        """The column on the left side, where it is just one."""
        if isinstance(self.response, str) and len(self.response_columns) == 1:
            name = self.response_columns[0]
            return name if self.response == quote(name) else None
        return None


#: Stands before names such as 0 or 1.5, which formulaic would read as numbers.
NUMERIC_PREFIX = "_column_"


def is_numeric_name(name: str) -> bool:
    """Whether a column name reads as a number."""
    return name.replace(".", "", 1).replace("-", "", 1).isdigit()


def quote(name: str) -> str:
    """A column name as it must stand in a formula."""
    if is_numeric_name(name):
        name = NUMERIC_PREFIX + name
    plain = name.isidentifier() and name not in FUNCTIONS and name not in _CONSTANTS
    return name if plain else f"`{name}`"


def default_formula(groups: list[str]) -> str:
    """`~ . + (1 | g)` for each grouping factor."""
    return " + ".join(["~ .", *(f"(1 | {quote(g)})" for g in groups)])


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
        Names the position or term and what to write instead.
    """
    tokens = tokenize(text)
    tildes = [i for i, t in enumerate(tokens) if t.text == "~" and t.kind == "op"]
    if len(tildes) > 1:
        raise FormulaError(f"formula: more than one '~' in {text!r}")
    left = tokens[: tildes[0]] if tildes else []
    right = tokens[tildes[0] + 1 :] if tildes else tokens
    _check_parentheses(tokens, text)
    if not right:
        raise FormulaError(f"formula: nothing stands at the right of '~' in {text!r}")
    response = _response(left, text)
    fixed, bars, offsets = _split_terms(right, text)
    random: list[RandomTerm] = []
    for bar in bars:
        random.extend(_random_terms(bar, text))
    seen = set()
    for term in random:
        key = (term.effects.replace(" ", ""), term.grouping)
        if key in seen:
            raise FormulaError(
                f"formula: the random-effects term ({term.effects} | {term.label}) stands twice; "
                "drop one"
            )
        seen.add(key)
    fixed_text = _render(fixed, text) if fixed else "1"
    columns = _columns(fixed)
    for term in random:
        columns += [c for c in term.columns if c not in columns]
    offset = None
    if offsets:
        offset = " + ".join(f"({_render(o, text)})" for o in offsets)
        for o in offsets:
            columns += [c for c in _columns(o) if c not in columns]
    response_columns = tuple(_columns(left))
    for name in response_columns:
        if name in columns:
            raise FormulaError(
                f"formula: the response {name!r} also stands at the right side of {text!r}"
            )
    has_dot = any(t.kind == "op" and t.text == "." for t in fixed)
    return ParsedFormula(
        text, response, fixed_text, tuple(random), offset, tuple(columns), response_columns, has_dot
    )


def _check_parentheses(tokens: list[Token], text: str) -> None:
    depth = 0
    for t in tokens:
        depth += (t.text == "(") - (t.text == ")") if t.kind == "op" else 0
        if depth < 0:
            raise FormulaError(f"formula: ')' without '(' at position {t.at + 1} of {text!r}")
    if depth:
        raise FormulaError(f"formula: {depth} '(' without ')' in {text!r}")


def _split(
    tokens: list[Token], separators: tuple[str, ...]
) -> list[tuple[Token | None, list[Token]]]:
    """Pieces between separators at depth zero, each with the separator before it."""
    pieces: list[tuple[Token | None, list[Token]]] = [(None, [])]
    depth = 0
    for t in tokens:
        if t.kind == "op":
            depth += (t.text == "(") - (t.text == ")")
            if depth == 0 and t.text in separators:
                pieces.append((t, []))
                continue
        pieces[-1][1].append(t)
    return pieces


def _response(left: list[Token], text: str) -> str | Cbind | None:
    if not left:
        return None
    if left[0].text == "cbind" and len(left) > 2 and left[1].text == "(" and left[-1].text == ")":
        parts = [piece for _, piece in _split(left[2:-1], (",",))]
        if len(parts) != 2 or not all(parts):
            raise FormulaError(
                f"formula: cbind takes (successes, failures), two arguments, in {text!r}"
            )
        return Cbind(*(_render(p, text) for p in parts))
    if len(left) == 1 and left[0].kind == "name":
        return quote(left[0].text)
    return _render(left, text)


def _has_bar(tokens: list[Token]) -> bool:
    return len(_split(tokens, ("|", "||"))) > 1


def _split_terms(right: list[Token], text: str):
    """Fixed tokens, bar terms (tokens inside their parentheses) and offset arguments."""
    fixed: list[Token] = []
    bars: list[list[Token]] = []
    offsets: list[list[Token]] = []
    for sign, piece in _split(right, ("+", "-")):
        if not piece:
            if sign is None:
                continue
            raise FormulaError(
                f"formula: nothing follows {sign.text!r} at position {sign.at + 1} of {text!r}"
            )
        inner = _inside(piece)
        if inner is not None and _has_bar(inner):
            if sign is not None and sign.text == "-":
                raise FormulaError(
                    f"formula: a random-effects term cannot be subtracted in {text!r}"
                )
            bars.append(inner)
            continue
        if inner is not None and any(_is_bar(t) for t in inner):
            # parentheses around a sum that holds bar terms
            more, more_bars, more_offsets = _split_terms(inner, text)
            bars += more_bars
            offsets += more_offsets
            piece = [Token("op", "(", piece[0].at), *more, Token("op", ")", piece[-1].at)]
            if not more:
                continue
        if piece[0].text == "offset" and len(piece) > 2 and piece[1].text == "(":
            offsets.append(piece[2:-1])
            continue
        if any(_is_bar(t) for t in piece):
            bar = next(t for t in piece if _is_bar(t))
            raise FormulaError(
                f"formula: the bar at position {bar.at + 1} of {text!r} needs parentheses around "
                "its term, as in (1 | group)"
            )
        if sign is not None and (fixed or sign.text == "-"):
            fixed.append(sign)
        fixed.extend(piece)
    return fixed, bars, offsets


def _is_bar(t: Token) -> bool:
    return t.kind == "op" and t.text in ("|", "||")


def _inside(piece: list[Token]) -> list[Token] | None:
    """Tokens within parentheses that enclose the whole piece."""
    if len(piece) < 2 or piece[0].text != "(" or piece[-1].text != ")":
        return None
    depth = 0
    for i, t in enumerate(piece):
        depth += (t.text == "(") - (t.text == ")") if t.kind == "op" else 0
        if depth == 0 and i < len(piece) - 1:
            return None
    return piece[1:-1]


def _random_terms(bar: list[Token], text: str) -> list[RandomTerm]:
    pieces = _split(bar, ("|", "||"))
    if len(pieces) != 2:
        raise FormulaError(
            f"formula: a random-effects term has one bar, not {len(pieces) - 1}, in {text!r}"
        )
    (_, left), (sign, right) = pieces
    if not right:
        raise FormulaError(f"formula: no grouping factor follows the bar in {text!r}")
    if not left:
        raise FormulaError(f"formula: nothing stands before the bar in {text!r}; write (1 | group)")
    groupings = _groupings(right, text)
    out = []
    for grouping in groupings:
        if sign.text == "|":
            out.append(RandomTerm(_render(left, text), grouping, tuple(_columns(left))))
        else:
            out.extend(_uncorrelated(left, grouping, text))
    return out


def _uncorrelated(left: list[Token], grouping: tuple[str, ...], text: str) -> list[RandomTerm]:
    """(a + b || g) as (1 | g) + (0 + a | g) + (0 + b | g)."""
    intercept = True
    effects: list[list[Token]] = []
    for sign, piece in _split(left, ("+", "-")):
        minus = sign is not None and sign.text == "-"
        if not piece:
            continue
        if len(piece) == 1 and piece[0].text in ("0", "1"):
            intercept = (piece[0].text == "1") != minus
            continue
        if minus:
            raise FormulaError(f"formula: only 1 can be subtracted at the left of '||' in {text!r}")
        effects.extend(_expand_stars(piece, text))
    out = [RandomTerm("1", grouping, ())] if intercept else []
    for piece in effects:
        out.append(RandomTerm(f"0 + {_render(piece, text)}", grouping, tuple(_columns(piece))))
    return out


def _expand_stars(piece: list[Token], text: str) -> list[list[Token]]:
    """a*b as a, b, a:b."""
    factors = [p for _, p in _split(piece, ("*",))]
    if len(factors) == 1:
        return [piece]
    if len(factors) > 2:
        raise FormulaError(f"formula: write out the interactions at the left of '||' in {text!r}")
    colon = Token("op", ":", piece[0].at)
    return [factors[0], factors[1], [*factors[0], colon, *factors[1]]]


def _groupings(right: list[Token], text: str) -> list[tuple[str, ...]]:
    inner = _inside(right)
    if inner is not None:
        right = inner
    sums = [p for _, p in _split(right, ("+",))]
    if len(sums) > 1:
        return [g for piece in sums for g in _groupings(piece, text)]
    parts = [p for _, p in _split(right, ("/",))]
    names: list[tuple[str, ...]] = []
    for part in parts:
        here: list[str] = []
        for _, piece in _split(part, (":",)):
            if len(piece) >= 4 and piece[0].text in ("factor", "C") and piece[1].text == "(":
                piece = piece[2:-1]
            if len(piece) != 1 or piece[0].kind != "name":
                raise FormulaError(
                    f"formula: a grouping factor is a column, a:b or a/b; got "
                    f"{_written(right)!r} in {text!r}"
                )
            here.append(piece[0].text)
        names.append(tuple(here))
    out: list[tuple[str, ...]] = []
    so_far: tuple[str, ...] = ()
    for name in names:
        so_far = (*so_far, *name)
        out.append(so_far)
    return out


def _written(tokens: list[Token]) -> str:
    return "".join(t.text for t in tokens)


def _columns(tokens: list[Token]) -> list[str]:
    out: list[str] = []
    for i, t in enumerate(tokens):
        if t.kind != "name" or t.text in _CONSTANTS:
            continue
        following = tokens[i + 1].text if i + 1 < len(tokens) else ""
        if following == "(" and tokens[i + 1].kind == "op":
            continue
        if following == "=" and tokens[i + 1].kind == "op":
            continue
        if t.text not in out:
            out.append(t.text)
    return out


def _render(tokens: list[Token], text: str) -> str:
    """Tokens as formulaic reads them, with every call checked against the table of functions."""
    out = []
    depth: list[bool] = []
    for i, t in enumerate(tokens):
        following = tokens[i + 1] if i + 1 < len(tokens) else None
        calls = following is not None and following.kind == "op" and following.text == "("
        if t.kind == "name" and calls:
            if t.text not in FUNCTIONS:
                raise FormulaError(
                    f"formula: {t.text!r} is not a function that a formula may call; there are "
                    f"{', '.join(FUNCTIONS)} (and cbind on the left side, offset on the right)"
                )
            out.append(ALIASES.get(t.text, t.text))
        elif t.kind == "name":
            if t.text in _CONSTANTS:
                out.append(
                    {"TRUE": "True", "FALSE": "False", "pi": "3.141592653589793"}.get(
                        t.text, t.text
                    )
                )
            elif following is not None and following.text == "=" and following.kind == "op":
                out.append(t.text)
            elif t.text.startswith("__"):
                raise FormulaError(f"formula: {t.text!r} is not a column name that is read")
            else:
                out.append(quote(t.text))
        elif t.kind == "string":
            if not any(depth):
                raise FormulaError(f"formula: a string stands outside a function in {text!r}")
            out.append(t.text)
        else:
            if t.kind == "op":
                if t.text == "(":
                    previous = tokens[i - 1] if i else None
                    depth.append(previous is not None and previous.kind == "name")
                elif t.text == ")" and depth:
                    depth.pop()
                elif t.text in ("==", "!=", "<", "<=", ">", ">=", ",", "=") and not any(depth):
                    raise FormulaError(
                        f"formula: {t.text!r} at position {t.at + 1} of {text!r} belongs inside "
                        "I(...) or a function"
                    )
                elif t.text in ("~", "|", "||"):
                    raise FormulaError(f"formula: {t.text!r} is out of place in {text!r}")
            out.append(t.text)
    rendered = ""
    for i, piece in enumerate(out):
        token = tokens[i]
        if token.kind == "op" and piece in (
            "+",
            "-",
            "*",
            "/",
            "**",
            "==",
            "!=",
            "<",
            "<=",
            ">",
            ">=",
            "%in%",
        ):
            unary = i == 0 or tokens[i - 1].text in ("(", ",", "=", "+", "-", "*", "/", "**")
            rendered += piece if unary else f" {piece} "
        elif piece == ",":
            rendered += ", "
        else:
            rendered += piece
    return rendered.strip()
