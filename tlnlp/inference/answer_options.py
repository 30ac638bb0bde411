"""What is asked of the answers beyond the prediction: the best K scores, prediction sets, abstention, entities."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tlnlp.errors import InputError
from tlnlp.evaluation.conformal import METHODS, Calibration, SetMethod, chances_of, check_rate, sets_of, why_no_sets
from tlnlp.evaluation.metrics.entity_f1 import find_entities
from tlnlp.task import MultiLabel, Prediction, Regression, Task

# With more labels than this only the TOP best scores are given, unless another number is asked for.
MANY_LABELS, TOP = 100, 10
# Rows whose sets are computed at once.
ROWS_AT_ONCE = 4_096


@dataclass(frozen=True)
class AnswerOptions:
    """What is asked of the answers.

    Args:
        top: number of `scores` of a row, the best first; all of them if None, and of more than `MANY_LABELS` labels the
            best `TOP`.
        error_rate: adds a `prediction_set`, of which at most this share lacks the right label, see
            `tlnlp.evaluation.conformal`.
        set_method: the nonconformity score of these sets.
        abstain_below: predictions whose confidence (`calibrated`, or `score` if there is none) is below are None.
    """

    top: int | None = None
    error_rate: float | None = None
    set_method: SetMethod = "lac"
    abstain_below: float | None = None

    def check(self, task: Task, kept: Calibration | None) -> None:
        """Refuses what this task or this model does not have.

        Args:
            kept: the calibration that is kept with the model.

        Raises:
            InputError: see above.
        """
        if self.top is not None and self.top < 1:
            raise InputError(expected="--top of 1 or more", found=str(self.top), change="--top")
        if self.error_rate is not None:
            check_rate(self.error_rate)
            if self.set_method not in METHODS:
                raise InputError(
                    expected=f"--set-method {' or '.join(METHODS)}", found=str(self.set_method), change="--set-method"
                )
            if why := why_no_sets(task):
                raise InputError(
                    expected="a task with one label for each row, word or set of endings, for --error-rate",
                    found=f"{task.name}, with {why}",
                    change="omit --error-rate",
                )
            if kept is None:
                raise InputError(
                    expected="a model that keeps the scores of its dev rows (conformal.json), for --error-rate",
                    found=f"none with this model of {task.name}",
                    change="train it again: it was trained by an earlier version, or its dev rows were too many",
                )
            kept.threshold(self.error_rate, self.set_method)
        if self.abstain_below is not None:
            if not 0 < self.abstain_below <= 1:
                raise InputError(
                    expected="--abstain-below between 0 and 1, a confidence",
                    found=f"{self.abstain_below:g}",
                    change="--abstain-below",
                )
            if isinstance(task.labels, MultiLabel | Regression):
                raise InputError(
                    expected="one confidence for each prediction, for --abstain-below",
                    found=f"{task.name}, with {why_no_sets(task)}",
                    change="omit --abstain-below, and use the scores",
                )


def add_sets(
    predictions: list[Prediction], rows: Any, task: Task, kept: Calibration, options: AnswerOptions
) -> list[Prediction]:
    """Returns the predictions with their sets at `options.error_rate`."""
    assert options.error_rate is not None
    threshold = kept.threshold(options.error_rate, options.set_method)
    found = chances_of(predictions, rows, task)
    if found is None:
        raise RuntimeError("predictions without the probabilities of all classes")
    lines: list[list[Any]] = []
    names = rows.labels
    for first in range(0, len(found.chances), ROWS_AT_ONCE):
        inside = sets_of(found.chances[first : first + ROWS_AT_ONCE], threshold, options.set_method)
        for place, line in enumerate(inside, first):
            inner = np.flatnonzero(line)
            order = inner[np.argsort(-found.chances[place, inner], kind="stable")].tolist()  # the likeliest first
            lines.append(order if names is None else [names[i] for i in order])
    if "words" not in rows.columns:
        return [replace(each, prediction_set=line) for each, line in zip(predictions, lines, strict=True)]
    rest = iter(lines)
    return [replace(each, prediction_set=[next(rest) for _ in each.prediction]) for each in predictions]


def abstain(predictions: list[Prediction], below: float) -> list[Prediction]:
    """Returns None for predictions (for tags: of words) whose confidence is below."""
    found = []
    for each in predictions:
        if isinstance(each.prediction, list):
            tags = [None if chance < below else tag for tag, chance in zip(each.prediction, each.scores, strict=True)]
            found.append(replace(each, prediction=tags, abstained=None in tags))
        else:
            is_low = (each.score if each.calibrated is None else each.calibrated) < below
            found.append(replace(each, prediction=None if is_low else each.prediction, abstained=is_low))
    return found


def keep_best(predictions: list[Prediction], top: int | None, labels: Sequence[str] | None) -> list[Prediction]:
    """Returns the predictions with the scores of the best labels only, the best first; of an answer in a text with its
    best alternatives. Scores of endings and words stay, which are told by their place."""
    if top is None:
        top = TOP if labels is not None and len(labels) > MANY_LABELS else None
    return predictions if top is None else [_keep_best(each, top, labels) for each in predictions]


def _keep_best(each: Prediction, top: int, labels: Sequence[str] | None) -> Prediction:
    if isinstance(each.scores, Mapping):
        best = sorted(each.scores.items(), key=lambda item: -item[1])[:top]
        return replace(each, scores=dict(best))
    if isinstance(each.score, list) and labels is not None and len(each.score) == len(labels):  # several labels
        chances = np.asarray(each.score)
        best_places = np.argsort(-chances, kind="stable")[:top].tolist()
        places = [labels.index(name) for name in each.prediction]
        return replace(
            each,
            score=[each.score[place] for place in places],
            calibrated=[each.calibrated[place] for place in places] if each.calibrated is not None else None,
            scores={labels[i]: float(f"{chances[i]:.6g}") for i in best_places},
        )
    if "n_best" in each.more:
        return replace(each, more={**each.more, "n_best": each.more["n_best"][:top]})
    return each


def add_entities(
    predictions: list[Prediction], words: Sequence[Sequence[str]], texts: Sequence[str | None]
) -> list[Prediction]:
    """Returns the predictions of tags with their `entities`.

    Args:
        texts: the text that the words of a row were read from; None: they came as words, and are joined by spaces.
    """
    return [
        replace(each, more={**each.more, "entities": list(entities_of(each, of_row, text))})
        for each, of_row, text in zip(predictions, words, texts, strict=True)
    ]


def entities_of(predicted: Prediction, words: Sequence[str], text: str | None) -> Iterator[dict[str, Any]]:
    """Yields the entities of a row: `entity` (its type), `start` and `end` (its characters in the text, from 0, the end
    excluded), `text`, `first_word` and `last_word` (from 0, the last included) and `score` (the mean over its words).
    Words without a tag, for which the model abstained, are in none."""
    places = places_of(words, text) if text is not None else None
    if text is None or places is None:
        text = " ".join(words)
        ends = np.cumsum([len(word) + 1 for word in words]) - 1
        places = [(int(end) - len(word), int(end)) for word, end in zip(words, ends, strict=True)]
    for kind, first, last in find_entities([tag or "O" for tag in predicted.prediction]):
        start, end = places[first][0], places[last][1]
        chances = predicted.scores[first : last + 1]
        yield {
            "entity": kind, "start": start, "end": end, "text": text[start:end], "first_word": first,
            "last_word": last, "score": round(sum(chances) / len(chances), 4),
        }  # fmt: skip


def places_of(words: Sequence[str], text: str) -> list[tuple[int, int]] | None:
    """Returns the start and end of each word in the text; None if they are not all there, in order."""
    places, at = [], 0
    for word in words:
        start = text.find(word, at)
        if start < 0 or (start > at and not text[at:start].isspace()):
            return None
        at = start + len(word)
        places.append((start, at))
    return places


def names_of(task: Task) -> tuple[str, ...]:
    """Returns the names of a task's labels; () if it has none."""
    return tuple(task.labels) if isinstance(task.labels, tuple) else ()


def answer_columns(task: Task, options: AnswerOptions, *, calibrated: bool) -> list[str]:
    """Returns the columns that the answers of a task have for certain, for files with a header.

    Args:
        calibrated: whether the model has a temperature.
    """
    roles, names = task.columns.by_role(), names_of(task)
    several = isinstance(task.labels, MultiLabel)
    gives_best = options.top is not None or len(names) > MANY_LABELS
    found = {
        "prediction": True,
        "score": True,
        "scores": "endings" in roles or "words" in roles or (bool(names) and (not several or gives_best)),
        "calibrated": calibrated,
        "prediction_set": options.error_rate is not None,
        "abstained": options.abstain_below is not None,
        "ending": "endings" in roles,
        "entities": "words" in roles and has_entities(names),
        "null_odds": "answers" in roles,
        "n_best": "answers" in roles,
    }
    return [name for name, there in found.items() if there]


def has_entities(labels: Sequence[str] | None) -> bool:
    """Returns whether tags mark entities, and not each word's own class (parts of speech)."""
    return "O" in (labels or ())
