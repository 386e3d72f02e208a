"""What a fit leaves behind."""

from .fit_result import FactorResult, FitResult, LaplaceCheck, TermResult, Verdict

__all__ = ["FactorResult", "FitResult", "LaplaceCheck", "TermResult", "Verdict"]
