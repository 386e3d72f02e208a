"""Text to ParsedFormula: lme4's syntax, R's algebra of terms, and errors that show the place."""

import pickle

import pytest

from sklearn_mllm.formula import Cbind, FormulaError, default_formula, parse, quote
from sklearn_mllm.formula.parse import expand_fixed


def bars(text):
    return [(t.effects, t.grouping) for t in parse(text).random]


@pytest.mark.parametrize(
    "text, fixed",
    [
        ("y ~ x", "1 + x"),
        ("~ x", "1 + x"),
        ("x", "1 + x"),
        ("y ~ 1", "1"),
        ("y ~ 0", "0"),
        ("y ~ x - 1", "0 + x"),
        ("y ~ -1 + x", "0 + x"),
        ("y ~ 0 + x", "0 + x"),
        ("y ~ x + 0", "0 + x"),
        ("y ~ x - 0", "1 + x"),
        ("y ~ 0 + x + 1", "1 + x"),
        ("y ~ a*b", "1 + a + b + a:b"),
        ("y ~ a*b + c", "1 + a + b + c + a:b"),
        ("y ~ a:b + a", "1 + a + a:b"),
        ("y ~ a + b + a", "1 + a + b"),
        ("y ~ a:b + b:a", "1 + a:b"),
        ("y ~ a:a", "1 + a"),
        ("y ~ a*b*c", "1 + a + b + c + a:b + a:c + b:c + a:b:c"),
        ("y ~ a*b*c - a:b:c", "1 + a + b + c + a:b + a:c + b:c"),
        ("y ~ a*b - b:a", "1 + a + b"),
        ("y ~ (a + b + c)^2", "1 + a + b + c + a:b + a:c + b:c"),
        ("y ~ (a + b + c)**2 - a:b", "1 + a + b + c + a:c + b:c"),
        ("y ~ a^2", "1 + a"),
        ("y ~ a/b", "1 + a + a:b"),
        ("y ~ a/b/c", "1 + a + a:b + a:b:c"),
        ("y ~ (a + b)/c", "1 + a + b + a:b:c"),
        ("y ~ a %in% b", "1 + a:b"),
        ("y ~ a + b %in% a", "1 + a + b:a"),
        ("y ~ (a + b):c", "1 + a:c + b:c"),
        ("y ~ a*(b + c)", "1 + a + b + c + a:b + a:c"),
        ("y ~ (a + (b + c))", "1 + a + b + c"),
        ("y ~ a - a", "1"),
        ("y ~ a + (b - a)", "1 + a + b"),
        ("y ~ a - (a + b) + c", "1 + c"),
        ("y ~\n  a +\n\tb  # what it is\n + c", "1 + a + b + c"),
    ],
)
def test_terms_as_in_r(text, fixed):
    assert parse(text).fixed == fixed


@pytest.mark.parametrize(
    "text, fixed",
    [
        ("~ I(age^2)", "1 + I(age ** 2)"),
        ("~ I(age**2)", "1 + I(age ** 2)"),
        ("~ I( age  ^2 )", "1 + I(age ** 2)"),
        ("~ I(-x^2)", "1 + I(-x ** 2)"),
        ("~ I(2^x^2)", "1 + I(2 ** x ** 2)"),
        ("~ I((a + b)*2 - a/b)", "1 + I((a + b) * 2 - a / b)"),
        ("~ I(a - (b - 1))", "1 + I(a - (b - 1))"),
        ("~ I(week > 2)", "1 + I(week > 2)"),
        ("~ I(use == 'Y')", "1 + I(use == 'Y')"),
        ('~ I(use != "it\'s")', '1 + I(use != "it\'s")'),
        ("~ log(x + 1) + log1p(sqrt(x))", "1 + log(x + 1) + log1p(sqrt(x))"),
        ("~ factor(k) + as.factor(j)", "1 + C(k) + C(j)"),
        ("~ C(k, contr.treatment(2))", "1 + C(k, contr.treatment(2))"),
        ("~ C(k, contr.sum)", "1 + C(k, contr.sum())"),
        ("~ C(k, Treatment('b'))", "1 + C(k, Treatment('b'))"),
        ("~ poly(x, 2, raw = TRUE)", "1 + poly(x, 2, raw=True)"),
        ("~ bs(x, df=5) + bs(x, knots = c(1, -2.5))", "1 + bs(x, df=5) + bs(x, knots=[1, -2.5])"),
        ("~ bs(x, 5, intercept = FALSE)", "1 + bs(x, 5, include_intercept=False)"),
        ("~ poly(x, 2L)", "1 + poly(x, 2)"),
        ("~ I(1e-3*x) + I(.5*x)", "1 + I(0.001 * x) + I(0.5 * x)"),
        ("~ scale(log(x)) + ceiling(x)", "1 + scale(log(x)) + ceil(x)"),
        ("~ I(pi*x)", "1 + I(3.141592653589793 * x)"),
        ("~ log(x):a + log(x)", "1 + log(x) + log(x):a"),
    ],
)
def test_functions(text, fixed):
    assert parse(text).fixed == fixed


