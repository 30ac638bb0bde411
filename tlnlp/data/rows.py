"""Rows: the columns of one split, and the source of each row, for messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tlnlp.data.digests import digest_of_column
from tlnlp.data.text_column import TextColumn

if TYPE_CHECKING:
    from tlnlp.task import MultiLabel


@dataclass(frozen=True)
class Rows:
    """One split.

    Args:
        columns: {role: values}, one value per row, in a list; texts of many rows in a `TextColumn`:
            text, text_pair, question, context, prompt, id: a text.
            label: an index in `labels`, a float (Regression), or a tuple of indices (MultiLabel); with endings, the
                index of the right one, from 0.
            weight: a float, 0 or more.
            words: a list of at least one text; an empty text is a valid word.
            tags: an index in `labels` for each word.
            endings: a list of at least two texts.
            answers: {"text": list of texts, "answer_start": list of their starts in the context, in characters from
                0}; both empty if the question has no answer; -1 for a text that the context lacks (with
                `--fix-answers`, never in train).
        origin: file or data set, for messages ("reviews.csv", "nyu-mll/glue sst2 train").
        numbers: the number of each row in its source, from 1, as an editor shows it (a header line is not counted); in
            CoNLL files, the line where the sentence starts.
        labels: names of labels or tags in order; None if the task has no labels.
    """

    columns: Mapping[str, Sequence[Any]]
    origin: str
    numbers: np.ndarray
    labels: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    @cached_property
    def digests(self) -> dict[str, str]:
        """{role: digest of the values}; see `digest_of_column`."""
        return {role: digest_of_column(values) for role, values in self.columns.items()}

    def select(self, positions: Sequence[int] | np.ndarray) -> Rows:
        """Returns the rows at `positions`, in that order."""
        places = np.asarray(positions, dtype=np.int64)
        chosen = {
            role: values.take(places) if isinstance(values, TextColumn) else [values[i] for i in places.tolist()]
            for role, values in self.columns.items()
        }
        return Rows(chosen, self.origin, self.numbers[places], self.labels)

    def followed_by(self, *others: Rows) -> Rows:
        """Concatenates rows, with the roles that all of them have."""
        parts = [self, *others]
        roles = [role for role in self.columns if all(role in part.columns for part in parts)]
        columns = {role: [value for part in parts for value in part.columns[role]] for role in roles}
        origin = " and ".join(dict.fromkeys(part.origin for part in parts))
        return Rows(columns, origin, np.concatenate([part.numbers for part in parts]), self.labels)


def strata_of(rows: Rows) -> np.ndarray:
    """Returns each row's stratum [rows]: its label. Rows that do not have exactly one label are all in one stratum."""
    values = rows.columns.get("label")
    if values is None or rows.labels is None or not isinstance(values[0], int):
        return np.zeros(len(rows), dtype=np.int64)
    return np.array(values)


# The roles from which a row is answered.
INPUTS = ("text", "text_pair", "words", "question", "context", "prompt", "endings")


def number_inputs(rows: Rows) -> np.ndarray:
    """Returns a number for each row [rows], the same for rows with the same inputs; they rise in the order in which
    inputs occur first."""
    # By hash, so that the inputs of millions of rows need not be in memory at once. Python's differ between processes,
    # but which rows have the same does not.
    hashes = np.zeros(len(rows), dtype=np.uint64)
    for role in INPUTS:
        if role in rows.columns:
            own = np.fromiter(map(_hash, rows.columns[role]), np.int64, len(rows)).view(np.uint64)
            hashes = hashes * np.uint64(1_000_003) ^ own  # as Python's own tuples did
    _, firsts, numbers = np.unique(hashes, return_index=True, return_inverse=True)
    ranks = np.empty(len(firsts), dtype=np.int64)
    ranks[np.argsort(firsts)] = np.arange(len(firsts))
    return ranks[numbers]


def _hash(value: Any) -> int:
    return hash(value) if isinstance(value, str) else hash(tuple(value))


@dataclass(frozen=True, order=True)
class SplitKey:
    """The key of a split: its purpose and, if there can be several with the same purpose, its name.

    Args:
        kind: "train", "dev" and "test"; "extra": a further split to report on; "target": dev rows of another language,
            predicted at the end of the run; "more": train rows of another language; "few": train rows of a target
            language, of which a few are drawn.
        name: the name of the extra split, or the language; "" for train, dev and test.
    """

    kind: Literal["train", "dev", "test", "extra", "target", "more", "few"]
    name: str = ""

    @property
    def is_trained_on(self) -> bool:
        """Whether the model is trained on these rows."""
        return self.kind in ("train", "more", "few")

    @property
    def language(self) -> str | None:
        """The language in the key; None if it is the task's own."""
        return self.name if self.kind in ("target", "more", "few") else None


TRAIN, DEV, TEST = SplitKey("train"), SplitKey("dev"), SplitKey("test")


@dataclass(frozen=True)
class Splits:
    """The rows of a run.

    Args:
        train, dev: rows to train on, and to evaluate on (for model selection, if `test` is the reported split).
        test: labelled rows that are not used for model selection, if there are any.
        extra_splits: further rows to evaluate on, by name.
        target_languages: rows in other languages to evaluate on, by language; never used for model selection.
        language: the language of `dev`, if there are others.
        notes: notes on how the splits were made ("dev: 200 rows cut from train, seed 0").
        fingerprint: digest of all rows and labels: two runs with the same fingerprint saw the same data.
        several: the labels, if rows were found to have several and the task declares none (`Task.with_several`).
    """

    train: Rows
    dev: Rows
    test: Rows | None = None
    extra_splits: dict[str, Rows] = field(default_factory=dict)
    target_languages: dict[str, Rows] = field(default_factory=dict)
    language: str | None = None
    notes: list[str] = field(default_factory=list)
    fingerprint: str = ""
    several: MultiLabel | None = None
