"""Computes the metrics of a task with `evaluate` modules."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from tlnlp.data.rows import Rows
from tlnlp.errors import InputError
from tlnlp.task import MultiLabel, Prediction, Regression, Task

# The configuration of metrics for multi-label tasks.
SEVERAL = "multilabel"


def measure(task: Task, predictions: list[Prediction] | None, rows: Rows) -> dict[str, float]:
    """Returns {metric: value} of predictions for `rows`; {} if there are no predictions."""
    if predictions is None:
        return {}
    metric_inputs = task.head.metric_inputs(predictions, rows, task)
    found: dict[str, float] = {}
    for module in task.metrics:
        metric = load_metric(module, task, rows)
        given = _inputs_of(metric, metric_inputs, predictions, rows, task)
        for name, value in (metric.compute(**given) or {}).items():
            found.setdefault(name, float(value))  # a score that two metrics have is that of the first
    return found


def primary_inputs(task: Task, predictions: list[Prediction], rows: Rows) -> dict[str, Sequence[Any]]:
    """Returns the inputs of the first metric: {"predictions": ..., "references": ...}."""
    metric_inputs = task.head.metric_inputs(predictions, rows, task)
    return _inputs_of(load_metric(task.metrics[0], task, rows), metric_inputs, predictions, rows, task)


def _inputs_of(
    metric: Any, metric_inputs: dict[str, list[Any]], predictions: list[Prediction], rows: Rows, task: Task
) -> dict[str, Any]:
    """Returns what a metric is computed from: for those with `needs_scores`, the predictions are probabilities [rows,
    labels]."""
    if not getattr(metric, "needs_scores", False):
        return metric_inputs
    return metric_inputs | {"predictions": _scores_of(predictions, rows, task)}


def _scores_of(predictions: list[Prediction], rows: Rows, task: Task) -> np.ndarray:
    """Returns the probability of each label [rows, labels]; 1 or 0 for predictions without."""
    names = rows.labels or ()
    index = {name: i for i, name in enumerate(names)}
    scores = np.zeros((len(predictions), len(names)))
    for line, each in zip(scores, predictions, strict=True):
        if isinstance(task.labels, MultiLabel):
            line[:] = each.score if each.score is not None else [name in each.prediction for name in names]
        else:
            for name, chance in (each.scores or {each.prediction: 1.0}).items():
                line[index[name]] = chance
    return scores


def load_metric(module: Any, task: Task, rows: Rows) -> Any:
    """Returns a metric of `task.metrics`, for the labels of `rows`."""
    kind = _metric_of(module)
    # In memory: evaluate's files in the cache folder are shared, and remain if a run is killed.
    metric = kind(config_name=_find_config(kind, task, rows), keep_in_memory=True)
    if hasattr(kind, "positive_name") and (name := positive_label(task, rows)) is not None:
        metric.positive, metric.positive_name = (rows.labels or ()).index(name), name
    return metric


def try_metrics(task: Task, train: Rows, dev: Rows) -> None:
    """Computes the task's metrics on two rows before any weights are loaded, so that errors in custom metrics show
    early.

    Raises:
        InputError: a metric raises an exception, or does not return a number.
    """
    rows = dev.select(range(min(2, len(dev))))
    predictions = task.head.majority_baseline(train, rows, task)
    if predictions is None:
        return
    metric_inputs = task.head.metric_inputs(predictions, rows, task)
    for metric in task.metrics:
        name = getattr(metric, "__name__", type(metric).__name__)
        try:
            loaded = load_metric(metric, task, rows)
            found = loaded.compute(**_inputs_of(loaded, metric_inputs, predictions, rows, task))
            if not found or not all(isinstance(value, int | float | np.number) for value in found.values()):
                raise TypeError(f"it returns {found!r}")
        except Exception as error:  # a custom function may raise anything
            raise InputError(
                expected="a metric that returns a number, or {name: number}, for predictions and references",
                found=f"{name}, tried on two rows: {type(error).__name__}: {error}",
                change="the metric",
            ) from error


def check_metrics(task: Task) -> None:
    """Checks that the metrics support the task's labels.

    Raises:
        InputError: the metric supports one label only, and the task has several.
    """
    for module in task.metrics if isinstance(task.labels, MultiLabel) else ():
        if SEVERAL not in getattr(_metric_of(module), "configs", ()):
            raise InputError(
                expected=f"metrics for several labels per row, as in {task.name} (accuracy, f1)",
                found=getattr(module, "__name__", type(module).__name__).rpartition(".")[2],
                change="metrics=(...) in the recipe",
            )


@dataclass(frozen=True)
class PrimaryMetric:
    """A task's first metric on plain lists, without the overhead of `evaluate`, for thousands of resamples.

    Args:
        compute: (predictions, references) to the score, with the values of the head's `metric_inputs`.
        is_mean: whether the score is the mean of per-row scores.
    """

    compute: Callable[[Sequence[Any], Sequence[Any]], float]
    lower_is_better: bool
    is_mean: bool


def headline(task: Task, rows: Rows) -> PrimaryMetric:
    """Returns the first metric of `task`, as `measure` computes it for `rows`."""
    metric = load_metric(task.metrics[0], task, rows)

    def compute(predictions: Sequence[Any], references: Sequence[Any]) -> float:
        return float(next(iter(metric._compute(predictions, references).values())))

    return PrimaryMetric(compute, getattr(metric, "lower_is_better", False), getattr(metric, "is_mean", False))


def row_noise(
    metric: PrimaryMetric, metric_inputs: Mapping[str, Sequence[Any]], resampled: np.ndarray | None = None
) -> np.ndarray:
    """Returns values that show how a score varies with its rows: the score of each row if the metric is their mean,
    otherwise the metric on resampled rows, `resampled` [draws, rows]. Draws for which it is undefined (a ROC curve of
    rows that all have the same label) have the mean of the others."""
    told, held = metric_inputs["predictions"], metric_inputs["references"]
    if resampled is None:
        return np.array([metric.compute([one], [other]) for one, other in zip(told, held, strict=True)])
    draws = np.array([metric.compute([told[i] for i in rows], [held[i] for i in rows]) for rows in resampled.tolist()])
    return np.where(np.isnan(draws), draws[~np.isnan(draws)].mean(), draws) if not np.isnan(draws).all() else draws


def is_better(task: Task, score: float, than: float) -> bool:
    """Returns whether `score` is better than `than` on the task's first metric."""
    lower = getattr(_metric_of(task.metrics[0]), "lower_is_better", False)
    return score < than if lower else score > than


