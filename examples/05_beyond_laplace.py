"""
Beyond Laplace
==============

With few rows per group and large differences between groups, Laplace's approximation of the
likelihood is poor. The toenail trial is the classic case: about six visits per patient. Adaptive
Gauss-Hermite quadrature (`n_agq`) goes as far as needed.
"""

from __future__ import annotations

from time import perf_counter

import matplotlib.pyplot as plt
import pandas as pd
from _figures import save

from sklearn_mllm import MixedLogisticClassifier
from sklearn_mllm.datasets import load_toenail

nails = load_toenail().frame
print(f"{len(nails)} visits of {nails['patientID'].nunique()} patients")

# %%
rows = {}
for n_agq in (0, 1, 2, 3, 5, 7, 9, 15, 25, 50):
    start = perf_counter()
    model = MixedLogisticClassifier(
        "outcome ~ treatment * time + (1 | patientID)", n_agq=n_agq
    ).fit(nails)
    beta = model.fixed_effects_["estimate"]
    rows[n_agq] = {
        "logLik": model.log_likelihood_,
        "sd": model.variance_components_["std_dev"].item(),
        "time": beta["time"],
        "treatment:time": beta.iloc[-1],
        "seconds": perf_counter() - start,
    }
table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("n_agq")
print(table.round(4))

# %%
# One point (Laplace) overstates the differences between patients, few points jump about; from 25
# points on nothing changes.
figure, ax = plt.subplots(figsize=(5, 3.4), layout="constrained")
ax.plot(table.index[1:], table["sd"].iloc[1:], "o-", color="#0072B2")
ax.axhline(table["sd"].iloc[-1], color="0.6", linestyle="--", linewidth=1)
ax.annotate(
    "Laplace", (1, table.loc[1, "sd"]), xytext=(8, 0), textcoords="offset points", va="center"
)
ax.set(xscale="log", xlabel="quadrature points", ylabel="sd between patients (log-odds)")
points = [1, 2, 3, 5, 7, 9, 15, 25, 50]
ax.set_xticks(points, [str(k) for k in points])
ax.minorticks_off()
ax.spines[["top", "right"]].set_visible(False)
save(figure, "05_quadrature")

# %%
# What it means for patients: the probability for a typical patient and the one averaged over
# patients are far apart when patients differ so much.
model = MixedLogisticClassifier("outcome ~ treatment * time + (1 | patientID)", n_agq=25)
model.fit(nails)
at = pd.DataFrame(
    {"treatment": "itraconazole", "time": [0.0, 3.0, 12.0], "patientID": "someone new"}
)
shown = {}
for kind in ("typical", "marginal"):
    p = model.set_params(prediction=kind).predict_interval(at)
    shown[kind] = p["probability"].to_numpy()
print(pd.DataFrame(shown, index=pd.Index(at["time"])).round(3))
first = nails[(nails["treatment"] == "itraconazole") & (nails["visit"] == 1)]
print(f"observed at the first visit: {(first['outcome'] == 'severe').mean():.3f}")
