"""What a statistician reads off a fit, as text and as HTML."""

from __future__ import annotations

from html import escape

import numpy as np
from scipy.stats import chi2

from .tables import (
    WIDTH,
    Block,
    Lines,
    Table,
    columns_of_decimals,
    fixed_decimals,
    shorten,
    text_width,
)
from .words import SHIFT_THAT_MATTERS, enumeration, group_counts, method_words, plural

__all__ = ["Summary"]

_CODES = ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.1, "."))
_LEGEND = "Signif. codes: 0 '***' 0.001 '**' 0.01 '*' 0.05 '.' 0.1 ' ' 1"

#: Coefficients beyond which their correlations are left out, as lme4 does.
MOST_CORRELATED = 20


def _stars(p: float) -> str:
    return next((code for limit, code in _CODES if p < limit), "")


def _p_value(p: float) -> str:
    if np.isnan(p):
        return "NA"
    if p < 2e-16:
        return "<2e-16"
    if p > 0.99995:
        return ">0.9999"
    return f"{p:.4f}" if p >= 1e-4 else f"{p:.2e}"


class Summary:
    """Summary of a fitted `MixedLogisticClassifier`; prints as text, shows as HTML in notebooks.

    Parameters
    ----------
    model : MixedLogisticClassifier
        Fitted.
    odds_ratios : bool, default=True
        A column of odds ratios beside the coefficients, where the link is the logit.

    Attributes
    ----------
    sections : list of (str, list of Table or Lines)
        Titles and what stands under them.
    """

    def __init__(self, model, *, odds_ratios: bool = True) -> None:
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(model, "result_")
        self.model = model
        self.odds_ratios = bool(odds_ratios) and model.result_.link == "logit"
        self.sections: list[tuple[str, list[Block]]] = [s for s in self._sections() if s[1]]

    def __str__(self) -> str:
        parts = []
        for title, blocks in self.sections:
            lines = []
            for block in blocks:
                lines += [f"  {line}".rstrip() for line in block.text(WIDTH - 2)]
            parts.append("\n".join([f"{title}:", *lines]))
        return "\n\n".join(parts)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        parts = [
            f"<h4>{escape(title)}</h4>{''.join(block.html() for block in blocks)}"
            for title, blocks in self.sections
        ]
        return f"<div class='sklearn-mllm-summary'>{''.join(parts)}</div>"

    # -- sections --------------------------------------------------------------------------------

    def _sections(self) -> list[tuple[str, list[Block]]]:
        mixed = bool(self.model.result_.terms)
        title = "Multilevel logistic regression"
        if self.model.result_.link != "logit":
            title = "Multilevel binomial regression" if mixed else "Binomial regression"
        elif not mixed:
            title = "Logistic regression"
        return [
            (title if mixed else f"{title} without random effects", self._head()),
            ("Scaled residuals", self._residuals()),
            ("Random effects", self._random()),
            ("Fixed effects", self._fixed()),
            ("Correlation of fixed effects", self._correlation()),
            ("Explained variance", self._explained()),
            ("Convergence", self._verdict()),
        ]

    def _head(self) -> list[Block]:
        model, result = self.model, self.model.result_
        lines = [
            f"Formula: {' '.join(model.spec_.parsed.text.split())}",
            f"Family:  binomial, {result.link} link; event: {_event(model)}",
            f"Method:  {method_words(result, model.prior is not None)}",
        ]
        if not result.terms:
            lines.append(f"Rows:    {_rows(model)}")
        values = (model.aic_, model.bic_, model.log_likelihood_, model.deviance_)
        criteria = Table(
            ("AIC", "BIC", "logLik", "deviance", "df.resid"),
            ((*(fixed_decimals(v, 1) for v in values), str(model.df_residual_)),),
            left=0,
        )
        blocks: list[Block] = [Lines((*lines, "")), criteria]
        if not result.terms and result.null_log_likelihood is not None:
            blocks.append(Lines(("", *self._deviances(), f"Iterations: {result.verdict.n_steps}")))
        return blocks

    def _deviances(self) -> list[str]:
        """Null and residual deviance, and their difference as a test of all slopes at once."""
        model, result = self.model, self.model.result_
        nothing = -2.0 * result.null_log_likelihood
        null, residual = fixed_decimals(nothing, 1), fixed_decimals(model.deviance_, 1)
        width = max(len(null), len(residual))
        lines = [
            f"Null deviance:     {null:>{width}} on {result.n_rows - 1} degrees of freedom",
            f"Residual deviance: {residual:>{width}} on {model.df_residual_} degrees of freedom",
        ]
        df = model.df_model_ - 1
        if "Intercept" in result.names and df and model.prior is None:
            fall = max(nothing - model.deviance_, 0.0)
            p = _p_value(float(chi2.sf(fall, df)))
            p = p if p[0] in "<>" else f"= {p}"
            lines.append(
                f"All coefficients but the intercept zero: chi2({df}) = {fixed_decimals(fall, 1)}, "
                f"p {p.replace('<', '< ').replace('>', '> ')}"
            )
        return lines

    def _residuals(self) -> list[Block]:
        values = tuple(fixed_decimals(v, 4) for v in self.model.result_.residual_quantiles)
        return [Table(("Min", "1Q", "Median", "3Q", "Max"), (values,), left=0)]

    def _random(self) -> list[Block]:
        result = self.model.result_
        if not result.terms:
            return []
        effects = [(t, i) for t in result.terms for i in range(len(t.effects))]
        variances = [float(t.covariance[i, i]) for t, i in effects]
        sds = [float(np.sqrt(v)) for v in variances]
        shown = columns_of_decimals(variances, sds, deciding=0)
        most = max(len(t.effects) for t in result.terms)
        rows = []
        for (term, i), variance, sd in zip(effects, *shown, strict=True):
            correlations = _correlations(term.covariance, i)
            padding = [""] * (most - 1 - len(correlations))
            group = term.group if i == 0 else ""
            rows.append((group, term.effects[i], variance, sd, *correlations, *padding))
        header = ("Groups", "Name", "Variance", "Std.Dev.", *(["Corr"] + [""] * most)[: most - 1])
        counts = "; ".join(f"{g}, {n}" for g, n in group_counts(result).items())
        tail = Lines((f"Number of rows: {_rows(self.model)}; groups: {counts}",))
        return [Table(header, tuple(rows), left=2), tail]

    def _fixed(self) -> list[Block]:
        table = self.model.fixed_effects_
        if not len(table):
            return []
        names = [str(name) for name in table.index]
        estimates, errors = columns_of_decimals(table["estimate"], table["std_error"], deciding=1)
        columns = [
            names,
            estimates,
            errors,
            [fixed_decimals(z, 3) for z in table["z"]],
            [_p_value(p) for p in table["p_value"]],
        ]
        header = ["", "Estimate", "Std.Err", "z", "Pr(>|z|)"]
        if self.odds_ratios:
            with np.errstate(over="ignore"):
                ratios = np.exp(table["estimate"].to_numpy())
            header.append("Odds ratio")
            columns.append(["NA" if np.isnan(r) else f"{r:.4g}" for r in ratios])
        header.append("")
        columns.append([_stars(p) for p in table["p_value"]])
        lines = [_LEGEND]
        aliased = [n for n, a in zip(names, self.model.result_.aliased, strict=True) if a]
        if aliased:
            lines.append(
                f"Left out as linear combinations of earlier columns: {enumeration(aliased)}"
            )
        return [
            Table(tuple(header), tuple(zip(*columns, strict=True)), codes=True),
            Lines((*lines,)),
        ]

    def _correlation(self) -> list[Block]:
        result = self.model.result_
        kept = np.flatnonzero(~result.aliased)
        V = result.fixed_covariance[np.ix_(kept, kept)]
        variances = np.diag(V)
        if kept.size < 2 or not np.isfinite(V).all() or not (variances > 0.0).all():
            return []
        R = V / np.sqrt(np.outer(variances, variances))
        if kept.size > MOST_CORRELATED:
            return [
                Lines((f"Not shown for {kept.size} coefficients; covariance_ holds covariances.",))
            ]
        names = [result.names[j] for j in kept]
        label = min(max(map(text_width, names[1:])), 22)
        rows_as = [shorten(n, label) for n in names]
        short = [shorten(n, 7) for n in names]
        room = (WIDTH - 2 - label) // 8
        blocks: list[Block] = []
        for start in range(0, len(names) - 1, room):
            columns = range(start, min(start + room, len(names) - 1))
            rows = tuple(
                (rows_as[i], *(fixed_decimals(R[i, j], 3) if j < i else "" for j in columns))
                for i in range(start + 1, len(names))
            )
            if start:
                blocks.append(Lines(("",)))
            blocks.append(Table(("", *(short[j] for j in columns)), rows))
        return blocks

    def _explained(self) -> list[Block]:
        from ..inference import icc, r2
        from ..links import get_link

        result = self.model.result_
        if not result.terms:
            return self._explained_plain()
        if get_link(result.link).latent_variance is None:
            return []
        share = r2(self.model)
        lines = [f"Pseudo-R2 (fixed effects) {share.marginal:.2f}, (total) {share.conditional:.2f}"]
        adjusted = icc(self.model)["adjusted"]
        lines += [f"ICC of {g}: {v:.2f}" for g, v in adjusted.items() if g in _factors(result)]
        if len(_factors(result)) > 1:
            lines.append(f"ICC of all together: {adjusted.iloc[-1]:.2f}")
        return [Lines(tuple(lines))]

    def _explained_plain(self) -> list[Block]:
        """Pseudo-R2 of a regression without random effects."""
        from ..inference import r2
        from ..links import get_link

        model, result = self.model, self.model.result_
        if all(name == "Intercept" for name in result.names):
            return []
        shares = []
        if get_link(result.link).latent_variance is not None:
            shares.append(f"(McKelvey & Zavoina) {r2(model).marginal:.2f}")
        if "Intercept" in result.names and not _is_counted(model):
            # of single rows: the constants of counts would distort these ratios
            n, null = result.trace.n_trials, result.null_log_likelihood
            share = -np.expm1(2.0 * (null - result.log_likelihood) / n)
            shares.append(f"(Cragg & Uhler) {share / -np.expm1(2.0 * null / n):.2f}")
            shares.append(f"(McFadden) {1.0 - result.log_likelihood / null:.2f}")
        return [Lines((f"Pseudo-R2 {', '.join(shares)}",))] if shares else []

    def _criterion(self) -> str:
        """What was maximised."""
        result = self.model.result_
        kind = "penalised likelihood" if self.model.prior is not None else "likelihood"
        if not result.terms:
            return kind
        if result.n_agq == 0:
            return f"joint {kind} of coefficients and random effects"
        how = "Laplace-approximated" if result.n_agq == 1 else "quadrature"
        return f"{how} {kind}"

    def _verdict(self) -> list[Block]:
        verdict = self.model.convergence_
        lines = []
        if not verdict.converged:
            lines.append("Not converged: the estimates and standard errors are not to be trusted.")
            lines.append(verdict.message[:1].upper() + verdict.message[1:] + ".")
        elif verdict.singular_terms:
            lines.append("Converged, at the boundary of the parameters (a singular fit):")
            lines += [f"- {words}" for words in verdict.singular_terms]
            lines += _boundary_words(verdict.singular_terms)
        else:
            lines.append(f"Converged: the estimate is a maximum of the {self._criterion()}.")
        lines.append(
            f"Gradient norm {verdict.gradient_norm:.1g} after {plural(verdict.n_steps, 'step')}"
        )
        if verdict.log_likelihood_error > 0.0:
            lines.append(
                "The log-likelihood is by random probes; its standard error is "
                f"{verdict.log_likelihood_error:.2g}."
            )
        lines += _laplace_words(verdict.laplace_error)
        return [Lines(tuple(lines))]


