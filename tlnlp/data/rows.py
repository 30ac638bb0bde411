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
        columns: role ("text", "label") to the values, one a row. A label is its index in `labels`, or a float (Score),
            or a tuple of indices (Several); -1 where the split has none.
        origin: file or data set, for messages ("reviews.csv", "nyu-mll/glue sst2 train").
        numbers: the row's number in its origin, from 1, as an editor shows it (a header line is not counted).
        labels: label names in order; None where the answer is no label.
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
        notes: what a person should know of how the splits came about ("dev: 200 rows cut from train, seed 0").
        fingerprint: digest of all rows and labels: two runs with the same one saw the same data.
    """

    train: Rows
    dev: Rows
    test: Rows | None = None
    notes: list[str] = field(default_factory=list)
    fingerprint: str = ""
