"""What a statistician reads off a fit, as text and as HTML."""

from __future__ import annotations

from html import escape

import numpy as np

__all__ = ["Summary"]

_METHODS = {
    0: "joint mode of coefficients and random effects (n_agq=0)",
    1: "Laplace approximation",
}
_CODES = ((0.001, "***"), (0.01, "**"), (0.05, "*"), (0.1, "."))


def _stars(p: float) -> str:
    return next((code for limit, code in _CODES if p < limit), "")


def _p_value(p: float) -> str:
    if np.isnan(p):
        return "NaN"
    return "<2e-16" if p < 2e-16 else f"{p:.3g}"


def _table(header: list[str], rows: list[list[str]], left: int = 1) -> list[str]:
    """Columns of text, the first `left` flush left."""
    widths = [max(len(r[i]) for r in [header, *rows]) for i in range(len(header))]
    return [
        " ".join(
            c.ljust(w) if i < left else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths))
        ).rstrip()
        for r in [header, *rows]
    ]


class Summary:
    """Summary of a fitted `MixedLogisticClassifier`; prints as text, shows as HTML in notebooks.

    Parameters
    ----------
    model : MixedLogisticClassifier
        Fitted.
    """

    def __init__(self, model) -> None:
        self.model = model
        self.sections = [s for s in self._sections() if s[1]]

    def __str__(self) -> str:
        parts = []
        for title, lines in self.sections:
            parts.append("\n".join([f"{title}:", *("  " + line for line in lines)]))
        return "\n\n".join(parts)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        parts = [
            f"<h4>{escape(title)}</h4><pre>{escape(chr(10).join(lines))}</pre>"
            for title, lines in self.sections
        ]
        return f"<div class='sklearn-mllm-summary'>{''.join(parts)}</div>"

    # -- sections --------------------------------------------------------------------------------

    def _sections(self) -> list[tuple[str, list[str]]]:
        result = self.model.result_
        return [
            (self._title(), self._head()),
            ("Scaled residuals", self._residuals()),
            ("Random effects", self._random()),
            ("Fixed effects", self._fixed()),
            ("Correlation of fixed effects", self._correlation()),
            ("Explained variance", self._explained() if result.terms else []),
            ("Convergence", self._verdict()),
        ]

    def _title(self) -> str:
        if not self.model.result_.terms:
            return "Logistic regression without random effects"
        return "Multilevel logistic regression"

    def _head(self) -> list[str]:
        model, result = self.model, self.model.result_
        method = "maximum likelihood"
        if result.terms:
            how = _METHODS.get(
                result.n_agq, f"adaptive Gauss-Hermite quadrature, {result.n_agq} points"
            )
            method = f"maximum likelihood, {how}"
        if model.prior is not None:
            method = f"penalised {method}"
        lines = [
            f"Formula: {model.spec_.parsed.text}",
            f"Family:  binomial, {result.link} link; event: {model.classes_[1]}",
            f"Method:  {method}",
            "",
        ]
        lines += _table(
            ["AIC", "BIC", "logLik", "deviance", "df.resid"],
            [
                [
                    f"{v:.1f}"
                    for v in (model.aic_, model.bic_, model.log_likelihood_, model.deviance_)
                ]
                + [str(model.df_residual_)]
            ],
            left=0,
        )
        if not result.terms and result.null_log_likelihood is not None:
            n = result.n_rows
            lines += [
                "",
                f"Null deviance:     {-2.0 * result.null_log_likelihood:.1f} on {n - 1} degrees of freedom",
                f"Residual deviance: {model.deviance_:.1f} on {model.df_residual_} degrees of freedom",
                f"Iterations: {result.verdict.n_steps}",
            ]
        return lines

    def _residuals(self) -> list[str]:
        values = [f"{v:.4f}" for v in self.model.result_.residual_quantiles]
        return _table(["Min", "1Q", "Median", "3Q", "Max"], [values], left=0)

    def _random(self) -> list[str]:
        result = self.model.result_
        rows = []
        for term in result.terms:
            sds = np.sqrt(np.diag(term.covariance))
            for i, effect in enumerate(term.effects):
                correlations = []
                for j in range(i):
                    product = sds[i] * sds[j]
                    value = term.covariance[i, j] / product if product > 0.0 else np.nan
                    correlations.append(f"{value:.2f}")
                rows.append(
                    [
                        term.group if i == 0 else "",
                        effect,
                        f"{term.covariance[i, i]:.4g}",
                        f"{sds[i]:.4g}",
                        " ".join(correlations),
                    ]
                )
        if not rows:
            return []
        counts = ", ".join(f"{g}, {n}" for g, n in self.model.n_groups_.items())
        lines = _table(["Groups", "Name", "Variance", "Std.Dev.", "Corr"], rows, left=2)
        return [*lines, f"Number of rows: {result.n_rows}; groups: {counts}"]

    def _fixed(self) -> list[str]:
        table = self.model.fixed_effects_
        rows = [
            [
                str(name),
                f"{r.estimate:.6g}",
                f"{r.std_error:.4g}",
                f"{r.z:.3f}",
                _p_value(r.p_value),
                _stars(r.p_value),
            ]
            for name, r in zip(table.index, table.itertuples(), strict=True)
        ]
        lines = _table(["", "Estimate", "Std. Error", "z value", "Pr(>|z|)", ""], rows)
        lines.append("Signif. codes: 0 '***' 0.001 '**' 0.01 '*' 0.05 '.' 0.1 ' ' 1")
        aliased = table.index[table["estimate"].isna()]
        if len(aliased):
            lines.append(
                f"Left out as linear combinations of earlier columns: {', '.join(map(str, aliased))}"
            )
        return lines

    def _correlation(self) -> list[str]:
        covariance = self.model.covariance_.dropna(how="all").dropna(how="all", axis=1)
        if len(covariance) < 2 or covariance.isna().any().any():
            return []
        V = covariance.to_numpy()
        sd = np.sqrt(np.diag(V))
        R = V / np.outer(sd, sd)
        names = [str(n) for n in covariance.index]
        short = [n if len(n) <= 8 else n[:7] + "~" for n in names]
        width = 70 // 9
        lines = []
        for start in range(0, len(names) - 1, width):
            columns = range(start, min(start + width, len(names) - 1))
            rows = [
                [names[i][:24], *(f"{R[i, j]:.3f}" if j < i else "" for j in columns)]
                for i in range(start + 1, len(names))
            ]
            lines += _table(["", *(short[j] for j in columns)], rows)
        return lines

    def _explained(self) -> list[str]:
        parts = explained_variance(self.model.result_)
        if parts is None:
            return []
        marginal, conditional, by_factor = parts
        lines = [f"Pseudo-R2 (fixed effects) {marginal:.2f}, (total) {conditional:.2f}"]
        lines += [f"ICC of {group}: {value:.2f}" for group, value in by_factor.items()]
        return lines

    def _verdict(self) -> list[str]:
        verdict = self.model.convergence_
        lines = [verdict.message]
        if verdict.singular_terms and verdict.converged:
            lines.append(
                "The maximum lies at the boundary: the data show no such variation beyond chance."
            )
        lines.append(f"Gradient norm {verdict.gradient_norm:.1g}, {verdict.n_steps} steps")
        return lines


def explained_variance(result) -> tuple[float, float, dict[str, float]] | None:
    """Nakagawa's marginal and conditional R2, and the adjusted ICC of each factor."""
    from ..links import get_link

    distribution = get_link(result.link).latent_variance
    if distribution is None:
        return None
    by_factor: dict[str, float] = {}
    for term in result.terms:
        variance = float(np.sum(term.covariance * term.mean_outer))
        by_factor[term.group] = by_factor.get(term.group, 0.0) + variance
    random = sum(by_factor.values())
    fixed = result.fixed_predictor_variance
    total = fixed + random + distribution
    icc = {g: v / (random + distribution) for g, v in by_factor.items()}
    return fixed / total, (fixed + random) / total, icc