@pytest.mark.parametrize(
    "bar, terms",
    [
        ("(1 | g)", [("1", ("g",))]),
        ("(1|g)", [("1", ("g",))]),
        ("((1 | g))", [("1", ("g",))]),
        ("(1 + x | g)", [("1 + x", ("g",))]),
        ("(x | g)", [("1 + x", ("g",))]),
        ("(0 + x | g)", [("0 + x", ("g",))]),
        ("(x - 1 | g)", [("0 + x", ("g",))]),
        ("(-1 + x | g)", [("0 + x", ("g",))]),
        ("(x || g)", [("1", ("g",)), ("0 + x", ("g",))]),
        ("(1 + x + z || g)", [("1", ("g",)), ("0 + x", ("g",)), ("0 + z", ("g",))]),
        ("(0 + x || g)", [("0 + x", ("g",))]),
        ("(x*z || g)", [("1", ("g",)), ("0 + x", ("g",)), ("0 + z", ("g",)), ("0 + x:z", ("g",))]),
        ("(x + I(x^2) || g)", [("1", ("g",)), ("0 + x", ("g",)), ("0 + I(x ** 2)", ("g",))]),
        ("(1 | a:b)", [("1", ("a", "b"))]),
        ("(1 | a/b)", [("1", ("a",)), ("1", ("a", "b"))]),
        ("(1 | a/b/c)", [("1", ("a",)), ("1", ("a", "b")), ("1", ("a", "b", "c"))]),
        ("(x | a/b)", [("1 + x", ("a",)), ("1 + x", ("a", "b"))]),
        ("(1 | a*b)", [("1", ("a",)), ("1", ("b",)), ("1", ("a", "b"))]),
        ("(1 | a + b)", [("1", ("a",)), ("1", ("b",))]),
        ("(1 | (a + b))", [("1", ("a",)), ("1", ("b",))]),
        ("(1 | (a:b))", [("1", ("a", "b"))]),
        ("(1 | factor(g))", [("1", ("g",))]),
        ("(1 | `my g`)", [("1", ("my g",))]),
        ("(1 | g) + (1 | h)", [("1", ("g",)), ("1", ("h",))]),
        ("(1 | g) + (0 + x | g)", [("1", ("g",)), ("0 + x", ("g",))]),
        ("(a:b | g)", [("1 + a:b", ("g",))]),
    ],
)
@pytest.mark.parametrize(
    "frame", ["y ~ u + {} + v", "~ {} + u + v", "~ u + v + {}", "~ (u + {}) + v"]
)
def test_random_terms(bar, terms, frame):
    text = frame.format(bar)
    assert bars(text) == terms
    assert parse(text).fixed == "1 + u + v"


def test_random_terms_alone():
    parsed = parse("y ~ (1 | g)")
    assert parsed.fixed == "1" and parsed.columns == ()
    assert parsed.grouping_columns == ("g",)
    assert parsed.random[0].label == "g"
    assert parse("~ (1 | a:b)").random[0].label == "a:b"


def test_left_side():
    assert parse("y ~ x").response_name == "y"
    assert parse("`my y` ~ x").response_name == "my y"
    assert parse("factor(y) ~ x").response_name == "y"
    assert parse("(y) ~ x").response_name == "y"
    assert parse("~ x").response is None
    both = parse("cbind(s, n - s) ~ x")
    assert both.response == Cbind("s", "n - s")
    assert both.response_columns == ("s", "n")
    some = parse("I(y == 'a') ~ x")
    assert some.response_name is None and some.response_columns == ("y",)
    assert parse("y == 'a' ~ x").response == "y == 'a'"


