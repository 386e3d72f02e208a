"""Formulas in lme4's syntax: text -> `ParsedFormula` -> `ModelSpec` -> arrays."""

from .grouping import Grouping
from .names import quote
from .parse import Cbind, ParsedFormula, RandomTerm, default_formula, parse
from .spec import Matrices, ModelSpec, RandomMatrices, response_values
from .tokens import FormulaError

__all__ = [
    "Cbind",
    "FormulaError",
    "Grouping",
    "Matrices",
    "ModelSpec",
    "ParsedFormula",
    "RandomMatrices",
    "RandomTerm",
    "default_formula",
    "parse",
    "quote",
    "response_values",
]
