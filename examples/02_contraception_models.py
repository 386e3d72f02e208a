"""
Contraception: from the data to a model
=======================================

1,934 women in 60 districts of Bangladesh. First a look at the data, then the models m_00 to m_05,
each an answer to what the one before left open.
"""

from __future__ import annotations

import pandas as pd
from _figures import save

from sklearn_mllm import (
    MixedLogisticClassifier,
    SmoothedProportionDisplay,
    compare_models,
    icc,
    r2,
)
from sklearn_mllm.datasets import load_contraception

women = load_contraception().frame

# %%
# The data
# --------
# Points are women, curves their smoothed proportion. Use rises with age and falls again: a straight
# line will not do. And it is not the number of living children that matters, but whether there is
# one.
for by in ("livch", "ch"):
    display = SmoothedProportionDisplay.from_data(women, "use", "age", by=by, panel="urban")
    for ax, place in zip(display.ax_, ("rural", "urban"), strict=True):
        ax.set_title(place, loc="left")
        ax.set_xlabel("age (centred, years)")
    display.ax_[0].set_ylabel("share using contraception")
    display.figure_.legends[0].set_title("living children" if by == "livch" else "living child")
    save(display.figure_, f"02_use_by_{by}")

# %%
# The models
# ----------
formulas = {
    "m_00": "use ~ age + urban + livch",
    "m_01": "use ~ 1 + age + urban + livch + (1 | district)",
    "m_02": "use ~ 1 + age + I(age^2) + urban + livch + (1 | district)",
    "m_03": "use ~ 1 + age + I(age^2) + urban + ch + (1 | district)",
    "m_04": "use ~ age*ch + I(age^2) + urban + (1 | district)",
    "m_05": "use ~ age*ch + I(age^2) + urban + (1 | urban:district)",
}
models = {name: MixedLogisticClassifier(text).fit(women) for name, text in formulas.items()}
rows = {
    name: {
        "AIC": m.aic_,
        "BIC": m.bic_,
        "logLik": m.log_likelihood_,
        "parameters": m.df_model_,
        "variance": m.variance_components_["variance"].sum(),
        "converged": m.converged_,
    }
    for name, m in models.items()
}
print(pd.DataFrame.from_dict(rows, orient="index").round(4))

# %%
# Without districts: a plain logistic regression, with its deviances.
print(models["m_00"].summary())

# %%
# With districts.
print(models["m_01"].summary())

# %%
# A curve over age, and any living child in place of their number (m_03); R warns at this one that it
# is nearly unidentifiable, since age^2 and the other columns differ in scale. Then the effect of age
# may depend on children (m_04).
for name in ("m_03", "m_04"):
    print(f"\n{name}: {formulas[name]}")
    print(models[name].fixed_effects_[["estimate", "std_error", "z"]].round(6))
share = r2(models["m_04"])
print(
    f"\nm_04: sd {models['m_04'].variance_components_['std_dev'].item():.2f}, "
    f"R2 fixed {share.marginal:.2f}, total {share.conditional:.2f}, "
    f"ICC {icc(models['m_04']).loc['all', 'adjusted']:.2f}"
)

# %%
# Likelihood-ratio tests. A curve over age (m_02) is better than a line; its effect may depend on
# children (m_04).
for small, large in (("m_01", "m_02"), ("m_03", "m_04")):
    print(f"\n{small} against {large}")
    table = compare_models(**{name: models[name] for name in (small, large)})
    print(table[["aic", "log_likelihood", "chi2", "df", "p_value"]].to_string(na_rep=""))

# %%
# m_05 lets town and country of a district differ: as many parameters, a higher likelihood. R says of
# it that it failed to converge; it is a fine model, and no warning is raised here.
best = models["m_05"]
print(f"\nm_04 AIC {models['m_04'].aic_:.2f}, m_05 AIC {best.aic_:.2f}")
print(best.convergence_.message)

# %%
# Other links
# -----------
# The logit is not the only way from a probability to a line. The probit does as well here; the others
# fall behind.
for link in ("logit", "probit", "cloglog", "cauchit"):
    m = MixedLogisticClassifier(formulas["m_05"], link=link).fit(women)
    print(f"m_05, {link:8s} AIC {m.aic_:.2f}")
