"""Error analysis: the rows with the largest errors, with their texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tlnlp.data.rows import Rows
from tlnlp.evaluation.data_profile import TEXTS
from tlnlp.evaluation.metrics.squad import score_answer_or_none
from tlnlp.evaluation.predictions import name_label
from tlnlp.task import MultiLabel, Prediction, Regression, Task

MOST = 20
SHOWN_CHARACTERS = 600  # of a text; of a context, those around the answer


def find_mistakes(task: Task, predictions: list[Prediction], rows: Rows) -> list[dict[str, Any]]:
    """Returns the wrong predictions with the largest errors, largest first: {"row", "texts": {role: text}, "label",
    "prediction", "score"}; for tags {"words", "label", "prediction"}."""
    wrongness = _wrongness(task, rows)
    if wrongness is None or len(predictions) != len(rows):  # rows of plain text are concatenated into sequences
        return []
    how_wrong = np.array([wrongness(each, row) for row, each in enumerate(predictions)])
    worst = np.argsort(-how_wrong, kind="stable")[:MOST]
    return [_describe(predictions[row], rows, int(row)) for row in worst if how_wrong[row] > 0]


def _wrongness(task: Task, rows: Rows) -> Callable[[Prediction, int], float] | None:
    """Returns a function from a prediction and its row to its error: 0 if correct, otherwise higher with the
    confidence.
    """
    names, columns = rows.labels or (), rows.columns
    if "answers" in columns:

        def miss(predicted: Prediction, row: int) -> float:
            f1, _ = score_answer_or_none(predicted.prediction, columns["answers"][row]["text"])
            return (1 - f1) * predicted.score

        return miss
    if "tags" in columns:
        return lambda predicted, row: sum(
            told != names[tag] for told, tag in zip(predicted.prediction, columns["tags"][row], strict=True)
        )
    if "label" not in columns:
        return None
    labels = columns["label"]
    if isinstance(task.labels, Regression):
        return lambda predicted, row: abs(predicted.prediction - labels[row])
    if isinstance(task.labels, MultiLabel):
        return lambda predicted, row: len({names[i] for i in labels[row]} ^ set(predicted.prediction))
    return lambda predicted, row: predicted.score * (predicted.prediction != name_label(labels[row], rows.labels))


def _describe(predicted: Prediction, rows: Rows, row: int) -> dict[str, Any]:
    columns = rows.columns
    described: dict[str, Any] = {"row": int(rows.numbers[row])}
    if "words" in columns:
        tags = name_label(columns["tags"][row], rows.labels)
        return described | {"words": columns["words"][row], "label": tags, "prediction": predicted.prediction}
    texts: dict[str, str] = {role: columns[role][row] for role in TEXTS if role in columns}
    if "context" in texts:
        texts["context"] = _around(texts["context"], predicted.more.get("start", -1))
    if "endings" in columns:
        texts |= {f"ending {i}": text for i, text in enumerate(columns["endings"][row])}
    return described | {
        "texts": {role: text[:SHOWN_CHARACTERS] for role, text in texts.items()},
        "label": name_label((columns.get("answers") or columns["label"])[row], rows.labels),
        "prediction": predicted.prediction,
        "score": predicted.score,
    }


def _around(context: str, start: int) -> str:
    """Returns the part of a context around the predicted answer."""
    first = max(0, start - SHOWN_CHARACTERS // 2)
    return ("... " if first else "") + context[first : first + SHOWN_CHARACTERS - 4]
