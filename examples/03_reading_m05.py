"""
Reading a model
===============

Summary, explained variance, standardised coefficients, a typical district, predicted
probabilities, the districts themselves, and checks of the fit.
"""

from __future__ import annotations

import pandas as pd
from _figures import save

from sklearn_mllm import (
    MixedLogisticClassifier,
    PredictedProbabilityDisplay,
    RandomEffectsDisplay,
    ResidualDisplay,
    confidence_intervals,
    icc,
    r2,
    report,
    standardized_effects,
)
from sklearn_mllm.datasets import load_contraception

women = load_contraception().frame
model = MixedLogisticClassifier("use ~ age*ch + I(age^2) + urban + (1 | urban:district)").fit(women)
print(model.summary())

# %%
# In sentences
# ------------
print(report(model, women))

# %%
# How much is explained
# ---------------------
share = r2(model)
print(f"\nfixed effects alone {share.marginal:.2f}, with districts {share.conditional:.2f}")
print(icc(model).round(3))

# %%
# Standardised coefficients
# -------------------------
# From a refit to numbers of mean 0 and standard deviation 1; factors stay as they are.
columns = ["estimate", "conf_low", "conf_high"]
print(standardized_effects(model, women)[columns].round(2))

# %%
# Intervals
# ---------
# Wald intervals take the likelihood for quadratic; profiles do not.
for method in ("wald", "profile"):
    print(f"\n{method}")
    print(confidence_intervals(model, women, method=method).round(4))

# %%
# A typical district
# ------------------
# Random effect zero. The first row: a childless woman of mean age in the country.
typical = MixedLogisticClassifier(model.formula, prediction="typical").fit(women)
scenarios = pd.DataFrame(
    [
        {"age": 0.0, "ch": "N", "urban": "N"},
        {"age": 0.0, "ch": "N", "urban": "Y"},
        {"age": 0.0, "ch": "Y", "urban": "N"},
        {"age": 0.0, "ch": "Y", "urban": "Y"},
        {"age": 15.0, "ch": "Y", "urban": "N"},
        {"age": -10.0, "ch": "N", "urban": "Y"},
    ]
)
log_odds = typical.decision_function(scenarios)
shown = scenarios.assign(log_odds=log_odds).join(typical.predict_interval(scenarios))
print(shown.round(4).to_string())

# %%
# Over age, for a typical district and averaged over districts; points are observed proportions.
for kind in ("typical", "marginal"):
    display = PredictedProbabilityDisplay.from_estimator(
        model, women, "age", by="ch", panel="urban", prediction=kind, raw=True
    )
    save(display.figure_, f"03_predicted_{kind}")

# %%
# The districts
# -------------
save(RandomEffectsDisplay.from_estimator(model).figure_, "03_districts")

# %%
# Does the model fit?
# -------------------
# Simulated from the model, counts of users per district look like those observed.
display = ResidualDisplay.from_estimator(model, women, by=["urban", "district"])
print(f"dispersion {display.dispersion:.2f}, p = {display.dispersion_p_value:.2f}")
save(display.figure_, "03_residuals")
