"""An R process that holds a problem's data and times each fit inside R.

Only the fit call counts: starting R, loading packages and reading the data do not.
"""

from __future__ import annotations

import re
import select
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

__all__ = ["RProcess", "installed_version"]

#: Seconds after which a fit is given up.
TIME_LIMIT = 120.0

SCRIPT = r"""
arguments <- commandArgs(TRUE)
suppressMessages(library(%(package)s))
frame <- read.csv(arguments[1], stringsAsFactors = TRUE)
for (name in strsplit(arguments[3], ",")[[1]]) frame[[name]] <- factor(frame[[name]])
model <- as.formula(arguments[2])
input <- file("stdin", open = "r")
cat("ready\n"); flush(stdout())
while (length(readLines(input, n = 1)) > 0) {
  began <- Sys.time()
  fitted <- suppressWarnings(suppressMessages(%(call)s))
  seconds <- as.numeric(difftime(Sys.time(), began, units = "secs"))
  cat(sprintf("%%.6f %%.10f\n", seconds, as.numeric(logLik(fitted)))); flush(stdout())
}
"""


@lru_cache
def installed_version(package: str) -> str | None:
    """Version of an R package; None when R or the package is not there."""
    if shutil.which("Rscript") is None:
        return None
    code = (
        f'if (requireNamespace("{package}", quietly = TRUE)) '
        f'cat(format(packageVersion("{package}")))'
    )
    out = subprocess.run(["Rscript", "--vanilla", "-e", code], capture_output=True, text=True)
    return out.stdout.strip() or None


class RProcess:
    """One package's fits of one problem.

    Parameters
    ----------
    package : str
    call : str
        The fit, of `model` on `frame`.
    problem : Problem
    """

    def __init__(self, package: str, call: str, problem) -> None:
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        script, data = folder / "fits.R", folder / "data.csv"
        script.write_text(SCRIPT % {"package": package, "call": call})
        problem.frame.to_csv(data, index=False)
        factors = sorted(
            {name for bar in re.findall(r"\|([^)]*)\)", problem.formula) for name in bar.split(":")}
        )
        self._process = subprocess.Popen(
            ["Rscript", "--vanilla", str(script), str(data), problem.formula,
             ",".join(name.strip() for name in factors)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        self._line()

    def _line(self) -> str:
        ready, _, _ = select.select([self._process.stdout], [], [], TIME_LIMIT)
        line = self._process.stdout.readline() if ready else ""
        if not line:
            self.close()
            raise TimeoutError(f"R gave no answer within {TIME_LIMIT:.0f} s")
        return line

    def fit(self) -> tuple[float, float]:
        """Log-likelihood reached, and the seconds that the call took.

        Raises
        ------
        TimeoutError
            The fit failed or took more than `TIME_LIMIT` seconds.
        """
        if self._process.poll() is not None:
            raise TimeoutError("R has stopped")
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        seconds, log_likelihood = map(float, self._line().split())
        return log_likelihood, seconds

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()
