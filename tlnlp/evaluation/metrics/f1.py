"""F1: the harmonic mean of precision and recall, of one positive label and averaged over labels."""

from typing import Any

import datasets
import evaluate
import numpy as np

DESCRIPTION = (
    "F1 of the positive label, and its mean over labels: macro, weighted by support, and micro for multilabel."
)


class F1(evaluate.Metric):
    """`compute(predictions=[labels], references=[labels])`, 0 to 1.

    Configurations:
        default: `f1` of the positive label (index `positive`), as in GLUE for MRPC and QQP (Wang et al. 2018, section
            3.2), under the name `f1 of NAME` if it has a name; and the means over labels, as in "multiclass". If no
            positive label was named and an index above 1 occurs, the same as "multiclass".
        "multiclass": `f1_macro`, the mean over all labels that occur in predictions or references, and `f1_weighted`,
            the mean weighted by the labels' frequency in the references.
        "multilabel": each row has 0 or 1 for each label; `f1_micro` is F1 over all pairs (row, label), `f1_macro` and
            `f1_weighted` are means over labels.

    A label that occurs in neither predictions nor references has an F1 of 0; so has an empty input.
    """

    configs = ("multiclass", "multilabel")
    # Index and name of the positive label.
    positive = 1
    positive_name: str | None = None

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
            return {"f1_micro": float(_f1(told.ravel(), held.ravel())), **_means(_f1(told, held), held.sum(axis=0))}
        told, held = np.asarray(predictions, dtype=int), np.asarray(references, dtype=int)
        labels, indices = np.unique(np.concatenate([told, held]), return_inverse=True)
        ours, theirs = indices[: len(told)], indices[len(told) :]
        right, found, true = (np.bincount(each, minlength=len(labels)) for each in (ours[ours == theirs], ours, theirs))
        means = _means(2 * right / np.maximum(found + true, 1), true)
        if self.config_name == "multiclass" or (self.positive_name is None and labels.max(initial=0) > 1):
            return means
        name = "f1" if self.positive_name is None else f"f1 of {self.positive_name}"
        return {name: float(_f1(told == self.positive, held == self.positive)), **means}


def _means(each: np.ndarray, support: np.ndarray) -> dict[str, float]:
    """Returns the means of the labels' F1 [labels]."""
    each, support = np.atleast_1d(each), np.atleast_1d(support)
    macro = float(each.mean()) if len(each) else 0.0
    return {"f1_macro": macro, "f1_weighted": float(support @ each / max(support.sum(), 1))}


def _f1(told: np.ndarray, held: np.ndarray) -> Any:
    """Returns the F1 of each column of [rows, ...]: 2 TP / (2 TP + FP + FN)."""
    return 2 * (told & held).sum(axis=0) / np.maximum(told.sum(axis=0) + held.sum(axis=0), 1)
