"""Probabilities of new rows, their intervals, simulation, updates of groups, poststratification."""

__all__ = ["poststratify"]


def __getattr__(name: str):
    if name == "poststratify":
        from .poststratify import poststratify

        return poststratify
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
