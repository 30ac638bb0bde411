"""F1: the harmonic mean of precision and recall, for one positive label or averaged over labels."""

from typing import Any

import datasets
import evaluate
import numpy as np

DESCRIPTION = (
    "F1 of label 1 of two labels; for more labels, the mean over labels (macro); for multilabel, micro and macro."
)


class F1(evaluate.Metric):
    """`compute(predictions=[labels], references=[labels])["f1"]`, 0 to 1.

    Configurations:
        default: F1 of the positive label, index 1, as in GLUE for MRPC and QQP (Wang et al. 2018, section 3.2); same as
            "multiclass" if an index above 1 occurs.
        "multiclass": macro F1, the mean over all labels that occur in predictions or references. It has its own name,
            since a few rows of a task with three labels may contain only the first two.
        "multilabel": each row has 0 or 1 for each label; `f1` is micro F1 over all pairs (row, label), and `f1_macro`
            the mean over labels.

    A label that occurs in neither predictions nor references has an F1 of 0; so has an empty input.
    """

    configs = ("multiclass", "multilabel")

    def _info(self) -> evaluate.MetricInfo:
        value = datasets.Value("int32")
        features = {"predictions": value, "references": value}
        if self.config_name == "multilabel":
            features = {name: datasets.Sequence(value) for name in features}
        return evaluate.MetricInfo(
            description=DESCRIPTION, citation="", inputs_description="", features=datasets.Features(features)
        )

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        if self.config_name == "multilabel":
            told, held = np.asarray(predictions, dtype=bool), np.asarray(references, dtype=bool)  # [rows, labels]
            return {"f1": float(_f1(told.ravel(), held.ravel())), "f1_macro": float(np.mean(_f1(told, held)))}
        told, held = np.asarray(predictions, dtype=int), np.asarray(references, dtype=int)
        labels = np.union1d(told, held)
        if self.config_name == "multiclass" or labels.max(initial=0) > 1:
            each = _f1(told[:, None] == labels, held[:, None] == labels)
            return {"f1": float(each.mean()) if len(labels) else 0.0}
        return {"f1": float(_f1(told == 1, held == 1))}


def _f1(told: np.ndarray, held: np.ndarray) -> Any:
    """Returns the F1 of each column of [rows, ...]: 2 TP / (2 TP + FP + FN)."""
    return 2 * (told & held).sum(axis=0) / np.maximum(told.sum(axis=0) + held.sum(axis=0), 1)
