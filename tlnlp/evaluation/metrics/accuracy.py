"""Accuracy: the fraction of rows with the correct label."""

from typing import Any

import datasets
import evaluate
import numpy as np

DESCRIPTION = (
    "Fraction of predictions equal to their reference; for multi-label, of rows in which all labels are equal."
)


class Accuracy(evaluate.Metric):
    """`compute(predictions=[labels], references=[labels])["accuracy"]`, 0 to 1."""

    configs = ("multilabel",)
    is_mean = True

    def _info(self) -> evaluate.MetricInfo:
        value = datasets.Value("int32")
        features = {"predictions": value, "references": value}
        if self.config_name == "multilabel":
            features = {name: datasets.Sequence(value) for name in features}
        return evaluate.MetricInfo(
            description=DESCRIPTION, citation="", inputs_description="", features=datasets.Features(features)
        )

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        right = np.asarray(predictions) == np.asarray(references)
        return {"accuracy": float(right.reshape(len(right), -1).all(axis=1).mean())}
