"""Times whole fits from a data frame, ours and the rivals', interleaved in one process.

python benchmarks/run.py [--problems m_05,small] [--repeats 5] [--output benchmarks/results.md]
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
from rivals import glmm_rust, gpboost_, ours

RIVALS = [ours, glmm_rust, gpboost_]


def measure(name: str, repeats: int) -> list[dict]:
    problem = PROBLEMS[name]()
    runs = {}
    for rival in RIVALS:
        data = rival.prepare(problem) if rival.available() else None
        if data is not None:
            rival.fit(problem, data)  # once to load everything
            runs[rival.NAME] = (rival, data, [], [])
    for _ in range(repeats):
        for rival, data, seconds, values in runs.values():
            began = time.perf_counter()
            values.append(rival.fit(problem, data))
            seconds.append(time.perf_counter() - began)
    best = max(max(values) for *_, values in runs.values())
    reference = median(runs[ours.NAME][2])
    return [
        {
            "problem": problem.name,
            "engine": key,
            "seconds": median(seconds),
            "ratio": median(seconds) / reference,
            "below_best": best - max(values),
        }
        for key, (_, _, seconds, values) in runs.items()
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
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path(__file__).parent / "results.md")
    options = parser.parse_args()
    lines = [
        "# Whole fits from a data frame",
        "",
        f"Command: `python benchmarks/run.py --problems {options.problems} --repeats "
        f"{options.repeats}`, {date.today()}; {os.cpu_count()} cores, Python "
        f"{platform.python_version()}; "
        + ", ".join(map(installed, ["sklearn-mllm", "numpy", "glmm", "gpboost"])),
        "",
        "Medians of interleaved repeats in one process; ratio to ours; `below best` is how far the",
        "log-likelihood stays below the best engine's (gpboost gets a ready design matrix, the",
        "others the frame).",
        "",
        "| problem | engine | seconds | ratio | below best |",
        "|---|---|---|---|---|",
    ]
    for name in options.problems.split(","):
        for row in measure(name, options.repeats):
            lines.append(
                f"| {row['problem']} | {row['engine']} | {row['seconds']:.4f} | "
                f"{row['ratio']:.2f} | {row['below_best']:.1e} |"
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
