"""F1: the harmonic mean of precision and recall, of the one positive label or over several."""

from typing import Any

import datasets
import evaluate
import numpy as np

DESCRIPTION = "F1 of label 1 of two; of more labels the mean over labels (macro); multilabel: micro, and macro beside."


class F1(evaluate.Metric):
    """`compute(predictions=[labels], references=[labels])["f1"]`, 0 to 1.

    By configuration:
        default: F1 of the positive label, index 1, as GLUE has it for MRPC and QQP (Wang et al. 2018, section 3.2);
            as "multiclass" where an index above 1 occurs.
        "multiclass": macro F1, the mean over all labels that occur in predictions or references. Told apart from the
            default by name, because a few rows of a task with three labels may hold only the first two.
        "multilabel": each row a 0 or 1 for each label; `f1` is micro F1, over all (row, label) together, and
            `f1_macro` the mean over all labels.

    A label that is neither predicted nor referred to has an F1 of 0, as has no row at all.
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
    """Of each column of [rows, ...]: twice what both hold by what each holds, 2 TP / (2 TP + FP + FN)."""
    return 2 * (told & held).sum(axis=0) / np.maximum(told.sum(axis=0) + held.sum(axis=0), 1)
