"""Reference fits: a case and its data, and R's coefficient names in ours."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd

FOLDER = Path(__file__).parent / "reference"

__all__ = ["case_ids", "load_case", "load_extra", "our_name"]


def case_ids() -> list[str]:
    return sorted(p.stem for p in (FOLDER / "cases").glob("*.json"))


def load_case(identifier: str) -> tuple[dict, pd.DataFrame]:
    case = json.loads((FOLDER / "cases" / f"{identifier}.json").read_text())
    frame = pd.read_csv(FOLDER / case["data"], keep_default_na=False, na_values=[""])
    for name, levels in case["categorical"].items():
        frame[name] = pd.Categorical(frame[name].astype(str), categories=levels)
    return case, frame


def load_extra(name: str):
    return json.loads((FOLDER / "extras" / f"{name}.json").read_text())


def our_name(name: str, case: dict) -> str:
    """R's `urbanY` as `urban[T.Y]`, `(Intercept)` as `Intercept`, `I(age^2)` as `I(age ** 2)`."""
    if name == "(Intercept)":
        return "Intercept"
    parts = []
    for part in name.split(":"):
        for column, levels in case["categorical"].items():
            level = part[len(column) :]
            if part.startswith(column) and level in levels:
                part = f"{column}[T.{level}]"
                break
        part = part.replace("^", " ** ")
        if part.startswith("I(") and part.endswith("TRUE"):
            part = part[: -len("TRUE")]
        parts.append(part)
    return ":".join(parts)
