"""Holds our fits of thousands of random designs against glmm's; explains each disagreement.

python benchmarks/agreement.py [--count 3000] [--seed 0] [--kind crossed] [--output agreement.md]
                               [--jobs 1]

One design alone: `--seed 16 --count 1`. Structures that glmm does not have are held against a dense
Laplace likelihood and climbs from other starts. The tests' `random_designs.py` draws the designs.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

from agreement_report import write_report
from engines import EngineFit, GlmmWorker, OurProblem, fit_ours, separated
from random_designs import KINDS, Design, draw, kind_of

__all__ = ["Finding", "Record", "examine"]

#: Log-likelihood by which two engines may differ.
VALUE_TOL = 1e-4
#: Relative difference of standard errors.
ERROR_TOL = 1e-3
#: Random effects up to which the dense likelihood is evaluated too.
DENSE_LIMIT = 250
#: Standard deviation on the logit scale from which a fit is not interior.
RUNAWAY_SD = 30.0
#: Seconds after which a fit counts as hanging.
TIME_LIMIT = 120


@dataclass(frozen=True)
class Finding:
    """One disagreement.

    Attributes
    ----------
    what : str
        lower, higher, error, warning, false alarm, missed alarm, standard errors, slow, dense,
        second maximum, rival failed.
    ours_at_fault : bool
    text : str
    """

    what: str
    ours_at_fault: bool
    text: str


@dataclass(eq=False)
class Record:
    """A design with both engines' fits, without their data."""

    kind: str
    seed: int
    n: int
    link: str
    traits: tuple[str, ...]
    formula: str
    seconds: float
    rival_seconds: float | None
    compared: bool
    errors_compared: bool = False
    difference: float | None = None
    error_difference: float | None = None
    separated: bool = False
    findings: list[Finding] = field(default_factory=list)


class Hang(Exception):
    pass


def _alarm(*_) -> None:
    raise Hang(f"no end after {TIME_LIMIT} s")


def examine(design: Design, worker: GlmmWorker) -> Record:
    """Fit a design by both engines and name every disagreement."""
    signal.signal(signal.SIGALRM, _alarm)
    signal.alarm(TIME_LIMIT)
    try:
        ours = fit_ours(design)
    finally:
        signal.alarm(0)
    rival = worker.fit(design)
    record = Record(
        design.kind, design.seed, len(design.frame), design.link, design.traits, design.formula,
        ours.seconds, None if rival is None else rival.seconds,
        rival is not None and rival.error is None and ours.error is None,
    )  # fmt: skip
    say = record.findings.append
    if ours.error is not None:
        say(Finding("error", True, ours.error))
        return record
    leaks = [
        note
        for note in ours.notes
        if not note.startswith("ConvergenceWarning") and "were left out" not in note
    ]
    if leaks:
        say(Finding("warning", True, "; ".join(leaks)))
    problem = OurProblem(ours, design)
    record.separated = separated(problem.build.problem)
    if record.separated and ours.converged:
        say(Finding("missed alarm", True, "separated, and no warning was given"))
    if problem.n_effects <= DENSE_LIMIT:
        _hold_against_dense(problem, ours, say)
    if rival is None:
        _climb_again(problem, ours, record, say)
        return record
    if rival.error is not None:
        say(Finding("rival failed", False, rival.error.splitlines()[0][:120]))
        if not record.separated:
            _climb_again(problem, ours, record, say)
        return record
    if record.separated:
        return record
    _compare_values(problem, ours, rival, record, say)
    _compare_errors(problem, ours, rival, record, say)
    if ours.seconds > 1.0 and ours.seconds > 10.0 * rival.seconds:
        text = f"{ours.seconds:.1f} s against {rival.seconds:.2f} s"
        say(Finding("slow", True, text))
    return record


