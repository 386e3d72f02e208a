"""glmmTMB's fits of drawn designs, for the structures that glmm does not have."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import numpy as np
from engines import EngineFit
from rivals.r_process import installed_version

__all__ = ["fit_glmmtmb"]

SCRIPT = r"""
suppressMessages(library(glmmTMB))
manifest <- read.csv(commandArgs(TRUE)[1], stringsAsFactors = FALSE)
numbers <- function(x) paste(sprintf("%.12g", x), collapse = ",")
for (i in seq_len(nrow(manifest))) {
  frame <- read.csv(manifest$data[i])
  for (name in intersect(c("g", "h", "m", "i"), names(frame))) frame[[name]] <- factor(frame[[name]])
  began <- Sys.time()
  fitted <- tryCatch(suppressWarnings(suppressMessages(glmmTMB(
    as.formula(manifest$formula[i]), data = frame, family = binomial(manifest$link[i])
  ))), error = function(e) NULL)
  seconds <- as.numeric(difftime(Sys.time(), began, units = "secs"))
  if (is.null(fitted)) { cat("failed\n"); next }
  found <- summary(fitted)$coefficients$cond
  sds <- unlist(lapply(VarCorr(fitted)$cond, function(S) attr(S, "stddev")))
  cat(sprintf("%.10f;%s;%s;%s;%d;%.4f\n", as.numeric(logLik(fitted)), numbers(found[, 1]),
    numbers(found[, 2]), numbers(sds), as.integer(isTRUE(fitted$sdr$pdHess)), seconds))
}
"""


def fit_glmmtmb(designs: list) -> list[EngineFit] | None:
    """Fits of each design by R; None where R or glmmTMB is not there.

    Designs with weights are not for it: there, weights of counts mean something else. Standard
    deviations stand in `covariances` as diagonal matrices.
    """
    if installed_version("glmmTMB") is None:
        return None
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = ["data,formula,link"]
        for number, design in enumerate(designs):
            formula = design.formula.replace(" + x9", "").replace("x9 + ", "")
            frame = design.frame.drop(columns=[c for c in design.frame if c == "x9"])
            if design.offset is not None:
                frame = frame.assign(known=design.offset)
                formula += " + offset(known)"
            frame.to_csv(folder / f"{number}.csv", index=False)
            rows.append(f'{folder / f"{number}.csv"},"{formula}",{design.link}')
        (folder / "fits.R").write_text(SCRIPT)
        lines: list[str] = []
        while len(lines) < len(designs):
            manifest = folder / "manifest.csv"
            manifest.write_text("\n".join([rows[0], *rows[1 + len(lines) :]]) + "\n")
            out = subprocess.run(
                ["Rscript", "--vanilla", str(folder / "fits.R"), str(manifest)],
                capture_output=True, text=True,
            )  # fmt: skip
            lines += out.stdout.splitlines()
            if len(lines) < len(designs):  # the process died of that design
                lines.append("failed")
    return [_read(line) for line in lines]


def _read(line: str) -> EngineFit:
    fit = EngineFit()
    if line == "failed":
        fit.error = "glmmTMB failed"
        return fit
    value, beta, se, sds, definite, seconds = line.replace("NA", "nan").split(";")
    fit.log_likelihood, fit.seconds = float(value), float(seconds)
    fit.beta, fit.se = (np.array(v.split(","), dtype=float) for v in (beta, se))
    sds = np.array(sds.split(","), dtype=float)
    fit.covariances = {(("all",), sds.size, 0): np.diag(sds**2)}
    fit.converged = definite == "1" and bool(np.isfinite([fit.log_likelihood, *fit.se]).all())
    return fit
