"""Error analysis: the rows with the largest errors, with their texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tlnlp.data.rows import Rows
from tlnlp.evaluation.data_profile import TEXTS
from tlnlp.evaluation.metrics.squad import score_answer_or_none
from tlnlp.evaluation.predictions import name_label
from tlnlp.task import MultiLabel, Regression, Task

MOST = 20
SHOWN_CHARACTERS = 600  # of a text; of a context, those around the answer
Answer = dict[str, Any]


def find_mistakes(task: Task, answers: list[Answer], rows: Rows) -> list[dict[str, Any]]:
    """Returns the wrong predictions with the largest errors, largest first: {"row", "texts": {role: text}, "label",
    "prediction", "score"}; for tags {"words", "label", "prediction"}."""
    wrongness = _wrongness(task, rows)
    if wrongness is None or len(answers) != len(rows):  # rows of plain text are concatenated into sequences
        return []
    how_wrong = np.array([wrongness(answer, row) for row, answer in enumerate(answers)])
    worst = np.argsort(-how_wrong, kind="stable")[:MOST]
    return [_describe(answers[row], rows, int(row)) for row in worst if how_wrong[row] > 0]


def _wrongness(task: Task, rows: Rows) -> Callable[[Answer, int], float] | None:
    """Returns a function from a prediction and its row to its error: 0 if correct, otherwise higher with the
    confidence.
    """
    names, columns = rows.labels or (), rows.columns
    if "answers" in columns:

        def miss(answer: Answer, row: int) -> float:
            f1, _ = score_answer_or_none(answer["prediction"], columns["answers"][row]["text"])
            return (1 - f1) * answer["score"]

        return miss
    if "tags" in columns:
        return lambda answer, row: sum(
            told != names[tag] for told, tag in zip(answer["prediction"], columns["tags"][row], strict=True)
        )
    if "label" not in columns:
        return None
    labels = columns["label"]
    if isinstance(task.labels, Regression):
        return lambda answer, row: abs(answer["prediction"] - labels[row])
    if isinstance(task.labels, MultiLabel):
        return lambda answer, row: len({names[i] for i in labels[row]} ^ set(answer["prediction"]))
    return lambda answer, row: answer["score"] * (answer["prediction"] != name_label(labels[row], rows.labels))


def _describe(answer: Answer, rows: Rows, row: int) -> dict[str, Any]:
    columns = rows.columns
    described: dict[str, Any] = {"row": int(rows.numbers[row])}
    if "words" in columns:
        tags = name_label(columns["tags"][row], rows.labels)
        return described | {"words": columns["words"][row], "label": tags, "prediction": answer["prediction"]}
    texts: dict[str, str] = {role: columns[role][row] for role in TEXTS if role in columns}
    if "context" in texts:
        texts["context"] = _around(texts["context"], answer.get("start", -1))
    if "endings" in columns:
        texts |= {f"ending {i}": text for i, text in enumerate(columns["endings"][row])}
    return described | {
        "texts": {role: text[:SHOWN_CHARACTERS] for role, text in texts.items()},
        "label": name_label((columns.get("answers") or columns["label"])[row], rows.labels),
        "prediction": answer["prediction"],
        "score": answer["score"],
    }


def _around(context: str, start: int) -> str:
    """Returns the part of a context around the predicted answer."""
    first = max(0, start - SHOWN_CHARACTERS // 2)
    return ("... " if first else "") + context[first : first + SHOWN_CHARACTERS - 4]