def _compare_values(problem: OurProblem, ours: EngineFit, rival: EngineFit, record, say) -> None:
    difference = record.difference = ours.log_likelihood - rival.log_likelihood
    words = f"sds {ours.smallest_sd:.3g} to {ours.largest_sd:.3g} (glmm {rival.largest_sd:.3g})"
    alarmed = "" if ours.converged else f"; we warn: {ours.model.convergence_.message[:60]}"
    if abs(difference) <= VALUE_TOL:
        if not ours.converged and rival.converged and max(ours.largest_sd, 0.0) < RUNAWAY_SD:
            message = ours.model.convergence_.message
            say(Finding("false alarm", True, f"{message[:120]}; {words}"))
        return
    theirs = problem.parameters(rival)
    value = problem.value(theirs)
    if np.isnan(value):
        value = problem.dense_value(theirs) if problem.n_effects <= 3000 else np.nan
    if difference < 0.0:
        if value - ours.log_likelihood <= VALUE_TOL:
            text = (
                f"glmm says {-difference:.2g} more, but the Laplace likelihood at its own "
                f"parameters is {ours.log_likelihood - value:.2g} below ours; {words}"
            )
            say(Finding("lower", False, text))
            return
        climbed, _ = problem.climb(theirs)
        proper = ours.model.convergence_.expected_gain < 1e-6 and ours.model.convergence_.definite
        where = "another local maximum" if proper else "stopped before the maximum"
        degenerate = max(ours.largest_sd, rival.largest_sd) > RUNAWAY_SD or not ours.converged
        text = f"{where}: glmm {-difference:.2g} higher; {words}{alarmed}"
        if not np.isnan(climbed) and climbed > rival.log_likelihood + VALUE_TOL:
            text += f"; from there we reach {climbed - ours.log_likelihood:.2g} more than ours"
        say(Finding("lower, degenerate" if degenerate else "lower", True, text))
        return
    climbed, _ = problem.climb(theirs)
    if np.isnan(value):
        where = "its parameters have no modes that we find"
    elif abs(value - rival.log_likelihood) > VALUE_TOL:
        where = f"its value differs from the likelihood at its parameters ({value:.6g})"
    elif climbed > rival.log_likelihood + 0.5 * difference:
        where = "glmm stopped before the maximum (our climb from its estimates reaches ours)"
    else:
        where = "glmm is at a lower local maximum"
    flagged = "" if rival.converged else ", and says so"
    say(Finding("higher", False, f"ours {difference:.2g} higher: {where}{flagged}; {words}"))


def _interior(fit: EngineFit) -> bool:
    return (
        fit.converged
        and not fit.singular
        and fit.smallest_sd > 1e-3 * max(1.0, fit.largest_sd)
        and fit.largest_sd < RUNAWAY_SD
    )


def _compare_errors(problem: OurProblem, ours: EngineFit, rival: EngineFit, record, say) -> None:
    if abs(ours.log_likelihood - rival.log_likelihood) > VALUE_TOL:
        return
    if not (_interior(ours) and _interior(rival)):
        return
    record.errors_compared = True
    difference = record.error_difference = np.nanmax(np.abs(ours.se / rival.se - 1.0))
    if difference <= ERROR_TOL:
        return
    try:
        truth = problem.differenced_errors()
    except (ArithmeticError, np.linalg.LinAlgError) as error:
        say(Finding("standard errors", True, f"{difference:.1e}; no differences: {error}"))
        return
    mine = np.nanmax(np.abs(ours.se / truth - 1.0))
    theirs = np.nanmax(np.abs(rival.se / truth - 1.0))
    gain = ours.log_likelihood - rival.log_likelihood
    text = (
        f"{difference:.1e} apart; from differences of the gradient ours are {mine:.1e} off, glmm's "
        f"{theirs:.1e}; log-likelihoods differ by {gain:.1e}; smallest sd {ours.smallest_sd:.2g}"
    )
    say(Finding("standard errors", mine > ERROR_TOL, text))


def _hold_against_dense(problem: OurProblem, ours: EngineFit, say) -> None:
    value = problem.dense_value(problem.phi)
    if np.isnan(value):
        if ours.converged:
            text = "the dense evaluation, whose Newton steps are plain, finds no modes"
            say(Finding("not dense", False, text))
    elif abs(value - ours.log_likelihood) > 1e-6 * max(1.0, abs(value)):
        off = ours.log_likelihood - value
        say(Finding("dense", ours.converged, f"ours is {off:.2g} off the dense likelihood"))


def _climb_again(problem: OurProblem, ours: EngineFit, record: Record, say) -> None:
    """Where glmm has no fit: other starts must not lead higher; errors hold to differences."""
    p, diagonal = problem.build.problem.p, _diagonal(problem)
    for level in (0.3, 1.5):
        start = np.array(problem.phi)
        start[p:] = np.where(diagonal, level, 0.0)
        climbed, _ = problem.climb(start)
        if climbed > ours.log_likelihood + VALUE_TOL and not record.separated:
            more = climbed - ours.log_likelihood
            words = f"sds {ours.smallest_sd:.3g} to {ours.largest_sd:.3g}"
            text = f"from sds of {level} the climb ends {more:.2g} higher; {words}"
            fine = ours.converged and ours.largest_sd < RUNAWAY_SD
            say(Finding("second maximum" if fine else "second maximum, degenerate", True, text))
            return
    if not _interior(ours):
        return
    record.errors_compared = True
    difference = np.nanmax(np.abs(ours.se / problem.differenced_errors() - 1.0))
    if difference > ERROR_TOL:
        text = f"{difference:.1e} off differences of the gradient"
        say(Finding("standard errors", True, text))


