"""Arithmetic and calls inside a formula: checked against the table of functions, then rewritten.

What formulaic is given to evaluate is written here from the tree, never copied from the user's text.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass

from .functions import CONTRASTS, FUNCTIONS, SWITCHES, WHOLE
from .grammar import Binary, Call, Group, Name, Node, Number, Sign, String, Sum
from .names import alias
from .tokens import FormulaError, error_at

__all__ = ["Factor", "factor_of"]

_CONSTANTS = {"pi": "3.141592653589793"}
_LITERALS = {name: str(name[0] == "T") for name in ("TRUE", "T", "True", "FALSE", "F", "False")}
_LARGEST = 1e15


@dataclass(frozen=True)
class Factor:
    """One factor of a term, such as `age` or `log(age)`.

    Attributes
    ----------
    text : str
        For formulaic.
    columns : tuple of str
    as_levels : tuple of str
        Columns that stand in C().
    """

    text: str
    columns: tuple[str, ...]
    as_levels: tuple[str, ...] = ()


def factor_of(node: Node, text: str) -> Factor:
    """A column or call of the tree as a factor; `text` is the whole formula, for errors."""
    if isinstance(node, Name):
        return Factor(alias(node.text), (node.text,))
    writer = _Writer(text)
    written, _ = writer.expression(node)
    if not writer.columns:
        raise error_at(text, node.at, "no column stands in this term")
    try:
        # one spelling for all: (x) * 2 and x*2 are the same factor
        written = ast.unparse(ast.parse(written, mode="eval"))
    except (RecursionError, MemoryError) as error:
        raise error_at(text, node.at, "this term is too long; make it a column first") from error
    return Factor(written, tuple(writer.columns), tuple(writer.as_levels))


class _Writer:
    """Rewrites an expression, and notes the columns in it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.columns: dict[str, None] = {}
        self.as_levels: dict[str, None] = {}

    def error(self, node: Node, message: str) -> FormulaError:
        return error_at(self.text, node.at, message)

    def expression(self, node: Node) -> tuple[str, float | None]:
        """Python text, and the value where it is a constant."""
        if isinstance(node, Name):
            # in back-quotes it is a column
            if node.text in _CONSTANTS and self.text[node.at] != "`":
                return _CONSTANTS[node.text], float(_CONSTANTS[node.text])
            self.columns[node.text] = None
            return alias(node.text), None
        if isinstance(node, Number):
            value = float(node.text)
            if not value < _LARGEST:
                raise self.error(node, f"this constant is beyond {_LARGEST:g}")
            return node.text, value
        if isinstance(node, String):
            raise self.error(node, "a string can only be compared, or be an option of a function")
        if isinstance(node, Group):
            inner, value = self.expression(node.inner)
            return f"({inner})", value
        if isinstance(node, Sign):
            inner, value = self.expression(node.operand)
            return f"{node.op}{inner}", None if value is None else float(f"{node.op}1") * value
        if isinstance(node, Sum):
            return self.sum(node)
        if isinstance(node, Binary):
            return self.binary(node)
        if isinstance(node, Call):
            return self.call(node), None
        raise self.error(node, "this cannot stand inside a function")

    def sum(self, node: Sum) -> tuple[str, float | None]:
        out, total = "", 0.0
        for i, (sign, part) in enumerate(node.parts):
            written, value = self.expression(part)
            if total is not None:
                total = None if value is None else total + (value if sign == "+" else -value)
            if i:
                out += f" {sign} {written}"
            else:
                out = written if sign == "+" else f"-{written}"
        return out, total

    def binary(self, node: Binary) -> tuple[str, float | None]:
        if node.op in ("*", "/", "**"):
            left, a = self.expression(node.left)
            right, b = self.expression(node.right)
            value = None
            if a is not None and b is not None:
                value = self.constant(node, a, b)
            return f"{left} {node.op} {right}", value
        if node.op in (":", "%in%"):
            raise self.error(node, f"{node.op!r} cannot stand inside a function")
        left, a = self.comparand(node.left)
        right, b = self.comparand(node.right)
        if a is not None and b is not None:
            raise self.error(node, "two constants are compared")
        return f"{left} {node.op} {right}", None

    def constant(self, node: Binary, a: float, b: float) -> float:
        """Value of an operation on two constants; bounded, since exact powers have no end."""
        try:
            value = {"*": a.__mul__, "/": a.__truediv__, "**": a.__pow__}[node.op](b)
        except (OverflowError, ZeroDivisionError) as error:
            raise self.error(node, "this constant is not a number") from error
        if isinstance(value, complex) or not abs(value) < _LARGEST:
            raise self.error(node, f"this constant is beyond {_LARGEST:g}")
        return value

    def comparand(self, node: Node) -> tuple[str, float | None]:
        return (repr(node.text), 0.0) if isinstance(node, String) else self.expression(node)

    def call(self, node: Call) -> str:
        function = FUNCTIONS.get(node.name)
        if function is None:
            raise self.error(
                node,
                f"{node.name!r} is not a function that a formula may call; there are "
                f"{', '.join(FUNCTIONS)} (offset(...) on the right side, cbind(...) on the left)",
            )
        target = function.target or node.name
        if not node.arguments:
            raise self.error(node, f"{node.name}() needs a column")
        first, *others = node.arguments
        if target == "C" and isinstance(first, Name):
            self.as_levels[first.text] = None
        argument, value = self.expression(first)
        if value is not None:
            raise self.error(node, f"no column stands in {node.name}()")
        written = [argument]
        if len(others) > len(function.options):
            raise self.error(
                others[len(function.options)],
                f"{node.name}() takes {1 + len(function.options)} argument(s) at most",
            )
        for option, value in zip(function.options, others):
            written.append(self.option(node.name, option, value))
        given = set(function.options[: len(others)])
        for key, value in node.keywords:
            option = dict(function.renamed).get(key, key)
            if option not in function.options:
                known = ", ".join(function.options) or "no options"
                raise self.error(value, f"{node.name}() has no option {key!r}; there are: {known}")
            if option in given:
                raise self.error(value, f"{node.name}() gets {key!r} twice")
            given.add(option)
            written.append(f"{option}={self.option(node.name, option, value)}")
        return f"{target}({', '.join(written)})"

    def option(self, function: str, option: str, node: Node) -> str:
        if option == "contrasts":
            return self.contrasts(node)
        if option in WHOLE:
            return self.whole(function, option, node)
        if isinstance(node, Call) and node.name == "c" and not node.keywords:
            return f"[{', '.join(self.literal(function, option, a) for a in node.arguments)}]"
        written = self.literal(function, option, node)
        if option in SWITCHES and written not in ("True", "False", "1", "0"):
            raise self.error(node, f"option {option!r} of {function}() is TRUE or FALSE")
        return written

    def whole(self, function: str, option: str, node: Node) -> str:
        most = WHOLE[option]
        if isinstance(node, Number) and node.text.isdecimal() and 1 <= int(node.text) <= most:
            return node.text
        raise self.error(
            node, f"option {option!r} of {function}() is a whole number from 1 to {most}"
        )

    def literal(self, function: str, option: str, node: Node) -> str:
        sign, inner = "", node
        if isinstance(node, Sum) and len(node.parts) == 1:
            sign, inner = node.parts[0]
        elif isinstance(node, Sign):
            sign, inner = node.op, node.operand
        if isinstance(inner, Number):
            return sign + inner.text
        if not sign and isinstance(node, String):
            return repr(node.text)
        if not sign and isinstance(node, Name) and node.text in _LITERALS:
            return _LITERALS[node.text]
        raise self.error(
            node,
            f"option {option!r} of {function}() is a number, a string, TRUE, FALSE, or c(...) of "
            "such",
        )

    def contrasts(self, node: Node) -> str:
        name = node.text if isinstance(node, Name) else getattr(node, "name", None)
        if name not in CONTRASTS:
            raise self.error(node, f"the second argument of C() is one of {', '.join(CONTRASTS)}")
        target, options = CONTRASTS[name]
        if isinstance(node, Name):
            return f"{target}()"
        given = [(None, a) for a in node.arguments] + [*node.keywords]
        if len(given) > len(options) or any(k not in (None, *options) for k, _ in given):
            known = ", ".join(options) or "no options"
            raise self.error(node, f"{name}() takes {known}")
        return f"{target}({', '.join(self.literal(name, options[0], a) for _, a in given)})"