def positive_label(task: Task, rows: Rows) -> str | None:
    """Returns the label that F1, precision and recall are of: the task's, or the second of two; None for several
    labels per row, and if there are more than two and none was chosen."""
    names = rows.labels or ()
    if isinstance(task.labels, MultiLabel | Regression) or "label" not in rows.columns:
        return None
    if task.positive in names:
        return task.positive
    return names[1] if len(names) == 2 else None


def _find_config(metric: Any, task: Task, rows: Rows) -> str | None:
    """Returns the configuration for the task's labels if it is in the metric's `configs`; None: its default."""
    asked = None
    if isinstance(task.labels, MultiLabel):
        asked = SEVERAL
    elif len(rows.labels or ()) > 2 and positive_label(task, rows) is None:
        asked = "multiclass"
    return asked if asked in getattr(metric, "configs", ()) else None


def _metric_of(metric: Any) -> Any:
    """Returns the class of a metric: the one that a module defines, the class itself, or a wrapper for a function."""
    if isinstance(metric, type):
        return metric
    if not hasattr(metric, "compute") and callable(metric):
        return _class_around(metric)
    name = metric.__name__
    kinds = vars(importlib.import_module(name)).values()
    (kind,) = (kind for kind in kinds if isinstance(kind, type) and kind.__module__ == name)
    return kind


@cache
def _class_around(function: Callable[[Sequence[Any], Sequence[Any]], Any]) -> type:
    """Wraps `function(predictions, references)`, which returns a number or {name: number}, as a metric. The function's
    attributes `lower_is_better`, `is_mean` and `needs_scores` are used."""

    class Plain:
        lower_is_better = getattr(function, "lower_is_better", False)
        is_mean = getattr(function, "is_mean", False)
        needs_scores = getattr(function, "needs_scores", False)

        def __init__(self, **_: Any) -> None:
            """Ignores the configuration, which only metrics of `evaluate` have."""

        def _compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
            found = function(predictions, references)
            return dict(found) if isinstance(found, Mapping) else {function.__name__: found}

        def compute(self, *, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
            return self._compute(predictions, references)

    return Plain
