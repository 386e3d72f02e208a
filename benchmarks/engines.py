"""Fits of a drawn design by our engine and by others, in one common form."""

from __future__ import annotations

import multiprocessing
import re
import time
import warnings
from dataclasses import dataclass, field

import numpy as np
from random_designs import draw
from scipy import linalg, optimize

from sklearn_mllm import MixedLogisticClassifier

__all__ = ["EngineFit", "GlmmWorker", "OurProblem", "fit_glmm", "fit_ours", "separated"]

#: Seconds after which a fit of glmm's is ended.
RIVAL_LIMIT = 20
#: Bars that glmm's engine does not take, as its own errors say.
GLMM_LACKS = ("uncorrelated", "two_terms", "slope_only", "random_only")


@dataclass(eq=False)
class EngineFit:
    """What an engine says of a design.

    Attributes
    ----------
    beta, se : ndarray of shape (p,)
        NaN where aliased.
    covariances : dict
        From (names of the factor, number of effects, how many such terms came before) to the matrix.
    converged, singular : bool
        In the engine's own words.
    notes : list of str
        Warnings.
    """

    log_likelihood: float = np.nan
    beta: np.ndarray = field(default_factory=lambda: np.zeros(0))
    se: np.ndarray = field(default_factory=lambda: np.zeros(0))
    covariances: dict = field(default_factory=dict)
    converged: bool = False
    singular: bool = False
    notes: list[str] = field(default_factory=list)
    seconds: float = 0.0
    error: str | None = None
    model: object = None

    @property
    def largest_sd(self) -> float:
        return max((float(np.sqrt(np.diag(S).max())) for S in self.covariances.values()), default=0)

    @property
    def smallest_sd(self) -> float:
        return min((float(np.sqrt(np.diag(S).min())) for S in self.covariances.values()), default=0)


def _key(group: str, size: int, before=()) -> tuple:
    names = tuple(sorted(group.split(":")))
    return names, size, sum(key[:2] == (names, size) for key in before)


def fit_ours(design) -> EngineFit:
    """Our fit from the frame, default settings."""
    fit = EngineFit()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        began = time.perf_counter()
        try:
            model = MixedLogisticClassifier(design.formula, link=design.link).fit(
                design.frame, sample_weight=design.weights, offset=design.offset
            )
        except Exception as error:  # any error at all is a finding
            fit.error = f"{type(error).__name__}: {error}"
        fit.seconds = time.perf_counter() - began
    fit.notes = [f"{w.category.__name__}: {w.message}" for w in caught]
    if fit.error is not None:
        return fit
    table = model.fixed_effects_
    fit.model = model
    fit.log_likelihood = model.log_likelihood_
    fit.beta, fit.se = table["estimate"].to_numpy(), table["std_error"].to_numpy()
    for term in model.result_.terms:
        key = _key(term.group, len(term.effects), fit.covariances)
        fit.covariances[key] = np.asarray(term.covariance)
    fit.converged, fit.singular = model.converged_, model.is_singular_
    return fit


def _for_glmm(design):
    """Formula and frame with interactions of three factors as a column, which glmm does not parse."""
    found = re.search(r"\(1 \| (\w+)/(\w+)/(\w+)\)", design.formula)
    if found is None:
        return design.formula, design.frame, {}
    a, b, c = found.groups()
    cells = design.frame[a] * 10_000 + design.frame[b] * 100 + design.frame[c]
    formula = design.formula.replace(
        found.group(0), f"(1 | {a}) + (1 | {a}:{b}) + (1 | {a}_{b}_{c})"
    )
    return formula, design.frame.assign(**{f"{a}_{b}_{c}": cells}), {f"{a}_{b}_{c}": f"{a}:{b}:{c}"}


