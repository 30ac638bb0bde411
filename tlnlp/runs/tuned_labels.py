"""Thresholds of several labels in a run: tuned on dev, kept with the model, and reported on rows that did not tune
them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tlnlp.data.rows import Rows
from tlnlp.heads.label_thresholds import (
    FOLDS,
    ONE_HALF,
    chances_of,
    cross_fit,
    decide,
    held_by,
    thresholds_of,
    tune_thresholds,
)
from tlnlp.runs.setup import PreparedRun
from tlnlp.settings import Settings
from tlnlp.task import MultiLabel, Prediction, Task

SHOWN = 20  # labels whose thresholds the result has; all are with the model


def are_tuned(task: Task, settings: Settings) -> bool:
    """Returns whether the run tunes thresholds."""
    return isinstance(task.labels, MultiLabel) and settings.thresholds == "tune"


def score_as_reported(task: Task, settings: Settings, predictions: list[Prediction], dev: Rows) -> list[Prediction]:
    """Returns predictions for dev rows with thresholds that were tuned on others of them (`cross_fit`)."""
    if not are_tuned(task, settings):
        return predictions
    names = dev.labels or ()
    chances = chances_of(predictions, names)
    return decide(predictions, chances, cross_fit(chances, held_by(dev.columns["label"], names)), names)


def tune_on_dev(
    work: PreparedRun, predictions: list[Prediction], predict_dev: Callable[[], list[Prediction]]
) -> list[Prediction]:
    """Tunes the thresholds on dev, after which the run's task has them, and returns the predictions to report: for dev
    rows with thresholds tuned on the others of them (`cross_fit`), for test rows with those tuned on dev.

    Args:
        predictions: for the rows to report on.
        predict_dev: returns those for dev; not called if dev is what is reported on.
    """
    training = work.training
    labels = training.task.labels
    if not isinstance(labels, MultiLabel) or not are_tuned(training.task, training.settings):
        return predictions
    names, dev = work.dev_rows.labels or (), work.dev_rows
    is_reported = work.eval_rows is dev
    on_dev = predictions if is_reported else predict_dev()
    found = tune_thresholds(chances_of(on_dev, names), held_by(dev.columns["label"], names))
    tuned = {
        name: float(f"{value:.4g}") for name, value in zip(names, found.tolist(), strict=True) if value != ONE_HALF
    }
    training.task = replace(training.task, labels=MultiLabel(labels, tuned))
    note = (
        f"thresholds: {len(tuned):,} of {len(names):,} tuned on the {len(dev):,} dev rows; {_reported_on(is_reported)}"
    )
    if not tuned:
        note = f"thresholds: 0.5 for all {len(names):,} labels: too few of the {len(dev):,} dev rows have them, or none"
        note += " is better"
    work.notes.append(note)
    training.note(note)
    if is_reported:
        return score_as_reported(training.task, training.settings, predictions, dev)
    return decide(predictions, chances_of(predictions, names), thresholds_of(tuned, names), names)


def _reported_on(is_reported: bool) -> str:
    if is_reported:
        return f"scores are cross-fitted: each of {FOLDS} parts of dev has thresholds tuned on the others"
    return "scores are of the test rows, which tuned nothing"


def describe_thresholds(work: PreparedRun) -> dict[str, Any] | None:
    """Returns what the result says of thresholds; None if there are none."""
    task, rows = work.training.task, work.eval_rows
    if not isinstance(task.labels, MultiLabel) or not are_tuned(task, work.training.settings):
        return None
    counts = Counter(i for held in rows.columns["label"] for i in held)
    most = [(rows.labels or ())[i] for i, _ in counts.most_common(SHOWN)]
    return {
        "tuned": len(task.labels.thresholds),
        "labels": len(task.labels),
        "reported": "cross-fitted on dev" if work.eval_rows is work.dev_rows else "test",
        "most_frequent": {name: task.labels.thresholds.get(name, ONE_HALF) for name in most},
    }
