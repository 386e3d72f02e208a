"""Names of columns: as the user writes them, and as formulaic can evaluate them.

Formulaic sees a column under its own name when that is a plain identifier that means nothing else.
Any other (`my col`, `2015`, `class`, `log`) goes by a reversible alias, and `display` puts the own
name back into the coefficient names.
"""

from __future__ import annotations

import keyword
import re

from .tokens import FormulaError

__all__ = ["alias", "display", "quote"]

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z|_[A-Za-z0-9][A-Za-z0-9_]*\Z")
_WRITTEN = re.compile(r"(?:[^\W\d]|\.(?=[^\W\d]))[\w.]*\Z")
_ALIAS = re.compile(r"(?<![\w.])_q((?:[0-9a-f]{2})*)_(?![A-Za-z0-9_])")

#: Names with a meaning of their own in formulaic or in formulas.
_TAKEN = frozenset(
    "np log log2 log10 log1p exp exp2 exp10 expm1 sqrt abs sin cos tan tanh floor ceil sign bs cc cr "
    "cs ns center lag poly scale standardize hashed C I Q T F contr factor Treatment Poly Sum "
    "Helmert Diff offset cbind TRUE FALSE pi inf nan Intercept".split()
)


def alias(name: str) -> str:
    """The identifier under which formulaic sees a column."""
    if _PLAIN.match(name) and not (
        keyword.iskeyword(name) or name in _TAKEN or name.startswith(("_q", "__"))
    ):
        return name
    return f"_q{name.encode('utf-8').hex()}_"


def display(text: str) -> str:
    """A coefficient name with the columns' own names in place of aliases.

    Inside a function they stand in back-quotes, as formulaic writes them.
    """
    if "_q" not in text:
        return text

    def own(match: re.Match) -> str:
        name = bytes.fromhex(match.group(1)).decode("utf-8")
        before, after = text[: match.start()], text[match.end() :]
        bare = (not before or before[-1] == ":") and (not after or after[0] in ":[")
        return name if bare or _WRITTEN.match(name) else f"`{name}`"

    return _ALIAS.sub(own, text)


def quote(name: str) -> str:
    """A column name as it must stand in a formula.

    Raises
    ------
    FormulaError
        A name with a back-quote in it.
    """
    if _WRITTEN.match(name):
        return name
    if "`" in name or not name:
        raise FormulaError(f"column {name!r} cannot be named in a formula; rename it")
    return f"`{name}`"
