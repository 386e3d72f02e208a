"""Crossed factors with and without their Schur complement, on sizes where both ways run.

python benchmarks/probes.py [--output benchmarks/probes.md]

The first is the exact likelihood of every level; the second has log|H| from leading directions and
random probes, as fits of very many levels on both sides do. Differences of estimates are in standard
errors, those of standard errors and of conditional standard deviations are relative.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from datetime import date
from pathlib import Path
from unittest import mock

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))

from problems import crossed

SIZES = [
    (100_000, 2_000, 500),
    (100_000, 1_000, 1_000),
    (300_000, 5_000, 2_000),
    (500_000, 20_000, 5_000),
]
COLUMNS = [
    "problem", "seconds: exact", "probes", "log-likelihood: difference", "its error as told",
    "coefficients", "standard errors", "standard deviations", "modes", "conditional sds",
]  # fmt: skip


def fitted(problem, iterative: bool):
    """The model and its seconds."""
    from sklearn_mllm import MixedLogisticClassifier
    from sklearn_mllm.objective.structures.crossed import Crossed

    construct = Crossed.__init__

    def chosen(self, problem, workers, _=None):
        construct(self, problem, workers, iterative)

    with mock.patch.object(Crossed, "__init__", chosen):
        began = time.perf_counter()
        model = MixedLogisticClassifier(problem.formula).fit(problem.frame)
        return model, time.perf_counter() - began


def compared(problem) -> list[str]:
    (exact, slow), (probes, quick) = fitted(problem, False), fitted(problem, True)
    a, b = exact.fixed_effects_, probes.fixed_effects_
    u, v = exact.random_effects_, probes.random_effects_
    sd = exact.variance_components_["std_dev"], probes.variance_components_["std_dev"]
    figures = [
        np.abs((b["estimate"] - a["estimate"]) / a["std_error"]).max(),
        np.abs(b["std_error"] / a["std_error"] - 1.0).max(),
        np.abs(sd[1] / sd[0] - 1.0).max(),
        np.abs((v["estimate"] - u["estimate"]) / u["std_error"]).max(),
        np.abs(v["std_error"] / u["std_error"] - 1.0).max(),
    ]
    difference = probes.log_likelihood_ - exact.log_likelihood_
    told = probes.convergence_.log_likelihood_error
    return [
        problem.name, f"{slow:.2f}", f"{quick:.2f}", f"{difference:.1e}", f"{told:.1e}",
        *(f"{figure:.0e}" for figure in figures),
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "probes.md")
    options = parser.parse_args()
    lines = [
        "# Crossed factors by probes, against the exact likelihood",
        "",
        f"Command: `python benchmarks/probes.py`, {date.today()}; {os.cpu_count()} cores.",
        "Largest differences; of coefficients and modes in standard errors, the others relative.",
        "",
        "| " + " | ".join(COLUMNS) + " |",
        "|---" * len(COLUMNS) + "|",
    ]
    for size in SIZES:
        lines.append("| " + " | ".join(compared(crossed(*size))) + " |")
        print(lines[-1], flush=True)
    options.output.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
