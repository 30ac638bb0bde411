"""Spearman correlation: how similar the rankings by predicted and by true scores are."""

from typing import Any

import datasets
import evaluate
import numpy as np

DESCRIPTION = "Correlation of the ranks of predicted and true scores; ties get their mean rank."


class Spearman(evaluate.Metric):
    """`compute(predictions=[scores], references=[scores])["spearman"]`, -1 to 1.

    0.0 if either side is constant, or there are no rows; nan if a score is nan.
    """

    def _info(self) -> evaluate.MetricInfo:
        value = datasets.Value("float64")
        features = datasets.Features({"predictions": value, "references": value})
        return evaluate.MetricInfo(description=DESCRIPTION, citation="", inputs_description="", features=features)

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        sides = np.asarray([_rank(predictions), _rank(references)])  # [2, rows]
        constant = not sides.size or (sides.min(axis=1) == sides.max(axis=1)).any()
        return {"spearman": 0.0 if constant else float(np.corrcoef(sides)[0, 1])}


def _rank(scores: Any) -> np.ndarray:
    """Returns the rank of each score from 1; ties get their mean rank, nan gets nan."""
    values, places, counts = np.unique(np.asarray(scores, dtype=float), return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    return np.where(np.isnan(values), np.nan, ranks)[places]
