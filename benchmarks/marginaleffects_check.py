"""The real marginaleffects package on a fitted model, against this package's own marginal effects.

pip install "marginaleffects>=0.6" "polars>=1.40,<2" (GPL-3.0-or-later; brings jax), then
python benchmarks/marginaleffects_check.py

Version 0.6.0 cannot take factors with polars 2, which lacks a function that it calls.
"""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
from marginaleffects import avg_comparisons, avg_predictions, avg_slopes, hypotheses, predictions

from sklearn_mllm import MixedLogisticClassifier, marginal_effects, marginaleffects_model
from sklearn_mllm.datasets import load_contraception

FORMULA = "use ~ age*ch + I(age^2) + urban + (1 | urban:district)"


def far(found, expected) -> float:
    """Largest relative difference."""
    found, expected = np.asarray(found, dtype=float), np.asarray(expected, dtype=float)
    return float(np.max(np.abs(found - expected) / np.abs(expected)))


def main() -> None:
    women = load_contraception().frame
    model = MixedLogisticClassifier(FORMULA, prediction="typical").fit(women)
    print(", ".join(f"{name} {version(name)}" for name in ("marginaleffects", "polars")))
    print("largest relative difference (estimate, standard error):")
    V = model.covariance_.to_numpy()
    for prediction in ("typical", "marginal"):
        adapter = marginaleffects_model(model, women, prediction=prediction)
        ours = marginal_effects(model, women, prediction=prediction)
        theirs = avg_slopes(adapter, eps_vcov=1e-6)  # its default step loses digits
        labels = [
            term if contrast == "dY/dX" else f"{term}[{contrast}]"
            for term, contrast in zip(theirs["term"], theirs["contrast"], strict=True)
        ]
        ours = ours.loc[labels]
        report(f"avg_slopes, {prediction}", theirs, ours["estimate"], ours["std_error"], 1e-4)
        factors = avg_comparisons(adapter, variables=["ch", "urban"])
        ours = ours.loc[["ch[Y - N]", "urban[Y - N]"]]
        report(f"avg_comparisons, {prediction}", factors, ours["estimate"], ours["std_error"], 1e-5)

    adapter = marginaleffects_model(model, women)
    p = model.predict_proba(women)[:, 1]
    X = adapter.get_exog(women)[:, :-1]
    gradient = (p * (1.0 - p))[:, None] * X
    report("predictions", predictions(adapter), p, error_of(gradient, V), 1e-5)
    table = avg_predictions(adapter, by="urban")
    groups = [(women["urban"] == level).to_numpy() for level in table["urban"]]
    means = [p[rows].mean() for rows in groups]
    slopes = np.array([gradient[rows].mean(axis=0) for rows in groups])
    report("avg_predictions by urban", table, means, error_of(slopes, V), 1e-5)
    fixed = model.fixed_effects_
    report("hypotheses", hypotheses(adapter), fixed["estimate"], fixed["std_error"], 1e-5)


def error_of(J: np.ndarray, V: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("ra,ab,rb->r", J, V, J))


def report(name: str, table, estimate, error, tolerance: float) -> None:
    """Print how far the package's table is from what it should be; stop if it is too far."""
    apart = far(table["estimate"], estimate), far(table["std_error"], error)
    print(f"  {name}: {apart[0]:.1e}, {apart[1]:.1e}")
    if max(apart) > tolerance:
        raise SystemExit(f"{name}: further apart than {tolerance:g}")


if __name__ == "__main__":
    main()
