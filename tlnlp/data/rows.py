"""Rows: named columns of one split, with the place each row came from, so that a message can point at it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

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

    def followed_by(self, *others: Rows) -> Rows:
        """All rows in one, with the roles that all have."""
        parts = [self, *others]
        roles = [role for role in self.columns if all(role in part.columns for part in parts)]
        columns = {role: [value for part in parts for value in part.columns[role]] for role in roles}
        origin = " and ".join(dict.fromkeys(part.origin for part in parts))
        return Rows(columns, origin, np.concatenate([part.numbers for part in parts]), self.labels)


def strata_of(rows: Rows) -> np.ndarray:
    """Each row's label [rows]; one stratum for all where rows have no label, several, or a number."""
    values = rows.columns.get("label")
    if values is None or rows.labels is None or not isinstance(values[0], int):
        return np.zeros(len(rows), dtype=np.int64)
    return np.array(values)


@dataclass(frozen=True, order=True)
class SplitKey:
    """Which rows of a run: what they are for and, where there can be several of that kind, whose they are.

    Args:
        kind: "train", "dev" and "test"; "extra": a further split to report on; "target": dev rows of a further
            language, predicted at the end; "more": train rows of a further language; "few": train rows of a target
            language, of which a few are drawn.
        name: the name of the extra split, or the language; "" of train, dev and test.
    """

    kind: Literal["train", "dev", "test", "extra", "target", "more", "few"]
    name: str = ""

    @property
    def is_trained_on(self) -> bool:
        """Whether a model learns from these rows."""
        return self.kind in ("train", "more", "few")

    @property
    def language(self) -> str | None:
        """The language in the key; None where it is the task's own."""
        return self.name if self.kind in ("target", "more", "few") else None


TRAIN, DEV, TEST = SplitKey("train"), SplitKey("dev"), SplitKey("test")


@dataclass(frozen=True)
class Splits:
    """The rows of a run.

    Args:
        train, dev: to learn from; to report on (or to choose on, where `test` is reported on).
        test: labelled rows that nothing is chosen on, where there are any.
        extra_splits: further rows to report on, by name.
        target_languages: rows in further languages to report on, by language; nothing is ever chosen on them.
        language: that of `dev`, where there are others.
        notes: what a person should know of how the splits came about ("dev: 200 rows cut from train, seed 0").
        fingerprint: digest of all rows and labels: two runs with the same one saw the same data.
    """

    train: Rows
    dev: Rows
    test: Rows | None = None
    extra_splits: dict[str, Rows] = field(default_factory=dict)
    target_languages: dict[str, Rows] = field(default_factory=dict)
    language: str | None = None
    notes: list[str] = field(default_factory=list)
    fingerprint: str = ""
