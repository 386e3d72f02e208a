"""Population-weighted probabilities against cells by hand and a simulation of the posterior."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone

from sklearn_mllm import MixedLogisticClassifier, poststratify
from sklearn_mllm.datasets import load_contraception


@pytest.fixture(scope="module")
def fitted():
    women = load_contraception().frame
    model = MixedLogisticClassifier("use ~ urban + ch + (1 | district)").fit(women)
    cells = women.groupby(["district", "urban", "ch"], observed=True).size()
    return model, cells.rename("count").reset_index()


def test_estimates_are_weighted_means(fitted):
    model, cells = fitted
    p = model.predict_proba(cells)[:, 1]
    table = poststratify(model, cells, "count", by=["urban", "ch"])
    for (urban, ch), row in table.iterrows():
        rows = (cells["urban"] == urban) & (cells["ch"] == ch)
        assert row["estimate"] == pytest.approx(np.average(p[rows], weights=cells["count"][rows]))
    whole = poststratify(model, cells, cells["count"])
    assert whole["estimate"].iloc[0] == pytest.approx(np.average(p, weights=cells["count"]))
    assert table["weight"].sum() == pytest.approx(1.0)
    assert (
        (table["conf_low"] < table["estimate"]) & (table["estimate"] < table["conf_high"])
    ).all()


def test_standard_errors_against_draws(fitted):
    model, cells = fitted
    result = model.result_
    factor = result.factors[0]
    generator = np.random.default_rng(0)
    xi = generator.normal(size=(4000, 4))
    phi = xi @ result.joint_root.T
    J = factor.modes.shape[0]
    sd = np.sqrt(factor.conditional_covariance[:, 0, 0])
    b = factor.modes[:, 0] + xi @ factor.tangent[:, 0].T + sd * generator.normal(size=(4000, J))
    X = np.column_stack([np.ones(len(cells)), cells["urban"] == "Y", cells["ch"] == "Y"]).astype(
        float
    )
    place = np.searchsorted(np.array(factor.levels, dtype=int), cells["district"])
    eta = (result.fixed + phi[:, :3]) @ X.T + b[:, place]
    draws = 1 / (1 + np.exp(-eta))
    table = poststratify(model, cells, "count", by="urban")
    for urban, row in table.iterrows():
        rows = (cells["urban"] == urban).to_numpy()
        w = cells["count"].to_numpy()[rows]
        assert row["std_error"] == pytest.approx((draws[:, rows] @ w / w.sum()).std(), rel=0.06)


def test_new_levels_widen_the_interval(fitted):
    model, cells = fitted
    known = poststratify(model, cells[cells["district"] == 1], "count")
    new = poststratify(model, cells[cells["district"] == 1].assign(district=999), "count")
    assert new["std_error"].iloc[0] > known["std_error"].iloc[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"weights": "size"}, "'size'"),
        ({"weights": [1.0, 2.0]}, "one value"),
        ({"weights": "count", "by": "region"}, "'region'"),
        ({"weights": "count", "level": 2}, "level"),
    ],
)
def test_bad_input(fitted, arguments, words):
    model, cells = fitted
    with pytest.raises(ValueError, match=words):
        poststratify(model, cells, **arguments)


def test_no_cell_is_left_out(fitted):
    """A missing value is an error, also for a model that drops such rows: shares would change."""
    model, cells = fitted
    dropping = clone(model).set_params(missing="drop").fit(load_contraception().frame)
    holes = cells.assign(ch=cells["ch"].astype(object).where(cells.index > 2))
    for one in (model, dropping):
        with pytest.raises(ValueError, match=r"'ch' \(3\); every cell counts"):
            poststratify(one, holes, "count")
