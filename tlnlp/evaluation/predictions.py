"""Predictions as they are written: one JSON line for each row, labels by name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from tlnlp.data.rows import Rows


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
