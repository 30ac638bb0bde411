"""The output format of predictions: one JSON line per row, labels by name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tlnlp.data.rows import Rows


@dataclass(frozen=True)
class Prediction:
    """The prediction of a model for one row.

    Args:
        prediction: a label, a list of labels, a number, a tag for each word, a text, or the index of an ending.
        score: its probability; for several labels, that of each; for a number, the number itself.
        scores: {label: probability}, or a list (of all endings; of the tag of each word); None for a number.
        calibrated: `score` after temperature scaling; None if there is no temperature.
        row: the number of the row in its source; None for rows passed to `predict`.
        label: the row's label, by name; None if it has none.
        more: further keys of the head (`ending`: the text of the predicted ending).
    """

    prediction: Any
    score: Any
    scores: Any = None
    calibrated: float | None = None
    row: int | None = None
    label: Any = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Prediction:
        """Builds it from the JSON format, in which runs and `tlnlp predict` write predictions."""
        known = {
            name: answer[name]
            for name in ("prediction", "score", "scores", "calibrated", "row", "label")
            if name in answer
        }
        return cls(**known, more={name: value for name, value in answer.items() if name not in known})


def lines_of(rows: Rows, answers: list[dict[str, Any]]) -> str:
    """Returns one JSON line per row: its number in its file, its label, the prediction and the score."""
    if len(answers) != len(rows):  # rows were concatenated into sequences, which are numbered instead
        return "".join(json.dumps({"row": i, **answer}) + "\n" for i, answer in enumerate(answers, start=1))
    lines = []
    (labels,) = [rows.columns[role] for role in ("label", "tags", "answers") if role in rows.columns] or [
        [None] * len(rows)
    ]
    for number, label, answer in zip(rows.numbers, labels, answers, strict=True):
        named = name_label(label, rows.labels)
        lines.append(json.dumps({"row": int(number), "label": named, **answer}, ensure_ascii=False) + "\n")
    return "".join(lines)


def name_label(label: Any, names: Sequence[str] | None) -> Any:
    """Replaces indices by names; returns the accepted answers to a question, and numbers unchanged."""
    if isinstance(label, dict):
        return label["text"]
    if names is None or label is None:
        return label
    return [names[i] for i in label] if isinstance(label, tuple | list) else names[label]