class GlmmWorker:
    """glmm in a process of its own, which is ended where a fit does not."""

    def __init__(self) -> None:
        self._process = self._pipe = None

    @property
    def fresh(self) -> bool:
        """Whether no process is there yet."""
        return self._process is None

    def fit(self, design) -> EngineFit | None:
        """As `fit_glmm`; an error after `RIVAL_LIMIT` seconds, or where the process dies."""
        if self._process is None:
            ours, theirs = multiprocessing.Pipe()
            self._process = multiprocessing.Process(target=_serve, args=(theirs,), daemon=True)
            self._process.start()
            self._pipe = ours
        try:
            self._pipe.send((design.kind, design.seed))
            if self._pipe.poll(RIVAL_LIMIT):
                return self._pipe.recv()
            error = f"no end after {RIVAL_LIMIT} s"
        except (EOFError, OSError):
            error = "the process died"
        self.close()
        return EngineFit(error=error)

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None


def _serve(pipe) -> None:
    while True:
        pipe.send(fit_glmm(draw(*pipe.recv())))


def fit_glmm(design) -> EngineFit | None:
    """glmm's fit; None for structures that it does not have."""
    import glmm

    if design.kind in GLMM_LACKS or (design.weights is not None and "counts" in design.traits):
        return None
    formula, frame, renamed = _for_glmm(design)
    fit = EngineFit()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        began = time.perf_counter()
        try:
            found = glmm.fit(
                frame, formula, "binomial", link=design.link,
                weights=design.weights, offset=design.offset,
            )  # fmt: skip
        except Exception as error:
            fit.error = f"{type(error).__name__}: {error}"
        fit.seconds = time.perf_counter() - began
    fit.notes = [f"{w.category.__name__}: {w.message}" for w in caught]
    if fit.error is None and len(found.varcorr) != len(found.re_groups):
        fit.error = "no covariances returned; " + "; ".join(fit.notes)
    if fit.error is not None:
        return fit
    fit.log_likelihood = float(found.loglik)
    fit.beta, fit.se = np.asarray(found.beta), np.asarray(found.se)
    for (group, _), lower in zip(found.re_groups, found.varcorr, strict=True):
        k = int((np.sqrt(8 * len(lower) + 1) - 1) / 2)
        S = np.zeros((k, k))
        S[np.triu_indices(k)] = lower  # lower triangle by columns
        fit.covariances[_key(renamed.get(group, group), k)] = S + np.triu(S, 1).T
    fit.converged, fit.singular = bool(found.converged), bool(found.singular)
    return fit


