"""By how much a run's score would vary on other rows of its kind."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tlnlp.data.rows import Rows
from tlnlp.evaluation.scoring import headline, row_noise
from tlnlp.evaluation.statistics import Estimate, SeedScores, draw_rows, estimate
from tlnlp.task import Task

# Scores that are no mean over rows are computed anew on so many drawn ones, so often; their variance is then scaled to
# all rows (m out of n: Bickel et al. 1997). Of ten thousand rows with names this takes seconds and not minutes.
DRAWN_ROWS, DRAWS = 1_000, 100

Judged = Mapping[str, Sequence[Any]]


def noise_of(task: Task, metric_inputs: Judged, rows: Rows) -> np.ndarray:
    """What the task's first metric varies by with its rows: [rows], or [draws] where it is no mean over them."""
    metric = headline(task, rows)
    return row_noise(metric, metric_inputs, None if metric.is_mean else draw_rows(len(rows), DRAWS)[:, :DRAWN_ROWS])


def row_variance(task: Task, score: float, noise: np.ndarray, rows: Rows) -> float:
    """The variance of `score`, from `noise_of`, or from a difference of two of these."""
    scale = 1 / len(rows) if headline(task, rows).is_mean else min(len(rows), DRAWN_ROWS) / len(rows)
    return estimate(SeedScores(np.array([score]), noise[None], scale, len(rows))).row_variance


def estimate_over(values: Sequence[float], rows: int, row_variance: float) -> Estimate:
    """The mean of the seeds' scores, with what it varies by."""
    # Over the seeds the variance of one run's score by rows stands for what all share: never too small.
    seeds = statistics.variance(values) if len(values) > 1 else None
    return Estimate(statistics.fmean(values), len(values), rows, seeds, row_variance)