def test_offset():
    parsed = parse("y ~ x + offset(log(n)) + offset(z) + (1 | g)")
    assert parsed.offset_factor.text == "(log(n)) + (z)"
    assert parsed.offset_factor.columns == ("n", "z")
    assert parsed.fixed == "1 + x"
    assert parsed.columns == ("x", "n", "z")
    assert parse("cbind(s, n - s) ~ offset(log(n))").offset_factor.text == "(log(n))"


def test_names_of_columns():
    parsed = parse("y ~ a.b + .hidden + `my col` + ñandú + `2015` + x_1 + `a:b`")
    assert parsed.columns == ("a.b", ".hidden", "my col", "ñandú", "2015", "x_1", "a:b")
    assert parse("~ log(`log`) + I(`class` + `if`)").columns == ("log", "class", "if")
    assert parse("~ log(`a b`) + x:`a b`").columns == ("a b", "x")


@pytest.mark.parametrize(
    "name", ["x", "a.b", "my col", "2015", "1.5", "class", "log", "a+b", "é", "'", "x)", "a|b", " "]
)
def test_quoted_names_come_back(name):
    assert parse(f"~ {quote(name)}").columns == (name,)
    parsed = parse(default_formula([name, "h"]))
    assert parsed.has_dot and parsed.grouping_columns == (name, "h")


def test_no_quote_for_a_back_quote():
    with pytest.raises(FormulaError, match="cannot be named"):
        quote("a`b")


def test_dot():
    parsed = parse("y ~ . + I(x^2) + (1 | g)")
    assert parsed.has_dot and parsed.fixed == "1 + I(x ** 2) + ."
    assert parsed.columns == ("x",)
    assert expand_fixed(parsed.text, ("a", "b")).text == "1 + a + b + I(x ** 2)"
    assert expand_fixed("~ .^2 - a:b", ("a", "b", "c")).text == "1 + a + b + c + a:c + b:c"
    assert expand_fixed("~ . - b", ("a", "b")).text == "1 + a"
    assert expand_fixed("~ x:.", ("a", "b")).text == "1 + x:a + x:b"
    assert expand_fixed("~ .", ()).text == "1"
    # what is taken away is not used
    assert parse("~ . - a:b").columns == ()
    assert parse("~ . - a:b").mentioned == ("a", "b")


def test_frozen_hashable_cached():
    text = "use ~ age*ch + (1 | urban:district)"
    parsed = parse(text)
    assert parse(text) is parsed
    assert hash(parsed) == hash(pickle.loads(pickle.dumps(parsed)))
    assert parsed == pickle.loads(pickle.dumps(parsed))
    with pytest.raises(AttributeError):
        parsed.text = "other"


