"""The verdict on a fit: each of its words, and where each begins."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from sklearn_mllm import MixedLogisticClassifier
from sklearn_mllm.design.problem import Factor, Problem, Term
from sklearn_mllm.links import get_link
from sklearn_mllm.objective.laplace import LaplaceObjective
from sklearn_mllm.optimizer.fit import Outcome
from sklearn_mllm.optimizer.maximize import Maximum
from sklearn_mllm.optimizer.verdict import judge

N = 40
TERMS = [("g", ("Intercept", "x"))]
CROSSED = [("g", ("Intercept",)), ("h", ("Intercept",))]


def problem(crossed: bool = False, codes=None) -> Problem:
    x = np.where(np.arange(N) % 2 == 0, 1.0, -1.0)
    X = np.vstack([np.ones(N), x])
    y = (np.arange(N) % 3 == 0).astype(float)
    g = np.arange(N, dtype=np.intp) // 5
    if not crossed:
        return Problem(X, y, None, None, (Factor(g, 8, X.copy(), True),), (Term(0, 0, 2),))
    h = np.arange(N, dtype=np.intp) % 8 if codes is None else codes
    factors = (Factor(g, 8, None, True), Factor(h, int(h.max()) + 1, None, False))
    return Problem(X, y, None, None, factors, (Term(0, 0, 1), Term(1, 0, 1)))


def verdict(
    theta=(0.8, 0.1, 0.6), *, crossed=False, codes=None, step=None, gain=1e-12, n_steps=3,
    hessian=None, free=None, names=("Intercept", "x"), terms=None, maps=None, T=None, error=0.0,
):  # fmt: skip
    """`judge` on a maximum that is made up."""
    data = problem(crossed, codes)
    objective = LaplaceObjective(data, get_link("logit"))
    objective.state = SimpleNamespace(factorization=SimpleNamespace(logdet_error=error))
    M = 2 + len(theta)
    maximum = Maximum(
        np.concatenate([[0.2, 0.4], theta]), np.zeros(M), -20.0,
        -50.0 * np.eye(M) if hessian is None else hessian, None,
        np.zeros(M) if step is None else np.array(step, dtype=float), gain, n_steps, True,
    )  # fmt: skip
    free = np.ones(M, dtype=bool) if free is None else np.array(free)
    terms = terms or (CROSSED if crossed else TERMS)
    maps = maps or [np.eye(len(effects)) for _, effects in terms]
    outcome = Outcome(maximum, free, objective, np.zeros(0))
    found = judge(outcome, list(names), terms, np.eye(2) if T is None else T, maps)
    objective.close()
    return found


def test_a_plain_maximum():
    found = verdict(error=0.5)
    assert found.converged and found.definite and found.message == "converged"
    assert found.singular_terms == () == found.runaway
    assert found.smallest_eigenvalue == pytest.approx(1.0)
    assert found.n_steps == 3 and found.log_likelihood_error == 0.25
    assert found.gradient_norm == pytest.approx(np.sqrt(2e-12))
    # a gain may be below zero by rounding
    assert verdict(gain=-1e-15).gradient_norm == 0.0


@pytest.mark.parametrize(
    "gain, n_steps, words",
    [(1.1e-4, 1, "stopped after 1 step with"), (0.2, 5, "stopped after 5 steps with")],
)
def test_a_gain_that_is_left(gain, n_steps, words):
    found = verdict(gain=gain, n_steps=n_steps)
    assert not found.converged and words in found.message
    assert f"{gain:.2g} in log-likelihood; raise max_iter or lower tol" in found.message
    assert verdict(gain=0.9e-4).converged
    # the long way that is left is no sign of a runaway
    far = verdict((50.0, 0.1, 0.6), gain=gain, step=[9.0, 9.0, 9.0, 0.0, 9.0])
    assert far.runaway == () and "stopped after" in far.message


def test_flat_directions_by_closed_form_and_by_differences():
    def flat(M, size):
        """Of unit diagonal, with one eigenvalue of `size`."""
        H = np.eye(M)
        H[-2, -1] = H[-1, -2] = 1.0 - size
        return -50.0 * H

    assert verdict(hessian=flat(5, 1e-9)).converged
    for found in (
        verdict(hessian=flat(5, 1e-13)),
        verdict(hessian=flat(5, -1e-3)),
        verdict((0.8, 0.7), crossed=True, hessian=flat(4, 1e-9)),
    ):
        assert not found.definite and not found.converged
        assert "flat in some direction" in found.message
        assert "simplify the random effects or use prior=" in found.message
    assert verdict((0.8, 0.7), crossed=True, hessian=flat(4, 1e-5)).converged
    # the size of a column does not matter, nor a parameter that is held
    scale = np.array([1e-6, 1e6, 1.0, 1.0, 1.0])
    assert verdict(hessian=-np.eye(5) * scale).definite
    assert verdict(hessian=flat(5, 1e-13), free=[True] * 4 + [False]).definite


def test_coefficients_that_still_move():
    found = verdict(step=[0.002, 0.1, 0.0, 0.0, 0.0])
    assert found.runaway == ("coefficient 'x'",) and not found.converged
    assert found.message.startswith("no finite estimate for coefficient 'x': the likelihood keeps")
    assert "prior=Prior(fixed_sd=2.5) keeps it finite, or leave the term out" in found.message
    assert verdict(step=[0.06, 0.1, 0.0, 0.0, 0.0]).runaway == (
        "coefficient 'Intercept'",
        "coefficient 'x'",
    )
    # short on the scale of the predictor, or of no length at all
    assert verdict(step=[0.0, 0.04, 0.0, 0.0, 0.0]).converged
    # a share of what the column's solver coordinates make of it
    T = np.array([[1.0, 30.0], [0.0, 1.0]])
    assert verdict(step=[0.0, 0.1, 0.0, 0.0, 0.0], T=T).runaway == (
        "coefficient 'Intercept'",
        "coefficient 'x'",
    )


def test_coefficients_that_nothing_holds():
    """Under cloglog steps are small on the way to infinity; the predictor's error is not."""
    loose = -np.diag([50.0, 1.0 / 250.0**2, 50.0, 50.0, 50.0])
    found = verdict(hessian=loose)
    assert found.runaway == ("coefficient 'x'",) and found.definite and not found.converged
    assert verdict(hessian=-np.diag([50.0, 1.0 / 150.0**2, 50.0, 50.0, 50.0])).converged
    # two directions that are within bounds each
    both = -np.diag([1.0 / 150.0**2, 1.0 / 150.0**2, 50.0, 50.0, 50.0])
    assert set(verdict(hessian=both).runaway) == {"coefficient 'Intercept'", "coefficient 'x'"}
    # loose for want of a variance that is known: held at zero it does not count
    tied = np.diag([50.0, 50.0, 50.0, 50.0, 1.0])
    tied[1, 4] = tied[4, 1] = np.sqrt(50.0) * (1.0 - 1e-9)
    assert verdict(hessian=-tied).runaway
    assert not verdict(hessian=-tied, free=[True] * 4 + [False]).runaway


