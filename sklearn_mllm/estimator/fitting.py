"""From validated arguments to a `FitResult`: formula, design, solver, package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..design.build import build_problem
from ..design.response import Response
from ..formula import Matrices
from ..result.fit_result import FitResult

__all__ = ["fit_arrays"]


def fit_arrays(
    matrices: Matrices,
    response: Response,
    offset: np.ndarray | None,
    link,
    *,
    n_agq: int,
    prior,
    n_threads: int,
    tol: float,
    max_iter: int,
    start: FitResult | None = None,
    make_progress: Callable | None = None,
) -> FitResult:
    """Fit a model to plain arrays.

    Parameters
    ----------
    matrices : Matrices
    response : Response
    offset : ndarray of shape (n,) or None
    link : Link
    start : FitResult, optional
        An earlier fit of the same terms to start from.
    make_progress : callable(snapshot) -> callable or None
        Gets a function phi -> FitResult, gives one that is told of each step.
    """
    from ..objective import objective_for
    from ..objective.laplace import ModeError
    from ..objective.prior import Penalty, check_terms
    from ..optimizer.fit import fit_problem
    from ..optimizer.maximize import NotFinite
    from ..optimizer.package import package, snapshot
    from ..optimizer.start import null_log_likelihood, start_from

    build = build_problem(matrices.X, response.successes, response.trials, offset, matrices.random)
    penalty = None
    make_objective = objective_for(n_agq, build.problem)
    kept = [matrices.names[j] for j in build.fixed_map.kept]
    if prior is not None:
        from ..objective.covariance import CovarianceLayout

        check_terms(prior, [(term.group, term.effects) for term in matrices.random])
        layout = CovarianceLayout(build.problem)
        penalty = Penalty(prior, kept, build.fixed_map.T, build.random_maps, layout)
    about = {"link": link.name, "n_agq": n_agq, "constant": response.constant}
    progress = None
    if make_progress is not None:
        progress = make_progress(
            lambda objective, phi: snapshot(
                objective, phi, build, matrices.names, matrices.random, **about
            )
        )
    try:
        outcome = fit_problem(
            build.problem,
            link,
            make_objective=make_objective,
            penalty=penalty,
            n_threads=n_threads,
            tol=tol,
            max_iter=max_iter,
            start=None if start is None else start_from(start, build),
            progress=progress,
        )
    except (NotFinite, ModeError) as error:
        bounds = "prior=Prior(fixed_sd=2.5, random='wishart', scale=5)"
        if prior is not None:
            bounds = f"a prior narrower than {prior!r}"
        raise ValueError(
            f"the likelihood of this model cannot be evaluated on these data: {error}. Look for "
            "extreme values in the covariates or the offset, simplify the random effects, or use "
            f"{bounds} to keep the estimates within bounds"
        ) from error
    try:
        result = package(
            outcome, build, matrices.names, matrices.random, null_log_likelihood=None, **about
        )
        if matrices.random:
            return _with_laplace_check(result, outcome, link, build, kept, matrices.random, penalty)
        # last of all: it works in the same buffers
        null = null_log_likelihood(outcome.objective) + response.constant
        return replace(result, null_log_likelihood=null)
    finally:
        outcome.objective.close()


def _with_laplace_check(
    result: FitResult, outcome, link, build, kept, random, penalty
) -> FitResult:
    """The result with the check that small data get by default; last, in the objective's buffers."""
    from ..optimizer.fit import blas_limit
    from ..optimizer.laplace_check import check_laplace

    terms = [(term.group, term.effects) for term in random]
    with blas_limit(outcome.objective):
        found = check_laplace(outcome, link, build.fixed_map.T, kept, terms, penalty)
    if found is None:
        return result
    return replace(result, verdict=replace(result.verdict, laplace_error=found))