def _is_counted(model) -> bool:
    from ..formula.parse import Cbind

    return isinstance(model.spec_.parsed.response, Cbind)


def _event(model) -> str:
    return "success (first count)" if _is_counted(model) else str(model.classes_[1])


def _rows(model) -> str:
    """Rows of the fit, with their trials or weights."""
    trace = model.result_.trace
    if _is_counted(model):
        return f"{trace.n_rows} ({trace.n_trials:.10g} trials)"
    if trace.n_trials != trace.n_rows:
        return f"{trace.n_rows} (weights sum to {trace.n_trials:.10g})"
    return str(trace.n_rows)


def _factors(result) -> list[str]:
    return list(dict.fromkeys(t.group for t in result.terms))


def _correlations(covariance: np.ndarray, i: int) -> list[str]:
    """Correlations of effect i with those before it; `NA` beside a zero variance."""
    sds = np.sqrt(np.diag(covariance))
    out = []
    for j in range(i):
        product = sds[i] * sds[j]
        out.append(fixed_decimals(covariance[i, j] / product if product > 0.0 else np.nan, 2))
    return out


def _laplace_words(check) -> list[str]:
    """What the check of the Laplace approximation found, where it matters."""
    if check is None or check.shift < SHIFT_THAT_MATTERS:
        return []
    size = f"about {check.shift:.1f}" if check.shift <= 3.0 else "more than 3"
    if check.n_points:
        return [
            "The Laplace approximation is poor here: quadrature would move "
            f"{check.parameter} by {size} standard errors.",
            f"Use n_agq={max(7, check.n_points)}; laplace_error tells the rest.",
        ]
    return [
        "The Laplace approximation may be poor here: by its next terms "
        f"{check.parameter} would move by {size} standard errors (a rough figure).",
    ]


def _boundary_words(singular: tuple[str, ...]) -> list[str]:
    """What a boundary estimate means."""
    out = []
    if any("variance" in words for words in singular):
        out.append(
            "A zero variance is a proper estimate: the data show no variation between groups "
            "beyond chance. The model is then the same as one without that effect."
        )
    if any("variance" not in words for words in singular):
        out.append(
            "Perfectly dependent effects mean that fewer would do: the data do not determine "
            "them all. A simpler model may fit as well; compare_models tells."
        )
    return out
