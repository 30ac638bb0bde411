"""Pearson correlation: how linear the relation between predicted and true scores is."""

from typing import Any

import datasets
import evaluate
import numpy as np

DESCRIPTION = "Linear correlation of predicted and true scores."


class Pearson(evaluate.Metric):
    """`compute(predictions=[scores], references=[scores])["pearson"]`, -1 to 1.

    0.0 if either side is constant, or there are no rows; nan if a score is nan.
    """

    def _info(self) -> evaluate.MetricInfo:
        value = datasets.Value("float64")
        features = datasets.Features({"predictions": value, "references": value})
        return evaluate.MetricInfo(description=DESCRIPTION, citation="", inputs_description="", features=features)

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        sides = np.asarray([predictions, references], dtype=float)  # [2, rows]
        constant = not sides.size or (sides.min(axis=1) == sides.max(axis=1)).any()
        return {"pearson": 0.0 if constant else float(np.corrcoef(sides)[0, 1])}
