"""Rows: named columns of one split, with the place each row came from, so that a message can point at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Rows:
    """One split.

    Args:
        columns: role to the values, one a row:
            text, text_pair, question, context, prompt, id: a text.
            label: its index in `labels`, or a float (Score), or a tuple of indices (Several); beside endings the place
                of the right one, from 0.
            weight: a float, 0 or more.
            words: a list of texts, one at least; an empty text is a word as well.
            tags: for each word an index in `labels`.
            endings: a list of texts, two at least.
            answers: {"text": list of texts, "answer_start": list of their places in the context, in characters from
                0}; both empty where the question has no answer; -1 for a text that the context does not have
                (`--fix-answers`, and never in train).
        origin: file or data set, for messages ("reviews.csv", "nyu-mll/glue sst2 train").
        numbers: the row's number in its origin, from 1, as an editor shows it (a header line is not counted); of words
            in columns the line where the sentence begins.
        labels: names of labels or tags in order; None where the answer is no label.
    """

    columns: dict[str, list[Any]]
    origin: str
    numbers: np.ndarray
    labels: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def select(self, positions: Sequence[int] | np.ndarray) -> Rows:
        """The rows at `positions`, in that order."""
        chosen = {role: [values[i] for i in positions] for role, values in self.columns.items()}
        return Rows(chosen, self.origin, self.numbers[np.asarray(positions, dtype=np.int64)], self.labels)


@dataclass(frozen=True)
class Splits:
    """The rows of a run.

    Args:
        train, dev: to learn from; to report on (or to choose on, where `test` is reported on).
        test: labelled rows that nothing is chosen on, where there are any.
        also: further rows to report on, by name.
        notes: what a person should know of how the splits came about ("dev: 200 rows cut from train, seed 0").
        fingerprint: digest of all rows and labels: two runs with the same one saw the same data.
    """

    train: Rows
    dev: Rows
    test: Rows | None = None
    also: dict[str, Rows] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    fingerprint: str = ""
