"""Times whole fits from a data frame, ours and the rivals', interleaved.

python benchmarks/run.py [--problems m_05,small] [--engines glmm,lme4] [--repeats 5]
                         [--slow 10] [--output benchmarks/results.md]

A rival is a file in `rivals/` with NAME, available(), prepare(problem) -> data or None, and
fit(problem, data) -> log-likelihood, or (log-likelihood, seconds) where it times itself. Rivals that
are not installed are left out, and so is what a rival finds too large.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import sys
import time
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parent))

from problems import PROBLEMS
from rivals import glmm_rust, glmmtmb, gpboost_, lme4, ours, statsmodels_

RIVALS = [ours, glmm_rust, gpboost_, lme4, glmmtmb, statsmodels_]


def timed_fit(rival, problem, data) -> tuple[float, float]:
    """Log-likelihood and seconds of one fit, by the rival's own clock where it has one."""
    began = time.perf_counter()
    found = rival.fit(problem, data)
    seconds = time.perf_counter() - began
    return found if isinstance(found, tuple) else (found, seconds)


def measure(name: str, repeats: int, engines: set[str], slow: float) -> list[dict]:
    """Rows of the table for one problem.

    A first fit loads everything and is thrown away, unless it took more than `slow` seconds: then
    it is the only one.
    """
    problem = PROBLEMS[name]()
    runs, single = {}, {}
    for rival in RIVALS:
        if rival is not ours and rival.NAME not in engines:
            continue
        data = rival.prepare(problem) if rival.available() else None
        if data is None:
            continue
        try:
            first = timed_fit(rival, problem, data)
        except TimeoutError as error:
            print(f"{problem.name}: {rival.NAME}: {error}", flush=True)
            continue
        if first[1] > slow and rival is not ours:
            single[rival.NAME] = first
            if hasattr(data, "close"):
                data.close()
        else:
            runs[rival.NAME] = (rival, data, [])
    for _ in range(repeats):
        for rival, data, fits in runs.values():
            fits.append(timed_fit(rival, problem, data))
    for _, data, _ in runs.values():
        if hasattr(data, "close"):
            data.close()
    results = {key: fits for key, (_, _, fits) in runs.items()}
    results.update((key, [first]) for key, first in single.items())
    reached = {key: max(value for value, _ in fits) for key, fits in results.items()}
    seconds = {key: median(took for _, took in fits) for key, fits in results.items()}
    return [
        {
            "problem": problem.name,
            "engine": key + (" (one run)" if key in single else ""),
            "seconds": seconds[key],
            "ratio": seconds[key] / seconds[ours.NAME],
            "reached": reached[key],
            "below_best": max(reached.values()) - reached[key],
        }
        for key in (rival.NAME for rival in RIVALS)
        if key in results
    ]


def peak_memory(name: str) -> float:
    """Peak memory of our fit in MiB, in a process of its own, data included."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from problems import PROBLEMS; "
        "from rivals import ours; p = PROBLEMS[sys.argv[2]](); ours.fit(p, p.frame); "
        "import resource; print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent), name],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return float(out.stdout)


def import_time() -> float:
    """Milliseconds that the estimator adds to scikit-learn, pandas and formulaic."""
    code = (
        "import sklearn.base, sklearn.metrics, pandas, formulaic, time; t = time.perf_counter(); "
        "import sklearn_mllm; sklearn_mllm.MixedLogisticClassifier; "
        "print(1e3 * (time.perf_counter() - t))"
    )
    runs = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)
        for _ in range(5)
    ]
    return median(runs)


def installed(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"{name} not installed"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--problems", default=",".join(PROBLEMS))
    parser.add_argument("--engines", default=",".join(r.NAME for r in RIVALS if r is not ours))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--slow", type=float, default=10.0, help="seconds from which one run does")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results.md")
    options = parser.parse_args()
    lines = [
        "# Whole fits from a data frame",
        "",
        f"Command: `python benchmarks/run.py --problems {options.problems} --repeats "
        f"{options.repeats}`, {date.today()}; {os.cpu_count()} cores, Python "
        f"{platform.python_version()}; "
        + ", ".join(map(installed, ["sklearn-mllm", "numpy", "glmm", "gpboost", "statsmodels"]))
        + "".join(f", {r.NAME} {r.version() or 'not installed'}" for r in (lme4, glmmtmb)),
        "",
        "Medians of interleaved repeats, first fits thrown away; ratio to ours; `below best` is "
        "how far the",
        "log-likelihood reached stays below the best engine's. gpboost gets a ready design matrix, "
        "the others the",
        "frame. lme4 and glmmTMB run in an R process that holds the data, and only the fit call "
        "counts.",
        "statsmodels has no maximum-likelihood fit: its variational posterior is timed, and the "
        "Laplace",
        "log-likelihood at its means is shown. gpboost's log-likelihood of crossed factors is an "
        "approximation of",
        "its own. Rivals are left out of what takes them many minutes.",
        "",
        "| problem | engine | seconds | ratio | log-likelihood | below best |",
        "|---|---|---|---|---|---|",
    ]
    for name in options.problems.split(","):
        for row in measure(name, options.repeats, set(options.engines.split(",")), options.slow):
            lines.append(
                f"| {row['problem']} | {row['engine']} | {row['seconds']:.4f} | "
                f"{row['ratio']:.2f} | {row['reached']:.6f} | {row['below_best']:.1e} |"
            )
            print(lines[-1], flush=True)
    if "million" in options.problems.split(","):
        lines += [
            "",
            f"Peak memory of our fit of a million rows: {peak_memory('million'):.0f} MiB.",
        ]
    lines += [
        "",
        f"Import of the estimator on top of scikit-learn, pandas and formulaic: "
        f"{import_time():.0f} ms.",
    ]
    options.output.write_text("\n".join(lines) + "\n")
    print(
        "peak memory of this process:", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    )


if __name__ == "__main__":
    main()
