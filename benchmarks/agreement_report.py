"""Writes `agreement.md` from the records of the agreement study."""

from __future__ import annotations

import os
import platform
from collections import Counter
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

__all__ = ["write_report"]

MEANINGS = {
    "error": "our fit raised an error",
    "warning": "our fit let a warning out that is not its own",
    "hang": "our fit did not end in time",
    "lower": "our log-likelihood is more than 1e-4 below glmm's",
    "lower, degenerate": (
        "the same where a standard deviation is beyond 30 on the predictor's scale, or the fit "
        "warns: the Laplace likelihood of such data has several maxima, none of them of use"
    ),
    "higher": "our log-likelihood is more than 1e-4 above glmm's",
    "false alarm": "we warn, although both engines agree on a maximum with moderate variances",
    "missed alarm": "the design is separated (linear programme), and we do not warn",
    "standard errors": "relative difference above 1e-3 where both fits are interior",
    "slow": "more than ten times glmm's time and more than a second",
    "dense": "the log-likelihood differs from an independent dense evaluation",
    "not dense": "the dense evaluation itself gives up (standard deviations of tens)",
    "second maximum": "a climb from another start ends higher",
    "second maximum, degenerate": "the same beyond standard deviations of 30, or with a warning",
    "rival failed": "glmm gave no fit",
}


def _installed(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} not installed"


def _ratio(records) -> str:
    ratios = [r.rival_seconds / r.seconds for r in records if r.compared and r.seconds > 0.0]
    if not ratios:
        return "-"
    low, middle, high = np.quantile(ratios, [0.1, 0.5, 0.9])
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def write_report(records, path: Path, command: str, seconds: float, glmmtmb: str) -> None:
    """Counts for each structure, time ratios, and every disagreement with its explanation.

    Parameters
    ----------
    records : list of Record
    path : Path
    command : str
    seconds : float
        Of the whole study.
    glmmtmb : str
        What was held against glmmTMB.
    """
    differences = np.abs([r.difference for r in records if r.difference is not None])
    agree = differences[differences <= 1e-4]
    errors = np.array([r.error_difference for r in records if r.error_difference is not None])
    failures = Counter(
        f.text.split(";")[-1].strip()[:60]
        for r in records
        for f in r.findings
        if f.what == "rival failed"
    )
    found = Counter(f.what for r in records for f in r.findings)
    lines = [
        "# Agreement with an independent engine",
        "",
        f"Command: `{command}`, {date.today()}; {seconds / 60:.0f} minutes on a "
        f"busy machine of {os.cpu_count()} cores, Python {platform.python_version()}; "
        + ", ".join(map(_installed, ["numpy", "scipy", "glmm"])),
        "",
        "Random designs of 60 to 30,000 rows (`tests/random_designs.py`), fitted with default "
        "settings by us and",
        "by glmm (Laplace). Compared: log-likelihood to 1e-4, standard errors of the coefficients "
        "to 1e-3 where",
        "both fits are interior (no variance at zero, none beyond 30, both say converged), "
        "warnings against a",
        "linear programme that finds separation. Where glmm lacks the structure (`||`, slopes "
        "without intercept or",
        "without a fixed effect, weights with counts) our fit is held against climbs from other "
        "starts and central",
        "differences of the gradient, and the first of them against glmmTMB (R) where it is there: "
        f"{glmmtmb}.",
        "Every fit with at most 250 random effects is evaluated again by an independent",
        "dense Laplace likelihood (`benchmarks/dense_laplace.py`).",
        "",
        "| structure | designs | compared with glmm | standard errors compared | separated | "
        "glmm's time to ours: median (10% to 90%) | disagreements | ours at fault |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for kind in [*dict.fromkeys(sorted(r.kind for r in records)), "all"]:
        mine = [r for r in records if kind in ("all", r.kind)]
        findings = [f for r in mine for f in r.findings if f.what != "rival failed"]
        lines.append(
            f"| {kind} | {len(mine)} | {sum(r.compared for r in mine)} | "
            f"{sum(r.errors_compared for r in mine)} | {sum(r.separated for r in mine)} | "
            f"{_ratio(mine)} | {len(findings)} | {sum(f.ours_at_fault for f in findings)} |"
        )
    lines += ["", *_summary(differences, agree, errors)]
    if failures:
        lines += [
            "",
            "Where glmm gave no fit: "
            + "; ".join(f"{text} ({count})" for text, count in failures.most_common(5))
            + ".",
        ]
    lines += ["", "## Kinds of disagreement", "", "| kind | designs | meaning |", "|---|---|---|"]
    lines += [f"| {what} | {found.get(what, 0)} | {text} |" for what, text in MEANINGS.items()]
    at_fault = [(r, f) for r in records for f in r.findings if f.ours_at_fault]
    others = [
        (r, f)
        for r in records
        for f in r.findings
        if not f.ours_at_fault and f.what != "rival failed"
    ]
    lines += _table("Ours at fault", at_fault) + _table("Explained otherwise", others)
    path.write_text("\n".join(lines) + "\n")


def _summary(differences, agree, errors) -> list[str]:
    if not differences.size:
        return []
    lines = [
        f"Log-likelihoods of {agree.size} of {differences.size} designs that are not separated agree "
        f"to 1e-4; the median",
        f"difference of those is {np.median(agree):.1e}, the 99th percentile "
        f"{np.quantile(agree, 0.99):.1e}.",
    ]
    if errors.size:
        lines[-1] += (
            f" Standard errors of {errors.size} interior fits differ by {np.median(errors):.1e} in"
        )
        lines.append(
            f"the median, {np.quantile(errors, 0.99):.1e} at the 99th percentile and "
            f"{errors.max():.1e} at most."
        )
    return lines


def _table(title: str, entries) -> list[str]:
    lines = ["", f"## {title}", ""]
    if not entries:
        return [*lines, "None."]
    lines += ["| design | n | link | traits | kind | explanation |", "|---|---|---|---|---|---|"]
    for record, finding in entries:
        text = finding.text.replace("|", "\\|").replace("\n", " ")
        lines.append(
            f"| {record.kind}:{record.seed} | {record.n} | {record.link} | "
            f"{' '.join(record.traits)} | {finding.what} | {text} |"
        )
    return lines
