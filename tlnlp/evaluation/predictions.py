"""The output format of predictions: one JSON line per row, labels by name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tlnlp.data.rows import Rows
from tlnlp.display.json_numbers import name_numbers, restore_numbers
from tlnlp.task import Prediction


def lines_of(rows: Rows, predictions: Sequence[Prediction]) -> str:
    """Returns one JSON line per row: its number in its file, its label, the prediction and the score."""
    if len(predictions) != len(rows):  # rows were concatenated into sequences, which are numbered instead
        return "".join(_line({"row": i, **each.as_json()}) for i, each in enumerate(predictions, start=1))
    lines = []
    (labels,) = [rows.columns[role] for role in ("label", "tags", "answers") if role in rows.columns] or [
        [None] * len(rows)
    ]
    for number, label, each in zip(rows.numbers, labels, predictions, strict=True):
        named = name_label(label, rows.labels)
        lines.append(_line({"row": int(number), "label": named, **each.as_json()}))
    return "".join(lines)


def _line(content: dict[str, Any]) -> str:
    return json.dumps(name_numbers(content), ensure_ascii=False) + "\n"


def read_predictions(file: Path) -> list[Prediction]:
    """Returns the predictions in a file of such lines."""
    return [_read(json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]


def _read(line: dict[str, Any]) -> Prediction:
    """Returns the prediction in a line. Only its scores are numbers for certain: a label may be called NaN."""
    numbers = {name: restore_numbers(line[name]) for name in ("score", "scores", "calibrated") if name in line}
    is_number = "scores" not in line and line.get("prediction") == line.get("score")
    return Prediction.of(line | numbers | ({"prediction": numbers["score"]} if is_number else {}))


def name_label(label: Any, names: Sequence[str] | None) -> Any:
    """Replaces indices by names; returns the accepted answers to a question, and numbers unchanged."""
    if isinstance(label, dict):
        return label["text"]
    if names is None or label is None:
        return label
    return [names[i] for i in label] if isinstance(label, tuple | list) else names[label]
