"""Precision, recall and F1 of each label: of each entity type for tags with prefixes (B-PER), otherwise of each tag."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tlnlp.data.rows import Rows
from tlnlp.evaluation.metrics.entity_f1 import entity_counts
from tlnlp.task import MultiLabel, Prediction, Regression, Task

SCORES = ("precision", "recall", "f1")
# A tag with a prefix that says where in an entity its word is.
PREFIXED = re.compile(r"[BIESLU]-")


def score_labels(task: Task, predictions: Sequence[Prediction], rows: Rows) -> dict[str, Any] | None:
    """Returns {"of": "label", "tag" or "entity type", "each": {name: {precision, recall, f1, support}}, "micro",
    "macro", "weighted": {precision, recall, f1}}; None for tasks without names of labels.

    `support` is the number of rows, words or entities that have the label. The means are scikit-learn's: macro over the
    labels that occur in rows or predictions; weighted by support; micro over all decisions, which for one label per row
    or word is accuracy, and is left out. 0.0 where there is nothing to divide by.
    """
    if not rows.labels or isinstance(task.labels, Regression) or len(predictions) != len(rows):
        return None
    metric_inputs = task.head.metric_inputs(list(predictions), rows, task)
    told, held = metric_inputs["predictions"], metric_inputs["references"]
    if "tags" in rows.columns:
        return score_tags(told, held)
    if "label" not in rows.columns:
        return None
    return score_names(told, held, rows.labels, several=isinstance(task.labels, MultiLabel))


def score_names(told: Sequence[Any], held: Sequence[Any], names: Sequence[str], *, several: bool) -> dict[str, Any]:
    """Returns the scores of labels from indices [rows] or, with `several` labels per row, from 0 or 1 for each of
    them [rows, labels]."""
    counts = count_matches(told, held, len(names), several=several)
    return _table("label", dict(zip(names, zip(*counts, strict=True), strict=True)), micro=several)


def score_tags(told: Sequence[Sequence[str]], held: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Returns the scores of entity types if the tags have prefixes, otherwise of tags."""
    if any(PREFIXED.match(tag) for tags in held for tag in tags):
        return _table("entity type", entity_counts(told, held), micro=True)
    names, indices = np.unique([tag for part in (told, held) for tags in part for tag in tags], return_inverse=True)
    words = len(indices) // 2
    counts = count_matches(indices[:words], indices[words:], len(names), several=False)
    by_tag = dict(zip(names.tolist(), zip(*counts, strict=True), strict=True))
    return _table("tag", dict(sorted(by_tag.items(), key=lambda each: -each[1][2])), micro=False)


def count_matches(
    told: Sequence[Any] | np.ndarray, held: Sequence[Any] | np.ndarray, labels: int, *, several: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns for each label [labels] how often it was right, predicted and held: true positives, predictions,
    support."""
    if several:
        ours, theirs = (np.asarray(each, dtype=bool).reshape(-1, labels) for each in (told, held))
        return (ours & theirs).sum(0), ours.sum(0), theirs.sum(0)
    one, other = np.asarray(told, dtype=np.int64), np.asarray(held, dtype=np.int64)
    right, found, true = (np.bincount(each, minlength=labels) for each in (one[one == other], one, other))
    return right, found, true


def precision_recall_f1(right: Any, found: Any, true: Any) -> tuple[Any, Any, Any]:
    """Returns precision, recall and F1 from counts; 0.0 where there is nothing to divide by."""
    return right / np.maximum(found, 1), right / np.maximum(true, 1), 2 * right / np.maximum(found + true, 1)


def _table(of: str, counts: Mapping[str, tuple[int, int, int]], *, micro: bool) -> dict[str, Any]:
    lines = np.array([*counts.values()], dtype=np.float64).reshape(-1, 3)
    scores = np.stack(precision_recall_f1(*lines.T), axis=1)  # [labels, scores]
    occurs, support = lines[:, 1:].any(axis=1), lines[:, 2]
    means: dict[str, Any] = {}
    if micro:
        means["micro"] = precision_recall_f1(*lines.sum(axis=0))
    means["macro"] = scores[occurs].mean(axis=0) if occurs.any() else np.zeros(3)
    means["weighted"] = support @ scores / max(support.sum(), 1)
    return {
        "of": of,
        "each": {
            name: {**_by_name(line), "support": int(count)}
            for name, line, count in zip(counts, scores, support, strict=True)
        },
        **{name: _by_name(line) for name, line in means.items()},
    }


def _by_name(line: Sequence[float] | np.ndarray) -> dict[str, float]:
    return {name: float(value) for name, value in zip(SCORES, line, strict=True)}


def join_label_scores(tables: Sequence[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """Returns the means over several seeds of such tables; a label that is missing in one has 0 there."""
    there = [each for each in tables if each is not None]
    if not there or len(there) < len(tables):
        return None

    def mean_of(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
        return {name: statistics.fmean(part.get(name, 0.0) for part in parts) for name in SCORES}

    names = dict.fromkeys(name for each in there for name in each["each"])
    each = {
        name: mean_of([table["each"].get(name, {}) for table in there])
        | {"support": max(table["each"].get(name, {"support": 0})["support"] for table in there)}
        for name in names
    }
    means = {
        name: mean_of([table[name] for table in there]) for name in ("micro", "macro", "weighted") if name in there[0]
    }
    return {"of": there[0]["of"], "each": each, **means}


def table_of_labels(found: Mapping[str, Any], most: int) -> list[list[str]]:
    """Returns such a table for display: a header, a line for each label, and the means. Of more than `most` labels
    those with the lowest F1 are shown, among those that occur."""
    labels = list(found["each"].items())
    if len(labels) > most:
        labels = sorted((each for each in labels if each[1]["support"]), key=lambda each: each[1]["f1"])[:most]
    counted = {"label": "rows", "tag": "words", "entity type": "entities"}[found["of"]]
    lines = [[found["of"], "precision", "recall", "F1", counted]]
    for name, scores in labels:
        lines.append([name, *(f"{scores[score]:.3f}" for score in SCORES), f"{scores['support']:,}"])
    for name in ("micro", "macro", "weighted"):
        if name in found:
            lines.append([f"{name} mean", *(f"{found[name][score]:.3f}" for score in SCORES), ""])
    return lines
