"""
Regression and poststratification
=================================

A survey of few women, towns oversampled, is to say how many women in each district use
contraception. Direct proportions per district rest on a handful of women. A multilevel model on the
sample, weighted to the known make-up of the population, borrows strength between districts.

The population here is made: each of 1,934 women stands for many like her, who use contraception
with a known probability, so that the truth is known.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from _figures import save

from sklearn_mllm import MixedLogisticClassifier, poststratify
from sklearn_mllm.datasets import load_contraception

FORMULA = "use ~ age*ch + I(age^2) + urban + (1 | urban:district)"
women = load_contraception().frame
generator = np.random.RandomState(0)
probability = MixedLogisticClassifier(FORMULA).fit(women).predict_proba(women)[:, 1]
truth = pd.Series(probability).groupby(women["district"].to_numpy()).mean()

# %%
# The survey: 800 women, those in towns four times as likely to be asked.
chance = np.where(women["urban"] == "Y", 4.0, 1.0)
asked = generator.choice(len(women), 800, p=chance / chance.sum())
answers = np.where(generator.uniform(size=800) < probability[asked], "Y", "N")
sample = women.iloc[asked].assign(use=answers).reset_index(drop=True)
in_towns = 100 * (women["urban"] == "Y").mean(), 100 * (sample["urban"] == "Y").mean()
print("living in towns: population {:.0f} %, sample {:.0f} %".format(*in_towns))

# %%
# Model and cells
# ---------------
# Cells of the population: district, town, living children, age, with counts.
names = ["district", "urban", "ch", "age"]
cells = women.groupby(names, observed=True).size().rename("count").reset_index()
model = MixedLogisticClassifier(FORMULA).fit(sample)
print(
    f"{len(cells)} cells; sd between districts {model.variance_components_['std_dev'].item():.2f}"
)

# %%
# The whole population
# --------------------
print(poststratify(model, cells, "count").round(3))
print(f"sample as it is {(sample['use'] == 'Y').mean():.3f}, truth {probability.mean():.3f}")

# %%
# Each district
# -------------
estimate = poststratify(model, cells, "count", by="district")
direct = (sample["use"] == "Y").groupby(sample["district"]).mean().reindex(truth.index)
table = estimate[["estimate", "conf_low", "conf_high"]].assign(direct=direct, truth=truth)
print(table.head(10).round(3))
known = table.dropna()


def miss(column):
    return np.sqrt(((known[column] - known["truth"]) ** 2).mean())


covered = ((table["conf_low"] <= table["truth"]) & (table["truth"] <= table["conf_high"])).mean()
print(f"root mean squared error: direct {miss('direct'):.3f}, model {miss('estimate'):.3f}")
print(f"districts whose 95% interval holds the truth: {100 * covered:.0f} %")
print(f"districts with nobody in the sample: {table['direct'].isna().sum()}")

# %%
# Over many such surveys the intervals hold the truth for some 91 % of the districts, not 95: the
# variance between districts is itself an estimate, and where it comes out too small, so do they.
order = table.sort_values("truth")
place = np.arange(len(order))
figure, ax = plt.subplots(figsize=(8, 4), layout="constrained")
ax.vlines(place, order["conf_low"], order["conf_high"], color="#0072B2", alpha=0.3)
ax.plot(place, order["estimate"], "o", color="#0072B2", markersize=4, label="model, poststratified")
ax.plot(place, order["direct"], "x", color="#D55E00", markersize=5, label="direct, from the sample")
ax.plot(place, order["truth"], "_", color="k", markersize=8, label="truth")
ax.set(
    xlabel="district, by truth", ylabel="share using contraception", xticks=[], ylim=(-0.02, 1.02)
)
ax.legend(frameon=False, loc="upper left")
ax.spines[["top", "right"]].set_visible(False)
save(figure, "07_mrp")
