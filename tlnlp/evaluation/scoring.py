"""Metrics of answers: computed by the `evaluate` modules that a task names."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from tlnlp.data.rows import Rows
from tlnlp.errors import InputError
from tlnlp.task import MultiLabel, Task

# The configuration of metrics for any number of labels for each row.
SEVERAL = "multilabel"


def measure(task: Task, answers: list[dict[str, Any]] | None, rows: Rows) -> dict[str, float]:
    """{metric: value} of `answers` to `rows`; empty where there are no answers to judge."""
    if answers is None:
        return {}
    metric_inputs = task.head.metric_inputs(answers, rows, task)
    found: dict[str, float] = {}
    for module in task.metrics:
        found |= {
            name: float(value) for name, value in (_load(module, task, rows).compute(**metric_inputs) or {}).items()
        }
    return found


def try_metrics(task: Task, train: Rows, dev: Rows) -> None:
    """Computes the task's metrics on two rows, before any weight is read: an own metric that fails does so now.

    Raises:
        InputError: it raises something, or gives no number.
    """
    rows = dev.select(range(min(2, len(dev))))
    answers = task.head.majority_baseline(train, rows, task)
    if answers is None:
        return
    metric_inputs = task.head.metric_inputs(answers, rows, task)
    for metric in task.metrics:
        name = getattr(metric, "__name__", type(metric).__name__)
        try:
            found = _load(metric, task, rows).compute(**metric_inputs)
            if not found or not all(isinstance(value, int | float | np.number) for value in found.values()):
                raise TypeError(f"it gives {found!r}")
        except Exception as error:  # whatever a person's own function may raise
            raise InputError(
                expected="a metric that gives a number, or names and numbers, for predictions and references",
                found=f"{name}, tried on two rows: {type(error).__name__}: {error}",
                change="the metric",
            ) from error


def check_metrics(task: Task) -> None:
    """Refuses metrics that cannot judge the task's labels, before there is anything to judge.

    Raises:
        InputError: one label is what the metric knows, and the task has several.
    """
    for module in task.metrics if isinstance(task.labels, MultiLabel) else ():
        if SEVERAL not in getattr(_metric_of(module), "configs", ()):
            raise InputError(
                expected=f"metrics that judge several labels for each row, as {task.name} has them (accuracy, f1)",
                found=getattr(module, "__name__", type(module).__name__).rpartition(".")[2],
                change="metrics=(...) in the recipe",
            )


@dataclass(frozen=True)
class PrimaryMetric:
    """A task's first metric on plain lists: without what `evaluate` does around it, for thousands of resamples.

    Args:
        compute: (predictions, references) to the score, on what the head's `metric_inputs` gives.
        is_mean: whether the score is the mean of the rows' own scores.
    """

    compute: Callable[[Sequence[Any], Sequence[Any]], float]
    lower_is_better: bool
    is_mean: bool


def headline(task: Task, rows: Rows) -> PrimaryMetric:
    """The first metric of `task`, as `measure` has it for `rows`."""
    metric = _load(task.metrics[0], task, rows)

    def compute(predictions: Sequence[Any], references: Sequence[Any]) -> float:
        return float(next(iter(metric._compute(predictions, references).values())))

    return PrimaryMetric(compute, getattr(metric, "lower_is_better", False), getattr(metric, "is_mean", False))


def row_noise(
    metric: PrimaryMetric, metric_inputs: Mapping[str, Sequence[Any]], resampled: np.ndarray | None = None
) -> np.ndarray:
    """What a score varies by with its rows: each row's own score where the metric is their mean; else the metric on
    rows drawn anew, `resampled` [draws, rows]."""
    told, held = metric_inputs["predictions"], metric_inputs["references"]
    if resampled is None:
        return np.array([metric.compute([one], [other]) for one, other in zip(told, held, strict=True)])
    return np.array([metric.compute([told[i] for i in rows], [held[i] for i in rows]) for rows in resampled.tolist()])


def is_better(task: Task, score: float, than: float) -> bool:
    """Whether `score` is better than `than` on the task's first metric."""
    lower = getattr(_metric_of(task.metrics[0]), "lower_is_better", False)
    return score < than if lower else score > than


def _load(module: Any, task: Task, rows: Rows) -> Any:
    kind = _metric_of(module)
    # In memory: evaluate's files in the cache folder are shared, and stay behind where a run is killed.
    return kind(config_name=_find_config(kind, task, rows), keep_in_memory=True)


def _find_config(metric: Any, task: Task, rows: Rows) -> str | None:
    """The configuration for the task's labels where the metric's `configs` name it; None: its default."""
    asked = None
    if isinstance(task.labels, MultiLabel):
        asked = SEVERAL
    elif len(rows.labels or ()) > 2:
        asked = "multiclass"
    return asked if asked in getattr(metric, "configs", ()) else None


def _metric_of(metric: Any) -> Any:
    """The class of a metric: the one that a module defines, a class as it is, or one around a plain function."""
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
    """A metric whose score is what `function(predictions, references)` returns: a number, or {name: number}. Its
    attributes `lower_is_better` and `is_mean` are heeded."""

    class Plain:
        lower_is_better = getattr(function, "lower_is_better", False)
        is_mean = getattr(function, "is_mean", False)

        def __init__(self, **_: Any) -> None:
            """Configurations are for metrics of `evaluate`."""

        def _compute(self, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
            found = function(predictions, references)
            return dict(found) if isinstance(found, Mapping) else {function.__name__: found}

        def compute(self, *, predictions: Sequence[Any], references: Sequence[Any]) -> dict[str, float]:
            return self._compute(predictions, references)

    return Plain