@pytest.mark.parametrize(
    "text, words, position",
    [
        ("", "empty", None),
        ("   ", "empty", None),
        ("y ~", "right side", 4),
        ("y ~ x ~ z", "one '~'", 7),
        ("y ~ x + 1 | g", "parentheses", 11),
        ("y ~ x | g", "parentheses", 7),
        ("y ~ (1 | )", "no grouping factor", 8),
        ("y ~ ( | g)", "before the bar", 7),
        ("y ~ (0 | g)", "no effect", 5),
        ("y ~ (a | b | c)", "one bar", 12),
        ("y ~ (1 | log(g))", "grouping factor is a column", 10),
        ("y ~ (1 | 3)", "grouping factor is a column", 10),
        ("y ~ (1 | a^2)", "grouping factor is a column", 10),
        ("y ~ (1 | a - b)", "grouping factor is a column", 10),
        ("y ~ (1 | .)", "grouping factor is a column", 10),
        ("y ~ (. | g)", "left of a bar", 6),
        ("y ~ x - (1 | g)", "taken away", 9),
        ("y ~ x:(1 | g)", "only be added", 7),
        ("y ~ x*(z + (1 | g))", "only be added", 12),
        ("y ~ x:offset(z)", "only be added", 7),
        ("y ~ ((1 | g) | h)", "left of a bar", 6),
        ("y ~ x +", "nothing follows", 7),
        ("y ~ + ", "ends too early", 7),
        ("y ~ x + * z", "out of place", 9),
        ("y ~ diag(1 | g)", r"parentheses of its own, \(effects \| factor\)", 12),
        ("y ~ x z", "operator is missing before 'z'", 7),
        ("y ~ x 'z'", "operator is missing", 7),
        ("y ~ x)", "'\\)' has no '\\('", 6),
        ("y ~ (x", "'\\(' has no '\\)'", 5),
        ("y ~ ()", "nothing stands before", 6),
        ("y ~ 2*x", "number 2", 5),
        ("y ~ x^z", "whole number", 7),
        ("y ~ x^0", "whole number", 7),
        ("y ~ x^1.5", "whole number", 7),
        ("y ~ a:-b", "sign", 7),
        ("y ~ x == 2", "inside I", 7),
        ("y ~ I(a < b < c)", "chained", 13),
        ("y ~ I(a:b)", "out of place", 8),
        ("y ~ I(.)", "out of place", 7),
        ("y ~ 'x'", "string", 5),
        ("y ~ I('x')", "string", 7),
        ("y ~ I(3)", "no column", 5),
        ("y ~ log()", "needs a column", 5),
        ("y ~ log(x, 2)", "at most", 12),
        ("y ~ log(x, base=2)", "no option 'base'", 17),
        ("y ~ poly(x, degree=2, degree=3)", "twice", 30),
        ("y ~ poly(x, degree=2, 3)", "after a named one", 23),
        ("y ~ bs(x, df=n)", "is a whole number", 14),
        ("y ~ bs(x, df=100000)", "whole number from 1 to 1000", 14),
        ("y ~ poly(x, 0)", "whole number from 1 to 50", 13),
        ("y ~ poly(x, 2.5)", "whole number", 13),
        ("y ~ poly(x, 'x')", "whole number", 13),
        ("y ~ poly(x, c(2))", "whole number", 13),
        ("y ~ bs(x, degree=-1)", "whole number", 19),
        ("y ~ poly(x, 2, raw='no')", "TRUE or FALSE", 20),
        ("y ~ scale(x, center=2)", "TRUE or FALSE", 21),
        ("y ~ C(x, x)", "second argument", 10),
        ("y ~ C(x, contr.sum(3))", "no options", 10),
        ("y ~ I(x = 2)", "needs a column", 5),
        ("cbind(s) ~ x", "two arguments", 1),
        ("cbind(s, f, g) ~ x", "two arguments", 1),
        ("y ~ `x", "back-quote", 5),
        ("y ~ I(x == 'a)", "string opens", 12),
        ("y ~ x & z", "'&'", 7),
        ("y ~ 2x", "neither a number nor a name", 5),
        ("y z ~ x", "operator is missing", 3),
        ("~ x\n + $", "'\\$'", 8),
    ],
)
def test_errors_show_the_place(text, words, position):
    with pytest.raises(FormulaError, match=words) as caught:
        parse(text)
    if position is not None:
        assert f"(position {position})" in str(caught.value)
        if "\n" not in text:
            *_, shown, caret = str(caught.value).split("\n")
            assert shown.strip() == text.strip()
            assert caret.index("^") - 4 == position - 1


@pytest.mark.parametrize(
    "text",
    [
        "y ~ (1 | g) + (1 | g)",
        "y ~ (x || g) + (0 + x | g)",
        "y ~ (1 | a/b) + (1 | b:a)",
        "y ~ (x | g) + (1 + x | g)",
    ],
)
def test_a_term_twice(text):
    with pytest.raises(FormulaError, match="stands twice"):
        parse(text)


@pytest.mark.parametrize(
    "text", ["y ~ y", "y ~ x*log(y)", "y ~ x + (y | g)", "y ~ x + (1 | y)", "cbind(s, f) ~ s"]
)
def test_response_at_the_right(text):
    with pytest.raises(FormulaError, match="also stands at the right"):
        parse(text)


@pytest.mark.parametrize("text", ["raw=T", "raw=TRUE", "TRUE", "T", "raw=True"])
def test_truth_in_each_spelling(text):
    (term,) = parse(f"~ poly(x, 2, {text})").fixed_side.terms
    assert term[0].text.endswith("True)")


def test_terms_without_end():
    with pytest.raises(FormulaError, match="too long"):
        parse("~ I(x" + " + 1" * 20_000 + ")")
