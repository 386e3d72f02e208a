"""A formula is never a way to run code."""

import numpy as np
import pytest

from sklearn_mllm.design.table import make_table
from sklearn_mllm.formula import FormulaError, ModelSpec, parse, response_values
from sklearn_mllm.formula.functions import FUNCTIONS

ATTACKS = [
    "__import__('os').system('true')",
    "__import__('os')",
    "eval('1')",
    "exec('1')",
    "open('x')",
    "getattr(x, 'values')",
    "np.log(x)",
    "np.array(x)",
    "x.mean()",
    "x.values",
    "x.__class__",
    "x.__class__.__mro__",
    "I(x.sum())",
    "I(x.__class__)",
    "log(x.a)",
    "x[0]",
    "I(x[0])",
    "{x}",
    "{x + 1}",
    "I({x})",
    "{__import__('os')}",
    "lambda: x",
    "I(lambda: x)",
    "I((lambda: x)())",
    "I([x for x in x])",
    "I([y for y in x])",
    "I(x if x else x)",
    "I(x and x)",
    "I(not x)",
    "I(x := 3)",
    "I(f'{x}')",
    'I("{x}" == x.a)',
    "I(x; x)",
    "I(x)(x)",
    "log(x)(x)",
    "(log)(x)",
    "`log`(x)",
    "`__import__`('os')",
    "I(`x`.a)",
    "I(`x`(x))",
    "hashed(x)",
    "lag(x)",
    "Q('x')",
    "I(Q('x'))",
    "contr.treatment(x)",
    "C(x, contr.custom(x))",
    "C(x, levels=x)",
    "C(x, levels=[1])",
    "C(x, contr.treatment(x))",
    "poly(x, __import__('os'))",
    "poly(x, _state=3)",
    "bs(x, _context=3)",
    "bs(x, df=eval('3'))",
    "bs(x, knots=c(x))",
    "bs(x, **x)",
    "bs(*x)",
    "log(x, out=x)",
    "exec",
    "I(@x)",
    "I(x\\n)",
    "I(x == 'a\\x41')",
    "I(x == '''a''')",
    "offset(eval('1'))",
    "offset(__import__('os'))",
    "x.a(x)",
    "I(x ? x)",
    "I(x => x)",
    "__builtins__",
    "I(__builtins__)",
    "I(__FORMULAIC_CONTEXT__)",
    "np",
    "I(np)",
    "contr",
    "I(contr)",
]


@pytest.fixture(scope="module")
def table():
    return make_table(np.ones((4, 1)), feature_names=["x"])


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("frame", ["~ {}", "~ x + ({} | x)", "~ (1 | {})", "{} ~ x"])
def test_refused(attack, frame, table):
    # either it is no formula, or it names a column that is not there
    text = frame.format(attack)
    with pytest.raises(FormulaError):
        parsed = parse(text)
        ModelSpec.learn(parsed, table)
        if parsed.response is not None:
            response_values(parsed, table)


@pytest.mark.parametrize("name", ["np", "contr", "log", "__builtins__", "class", "lambda", "_q78_"])
def test_a_column_of_that_name_is_a_column(name):
    X = np.linspace(1.0, 2.0, 8).reshape(4, 2)
    table = make_table(X, feature_names=[name, "z"])
    _, matrices = ModelSpec.learn(parse(f"~ `{name}` + I(`{name}`^2) + log(z)"), table)
    np.testing.assert_allclose(matrices.X[:, 1], X[:, 0])
    np.testing.assert_allclose(matrices.X[:, 2], X[:, 0] ** 2)
    np.testing.assert_allclose(matrices.X[:, 3], np.log(X[:, 1]))
    assert matrices.names[1] == name


@pytest.mark.parametrize(
    "text",
    [
        "~ I(9^9^9^9^9*x)",
        "~ I((9 + 9)^(9^9)*x)",
        "~ I((9*9)^99999999*x)",
        "~ I(I(9)^99999999*x)",
        "~ I(((2 > 1)*9)^99999999*x)",
        "~ I((1 - 9)^0.5*x)",
        "~ I(1e400*x)",
        "~ I(1/0*x)",
        "~ poly(x, 'a'*99999999)",
        "~ (a+b+c+d+e+f+g+h+i+j+k+l+m+n+o+p+q+r)^18",
        "~ a*b*c*d*e*f*g*h*i*j*k*l*m*n*o*p*q*r*s*t",
        "~ " + "(" * 5000 + "x" + ")" * 5000,
        "~ I(" + "-" * 5000 + "x)",
        "~ I(x" + "^x" * 5000 + ")",
        "~ x" + ":x" * 5000,
        "~ " + "log(" * 500 + "x" + ")" * 500,
        "~ x" + " " * 200_000,
    ],
)
def test_no_endless_work(text):
    with pytest.raises(FormulaError):
        parse(text)


def test_long_sums_are_fine():
    names = [f"x{i}" for i in range(3000)]
    assert len(parse("~ " + " + ".join(names)).columns) == 3000


def test_unknown_function_lists_the_known():
    with pytest.raises(FormulaError, match="'median' is not a function") as caught:
        parse("~ median(x)")
    assert all(name in str(caught.value) for name in FUNCTIONS)
    assert all(function.meaning for function in FUNCTIONS.values())


def test_random_tokens_give_a_formula_or_a_formula_error(table):
    pieces = (
        "x x x g 1 0 2 -1 . ~ + - * / ^ : ( ) ( ) | || %in% == > , = ' \" ` ` I( log( C( poly( bs( "
        "offset( cbind( factor( 'a' 0.5 1e3 2L c(1,2) TRUE np # \n . .5 x.y contr.sum [ ] { } ; @ \\ "
        "é 𝑥 \x00 \u200b ** != <= & ! % $ lambda if"
    ).split(" ")
    rng = np.random.default_rng(0)
    read = 0
    for _ in range(4000):
        size = rng.integers(1, 12)
        text = "~ x + " * int(rng.random() < 0.5) + " ".join(rng.choice(pieces, size))
        try:
            parsed = parse(text)
            read += 1
            ModelSpec.learn(parsed, table)
        except FormulaError:
            continue
    assert read > 20
