"""Summaries, reports and displays."""

from __future__ import annotations

from importlib import import_module

_PLACES = {
    "Summary": "summary",
    "report": "report",
    "CalibrationByGroupDisplay": "displays",
    "PredictedProbabilityDisplay": "displays",
    "ProfileDisplay": "displays",
    "RandomEffectsDisplay": "displays",
    "ResidualDisplay": "displays",
    "SmoothedProportionDisplay": "displays",
}

__all__ = sorted(_PLACES)


def __getattr__(name: str):
    if name in _PLACES:
        return getattr(import_module(f".{_PLACES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
