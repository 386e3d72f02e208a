"""
Crossed factors
===============

316 persons answered the same 24 items on verbal aggression: persons and items are crossed, neither
lies within the other. Both get an effect.
"""

from __future__ import annotations

from time import perf_counter

from _figures import save

from sklearn_mllm import (
    MixedLogisticClassifier,
    PredictedProbabilityDisplay,
    RandomEffectsDisplay,
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
# The items, hardest at the bottom: what is left after behaviour and situation.
save(RandomEffectsDisplay.from_estimator(model, group="item").figure_, "06_items")

# %%
# Trait anger, behaviour and situation.
display = PredictedProbabilityDisplay.from_estimator(
    model, answers, "Anger", by="btype", panel="situ", raw=True
)
save(display.figure_, "06_anger")

# %%
# A new person with known items: the person's effect is averaged over, the items' are kept.
new = answers[answers["id"] == answers["id"].iloc[0]].assign(id=10_000)
bands = model.predict_interval(new)
print(new[["item"]].join(bands.round(3)).head(6).to_string(index=False))
