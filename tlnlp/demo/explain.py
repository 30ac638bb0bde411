"""A trained model asked by hand: rows of one, what to show of an answer, and which words it hangs on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tlnlp.data.roles import ASKED, PROMPT, WEIGHT
from tlnlp.data.table import Table
from tlnlp.errors import InputError
from tlnlp.evaluation.calibration import calibrate_all
from tlnlp.inference.predictor import Predictor
from tlnlp.runs.folder import MODEL
from tlnlp.task import MultiLabel, Regression, Task

# A page is for looking at a few sentences: what is longer is better asked with `tlnlp predict`.
MOST_CHARACTERS = 20_000
# Words whose weight is looked at: each is one more row.
MOST_WORDS = 120
WORD = re.compile(r"\w+(?:['’]\w+)?|[^\w\s]")

Marked = list[tuple[str, str | float | None]]


@dataclass(frozen=True)
class DisplayedPrediction:
    """What the page shows of an answer.

    Args:
        words: the answer in a line.
        chances: {answer: probability}, the likeliest first; {} where there are none.
        marked: the text in pieces, each with its mark or None: tags over words, the answer in its context.
    """

    words: str
    confidences: dict[str, float] = field(default_factory=dict)
    marked: Marked | None = None


def find_model(folder: Path) -> Path:
    """The folder `model` of a run, of its first seed where there are several, or that folder itself.

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
    """The roles that a person fills in, in order."""
    return [role for role in task.columns.by_role() if role not in (*ASKED, WEIGHT, PROMPT, "id")]


def ask(answerer: Predictor, given: Mapping[str, str]) -> DisplayedPrediction:
    """The answer to one row.

    Args:
        given: {role: text}; words are cut out of the text, endings stand one in a line.

    Raises:
        InputError: a field is empty, or too long.
    """
    row = read_row(answerer.task, given)
    return show(answerer.task, answer_rows(answerer, [row])[0], row)


def read_row(task: Task, given: Mapping[str, str]) -> dict[str, Any]:
    """{role: value} as a table has it."""
    row: dict[str, Any] = {}
    for role in fields_of(task):
        text = given.get(role, "")
        if not text.strip():
            raise InputError(expected=f"something in the field {role}", found="nothing", change="type a few words")
        if len(text) > MOST_CHARACTERS:
            raise InputError(
                expected=f"at most {MOST_CHARACTERS:,} characters in the field {role}",
                found=f"{len(text):,}",
                change="a shorter text; `tlnlp predict` answers long ones",
            )
        row[role] = text
        if role == "words":
            row[role] = WORD.findall(text)
        if role == "endings":
            row[role] = [line.strip() for line in text.splitlines() if line.strip()]
            if len(row[role]) < 2:
                raise InputError(expected="two endings at least, one in a line", found=text, change="add one")
    return row


def answer_rows(answerer: Predictor, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The model's answers, their probabilities with the temperature that was fitted on the run's dev rows, if any: a
    network that is sure of everything would show 100 % beside each answer, and no word to hang on."""
    columns = answerer.task.columns.by_role()
    table = Table(
        {columns[role]: [row[role] for row in rows] for role in rows[0]}, "this page", np.arange(1, len(rows) + 1)
    )
    answers = answerer.answer(table, {})
    if answerer.temperature is None:
        return answers
    return [
        answer | {"scores" if "scores" in answer else "score": calibrate_all(answer, answerer.temperature)}
        for answer in answers
    ]


def show(task: Task, answer: Mapping[str, Any], row: Mapping[str, Any]) -> DisplayedPrediction:
    """An answer as people read it."""
    said = answer["prediction"]
    if "context" in row:
        confidences = {each["text"] or "no answer": each["score"] for each in answer["n_best"]}
        return DisplayedPrediction(
            said or "no answer", confidences, mark_span(row["context"], answer["start"], len(said))
        )
    if "words" in row:
        marked: Marked = [(word, None if tag == "O" else tag) for word, tag in zip(row["words"], said, strict=True)]
        return DisplayedPrediction(
            f"{sum(tag is not None for _, tag in marked)} of {len(marked)} words tagged", marked=marked
        )
    if "endings" in row:
        confidences = dict(zip(row["endings"], answer["scores"], strict=True))
        return DisplayedPrediction(answer["ending"], _sorted(confidences))
    if isinstance(task.labels, Regression):
        return DisplayedPrediction(f"{said:.2f} on a scale from {task.labels.low:g} to {task.labels.high:g}")
    if isinstance(task.labels, MultiLabel):
        confidences = dict(zip(task.labels, answer["score"], strict=True))
        return DisplayedPrediction(", ".join(said) or "none of the labels", _sorted(confidences))
    return DisplayedPrediction(said, _sorted(answer["scores"]))


def _sorted(confidences: Mapping[str, float]) -> dict[str, float]:
    return dict(sorted(confidences.items(), key=lambda each: -each[1]))


def mark_span(context: str, start: int, length: int) -> Marked:
    """The context with the answer marked in it."""
    if start < 0 or not length:
        return [(context, None)]
    end = start + length
    parts: Marked = [(context[:start], None), (context[start:end], "answer"), (context[end:], None)]
    return [part for part in parts if part[0]]


def weigh_words(answerer: Predictor, given: Mapping[str, str]) -> list[tuple[str, Marked]]:
    """For each text field its words, and by how much the probability of the answer falls where that word is left out
    (erasure: Li et al. 2016, "Understanding neural networks through representation erasure"; below 0: it rises). The
    number is this difference itself, not an estimate; words that say the same thing twice can each have none.

    Only where the answer is one label for the row.
    """
    row = read_row(answerer.task, given)
    if (
        "label" not in answerer.task.columns.by_role()
        or "endings" in row
        or isinstance(answerer.task.labels, Regression | MultiLabel)
    ):
        return []
    found = {role: list(WORD.finditer(text)) for role, text in row.items() if isinstance(text, str)}
    places = [(role, i) for role, words in found.items() for i in range(len(words))][:MOST_WORDS]
    rows = [row, *(row | {role: leave_out(row[role], found[role][i].span())} for role, i in places)]
    # A text of one word would be empty without it.
    rows = [{role: text if text.strip() else "." for role, text in each.items()} for each in rows]
    answers = answer_rows(answerer, rows)
    said = answers[0]["prediction"]
    falls = {
        place: answers[0]["scores"][said] - other["scores"][said]
        for place, other in zip(places, answers[1:], strict=True)
    }
    return [
        (role, mark_words(row[role], words, [falls.get((role, i)) for i in range(len(words))]))
        for role, words in found.items()
    ]


def leave_out(text: str, span: tuple[int, int]) -> str:
    """The text without what stands in `span`, and without a second blank there."""
    before, after = text[: span[0]], text[span[1] :]
    return before + (after.lstrip() if before.endswith(" ") or not before else after)


def mark_words(text: str, words: Sequence[re.Match[str]], values: Sequence[float | None]) -> Marked:
    """The whole text in pieces, the words of which have their values."""
    marked: Marked = []
    end = 0
    for word, value in zip(words, values, strict=True):
        if word.start() > end:
            marked.append((text[end : word.start()], None))
        marked.append((word.group(), value))
        end = word.end()
    return [*marked, (text[end:], None)] if text[end:] else marked
