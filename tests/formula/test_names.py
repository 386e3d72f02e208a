"""Names of columns: as the user writes them, and as coefficients show them."""

import numpy as np
import pandas as pd
import pytest

from sklearn_mllm.design.table import make_table
from sklearn_mllm.formula import FormulaError, ModelSpec, parse

GENERATOR = np.random.default_rng(0)
DATA = pd.DataFrame(
    {
        "age": GENERATOR.normal(size=12),
        "h": np.tile(["u", "v"], 6),
        "g": np.repeat(["p", "q", "r"], 4),
    }
)


def learn(formula, data):
    return ModelSpec.learn(parse(formula), make_table(data))


def test_a_column_with_the_name_of_the_constant():
    data = DATA.assign(Intercept=1.0)
    for formula in ("~ Intercept + age", "~ 0 + Intercept", "~ age + (0 + Intercept | g)"):
        with pytest.raises(FormulaError, match=r"column 'Intercept' has the name of.*rename"):
            learn(formula, data)
    assert learn("~ age + (1 | g)", data)[1].names == ("Intercept", "age")
    assert learn("~ 0 + age + I(Intercept * 2)", data)[1].names == ("age", "I(Intercept * 2)")


@pytest.mark.parametrize("name", ["resp_q10_", "a._q61_", "_q", "_q_", "_q61_", ""])
def test_names_like_aliases(name):
    data = pd.DataFrame({name: DATA["age"], "h": DATA["h"]})
    assert learn("~ .", data)[1].names == ("Intercept", name, "h[T.v]")
    if name:
        names = learn(f"~ `{name}`:h + I(`{name}`^2)", data)[1].names
        assert names == ("Intercept", f"I({name} ** 2)", f"{name}:h[u]", f"{name}:h[v]")


def test_a_column_called_pi():
    data = DATA.assign(pi=DATA["age"])
    _, matrices = learn("~ pi + I(`pi`^2) + I(pi * age)", data)
    assert matrices.names == ("Intercept", "pi", "I(pi ** 2)", "I(3.141592653589793 * age)")
    np.testing.assert_allclose(matrices.X[:, 2], DATA["age"] ** 2)
    np.testing.assert_allclose(matrices.X[:, 3], np.pi * DATA["age"])
