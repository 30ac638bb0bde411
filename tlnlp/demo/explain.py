"""Predictions for single rows in the demo: reading the input, displaying the prediction, and word importance."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from tlnlp.data.roles import ASKED, PROMPT, WEIGHT
from tlnlp.data.table import Table
from tlnlp.errors import InputError
from tlnlp.evaluation.calibration import calibrate_all
from tlnlp.inference.predictor import Predictor
from tlnlp.runs.folder import MODEL
from tlnlp.task import MultiLabel, Prediction, Regression, Task

# The demo is for a few sentences: use `tlnlp predict` for longer text.
MOST_CHARACTERS = 20_000
# Maximum number of words for word importance: each needs one more prediction.
MOST_WORDS = 120
WORD = re.compile(r"\w+(?:['’]\w+)?|[^\w\s]")

Marked = list[tuple[str, str | float | None]]


@dataclass(frozen=True)
class DisplayedPrediction:
    """A prediction as the page displays it.

    Args:
        words: the prediction as one line of text.
        chances: {prediction: probability}, the most probable first; {} if there are none.
        marked: the text in parts, each with its mark or None: tags of words, the answer in its context.
    """

    words: str
    confidences: dict[str, float] = field(default_factory=dict)
    marked: Marked | None = None


def find_model(folder: Path) -> Path:
    """Returns the folder `model` of a run, or of its first seed if there are several, or `folder` if it is one itself.

    Raises:
        InputError: there is none.
    """
    for place in (folder / MODEL, folder / "seed0" / MODEL, folder):
        if (place / "tlnlp.json").is_file():
            return place
    raise InputError(
        expected="the folder of a finished run", found=f"{folder}: no model in it", change="--run runs/TASK/NAME"
    )


def fields_of(task: Task) -> list[str]:
    """Returns the roles of the input fields, in order."""
    return [role for role in task.columns.by_role() if role not in (*ASKED, WEIGHT, PROMPT, "id")]


def ask(predictor: Predictor, given: Mapping[str, str]) -> DisplayedPrediction:
    """Returns the prediction for one row.

    Args:
        given: {role: text}; words are split at spaces, endings are one per line.

    Raises:
        InputError: a field is empty or too long.
    """
    row = read_row(predictor.task, given)
    return show(predictor.task, predict_rows(predictor, [row])[0], row)


def read_row(task: Task, given: Mapping[str, str]) -> dict[str, Any]:
    """Returns {role: value}, as in a table."""
    row: dict[str, Any] = {}
    for role in fields_of(task):
        text = given.get(role, "")
        if not text.strip():
            raise InputError(expected=f"a text in the field {role}", found="nothing", change="type a few words")
        if len(text) > MOST_CHARACTERS:
            raise InputError(
                expected=f"at most {MOST_CHARACTERS:,} characters in the field {role}",
                found=f"{len(text):,}",
                change="a shorter text; use `tlnlp predict` for long ones",
            )
        row[role] = text
        if role == "words":
            row[role] = WORD.findall(text)
        if role == "endings":
            row[role] = [line.strip() for line in text.splitlines() if line.strip()]
            if len(row[role]) < 2:
                raise InputError(expected="at least two endings, one per line", found=text, change="add one")
    return row


def predict_rows(predictor: Predictor, rows: Sequence[Mapping[str, Any]]) -> list[Prediction]:
    """Returns the model's predictions, calibrated with the run's temperature, if there is one: an overconfident network
    would show 100 % for every prediction, and no important words."""
    columns = predictor.task.columns.by_role()
    table = Table(
        {columns[role]: [row[role] for row in rows] for role in rows[0]}, "this page", np.arange(1, len(rows) + 1)
    )
    predictions = predictor.predict_table(table, {})
    if predictor.temperature is None:
        return predictions
    return [_calibrated(each, predictor.temperature) for each in predictions]


def _calibrated(predicted: Prediction, temperature: float) -> Prediction:
    calibrated = calibrate_all(predicted, temperature)
    if predicted.scores is None:
        return replace(predicted, score=calibrated)
    return replace(predicted, scores=calibrated)


def show(task: Task, predicted: Prediction, row: Mapping[str, Any]) -> DisplayedPrediction:
    """Returns a prediction in the form that the page displays."""
    said = predicted.prediction
    if "context" in row:
        confidences = {each["text"] or "no answer": each["score"] for each in predicted.more["n_best"]}
        return DisplayedPrediction(
            said or "no answer", confidences, mark_span(row["context"], predicted.more["start"], len(said))
        )
    if "words" in row:
        marked: Marked = [(word, None if tag == "O" else tag) for word, tag in zip(row["words"], said, strict=True)]
        return DisplayedPrediction(
            f"{sum(tag is not None for _, tag in marked)} of {len(marked)} words tagged", marked=marked
        )
    if "endings" in row:
        confidences = dict(zip(row["endings"], predicted.scores, strict=True))
        return DisplayedPrediction(predicted.more["ending"], _sorted(confidences))
    if isinstance(task.labels, Regression):
        scale = f" on a scale from {task.labels.low:g} to {task.labels.high:g}" if task.labels.has_range else ""
        return DisplayedPrediction(f"{said:.2f}{scale}")
    if isinstance(task.labels, MultiLabel):
        confidences = predicted.scores or dict(zip(task.labels, predicted.score, strict=True))
        return DisplayedPrediction(", ".join(said) or "none of the labels", _sorted(confidences))
    return DisplayedPrediction(said, _sorted(predicted.scores))


def _sorted(confidences: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(confidences.items(), key=lambda each: -each[1]))


def mark_span(context: str, start: int, length: int) -> Marked:
    """Returns the context with the answer marked."""
    if start < 0 or not length:
        return [(context, None)]
    end = start + length
    parts: Marked = [(context[:start], None), (context[start:end], "answer"), (context[end:], None)]
    return [part for part in parts if part[0]]


def weigh_words(predictor: Predictor, given: Mapping[str, str]) -> list[tuple[str, Marked]]:
    """Returns for each text field its words with their importance: the decrease in the prediction's probability if the
    word is left out (erasure: Li et al. 2016, "Understanding neural networks through representation erasure"; negative:
    it increases). It is computed, not estimated. If two words carry the same information, each may have an importance
    of zero.

    Only for predictions of one label per row.
    """
    row = read_row(predictor.task, given)
    if (
        "label" not in predictor.task.columns.by_role()
        or "endings" in row
        or isinstance(predictor.task.labels, Regression | MultiLabel)
    ):
        return []
    found = {role: list(WORD.finditer(text)) for role, text in row.items() if isinstance(text, str)}
    places = [(role, i) for role, words in found.items() for i in range(len(words))][:MOST_WORDS]
    rows = [row, *(row | {role: leave_out(row[role], found[role][i].span())} for role, i in places)]
    # A text of one word would be empty.
    rows = [{role: text if text.strip() else "." for role, text in each.items()} for each in rows]
    first, *others = predict_rows(predictor, rows)
    said = first.prediction
    falls = {
        place: first.scores[said] - other.scores.get(said, 0.0) for place, other in zip(places, others, strict=True)
    }
    return [
        (role, mark_words(row[role], words, [falls.get((role, i)) for i in range(len(words))]))
        for role, words in found.items()
    ]


def leave_out(text: str, span: tuple[int, int]) -> str:
    """Returns the text without the characters in `span`, and without a double space there."""
    before, after = text[: span[0]], text[span[1] :]
    return before + (after.lstrip() if before.endswith(" ") or not before else after)


def mark_words(text: str, words: Sequence[re.Match[str]], values: Sequence[float | None]) -> Marked:
    """Splits the text into parts, with the values of its words."""
    marked: Marked = []
    end = 0
    for word, value in zip(words, values, strict=True):
        if word.start() > end:
            marked.append((text[end : word.start()], None))
        marked.append((word.group(), value))
        end = word.end()
    return [*marked, (text[end:], None)] if text[end:] else marked
