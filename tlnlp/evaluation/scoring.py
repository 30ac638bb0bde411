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
from tlnlp.task import MultiLabel, Prediction, Task

# The configuration of metrics for multi-label tasks.
SEVERAL = "multilabel"


def measure(task: Task, predictions: list[Prediction] | None, rows: Rows) -> dict[str, float]:
    """Returns {metric: value} of predictions for `rows`; {} if there are no predictions."""
    if predictions is None:
        return {}
    metric_inputs = task.head.metric_inputs(predictions, rows, task)
    found: dict[str, float] = {}
    for module in task.metrics:
        found |= {
            name: float(value) for name, value in (_load(module, task, rows).compute(**metric_inputs) or {}).items()
        }
    return found


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
            found = _load(metric, task, rows).compute(**metric_inputs)
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
    metric = _load(task.metrics[0], task, rows)

    def compute(predictions: Sequence[Any], references: Sequence[Any]) -> float:
        return float(next(iter(metric._compute(predictions, references).values())))

    return PrimaryMetric(compute, getattr(metric, "lower_is_better", False), getattr(metric, "is_mean", False))


def row_noise(
    metric: PrimaryMetric, metric_inputs: Mapping[str, Sequence[Any]], resampled: np.ndarray | None = None
) -> np.ndarray:
    """Returns values that show how a score varies with its rows: the score of each row if the metric is their mean,
    otherwise the metric on resampled rows, `resampled` [draws, rows]."""
    told, held = metric_inputs["predictions"], metric_inputs["references"]
    if resampled is None:
        return np.array([metric.compute([one], [other]) for one, other in zip(told, held, strict=True)])
    return np.array([metric.compute([told[i] for i in rows], [held[i] for i in rows]) for rows in resampled.tolist()])


def is_better(task: Task, score: float, than: float) -> bool:
    """Returns whether `score` is better than `than` on the task's first metric."""
    lower = getattr(_metric_of(task.metrics[0]), "lower_is_better", False)
    return score < than if lower else score > than


def _load(module: Any, task: Task, rows: Rows) -> Any:
    kind = _metric_of(module)
    # In memory: evaluate's files in the cache folder are shared, and remain if a run is killed.
    return kind(config_name=_find_config(kind, task, rows), keep_in_memory=True)


def _find_config(metric: Any, task: Task, rows: Rows) -> str | None:
    """Returns the configuration for the task's labels if it is in the metric's `configs`; None: its default."""
    asked = None
    if isinstance(task.labels, MultiLabel):
        asked = SEVERAL
    elif len(rows.labels or ()) > 2:
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
    attributes `lower_is_better` and `is_mean` are used."""

    class Plain:
        lower_is_better = getattr(function, "lower_is_better", False)
        is_mean = getattr(function, "is_mean", False)

        def __init__(self, **_: Any) -> None:
            """Ignores the configuration, which only metrics of `evaluate` have."""

        def _compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
            found = function(predictions, references)
            return dict(found) if isinstance(found, Mapping) else {function.__name__: found}

        def compute(self, *, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
            return self._compute(predictions, references)

    return Plain