def hold_against_r(pairs: list[tuple[Design, Record]]) -> str:
    """Hold designs without a fit by glmm against glmmTMB's; says how many were compared."""
    from engines_r import fit_glmmtmb

    fits = fit_glmmtmb([design for design, _ in pairs])
    if fits is None:
        return "glmmTMB is not installed"
    compared = errors = 0
    for (design, record), rival in zip(pairs, fits, strict=True):
        if rival.error is not None or np.isnan(rival.log_likelihood):
            continue
        compared += 1
        ours, say = fit_ours(design), record.findings.append
        difference = ours.log_likelihood - rival.log_likelihood
        words = f"sds {ours.smallest_sd:.3g} to {ours.largest_sd:.3g}"
        if difference < -VALUE_TOL:
            say(Finding("lower", True, f"glmmTMB {-difference:.2g} higher; {words}"))
        elif difference > VALUE_TOL:
            say(Finding("higher", False, f"ours {difference:.2g} above glmmTMB's; {words}"))
        elif not ours.converged and rival.converged and not record.separated:
            message = ours.model.convergence_.message[:120]
            say(Finding("false alarm", True, f"{message}; {words}, glmmTMB agrees"))
        elif _interior(ours) and rival.converged:
            errors += 1
            found = ours.se[~np.isnan(ours.se)]
            off = np.abs(found / rival.se - 1.0).max()
            if off > ERROR_TOL:
                say(Finding("standard errors", True, f"{off:.1e} from glmmTMB's; {words}"))
    return f"{compared} of {len(pairs)} compared, standard errors of {errors}"


def _diagonal(problem: OurProblem) -> np.ndarray:
    from sklearn_mllm.objective.covariance import CovarianceLayout

    return CovarianceLayout(problem.build.problem).diagonal


WORKER = GlmmWorker()


def _examined(name: tuple[str, int]) -> Record:
    """`examine`, with what cannot be examined as a finding."""
    if WORKER.fresh:
        examine(draw("crossed", 1), WORKER)  # once to load everything
    design = draw(*name)
    try:
        return examine(design, WORKER)
    except Exception as error:  # a hang of ours, or a check that could not be made
        what = "hang" if isinstance(error, Hang) else "error"
        return Record(
            design.kind, design.seed, len(design.frame), design.link, design.traits,
            design.formula, np.nan, None, False,
            findings=[Finding(what, True, f"{type(error).__name__}: {error}")],
        )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--kind", choices=list(KINDS), help="one structure only")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "agreement.md")
    parser.add_argument("--glmmtmb", type=int, default=150, help="designs at most for glmmTMB")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--print", action="store_true", help="print findings, write nothing")
    options = parser.parse_args()
    os.environ.setdefault("RUST_BACKTRACE", "0")
    names = [
        (options.kind or kind_of(seed), seed)
        for seed in range(options.seed, options.seed + options.count)
    ]
    records, began, for_r = [], time.perf_counter(), []
    with ProcessPoolExecutor(options.jobs) as pool:
        try:
            for record in pool.map(_examined, names):
                records.append(record)
                design = draw(record.kind, record.seed)
                lacking = record.rival_seconds is None and record.seconds > 0.0
                lacking = lacking and design.weights is None and record.n <= 2000
                if lacking and len(for_r) < options.glmmtmb and not record.findings:
                    for_r.append((design, record))
                for finding in record.findings:
                    if finding.ours_at_fault or options.print:
                        about = f"{record.kind}:{record.seed} n={record.n} {record.link}"
                        print(f"{about} [{finding.what}] {finding.text}", flush=True)
                if len(records) % 250 == 0:
                    print(f"{len(records)} in {time.perf_counter() - began:.0f} s", flush=True)
        except KeyboardInterrupt:  # what is done so far is reported
            pool.shutdown(wait=False, cancel_futures=True)
            options.count = len(records)
    note = hold_against_r(for_r) if for_r else "no design for it"
    for _, record in for_r:
        for finding in record.findings:
            print(f"{record.kind}:{record.seed} [{finding.what}] {finding.text}", flush=True)
    seconds = time.perf_counter() - began
    counts = Counter(finding.what for record in records for finding in record.findings)
    print(f"{len(records)} designs in {seconds:.0f} s; glmmTMB: {note};", dict(counts))
    if not options.print:
        command = f"python benchmarks/agreement.py --count {options.count} --seed {options.seed}"
        if options.jobs > 1:
            command += f" --jobs {options.jobs}"
        if options.kind:
            command += f" --kind {options.kind}"
        write_report(records, options.output, command, seconds, note)


if __name__ == "__main__":
    main()
