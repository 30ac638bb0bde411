"""Confusions of a run's predictions, and their scores by answer length."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence
from typing import Any

from tlnlp.errors import InputError
from tlnlp.evaluation.metrics.squad import score_answer_or_none
from tlnlp.task import Prediction

MOST_LABELS = 12  # of a confusion matrix; with more labels, the most confused pairs are shown
PAIRS_SHOWN = 15
# Bins for the number of words of the shortest accepted answer (upper bounds).
LENGTHS = (0, 1, 2, 4, 8, 16)


def describe_answers(predictions: Sequence[Prediction]) -> dict[str, Any]:
    """Returns {"confusion"}, {"pairs"} or {"lengths"}, depending on the kind of predictions; {} for numbers, for
    several labels and for tags."""
    if not predictions or predictions[0].label is None:
        return {}
    first = predictions[0]
    if "n_best" in first.more:
        return {"lengths": _by_length(predictions)}
    if isinstance(first.label, list | float):
        return {}
    return _confuse([(str(each.label), str(each.prediction)) for each in predictions])


def _confuse(pairs: Sequence[tuple[str, str]]) -> dict[str, Any]:
    counts = Counter(pairs)
    labels = sorted({label for pair in pairs for label in pair})
    if len(labels) <= MOST_LABELS:
        grid = [[counts[label, told] for told in labels] for label in labels]
        return {"confusion": {"labels": labels, "counts": grid}}
    wrong = [(label, told, count) for (label, told), count in counts.most_common() if label != told]
    return {"pairs": wrong[:PAIRS_SHOWN]}


def count_confusions(predictions: Sequence[Prediction], task: str) -> tuple[list[str], list[list[int]]]:
    """Returns the labels that occur, and the number of predictions (columns) for each label (rows); tags are counted
    per word.

    Raises:
        InputError: labels and predictions are not names.
    """
    pairs: list[tuple[Any, Any]] = []
    for each in predictions:
        is_tagged = isinstance(each.label, list) and isinstance(each.prediction, list) and each.scores is not None
        pairs += zip(each.label, each.prediction, strict=True) if is_tagged else [(each.label, each.prediction)]
    if not pairs or not all(isinstance(name, str) for pair in pairs for name in pair):
        raise InputError(
            expected="a run whose predictions are labels, one per row or word",
            found=f"{task}, whose predictions are not",
            change="look at mistakes and predictions instead",
        )
    labels = sorted({label for pair in pairs for label in pair})
    counts = Counter(pairs)
    return labels, [[counts[label, told] for told in labels] for label in labels]


def _by_length(predictions: Sequence[Prediction]) -> list[dict[str, Any]]:
    found: dict[int, list[tuple[float, float]]] = {}
    for each in predictions:
        words = min((len(text.split()) for text in each.label), default=0)
        place = next((i for i, most in enumerate(LENGTHS) if words <= most), len(LENGTHS))
        found.setdefault(place, []).append(score_answer_or_none(each.prediction, each.label))
    return [
        {
            "words": _range(place),
            "rows": len(scores),
            "f1": statistics.fmean(f1 for f1, _ in scores),
            "exact": statistics.fmean(exact for _, exact in scores),
        }
        for place, scores in sorted(found.items())
    ]


def _range(place: int) -> str:
    if place == 0:
        return "no answer"
    if place == len(LENGTHS):
        return f"more than {LENGTHS[-1]}"
    low, high = LENGTHS[place - 1] + 1, LENGTHS[place]
    return str(low) if low == high else f"{low} to {high}"
