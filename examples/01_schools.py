"""
Schools: from gradient ascent to a multilevel model
===================================================

Pupils pass or fail; schools differ. A few lines of NumPy climb the likelihood of a logistic
regression with one effect per school. That is not a multilevel model yet: nothing tells the
effects apart from noise, so nothing shrinks, and no variance between schools comes out. The
estimator does both in one call.
"""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from _figures import save

from sklearn_mllm import MixedLogisticClassifier, icc
from sklearn_mllm.datasets import make_schools

# %%
# The data: 10 schools of 50 pupils.
schools = make_schools(random_state=3)
frame, truth = schools.frame, schools.coefficients
print(frame.groupby("school").agg(funding=("funding", "first"), passed=("passed", "mean")).round(2))

# %%
# From scratch
# ------------
# The log-likelihood of logistic regression has the gradient X'(y - p). One column of X per school
# holds the school's effect; 100 steps uphill, of 0.001 times the mean gradient, from the true
# coefficients and effects of zero. (With the sum in place of the mean the same rate overshoots: the
# column of funding is near 100.)
X = np.column_stack([np.ones(len(frame)), frame["experience"], frame["funding"]])
school = frame["school"].to_numpy() - 1
y = frame["passed"].to_numpy()


def log_likelihood(beta, effects):
    eta = X @ beta + effects[school]
    return np.sum(y * eta - np.logaddexp(0.0, eta))


beta = np.array([truth["Intercept"], truth["experience"], truth["funding"]])
effects = np.zeros(10)
path = [log_likelihood(beta, effects)]
for _ in range(100):
    p = 1.0 / (1.0 + np.exp(-(X @ beta + effects[school])))
    residual = y - p
    beta = beta + 0.001 * X.T @ residual / len(y)
    effects = effects + 0.001 * np.bincount(school, weights=residual) / len(y)
    path.append(log_likelihood(beta, effects))

print(f"\nlog-likelihood: {path[0]:.2f} at the start, {path[-1]:.2f} after 100 steps")
print("coefficients after 100 steps:", beta.round(4))
print("school effects after 100 steps:", effects.round(4))

# %%
# The effects have hardly moved: the steps must be tiny because funding is near 100 while the
# effects are near 1. A scaled Newton step gets there, and shows what the climb was heading for: the
# separate estimate of each school. Funding is the same for all pupils of a school, so that it
# cannot be told from the schools' effects, and stays as it was.
apart = effects.copy()
for _ in range(25):
    p = 1.0 / (1.0 + np.exp(-(X @ beta + apart[school])))
    weight = np.bincount(school, weights=p * (1.0 - p))
    apart = apart + np.bincount(school, weights=y - p) / weight
top = log_likelihood(beta, apart)
print(f"log-likelihood with each school's own effect: {top:.2f}")

# %%
# In one call
# -----------
# The multilevel model adds the sentence that the effects come from one normal distribution, whose
# variance is estimated. Each school is then drawn towards the others, the more the less it tells.
model = MixedLogisticClassifier("passed ~ experience + funding + (1 | school)").fit(frame)
table = model.fixed_effects_[["estimate", "std_error", "conf_low", "conf_high"]]
print("\n", table.assign(truth=pd.Series(truth)).round(3), sep="")
sd = model.variance_components_["std_dev"].item()
print(f"\nstandard deviation between schools: {sd:.2f} (truth 1)")
print(
    f"share of the latent variance between schools (ICC): {icc(model).loc['all', 'adjusted']:.2f}"
)

line = model.fixed_effects_["estimate"].to_numpy()
offset = (X @ beta - X @ line).reshape(10, 50).mean(axis=1)
modes = model.random_effects_["estimate"].to_numpy()
apart = apart + offset
compare = pd.DataFrame(
    {
        "truth": schools.school_effects,
        "separate": apart,
        "multilevel": modes,
    },
    index=pd.Index(range(1, 11), name="school"),
)
print("\nEffects of the schools:")
print(compare.round(2))
print(
    f"spread (sd): separate {apart.std():.2f}, multilevel {modes.std():.2f}: "
    "the multilevel effects are shrunk"
)

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
axes[0].plot(path, color="#0072B2")
axes[0].axhline(top, color="0.4", linestyle="--", linewidth=1)
axes[0].text(100, top, "each school's own effect", ha="right", va="bottom", color="0.3")
axes[0].set(xlabel="step", ylabel="log-likelihood")
axes[0].set_title("Gradient ascent is far from the top", loc="left")
axes[0].margins(y=0.1)
place = np.arange(10)
axes[1].axhline(0, color="0.6", linewidth=0.8)
axes[1].plot(place + 1, compare["truth"], "_", color="k", markersize=14, label="truth")
axes[1].plot(place + 1, compare["separate"], "o", color="#D55E00", label="separate")
axes[1].plot(place + 1, compare["multilevel"], "o", color="#0072B2", label="multilevel")
axes[1].set(xlabel="school", ylabel="effect of the school (log-odds)", xticks=place + 1)
axes[1].set_title("Multilevel effects shrink", loc="left")
axes[1].legend(frameon=False)
for ax in axes:
    ax.spines[["top", "right"]].set_visible(False)
save(figure, "01_schools")
