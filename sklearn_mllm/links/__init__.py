"""Link functions; a new one is a file here and a row in `LINKS`."""

from __future__ import annotations

from importlib import import_module

from .base import Link

__all__ = ["LINKS", "Link", "get_link"]

#: name -> (module, class)
LINKS = {
    "logit": ("logit", "Logit"),
    "probit": ("probit", "Probit"),
    "cloglog": ("cloglog", "Cloglog"),
    "cauchit": ("cauchit", "Cauchit"),
}


def get_link(name: str) -> Link:
    """The link of this name.

    Raises
    ------
    ValueError
        Names the links there are.
    """
    if name not in LINKS:
        raise ValueError(f"link={name!r} is not one of {', '.join(map(repr, LINKS))}")
    module, cls = LINKS[name]
    return getattr(import_module(f"{__name__}.{module}"), cls)()
