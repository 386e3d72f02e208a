"""Writes the reference numbers of the tests' hard designs from glmm's fits.

python benchmarks/hard_reference.py [--output tests/reference/hard/designs.json]

A design is taken when glmm says that it converged and its standard errors are those of the full
Hessian; estimates with a standard deviation at zero are taken without comparing that deviation's
error. What a design is there for stands beside it.
"""

from __future__ import annotations

import argparse
import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from engines import fit_glmm
from random_designs import draw, fingerprint

HERE = Path(__file__).parent
#: Design and why it is hard.
DESIGNS = {
    "intercept:157": "variance at zero, an aliased column, counts",
    "intercept:208": "rare events, large variance, unscaled column, probit",
    "intercept:345": "standard deviation beyond 60",
    "intercept:391": "rare counts, an aliased column, cloglog",
    "slope:152": "correlation at -1 or +1 with a small variance",
    "slope:230": "rare events, singular covariance, offset",
    "slope:317": "61 rows, standard deviation of 9, singular covariance, weights",
    "slope:387": "standard deviations 0.1 and 11, singular covariance",
    "slope:513": "offset and weights, unscaled column, probit",
    "two_slopes:30": "75 rows, three effects, probit, offset",
    "two_slopes:46": "three effects, counts, cloglog",
    "two_slopes:69": "rare events, three nearly dependent effects",
    "two_slopes:81": "standard deviation beyond 20",
    "nested:11": "rare counts, standard deviation of 5, probit",
    "nested:41": "80 rows, rare events, standard deviation of 10, weights",
    "nested:158": "64 rows, outer or inner variance at zero, unscaled column",
    "nested:442": "an aliased and an unscaled column, weights, variance at zero",
    "nested:483": "standard deviation beyond 100",
    "three_levels:72": "93 rows, rare events, variances at zero",
    "three_levels:173": "cloglog with little information about each level",
    "three_levels:203": "an aliased column, variance at zero",
    "three_levels:478": "standard deviation beyond 100, modes far out",
    "crossed:16": "standard errors of a crossed fit from a long climb",
    "crossed:35": "rare counts, offset, variance at zero",
    "crossed:179": "76 rows, rare events, probit",
    "crossed:216": "standard deviations 0.4 and 11, cloglog, weights",
    "crossed:382": "rare events, standard deviations of 10 and 13",
    "crossed:446": "both variances at zero, cloglog",
    "crossed:669": "two maxima, two events; a climb that used to creep",
    "crossed_slope:39": "nearly separated by groups: standard deviation beyond 100",
    "crossed_slope:244": "probit slopes with little information",
    "crossed_slope:281": "rare events, standard deviation of 20",
    "crossed_slope:306": "62 rows of counts, an aliased column",
    "crossed_slope:491": "weights, standard deviation of 8",
    "nested_crossed:114": "60 rows of counts, unscaled, offset, variances at zero",
    "nested_crossed:141": "standard deviation of 5 beside one at zero, weights",
    "nested_crossed:462": "offset, standard deviations from 0.1 to 4",
    "interaction:66": "unbalanced cells, small variance",
    "interaction:429": "rare events, standard deviation of 13, weights",
    "row_effect:261": "61 rows of counts with an effect for each",
    "row_effect:408": "rare counts, an aliased column, an effect for each row",
    "row_effect:481": "401 rows with an effect for each, cloglog",
}


def reference(kind: str, seed: int, why: str) -> dict:
    """One design's numbers from glmm.

    Raises
    ------
    ValueError
        glmm has no fit of it, or no standard errors from the full Hessian.
    """
    design = draw(kind, seed)
    fit = fit_glmm(design)
    if fit is None or fit.error is not None or not fit.converged:
        raise ValueError(f"{kind}:{seed}: glmm has no converged fit")
    if any("HessianSeFallback" in note for note in fit.notes):
        raise ValueError(f"{kind}:{seed}: glmm's standard errors leave the variances out")
    return {
        "kind": kind,
        "seed": seed,
        "why": why,
        "formula": design.formula,
        "link": design.link,
        "n": len(design.frame),
        "fingerprint": fingerprint(design),
        "log_likelihood": fit.log_likelihood,
        "fixed": [None if np.isnan(b) else float(b) for b in fit.beta],
        "std_errors": [None if np.isnan(e) else float(e) for e in fit.se],
        "std_devs": [
            [":".join(names), np.sqrt(np.diag(S)).tolist()]
            for (names, *_), S in fit.covariances.items()
        ],
        "singular": fit.singular,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--output", type=Path, default=HERE.parent / "tests" / "reference" / "hard" / "designs.json"
    )
    options = parser.parse_args()
    designs = []
    for name, why in DESIGNS.items():
        kind, seed = name.split(":")
        designs.append(reference(kind, int(seed), why))
    found = {"engine": f"glmm {version('glmm')} (Laplace)", "designs": designs}
    options.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
