"""Where the examples put their figures."""

from __future__ import annotations

import os
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

_OWN = Path(__file__).resolve().parent / "figures"


def save(figure, name: str) -> None:
    """Save a figure to examples/figures/, or to the folder that EXAMPLE_FIGURES names."""
    folder = Path(os.environ.get("EXAMPLE_FIGURES", _OWN))
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / f"{name}.png", dpi=110)
    if folder == _OWN:
        print(f"[figure: examples/figures/{name}.png]")