@pytest.mark.parametrize(
    "sd, move, names",
    [
        (201.0, 0.0, ["Intercept"]),
        (199.0, 0.0, []),
        (31.0, 1.6, ["Intercept"]),
        (31.0, 1.4, []),
        (29.0, 1.6, []),
    ],
)
def test_variances_without_bound(sd, move, names):
    """From a size on they are so; from a smaller one when a Newton step still moves them."""
    found = verdict((sd, 0.1, 0.6), step=[0.0, 0.0, move, 0.0, 0.0])
    assert found.runaway == tuple(f"the variance of {name!r} in 'g'" for name in names)
    assert found.converged is (not names)
    if names:
        assert "Prior(random='wishart', scale=5) keeps it finite" in found.message
    # the same of a slope, and of the second of two factors, moved by its own step alone
    slope = verdict((0.6, 0.0, sd), step=[0.0, 0.0, 0.0, 0.0, move])
    assert slope.runaway == (("the variance of 'x' in 'g'",) if names else ())
    for at in (2, 3):
        theta, step = np.array([0.8, 0.8]), np.zeros(4)
        theta[at - 2], step[3] = sd, move
        crossed = verdict(theta, crossed=True, step=step)
        group = CROSSED[at - 2][0]
        expected = names and (at == 3 or sd > 200.0)
        assert crossed.runaway == (
            (f"the variance of 'Intercept' in {group!r}",) if expected else ()
        )


def test_a_small_variance_may_move_by_a_little():
    assert verdict((0.8, 0.1, 40.0), step=[0, 0, 0, 0, 0.04 * 40.0]).converged
    both = verdict((250.0, 0.0, 300.0), step=[0.0, 0.3, 0.0, 0.0, 0.0])
    assert len(both.runaway) == 3 and "wishart" in both.message


