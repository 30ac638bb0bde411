"""Metrics of answers: computed by the `evaluate` modules that a task names."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tlnlp.data.rows import Rows
from tlnlp.errors import InputError
from tlnlp.recipe import Several, Task

# The configuration of metrics for any number of labels for each row.
SEVERAL = "multilabel"


def measure(task: Task, answers: list[dict[str, Any]] | None, rows: Rows) -> dict[str, float]:
    """{metric: value} of `answers` to `rows`; empty where there are no answers to judge."""
    if answers is None:
        return {}
    judged = task.head.judged(answers, rows, task)
    found: dict[str, float] = {}
    for module in task.metrics:
        found |= {name: float(value) for name, value in (_load(module, task, rows).compute(**judged) or {}).items()}
    return found


def check_metrics(task: Task) -> None:
    """Refuses metrics that cannot judge the task's labels, before there is anything to judge.

    Raises:
        InputError: one label is what the metric knows, and the task has several.
    """
    for module in task.metrics if isinstance(task.labels, Several) else ():
        if SEVERAL not in getattr(_metric_of(module), "configs", ()):
            raise InputError(
                expected=f"metrics that judge several labels for each row, as {task.name} has them (accuracy, f1)",
                found=module.__name__.rpartition(".")[2],
                change="metrics=(...) in the recipe",
            )


@dataclass(frozen=True)
class Headline:
    """A task's first metric on plain lists: without what `evaluate` does around it, for thousands of resamples.

    Args:
        compute: (predictions, references) to the score, on what the head's `judged` gives.
        is_mean: whether the score is the mean of the rows' own scores.
    """

    compute: Callable[[Sequence[Any], Sequence[Any]], float]
    lower_is_better: bool
    is_mean: bool


def headline(task: Task, rows: Rows) -> Headline:
    """The first metric of `task`, as `measure` has it for `rows`."""
    metric = _load(task.metrics[0], task, rows)

    def compute(predictions: Sequence[Any], references: Sequence[Any]) -> float:
        return float(next(iter(metric._compute(predictions, references).values())))

    return Headline(compute, getattr(metric, "lower_is_better", False), getattr(metric, "is_mean", False))


def row_noise(metric: Headline, judged: Mapping[str, Sequence[Any]], resampled: np.ndarray | None = None) -> np.ndarray:
    """What a score varies by with its rows: each row's own score where the metric is their mean; else the metric on
    rows drawn anew, `resampled` [draws, rows]."""
    told, held = judged["predictions"], judged["references"]
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
    if isinstance(task.labels, Several):
        asked = SEVERAL
    elif len(rows.labels or ()) > 2:
        asked = "multiclass"
    return asked if asked in getattr(metric, "configs", ()) else None


def _metric_of(module: Any) -> Any:
    """The one class that a metric's module defines."""
    name = module.__name__
    kinds = vars(importlib.import_module(name)).values()
    (metric,) = (kind for kind in kinds if isinstance(kind, type) and kind.__module__ == name)
    return metric
