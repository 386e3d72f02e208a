"""Contraceptive use in Bangladesh: the multilevel model m_05, its summary, and it as a classifier.

Run with `python examples/contraception.py`; with matplotlib installed it also draws
docs/images/contraception.png.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pandas as pd
from sklearn.metrics import confusion_matrix, precision_score, recall_score

from sklearn_mllm import MixedLogisticClassifier, PredictedProbabilityDisplay
from sklearn_mllm.datasets import load_contraception

FORMULA = "use ~ age*ch + I(age^2) + urban + (1 | urban:district)"


def draw(model: MixedLogisticClassifier, women: pd.DataFrame, path: Path) -> None:
    """Predicted probability in a typical district over age, by living children and town."""
    import matplotlib

    matplotlib.use("Agg")
    display = PredictedProbabilityDisplay.from_estimator(
        model, women, "age", by="ch", panel="urban", raw=True
    )
    for ax, title in zip(display.ax_, ("rural", "urban"), strict=True):
        ax.set(xlabel="age (centred, years)")
        ax.set_title(title, loc="left")
    display.ax_[0].set_ylabel("probability of use")
    display.figure_.legends[0].set_title("living child")
    path.parent.mkdir(parents=True, exist_ok=True)
    display.figure_.savefig(path, dpi=150)


def main() -> None:
    women = load_contraception().frame
    model = MixedLogisticClassifier(FORMULA).fit(women, women["use"])
    print(model.summary())

    predicted = model.predict(women)
    labels = list(model.classes_)
    table = confusion_matrix(women["use"], predicted, labels=labels)
    print("\nConfusion matrix (rows: actual, columns: predicted):")
    print(pd.DataFrame(table, index=labels, columns=labels))
    precision = precision_score(women["use"], predicted, labels=labels, average=None)
    recall = recall_score(women["use"], predicted, labels=labels, average=None)
    print("\nPer class, in percent (precision: share of predictions that are right;")
    print("recall: share of women found):")
    print(
        pd.DataFrame({"precision": 100 * precision, "recall": 100 * recall}, index=labels).round(2)
    )
    if find_spec("matplotlib") is not None:
        path = Path(__file__).resolve().parent.parent / "docs" / "images" / "contraception.png"
        draw(model, women, path)
        print(f"\nFigure: {path.relative_to(Path(__file__).resolve().parent.parent)}")


if __name__ == "__main__":
    main()