def test_twins():
    g = np.arange(N) // 5
    alike = np.array([3, 1, 0, 2, 7, 6, 5, 4], dtype=np.intp)[g]
    found = verdict((0.8, 0.7), crossed=True, codes=alike)
    assert not found.definite and not found.converged
    assert found.message == (
        "'g' and 'h' group the rows alike: their variances cannot be told apart; leave one of "
        "them out"
    )
    # other effects are no twins, nor is a factor of as many levels that crosses, or of fewer
    other = [("g", ("Intercept",)), ("h", ("x",))]
    assert verdict((0.8, 0.7), crossed=True, codes=alike, terms=other).converged
    assert verdict((0.8, 0.7), crossed=True).converged
    assert verdict((0.8, 0.7), crossed=True, codes=g.astype(np.intp) // 2).converged


def test_variances_at_zero_and_perfect_correlations():
    def words(theta, C=None, **more):
        found = verdict(theta, maps=None if C is None else [np.array(C)], **more)
        assert found.converged
        assert found.message == "; ".join(["converged", *found.singular_terms])
        return found.singular_terms

    assert words((0.0, 0.0, 0.6)) == ("the variance of 'Intercept' in 'g' is zero",)
    assert words((0.6, 0.0, 0.0)) == ("the variance of 'x' in 'g' is zero",)
    assert len(words((0.0, 0.0, 0.0))) == 2
    assert words((0.8, 0.4, 0.0)) == ("the correlation of 'Intercept' and 'x' in 'g' is +1",)
    assert words((0.8, -0.4, 0.0)) == ("the correlation of 'Intercept' and 'x' in 'g' is -1",)
    assert words((0.8, -0.4, 1e-5)) == ("the correlation of 'Intercept' and 'x' in 'g' is -1",)
    assert words((0.8, 0.4, 1e-3)) == ()
    # columns far from zero: a perfect correlation only where the centred ones have it
    for shift in (10.0, 1e4, 1e7):
        far = [[1.0, -shift], [0.0, 1.0]]
        assert words((0.8, 0.1, 0.6), far) == ()
        assert words((0.8, 0.4, 0.0), far) == (
            "the correlation of 'Intercept' and 'x' in 'g' is -1",
        )
        # no variance of the intercept at the mean of x
        assert words((0.0, 0.0, 0.6), far) == (
            "the correlation of 'Intercept' and 'x' in 'g' is -1",
        )
    # what rounding leaves of a mean is none
    assert words((0.0, 0.0, 0.6), [[1.0, 1e-17], [0.0, 1.0]]) == (
        "the variance of 'Intercept' in 'g' is zero",
    )


def test_three_effects_that_are_dependent():
    from sklearn_mllm.optimizer.verdict import _singular_words

    term = [("g", ("Intercept", "x", "z"))]

    def words(L, C=None):
        return _singular_words(term, [np.eye(3) if C is None else np.array(C)], [np.array(L)])

    full = [[0.8, 0.0, 0.0], [0.3, 0.5, 0.0], [0.2, -0.4, 0.6]]
    flat = [[0.8, 0.0, 0.0], [0.3, 0.5, 0.0], [0.2, -0.4, 0.0]]
    assert words(full) == []
    assert words(flat) == ["the random effects of 'g' are linearly dependent"]
    far = [[1.0, -1e6, 3e5], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    assert words(full, far) == []
    assert words(flat, far) == ["the random effects of 'g' are linearly dependent"]
    # the two that are proportional say it already
    pair = [[0.8, 0.0, 0.0], [0.3, 0.5, 0.0], [-0.6, -1.0, 0.0]]
    assert words(pair) == ["the correlation of 'x' and 'z' in 'g' is -1"]
    # an effect at zero leaves two that are as free as they are
    gone = [[0.8, 0.0, 0.0], [0.0, 0.0, 0.0], [0.2, 0.0, 0.6]]
    assert words(gone) == ["the variance of 'x' in 'g' is zero"]


def rows(n: int = 1500) -> pd.DataFrame:
    """Effects of x and z proportional to the intercepts of a, of a:b and of h."""
    generator = np.random.default_rng(2)
    x, z = generator.normal(size=(2, n))
    a, h = generator.integers(0, 12, n), generator.integers(0, 15, n)
    b = generator.integers(0, 5, n)
    of_a, of_b, of_h = (generator.normal(size=m) for m in (12, 60, 15))
    eta = 0.3 * x + of_a[a] * (1 + 0.9 * x) + of_b[5 * a + b] * (0.8 - 0.7 * x)
    eta = eta + of_h[h] * (0.7 + 0.7 * z)
    y = (generator.random(n) < 1 / (1 + np.exp(-eta))).astype(int)
    return pd.DataFrame({"x": x, "z": z, "a": a, "b": b, "h": h, "y": y})


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    "random, told",
    [
        ("(1 + x | a/b)", [("x", "a", 1), ("x", "a:b", -1)]),
        ("(1 + x | a) + (1 + z | h)", [("z", "h", 1)]),
        ("(1 + x | a/b) + (1 + z | h)", [("x", "a", 1), ("x", "a:b", -1), ("z", "h", 1)]),
    ],
)
def test_fits_name_the_term_in_nested_and_crossed_designs(random, told, sign):
    frame = rows().assign(x=lambda f: sign * f["x"], z=lambda f: sign * f["z"])
    model = MixedLogisticClassifier(f"y ~ x + z + {random}").fit(frame)
    found = model.convergence_.singular_terms
    expected = tuple(
        f"the correlation of 'Intercept' and {effect!r} in {group!r} is {sign * direction:+d}"
        for effect, group, direction in told
    )
    assert set(found) == set(expected)
    assert model.converged_ and model.is_singular_
    summary = " ".join(str(model.summary()).split())
    for words in expected:
        assert words in model.convergence_.message and words in summary


@pytest.mark.parametrize("shift", [1e4, 1e7])
def test_columns_far_from_zero_make_no_perfect_correlation(shift):
    frame = rows()
    formula = "y ~ x + (1 + x | a) + (1 | h)"
    plain = MixedLogisticClassifier(formula).fit(frame)
    shifted = MixedLogisticClassifier(formula).fit(frame.assign(x=frame["x"] + shift))
    assert shifted.is_singular_ is plain.is_singular_ is False
    assert shifted.convergence_.message == "converged"
