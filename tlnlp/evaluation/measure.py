"""Metrics of answers: computed by the `evaluate` modules that a task names."""

from __future__ import annotations

import importlib
from typing import Any

from tlnlp.data.rows import Rows
from tlnlp.recipe import Task


def measure(task: Task, answers: list[dict[str, Any]] | None, rows: Rows) -> dict[str, float]:
    """{metric: value} of `answers` to `rows`; empty where there are no answers to judge."""
    if answers is None:
        return {}
    judged = task.head.judged(answers, rows, task)
    several = bool(judged["references"]) and isinstance(judged["references"][0], list)
    found: dict[str, float] = {}
    for module in task.metrics:
        # In memory: evaluate's files in the cache folder are shared, and stay behind where a run is killed.
        metric = _metric_of(module)(config_name="multilabel" if several else None, keep_in_memory=True)
        found |= {name: float(value) for name, value in (metric.compute(**judged) or {}).items()}
    return found


def is_better(task: Task, score: float, than: float) -> bool:
    """Whether `score` is better than `than` on the task's first metric."""
    lower = getattr(_metric_of(task.metrics[0]), "lower_is_better", False)
    return score < than if lower else score > than


def _metric_of(module: Any) -> Any:
    """The one class that a metric's module defines."""
    name = module.__name__
    kinds = vars(importlib.import_module(name)).values()
    (metric,) = (kind for kind in kinds if getattr(kind, "__module__", None) == name)
    return metric
