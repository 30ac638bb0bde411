"""Matthews correlation: how predicted and true labels agree beyond chance, whatever their frequencies."""

from typing import Any

import datasets
import evaluate
import numpy as np

DESCRIPTION = "Correlation of predicted and true labels, two or more (Matthews 1975; Gorodkin 2004)."


class Matthews(evaluate.Metric):
    """`compute(predictions=[labels], references=[labels])["matthews_correlation"]`, -1 to 1.

    0.0 where all predictions or all references are the same label (or there is no row): a constant tells nothing.
    Source: Gorodkin 2004, "Comparing two K-category assignments by a K-category correlation coefficient"; of two labels
    it is Matthews' own, which GLUE takes for CoLA (Wang et al. 2018, section 3.1).
    """

    def _info(self) -> evaluate.MetricInfo:
        value = datasets.Value("int32")
        features = datasets.Features({"predictions": value, "references": value})
        return evaluate.MetricInfo(description=DESCRIPTION, citation="", inputs_description="", features=features)

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        labels = np.union1d(predictions, references)
        told = np.asarray(predictions)[:, None] == labels  # [rows, labels]
        held = np.asarray(references)[:, None] == labels
        rows, times_told, times_held = len(told), told.sum(axis=0), held.sum(axis=0)
        agreement = int((told & held).sum()) * rows - int(times_told @ times_held)
        # The spread of each side: 0 where it has one label only. Roots first: the product of both would overflow.
        spreads = [np.sqrt(float(rows**2 - times @ times)) for times in (times_told, times_held)]
        return {"matthews_correlation": float(agreement / np.prod(spreads)) if all(spreads) else 0.0}
