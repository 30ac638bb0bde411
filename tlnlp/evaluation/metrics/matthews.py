"""Matthews correlation: agreement of predicted and true labels beyond chance, whatever the label frequencies."""

from typing import Any

import datasets
import evaluate
import numpy as np

DESCRIPTION = "Correlation of predicted and true labels, two or more (Matthews 1975; Gorodkin 2004)."


class Matthews(evaluate.Metric):
    """`compute(predictions=[labels], references=[labels])["matthews_correlation"]`, -1 to 1.

    0.0 if all predictions or all references have the same label, or there are no rows.
    Source: Gorodkin 2004, "Comparing two K-category assignments by a K-category correlation coefficient". For two
    labels it is Matthews' coefficient, which GLUE uses for CoLA (Wang et al. 2018, section 3.1).
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
        # The spread of each side, 0 if it has one label only. Roots first: the product of both could overflow.
        spreads = [np.sqrt(float(rows**2 - times @ times)) for times in (times_told, times_held)]
        return {"matthews_correlation": float(agreement / np.prod(spreads)) if all(spreads) else 0.0}
