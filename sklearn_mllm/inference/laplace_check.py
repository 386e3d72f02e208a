"""How far the Laplace approximation of a fit is from quadrature."""

from __future__ import annotations

import numpy as np

from .refit import training_problem

__all__ = ["laplace_error"]


def laplace_error(model, X, y=None, groups=None, *, sample_weight=None, offset=None):
    """Compare a Laplace fit with adaptive quadrature at its parameters.

    Parameters
    ----------
    model : MixedLogisticClassifier
        Fitted with n_agq=1, one grouping factor or nested ones.
    X : data frame or array of shape (n, n_features)
        The training data again.
    y : array-like of shape (n,), optional
        Labels, where X does not hold the response.
    groups : array-like of shape (n,), data frame or dict, optional
        Grouping factors that are no columns of X.
    sample_weight : array-like of shape (n,), optional
        As in `fit`.
    offset : array-like of shape (n,), optional
        As in `fit`.

    Returns
    -------
    DataFrame
        One row per coefficient and theta (covariance factors, in the solver's coordinates):
        std_error, shift (expected change in moving to the quadrature estimate), shift_in_errors.
        `.attrs` holds log_likelihood_difference (quadrature less Laplace), its largest share in one
        group (`largest_group_difference`), and `n_agq`, the points that were enough.

    Raises
    ------
    ValueError
        Crossed factors, no random effects, or a fit by another n_agq.

    References
    ----------
    Pinheiro & Chao (2006), Journal of Computational and Graphical Statistics 15(1).

    Examples
    --------
    >>> from sklearn_mllm import MixedLogisticClassifier, laplace_error
    >>> from sklearn_mllm.datasets import load_toenail
    >>> visits = load_toenail().frame
    >>> formula = "outcome ~ treatment*time + (1 | patientID)"
    >>> model = MixedLogisticClassifier(formula).fit(visits)
    >>> round(laplace_error(model, visits).attrs["log_likelihood_difference"], 1)
    -1.1
    """
    from sklearn.utils.validation import check_is_fitted

    from ..design.arrange import nesting
    from ..design.printed import PrintedFrame
    from ..objective.laplace_error import laplace_error as compare

    check_is_fitted(model, "result_")
    result = model.result_
    if result.n_agq != 1 or not result.terms:
        raise ValueError(
            "laplace_error compares a Laplace fit (n_agq=1) of a model with random effects with "
            f"quadrature; this one has n_agq={result.n_agq} and {len(result.terms)} terms"
        )
    refitter = training_problem(model, X, y, groups, sample_weight, offset)
    factors = refitter.build.problem.factors
    if nesting([f.codes for f in factors], [f.n_levels for f in factors]) is None:
        raise ValueError(
            "laplace_error compares with quadrature, which there is not for crossed grouping factors; "
            "convergence_.laplace_error has a rough figure for small data"
        )
    outcome = refitter.fit()
    outcome.objective.close()
    build = refitter.build
    p, M = build.problem.p, outcome.maximum.phi.shape[0]
    transform = np.eye(M)
    transform[:p, :p] = build.fixed_map.T
    found = compare(
        build.problem, refitter.link, outcome.maximum.phi, outcome.maximum.hessian,
        free=outcome.free, transform=transform,
    )  # fmt: skip
    names = [result.names[j] for j in build.fixed_map.kept]
    names += [f"theta[{t}]" for t in range(M - p)]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = found.shift / found.standard_errors
    table = PrintedFrame(
        {"std_error": found.standard_errors, "shift": found.shift, "shift_in_errors": share},
        index=names,
    )
    differences = found.level_differences
    table.attrs.update(
        log_likelihood_difference=found.difference,
        largest_group_difference=float(differences[np.argmax(np.abs(differences))]),
        n_agq=found.n_agq,
    )
    return table
