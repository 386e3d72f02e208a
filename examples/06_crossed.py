"""
Crossed factors
===============

316 persons answered the same 24 items on verbal aggression: persons and items are crossed, neither
lies within the other. Both get an effect.
"""

from __future__ import annotations

from time import perf_counter

import numpy as np
from _figures import save

from sklearn_mllm import (
    MixedLogisticClassifier,
    PredictedProbabilityDisplay,
    RandomEffectsDisplay,
    compare_models,
    icc,
    r2,
)
from sklearn_mllm.datasets import load_verbagg

answers = load_verbagg().frame
FORMULA = "r2 ~ Anger + Gender + btype + situ + (1 | id) + (1 | item)"

start = perf_counter()
model = MixedLogisticClassifier(FORMULA).fit(answers)
seconds = perf_counter() - start
print(model.summary())
print(f"\nfitted {len(answers)} rows in {seconds:.2f} s")

# %%
# Persons differ more than items do, once the kind of item is known.
print(icc(model).round(3))
print(r2(model))

# %%
# What is left of the items after behaviour and situation: those that ask what one *wants* to do stand
# at the top, those that ask what one *does* at the bottom. The model lacks the mode.
save(RandomEffectsDisplay.from_estimator(model, group="item").figure_, "06_items")

# %%
# With it, half of the variance between items is gone.
answers["mode"] = np.where(answers["item"].str.contains("Do"), "do", "want")
fuller = MixedLogisticClassifier(FORMULA.replace("situ", "situ + mode")).fit(answers)
print(compare_models(model, fuller)[["aic", "chi2", "df", "p_value"]].to_string(index=False))
for m, name in ((model, "without mode"), (fuller, "with mode")):
    variance = m.variance_components_.set_index("group")["variance"].round(3).to_dict()
    print(f"variances {name}: {variance}")

# %%
# Trait anger, behaviour and situation, averaged over persons and items, as the points are.
display = PredictedProbabilityDisplay.from_estimator(
    model, answers, "Anger", by="btype", panel="situ", prediction="marginal", raw=True
)
save(display.figure_, "06_anger")

# %%
# A new person with known items: the person's effect is averaged over, the items' are kept.
new = answers[answers["id"] == answers["id"].iloc[0]].assign(id=10_000)
bands = fuller.predict_interval(new)
print(new[["item"]].join(bands.round(3)).head(6).to_string(index=False))
