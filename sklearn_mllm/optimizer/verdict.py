"""One verdict on a fit, from quantities that do not change with the scale of the data."""

from __future__ import annotations

import numpy as np

from ..design.arrange import nesting
from ..objective.curvature import has_closed_form
from ..result.fit_result import Verdict
from .fit import Outcome

__all__ = ["judge"]

#: Expected further gain in log-likelihood that still counts as a maximum.
GAIN_LIMIT = 1e-4
#: Smallest eigenvalue, of a Hessian scaled to unit diagonal, that is not flat: in closed form, and
#: where differences leave errors of some 1e-6.
FLAT, FLAT_BY_DIFFERENCES = 1e-12, 1e-6
#: Smallest eigenvalue, against the largest, at which a Hessian is indefinite beyond rounding.
SADDLE = -1e-3
#: Change of the linear predictor that a Newton step may still ask for at a proper maximum.
RUNAWAY_STEP = 0.05
#: Standard error of a row's predictor at which nothing in the data holds it. Where the likelihood
#: saturates at once (events under cloglog) steps are small on the way to infinity, but not this.
UNBOUNDED_ERROR = 200.0
#: Standard deviation on the predictor's scale beyond which a variance counts as unbounded.
RUNAWAY_SD = 30.0
#: Standard deviation that no data can tell from infinity.
UNBOUNDED_SD = 200.0
#: Smallest singular value of a term's standardised factor, relative to the largest, that is not zero.
DEPENDENT = 3e-4
#: What rounding leaves of zero, and by how much unit vectors that are proportional then differ.
ROUNDING, PROPORTIONAL = 1e-12, 1e-10


def judge(
    outcome: Outcome,
    names: list[str],
    terms: list[tuple[str, tuple[str, ...]]],
    T: np.ndarray,
    maps: list[np.ndarray],
) -> Verdict:
    """Judge a maximum.

    Parameters
    ----------
    outcome : Outcome
    names : list of str
        The kept coefficients.
    terms : list of (group, effects)
    T : ndarray of shape (p, p)
        beta = T gamma.
    maps : list of ndarray of shape (k, k)
        Per term: b = map b_solver.
    """
    maximum, free = outcome.maximum, outcome.free
    index = np.flatnonzero(free)
    A = -maximum.hessian[np.ix_(index, index)]
    diagonal = np.abs(np.diag(A))
    scale = 1.0 / np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
    eigenvalues = np.linalg.eigvalsh(A * scale * scale[:, None]) if index.size else np.ones(1)
    smallest = float(eigenvalues.min())
    definite = smallest > (FLAT if has_closed_form(outcome.objective) else FLAT_BY_DIFFERENCES)
    gain = float(maximum.gain)

    runaway = _runaway(outcome, names, terms, T)
    theta = maximum.phi[len(T) :]
    factors = [outcome.objective.layout.term_factor(theta, number) for number in range(len(terms))]
    singular = _singular_words(terms, maps, factors)
    twins = _twins(outcome, terms)
    definite = definite and not twins
    converged = gain < GAIN_LIMIT and definite and not runaway
    if runaway:
        message = (
            f"no finite estimate for {', '.join(runaway)}: the likelihood keeps rising as it grows "
            f"(separation, or a variance without bound); {_remedy(runaway)}, or leave the term out"
        )
    elif gain >= GAIN_LIMIT:
        message = (
            f"the search stopped after {maximum.n_steps} "
            f"{'step' if maximum.n_steps == 1 else 'steps'} with an expected further gain of "
            f"{gain:.2g} in log-likelihood; raise max_iter or lower tol, or take another link, n_agq "
            "or prior="
        )
    elif twins:
        message = (
            f"{' and '.join(map(repr, twins))} group the rows alike: their variances cannot be told "
            "apart; leave one of them out"
        )
    elif not definite:
        message = (
            "the likelihood is flat in some direction of the parameters: the model is not "
            "identified by these data; simplify the random effects or use prior="
        )
    elif singular:
        message = "converged; " + "; ".join(singular)
    else:
        message = "converged"
    return Verdict(
        bool(converged), gain, float(np.sqrt(2.0 * max(gain, 0.0))), bool(definite), smallest,
        tuple(singular), tuple(runaway), maximum.n_steps, message,
        0.5 * outcome.objective.state.factorization.logdet_error,
    )  # fmt: skip


def _remedy(runaway: list[str]) -> str:
    """What keeps these finite."""
    if not any(word.startswith("the variance") for word in runaway):
        return "prior=Prior(fixed_sd=2.5) keeps it finite"
    return "prior=Prior(random='wishart', scale=5) keeps it finite, as no infinite scale does"


def _twins(outcome: Outcome, terms) -> tuple[str, ...]:
    """Two grouping factors with the same levels under other names, and an effect in common."""
    problem = outcome.objective.problem
    for a, first in enumerate(problem.terms):
        for b, second in enumerate(problem.terms[:a]):
            f, g = problem.factors[first.factor], problem.factors[second.factor]
            if (
                first.factor != second.factor
                and f.n_levels == g.n_levels
                and set(terms[a][1]) & set(terms[b][1])
                and nesting([f.codes, g.codes], [f.n_levels, g.n_levels]) is not None
            ):
                return terms[b][0], terms[a][0]
    return ()


