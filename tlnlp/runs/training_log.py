"""The log of a training run, which every checkpoint has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tlnlp.heads.encoded import EncodedDataset
from tlnlp.training.plan import Update


@dataclass
class TrainingLog:
    """The log of a training run; all of it is saved in every checkpoint.

    Args:
        updates_done: position in the planned updates; those skipped by early stopping count as done.
        updates_taken: number of updates made.
        rows_seen: number of rows trained on, over all processes.
        tokens, places: number of tokens in the micro-batches, and number of positions including padding.
        loss_sum: sum of the losses in the current epoch.
        curve: [updates made, mean loss since the previous point], at most `CURVE_POINTS` points.
        curve_sum: sum of the losses since the last point.
        history: for each epoch the mean loss and, if evaluated, the dev scores.
        best: updates done and score of the best epoch so far.
        stale_epochs: epochs of the current phase since its best one.
        phase_best: dev score of the best epoch of the current phase.
        frozen_bytes: size of the cached outputs of frozen layers on disk.
        resumed: how often the run was resumed.
        warnings: what says that nothing was learnt: one answer for all rows, a loss that has risen.
        diverged: number of updates after which weights were found to be NaN or infinite; None if they are not.
    """

    updates_done: int = 0
    updates_taken: int = 0
    rows_seen: int = 0
    tokens: int = 0
    places: int = 0
    train_seconds: float = 0.0
    evaluate_seconds: float = 0.0
    startup_seconds: float = 0.0
    loss_sum: float = 0.0
    curve: list[list[float]] = field(default_factory=list)
    curve_sum: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] | None = None
    stale_epochs: int = 0
    phase_best: float | None = None
    frozen_bytes: int = 0
    resumed: int = 0
    warnings: list[str] = field(default_factory=list)
    diverged: int | None = None

    def count(self, update: Update, encoded: EncodedDataset, slots: Callable[[np.ndarray], int]) -> int:
        """Counts an update that was made. Returns its number of rows."""
        lengths = [encoded.sequence_lengths(items) for items in update.micro_batches]
        rows = sum(map(len, update.micro_batches))
        self.updates_taken += 1
        self.rows_seen += rows
        self.tokens += sum(int(each.sum()) for each in lengths)
        self.places += sum(slots(each) for each in lengths)
        return rows

    @property
    def padding_fraction(self) -> float:
        """Fraction of the positions in the micro-batches that are padding."""
        return 1 - self.tokens / max(1, self.places)
