"""Contraceptive use in Bangladesh: the multilevel model m_05, its summary, and it as a classifier.

Run with `python examples/contraception.py`; with matplotlib installed it also draws
docs/images/contraception.png.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix, precision_score, recall_score

from sklearn_mllm import MixedLogisticClassifier
from sklearn_mllm.datasets import load_contraception

FORMULA = "use ~ age*ch + I(age^2) + urban + (1 | urban:district)"


def draw(model: MixedLogisticClassifier, path: Path) -> None:
    """Predicted probability for a typical district over age, by living children and town."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    typical = MixedLogisticClassifier(**{**model.get_params(), "prediction": "typical"})
    typical.__dict__.update({k: v for k, v in vars(model).items() if k.endswith("_")})
    age = np.linspace(-13.5, 19.5, 100)
    colors = {"N": "#0072B2", "Y": "#D55E00"}
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.6), sharey=True, layout="constrained")
    for ax, urban, title in zip(axes, ("N", "Y"), ("rural", "urban"), strict=True):
        for ch, label in (("N", "no living child"), ("Y", "living children")):
            band = typical.predict_interval(pd.DataFrame({"age": age, "ch": ch, "urban": urban}))
            ax.plot(age, band["probability"], color=colors[ch], label=label)
            ax.fill_between(age, band["conf_low"], band["conf_high"], color=colors[ch], alpha=0.2)
        ax.set(title=title, xlabel="age (centred, years)", ylim=(0, 0.8))
        ax.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("probability of use")
    axes[1].legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


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
        draw(model, path)
        print(f"\nFigure: {path.relative_to(Path(__file__).resolve().parent.parent)}")


if __name__ == "__main__":
    main()