def _runaway(outcome: Outcome, names, terms, T) -> list[str]:
    """Coefficients or variances that a Newton step still moves although nothing is gained."""
    maximum = outcome.maximum
    objective = outcome.objective
    problem = objective.problem
    p = T.shape[0]
    found: list[str] = []
    # before the maximum, a step is long because the way is
    step = maximum.step if maximum.gain < GAIN_LIMIT else np.zeros_like(maximum.step)
    direction = None
    if p and np.abs(step[:p]).max() > 1e-3 and np.abs(step[:p] @ problem.X).max() > RUNAWAY_STEP:
        direction = step[:p]
    elif p:
        direction = _loose_direction(outcome)
    if direction is not None:
        change = np.abs(T @ direction)
        spread = np.abs(T) @ np.ones(p)
        share = change / np.where(spread > 0.0, spread, 1.0)
        for j in np.flatnonzero(share >= 0.3 * share.max()):
            found.append(f"coefficient {names[j]!r}")
    layout = objective.layout
    theta = maximum.phi[p:]
    for number, (group, effects) in enumerate(terms):
        L = layout.term_factor(theta, number)
        sds = np.sqrt(np.einsum("ij,ij->i", L, L))
        mine = p + np.flatnonzero(layout.term_of == number)
        restless = np.abs(step[mine]).max(initial=0.0) > RUNAWAY_STEP * max(sds.max(), 1.0)
        for effect, sd in zip(effects, sds, strict=True):
            if sd > UNBOUNDED_SD or (restless and sd > RUNAWAY_SD):
                found.append(f"the variance of {effect!r} in {group!r}")
    return found


def _loose_direction(outcome: Outcome) -> np.ndarray | None:
    """Move of the coefficients that a row's predictor is free to make, None when all are held."""
    X, free = outcome.objective.problem.X, outcome.free
    p = X.shape[0]
    index = np.flatnonzero(free)
    A = -outcome.maximum.hessian[np.ix_(index, index)]
    diagonal = np.abs(np.diag(A))
    scale = 1.0 / np.sqrt(np.where(diagonal > 0.0, diagonal, 1.0))
    values, vectors = np.linalg.eigh(A * scale * scale[:, None])
    if outcome.maximum.gain >= GAIN_LIMIT and values[0] < SADDLE * values[-1]:
        return None  # no maximum, and not flat either
    # a direction that rounding turns downwards is as good as flat
    values = np.maximum(values, 1e-12 * max(float(values.max()), 1e-300))
    coordinates = (vectors * scale[:, None])[:p]
    covariance = (coordinates / values) @ coordinates.T
    # the columns have unit mean square: no entry is beyond the root of n
    bound = np.sqrt(np.abs(np.diag(covariance))).sum() * np.sqrt(X.shape[1])
    if not bound > UNBOUNDED_ERROR:
        return None
    variances = np.einsum("in,in->n", covariance @ X, X)
    row = int(np.argmax(variances))
    return covariance @ X[:, row] if variances[row] > UNBOUNDED_ERROR**2 else None


def _singular_words(terms, maps: list[np.ndarray], factors: list[np.ndarray]) -> list[str]:
    """Words for variances at zero and perfect correlations.

    A column far from zero correlates its effect with the others nearly perfectly. So what is
    degenerate is told in the solver's coordinates, whose columns are centred; with that made exact,
    the user's effects are proportional to rounding or not at all.
    """
    words = []
    for (group, effects), C, L in zip(terms, maps, factors, strict=True):
        L, rank = _exact_rank(L)
        root = C @ L
        sizes = np.linalg.norm(root, axis=1)
        # on the scale of the predictor: the user's columns are C^-T times the solver's
        columns = np.linalg.norm(np.linalg.inv(C), axis=0)
        zero = sizes * columns <= ROUNDING * np.linalg.norm(L)
        for i in np.flatnonzero(zero):
            words.append(f"the variance of {effects[i]!r} in {group!r} is zero")
        positive = np.flatnonzero(~zero)
        if positive.size < 2:
            continue
        rows = root[positive] / sizes[positive, None]
        perfect = False
        for a in range(positive.size):
            for b in range(a):
                sign = 1.0 if rows[a] @ rows[b] > 0.0 else -1.0
                if np.linalg.norm(rows[a] - sign * rows[b]) < PROPORTIONAL:
                    perfect = True
                    words.append(
                        f"the correlation of {effects[positive[b]]!r} and {effects[positive[a]]!r} "
                        f"in {group!r} is {'+1' if sign > 0.0 else '-1'}"
                    )
        if not perfect and rank < positive.size:
            words.append(f"the random effects of {group!r} are linearly dependent")
    return words


def _exact_rank(L: np.ndarray) -> tuple[np.ndarray, int]:
    """A covariance factor, whose rows if nearly dependent are made so to rounding, and its rank."""
    sizes = np.linalg.norm(L, axis=1)
    sizes[sizes == 0.0] = 1.0
    U, values, V = np.linalg.svd(L / sizes[:, None])
    kept = values > DEPENDENT * values[0]
    if kept.all():
        return L, len(L)
    return sizes[:, None] * (U * np.where(kept, values, 0.0)) @ V, int(kept.sum())
