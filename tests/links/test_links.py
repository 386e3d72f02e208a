"""Links against 100 digits, finite differences, each other, and the ends of the doubles."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from mpmath_links import exact

from sklearn_mllm.links import LINKS, Link, get_link

POSITIVE = [1e-300, 1e-8, 1e-4, 0.01, 0.1, 0.5, 0.9, 1.5, 2.3, 3.0, 3.7, 3.99, 4.01, 4.6, 5.0, 7.0]
POSITIVE += [8.3, 12.0, 20.0, 29.0, 31.0, 36.0, 37.5, 38.5, 40.0, 100.0, 300.0, 690.0, 700.0]
GRID = np.array([-t for t in reversed(POSITIVE)] + [0.0, *POSITIVE])
TINY = 1e-290  # below it the doubles themselves lose digits

links = pytest.mark.parametrize("name", list(LINKS))


@pytest.fixture(autouse=True)
def _strict_arithmetic():
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        yield


def relative_error(values, reference, scale=0.0):
    return np.array(
        [
            float(abs(mp.mpf(float(v)) - r) / max(abs(r), mp.mpf(float(scale)), mp.mpf(TINY)))
            for v, r in zip(values, reference, strict=True)
        ]
    )


@links
@pytest.mark.parametrize("successes", [0.0, 1.0])
def test_derivatives_against_mpmath(name, successes):
    link = get_link(name)
    values = link.derivatives(GRID, np.full(GRID.shape, successes), None, 4)
    reference = [exact(name, t)[0 if successes else 1] for t in GRID]
    # W1 and W2 change sign: near a zero, relative to the greatest size that the terms have there
    tolerance = [1e-13, 1e-13, 1e-12, 2e-12, 1e-11]
    for d in range(5):
        sign = 1 if d < 2 else -1
        column = [sign * row[d] for row in reference]
        scale = 1e-4 if name == "logit" and d == 3 else 0.0
        scales = np.where(np.abs(GRID) < 0.1, scale, 0.0)
        error = np.array(
            [
                relative_error([v], [r], s)[0]
                for v, r, s in zip(values[d], column, scales, strict=True)
            ]
        )
        worst = np.argmax(error)
        assert error[worst] < tolerance[d], (d, GRID[worst])


@links
def test_counts_are_sums_of_successes_and_failures(name):
    link = get_link(name)
    eta = np.linspace(-6.0, 6.0, 41)
    k, m = np.arange(41) % 4 * 1.5, np.full(41, 4.5)
    one = link.derivatives(eta, np.ones(41), None, 4)
    zero = link.derivatives(eta, np.zeros(41), None, 4)
    for value, a, b in zip(link.derivatives(eta, k, m, 4), one, zero, strict=True):
        terms = np.abs(k * a) + np.abs((m - k) * b)
        assert np.all(np.abs(value - k * a - (m - k) * b) <= 1e-14 * terms)


@links
def test_derivatives_against_differences(name):
    link = get_link(name)
    eta, h = np.linspace(-5.0, 3.0, 33), 1e-4
    k, m = np.linspace(0.0, 2.0, 33), np.full(33, 2.0)
    ahead, behind = (link.derivatives(eta + d, k, m, 4) for d in (h, -h))
    values = link.derivatives(eta, k, m, 4)
    for d in range(4):
        slope = (ahead[d] - behind[d]) / (2.0 * h)
        wanted = -values[d + 1] if d == 1 else values[d + 1]
        assert slope == pytest.approx(wanted, rel=1e-6, abs=1e-6 * np.abs(values[d + 1]).max())


@links
@pytest.mark.parametrize("n", [0, 1, 511, 4096, 9000, 20_001])
@pytest.mark.parametrize("response", ["binary", "fractions", "counts"])
def test_accumulate_and_total_are_the_same_as_derivatives(name, n, response):
    link = get_link(name)
    rng = np.random.default_rng(n)
    eta = rng.normal(0.0, 2.0, n)
    m = rng.integers(1, 9, n).astype(float) if response == "counts" else None
    k = rng.random(n) if response == "fractions" else rng.integers(0, 2, n).astype(float)
    values = link.derivatives(eta, k, m, 4)
    for order in range(5):
        out = [np.full(n, np.nan) for _ in range(order)]
        total = link.accumulate(eta, k, m, out)
        assert isinstance(total, float)
        assert total == pytest.approx(values[0].sum(), rel=1e-13)
        for a, b in zip(out, values[1:], strict=False):
            # W1 changes sign where p = 1/2: there its digits are those of p
            np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-16)
        shorter = link.derivatives(eta, k, m, order)
        assert [v.shape for v in shorter] == [(n,)] * (order + 1)
        np.testing.assert_array_equal(shorter, values[: order + 1])
    assert link.total(eta, k, m) == pytest.approx(values[0].sum(), rel=1e-13)


@links
@pytest.mark.parametrize("trials", [None, 3.0, np.full((7, 1), 3.0)])
def test_derivatives_broadcast(name, trials):
    link = get_link(name)
    eta, k = np.linspace(-2.0, 2.0, 5), np.array([[0.0], [1.0]] * 3 + [[0.5]])
    flat = [np.ravel(a) for a in np.broadcast_arrays(eta, k, 3.0)]
    expected = link.derivatives(flat[0], flat[1], None if trials is None else flat[2], 4)
    for value, wanted in zip(link.derivatives(eta, k, trials, 4), expected, strict=True):
        assert value.shape == (7, 5)
        np.testing.assert_array_equal(value.ravel(), wanted)
    one = link.derivatives(eta, 1.0, trials if trials is None else 3.0, 2)
    assert [v.shape for v in one] == [(5,)] * 3


def test_total_of_separated_rows_keeps_its_digits():
    eta = np.where(np.arange(20_000) % 2, 30.0, -30.0)
    total = get_link("logit").total(eta, (eta > 0.0).astype(float), None)
    assert total == pytest.approx(-20_000 * np.log1p(np.exp(-30.0)), rel=1e-2)
    assert get_link("logit").total(eta, (eta < 0.0).astype(float), None) == pytest.approx(-6e5)


@links
@pytest.mark.parametrize("counts", [(0.0, None), (1.0, None), (0.25, None), (3.0, 5.0), (5.0, 5.0)])
def test_finite_at_every_finite_predictor(name, counts):
    link = get_link(name)
    ends = np.array([700.0, 708.0, 710.0, 746.0, 1e4, 1e10, 1e77, 1e103, 1e154, 1e160, 1e300])
    eta = np.concatenate([-ends, [-5e-324, 0.0, 5e-324], ends])
    k = np.full(eta.shape, counts[0])
    m = None if counts[1] is None else np.full(eta.shape, counts[1])
    for values in link.derivatives(eta, k, m, 4):
        assert np.isfinite(values).all()
    assert np.isfinite(link.total(eta, k, m))
    for values in (link.inverse(eta), link.complement(eta), link.density(eta)):
        assert np.isfinite(values).all()
        assert (values >= 0.0).all()


@links
def test_probability_and_complement_against_mpmath(name):
    link = get_link(name)
    one, zero = link.log_probabilities(GRID)
    for values, logs, side in ((link.inverse(GRID), one, 0), (link.complement(GRID), zero, 1)):
        reference = [exact(name, t)[side][0] for t in GRID]
        assert relative_error(logs, reference).max() < 1e-13
        assert relative_error(values, [mp.exp(r) for r in reference]).max() < 2e-12
    assert link.inverse(GRID) + link.complement(GRID) == pytest.approx(1.0, rel=1e-15)


@links
def test_density_is_the_slope_of_the_probability(name):
    link = get_link(name)
    reference = [mp.exp(lp) * d for (lp, d, *_), _ in (exact(name, t) for t in GRID)]
    assert relative_error(link.density(GRID), reference).max() < 2e-12


@links
def test_link_undoes_the_inverse(name):
    link = get_link(name)
    p = np.array([1e-300, 1e-10, 0.1, 0.5, 0.7, 1.0 - 1e-9])
    assert link.inverse(link.link(p)) == pytest.approx(p, rel=1e-12)
    assert list(link.link(np.array([0.0, 1.0]))) == [-np.inf, np.inf]
    assert float(link.inverse(link.link(0.3))) == pytest.approx(0.3)


@pytest.mark.parametrize("name", ["logit", "probit", "cloglog"])
def test_log_concave(name):
    for successes in (0.0, 1.0):
        k = np.full(GRID.shape, successes)
        assert (get_link(name).derivatives(GRID, k, None, 2)[2] >= 0.0).all()


def test_cauchit_is_not_log_concave():
    W = get_link("cauchit").derivatives(np.array([-5.0, 5.0]), np.ones(2), None, 2)[2]
    assert W[0] < 0.0 < W[1]


def test_latent_variances():
    variances = [get_link(name).latent_variance for name in ("logit", "probit", "cloglog")]
    assert variances == pytest.approx([np.pi**2 / 3, 1.0, np.pi**2 / 6])
    assert get_link("cauchit").latent_variance is None


def test_registry():
    for name in LINKS:
        assert isinstance(get_link(name), Link)
        assert get_link(name).name == name
    with pytest.raises(ValueError, match=r"'log' is not one of 'logit', 'probit', 'cloglog'"):
        get_link("log")
