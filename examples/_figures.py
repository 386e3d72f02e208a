"""Where the examples put their figures."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

FOLDER = Path(__file__).resolve().parent / "figures"


def save(figure, name: str) -> None:
    """Save a figure to examples/figures/ and say so."""
    FOLDER.mkdir(exist_ok=True)
    figure.savefig(FOLDER / f"{name}.png", dpi=110)
    print(f"[figure: examples/figures/{name}.png]")
