"""Metrics of scikit-learn by their names there: `roc_auc`, `balanced_accuracy`, `cohen_kappa`, `r2` and so on."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from tlnlp.lazy import lazy_module

# A run without such metrics does not wait for it.
sklearn = lazy_module("sklearn.metrics")

MULTILABEL = "multilabel"
ONE, SEVERAL, ENDING, WORD, NUMBER = "a label", "several labels", "an ending", "tags", "a number"


@dataclass(frozen=True)
class ScikitName:
    """How a function of scikit-learn is called.

    Args:
        function: its name in `sklearn.metrics`.
        kinds: the answers that it is for: `ONE`, `SEVERAL`, `ENDING`, `WORD`, `NUMBER`.
        needs_scores: whether it takes the probabilities of labels instead of the predicted labels.
        has_positive: whether it is about one label, which is then named.
        takes_labels: whether it has to be told all labels, since some may not occur.
        by_label: whether, for more than two labels, it is the mean over labels against the rest, weighted or not.
        sign: -1 for the names in `neg_`, of which the higher is better.
    """

    function: str
    kinds: tuple[str, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    lower_is_better: bool = False
    is_mean: bool = False
    needs_scores: bool = False
    has_positive: bool = False
    takes_labels: bool = False
    by_label: str | None = None
    sign: int = 1
    scale: str = "share"


def _names() -> dict[str, ScikitName]:
    labels, words = (ONE, ENDING), (ONE, ENDING, WORD)
    found = {
        "balanced_accuracy": ScikitName("balanced_accuracy_score", words),
        "matthews_corrcoef": ScikitName("matthews_corrcoef", words, scale="correlation"),
        "cohen_kappa": ScikitName("cohen_kappa_score", words, scale="correlation"),
        "zero_one_loss": ScikitName("zero_one_loss", (*labels, SEVERAL), lower_is_better=True, is_mean=True),
        "hamming_loss": ScikitName("hamming_loss", (*labels, SEVERAL), lower_is_better=True, is_mean=True),
        "roc_auc": ScikitName("roc_auc_score", (ONE, SEVERAL), needs_scores=True, by_label="two"),
        "roc_auc_ovr": ScikitName("roc_auc_score", (ONE,), needs_scores=True, by_label="macro"),
        "roc_auc_ovr_weighted": ScikitName("roc_auc_score", (ONE,), needs_scores=True, by_label="weighted"),
        "average_precision": ScikitName(
            "average_precision_score", (ONE, SEVERAL), needs_scores=True, has_positive=True, by_label="macro"
        ),
        "top_k_accuracy": ScikitName("top_k_accuracy_score", (ONE,), needs_scores=True, takes_labels=True),
        "r2": ScikitName("r2_score", (NUMBER,), scale="below one"),
        "explained_variance": ScikitName("explained_variance_score", (NUMBER,), scale="below one"),
    }
    for base in ("precision", "recall", "f1", "jaccard"):
        function, options = f"{base}_score", {"zero_division": 0}
        found[base] = ScikitName(function, (ONE,), options, has_positive=True)
        for mean in ("macro", "micro", "weighted"):
            found[f"{base}_{mean}"] = ScikitName(function, (*words, SEVERAL), {**options, "average": mean})
    losses = {
        "log_loss": ScikitName("log_loss", (ONE,), needs_scores=True, takes_labels=True),
        "brier_score": ScikitName("brier_score_loss", (ONE,), needs_scores=True, by_label="two"),
        "max_error": ScikitName("max_error", (NUMBER,)),
        **{
            name: ScikitName(name, (NUMBER,), is_mean=name in ("mean_absolute_error", "mean_squared_error"))
            for name in (
                "mean_absolute_error",
                "mean_squared_error",
                "root_mean_squared_error",
                "median_absolute_error",
            )
        },
    }
    for name, each in losses.items():
        found[name] = _changed(each, scale="positive", lower_is_better=True)
        found[f"neg_{name}"] = _changed(each, scale="negative", sign=-1)
    return found


def _changed(each: ScikitName, **changes: Any) -> ScikitName:
    return ScikitName(**{**vars(each), **changes})


NAMES = _names()


class ScikitMetric:
    """A metric by its name in scikit-learn. The library sets `labels`, the names of all labels, and `positive`, the
    index of the positive one.

    Undefined scores (a ROC curve of rows with one label only) are nan.
    """

    how: ScikitName
    name: str
    needs_scores = False
    configs = (MULTILABEL,)
    labels: Sequence[str] | None = None
    positive: int | None = None
    positive_name: str | None = None

    def __init__(self, **_: Any) -> None:
        """Ignores the configuration, which only metrics of `evaluate` have."""

    def compute(self, *, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        """Returns {name: score}."""
        return self._compute(predictions, references)

    def _compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
        name = self.name
        if self.how.has_positive and self.positive_name is not None:
            name = f"{name} of {self.positive_name}"
        elif self.how.by_label == "macro" and self.how.has_positive:
            name = f"{name}_macro"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a score is undefined is said by nan, or is 0 as documented
            return {name: self.how.sign * float(self._call(predictions, references))}

    def _call(self, predictions: Sequence[Any], references: Sequence[Any]) -> float:
        how, function = self.how, getattr(sklearn, self.how.function)
        if WORD in how.kinds:
            predictions, references = _flat(predictions), _flat(references)
        told, held = np.asarray(predictions), np.asarray(references)
        if how.needs_scores and how.by_label is not None:
            return self._by_label(function, told, held)
        if how.takes_labels:
            every = np.arange(told.shape[1])
            told = told / told.sum(axis=1, keepdims=True)
            # Of two labels scikit-learn wants the scores of the second.
            told = told[:, 1] if how.function == "top_k_accuracy_score" and len(every) == 2 else told
            return float(function(held, told, labels=every, **how.options))
        if how.has_positive:
            told, held = told == self.positive, held == self.positive
        return float(function(held, told, **how.options))

    def _by_label(self, function: Callable[..., float], scores: np.ndarray, held: np.ndarray) -> float:
        """Returns the score of the positive label, or the mean over labels, each against the rest."""
        if held.ndim == 1 and self.positive is not None and self.how.by_label in ("two", "macro"):
            return float(function(held == self.positive, scores[:, self.positive]))
        is_held = held if held.ndim == 2 else held[:, None] == np.arange(scores.shape[1])  # [rows, labels]
        both = [i for i, each in enumerate(is_held.T) if 0 < each.sum() < len(each)]
        if not both:
            return float("nan")
        values = [function(is_held[:, i], scores[:, i]) for i in both]
        weights = is_held[:, both].sum(axis=0) if self.how.by_label == "weighted" else None
        return float(np.average(values, weights=weights))


def _flat(rows: Sequence[Any]) -> Sequence[Any]:
    """Returns tags, which are texts, word by word; labels unchanged."""
    if not len(rows) or not isinstance(rows[0], list):
        return rows
    flat = [tag for tags in rows for tag in tags]
    return flat if flat and isinstance(flat[0], str) else rows


@cache
def scikit_metric(name: str) -> type[ScikitMetric]:
    """Returns the class of the metric `name`, one of `NAMES`."""
    how = NAMES[name]
    content = {
        "how": how, "name": name, "needs_scores": how.needs_scores, "lower_is_better": how.lower_is_better,
        "is_mean": how.is_mean, "scale": how.scale,
    }  # fmt: skip
    return type(name, (ScikitMetric,), content)
