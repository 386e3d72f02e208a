"""Bias and coverage of 95% Wald intervals over simulated data sets with known parameters.

python benchmarks/coverage.py [--count 500]
"""

from __future__ import annotations

import argparse
import warnings
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from sklearn_mllm import MixedLogisticClassifier

TRUTH = {"Intercept": -0.4, "x": 0.6, "w": -0.5}
DESIGNS = {
    "random intercept, 60 groups of 30": ("y ~ x + w + (1 | g)", 60, 30, (0.8,)),
    "correlated slope, 100 groups of 30": ("y ~ x + w + (1 + x | g)", 100, 30, (0.8, 0.5)),
}


def one(formula: str, J: int, size: int, sds, seed: int):
    generator = np.random.default_rng(seed)
    g = np.repeat(np.arange(J), size)
    x = generator.normal(size=J * size)
    w = generator.normal(size=J)[g]
    b = generator.normal(size=(J, len(sds))) * sds
    eta = TRUTH["Intercept"] + TRUTH["x"] * x + TRUTH["w"] * w + b[g, 0]
    if len(sds) > 1:
        eta = eta + b[g, 1] * x
    y = (generator.uniform(size=J * size) < 1.0 / (1.0 + np.exp(-eta))).astype(int)
    frame = pd.DataFrame({"g": g, "x": x, "w": w, "y": y})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = MixedLogisticClassifier(formula).fit(frame)
    table = model.fixed_effects_.loc[list(TRUTH)]
    truth = np.array(list(TRUTH.values()))
    covered = (table["conf_low"] <= truth) & (truth <= table["conf_high"])
    sd = model.variance_components_["std_dev"].to_numpy()
    return table["estimate"].to_numpy() - truth, covered.to_numpy(), sd, len(caught)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=500)
    count = parser.parse_args().count
    lines = [
        "# Bias and coverage of Wald intervals",
        "",
        f"Command: `python benchmarks/coverage.py --count {count}`, {date.today()}. In brackets the",
        "Monte-Carlo standard error.",
    ]
    for name, (formula, J, size, sds) in DESIGNS.items():
        out = Parallel(n_jobs=2)(delayed(one)(formula, J, size, sds, s) for s in range(count))
        bias = np.array([o[0] for o in out])
        covered = np.array([o[1] for o in out]).mean(axis=0)
        sd = np.array([o[2] for o in out])
        lines += [
            "", f"## {name}", "", f"Warnings in {sum(o[3] > 0 for o in out)} of {count} fits.", "",
            "| parameter | bias | coverage of 95% intervals |", "|---|---|---|",
        ]  # fmt: skip
        for j, key in enumerate(TRUTH):
            error = bias[:, j].std() / np.sqrt(count)
            spread = np.sqrt(covered[j] * (1 - covered[j]) / count)
            lines.append(
                f"| {key} | {bias[:, j].mean():+.4f} ({error:.4f}) | {covered[j]:.3f} ({spread:.3f}) |"
            )
        for j, value in enumerate(sds):
            error = sd[:, j].std() / np.sqrt(count)
            lines.append(f"| sd {j + 1} | {sd[:, j].mean() - value:+.4f} ({error:.4f}) | |")
    Path(__file__).with_name("coverage.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
