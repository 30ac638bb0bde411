"""Predictions as they are written: one JSON line for each row, labels by name."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from tlnlp.data.rows import Rows


@dataclass(frozen=True)
class Prediction:
    """What a model says of one row.

    Args:
        prediction: in the task's own words: a label, labels, a number, a tag for each word, a text, the index of an
            ending.
        score: its probability; of several labels that of each, of a number the number itself.
        scores: {label: probability}, or a list (of each ending; of each word's tag); None where there is one number.
        calibrated: `score` as honest as the dev rows allow; None where that is not known.
        row: the row's number in its source; None of rows that were just asked.
        label: what the row has, by name; None where it has none.
        more: what else the head has to say (`ending`: the text of the chosen one).
    """

    prediction: Any
    score: Any
    scores: Any = None
    calibrated: float | None = None
    row: int | None = None
    label: Any = None
    more: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Without what is not known of this row."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        known = [f"{name}={value!r}" for name, value in values.items() if value is not None and value != {}]
        return f"Prediction({', '.join(known)})"

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> Prediction:
        """From the JSON form, in which a run and `tlnlp predict` write it."""
        known = {
            name: answer[name]
            for name in ("prediction", "score", "scores", "calibrated", "row", "label")
            if name in answer
        }
        return cls(**known, more={name: value for name, value in answer.items() if name not in known})


def lines_of(rows: Rows, answers: list[dict[str, Any]]) -> str:
    """One JSON line for each row: its number in its file, the label it has, the prediction, the score."""
    if len(answers) != len(rows):  # rows were joined into sequences: answers are numbered by themselves
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
    """Indices by their names; the acceptable answers to a question; a number as it is."""
    if isinstance(label, dict):
        return label["text"]
    if names is None or label is None:
        return label
    return [names[i] for i in label] if isinstance(label, tuple | list) else names[label]