class OurProblem:
    """The problem that our solver sees for a design, open to evaluation at any parameters."""

    def __init__(self, fit: EngineFit, design) -> None:
        from sklearn_mllm.inference.refit import training_problem

        self.model = fit.model
        refitter = training_problem(
            fit.model, design.frame, None, None, design.weights, design.offset
        )
        self.build, self.link, self.constant = refitter.build, refitter.link, refitter.constant
        self.phi = np.array(fit.model.result_.phi)

    def parameters(self, fit: EngineFit) -> np.ndarray:
        """An engine's estimates in the solver's coordinates."""
        kept = self.build.fixed_map.kept
        beta = np.nan_to_num(fit.beta[kept])
        parts, seen = [np.linalg.solve(self.build.fixed_map.T, beta)], []
        for term, C in zip(self.model.result_.terms, self.build.random_maps, strict=True):
            inverse = np.linalg.inv(C)
            seen.append(_key(term.group, len(term.effects), seen))
            S = inverse @ fit.covariances[seen[-1]] @ inverse.T
            k = S.shape[0]
            # R of a QR: a triangular root of singular matrices too
            values, vectors = np.linalg.eigh(S)
            root = vectors * np.sqrt(np.maximum(values, 0.0))
            L = np.linalg.qr(root.T, mode="r").T
            L = L * np.where(np.diag(L) < 0.0, -1.0, 1.0)
            parts.extend(L[j:, j] for j in range(k))
        return np.concatenate(parts)

    def value(self, phi: np.ndarray) -> float:
        """Our log-likelihood at parameters, with the binomial constants; NaN without modes."""
        from sklearn_mllm.objective.laplace import LaplaceObjective, ModeError

        objective = LaplaceObjective(self.build.problem, self.link)
        try:
            return objective.evaluate(phi).value + self.constant
        except ModeError:
            return np.nan
        finally:
            objective.close()

    def climb(self, phi: np.ndarray) -> tuple[float, np.ndarray]:
        """Our ascent from other parameters: the log-likelihood and where it ended."""
        from sklearn_mllm.optimizer.fit import fit_problem
        from sklearn_mllm.optimizer.maximize import NotFinite

        start = np.array(phi)
        theta = start[self.build.problem.p :]
        theta[np.abs(theta) < 1e-3] = 1e-3
        try:
            outcome = fit_problem(self.build.problem, self.link, start=start)
        except (NotFinite, ArithmeticError, np.linalg.LinAlgError):
            return np.nan, start
        outcome.objective.close()
        return outcome.maximum.value + self.constant, outcome.maximum.phi

    def differenced_errors(self, step: float = 5e-4) -> np.ndarray:
        """Standard errors of the coefficients from central differences of the exact gradient."""
        from sklearn_mllm.objective.laplace import LaplaceObjective

        objective = LaplaceObjective(self.build.problem, self.link)
        M, p = self.phi.shape[0], self.build.problem.p
        H = np.zeros((M, M))
        for j in range(M):
            moved = np.zeros(M)
            moved[j] = step * max(1.0, abs(self.phi[j]))
            up = objective.evaluate(self.phi + moved, 1e-18).gradient
            down = objective.evaluate(self.phi - moved, 1e-18).gradient
            H[j] = (up - down) / (2.0 * moved[j])
        objective.close()
        covariance = linalg.inv(-0.5 * (H + H.T))[:p, :p]
        T = self.build.fixed_map.T
        se = np.full(len(self.model.result_.names), np.nan)
        se[self.build.fixed_map.kept] = np.sqrt(np.diag(T @ covariance @ T.T))
        return se

    def dense_value(self, phi: np.ndarray) -> float:
        """The independent dense Laplace value at parameters; NaN where it finds no modes."""
        from dense_laplace import dense_laplace

        problem = self.build.problem
        p = problem.p
        terms, covariances, at = [], [], p
        for term in problem.terms:
            factor, k = problem.factors[term.factor], term.size
            Z = np.ones((1, problem.n)) if factor.Z is None else factor.Z
            terms.append((factor.codes, Z[term.start : term.start + k].T))
            L = np.zeros((k, k))
            for j in range(k):
                L[j:, j] = phi[at : at + k - j]
                at += k - j
            covariances.append(L @ L.T)
        n = problem.n
        trials = np.ones(n) if problem.trials is None else problem.trials
        offset = np.zeros(n) if problem.offset is None else problem.offset
        try:
            value = dense_laplace(
                problem.X.T, problem.successes, trials, offset, terms, self.link.name, phi[:p],
                covariances,
            )  # fmt: skip
        except (ArithmeticError, np.linalg.LinAlgError):
            return np.nan
        return value + self.constant

    @property
    def n_effects(self) -> int:
        problem = self.build.problem
        return sum(problem.factors[t.factor].n_levels * t.size for t in problem.terms)


def separated(problem) -> bool:
    """Whether a combination of columns parts events from non-events (a linear programme).

    Then the coefficients have no finite maximum, with or without random effects.
    """
    n, p = problem.n, problem.p
    trials = np.ones(n) if problem.trials is None else problem.trials
    up, down = problem.successes > 0.0, problem.successes < trials
    X = problem.X.T
    rows = np.concatenate([X[up & ~down], -X[down & ~up]])
    if rows.shape[0] == 0 or p == 0:
        return False
    mixed = X[up & down]
    solved = optimize.linprog(
        -rows.sum(axis=0),
        A_ub=-rows,
        b_ub=np.zeros(rows.shape[0]),
        A_eq=mixed if mixed.size else None,
        b_eq=np.zeros(mixed.shape[0]) if mixed.size else None,
        bounds=[(-1.0, 1.0)] * p,
        method="highs",
    )
    return bool(solved.status == 0 and -solved.fun > 1e-6 * rows.shape[0] ** 0.5)
