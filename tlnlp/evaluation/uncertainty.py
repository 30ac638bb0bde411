"""The variance of a run's score over dev rows."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tlnlp.data.rows import Rows
from tlnlp.evaluation.scoring import PrimaryMetric, headline, row_noise
from tlnlp.evaluation.statistics import Estimate, SeedScores, draw_rows, estimate
from tlnlp.task import Task

# Scores that are not a mean over rows are computed on DRAWS samples of DRAWN_ROWS rows, and their variance is scaled to
# all rows (m-out-of-n bootstrap: Bickel et al. 1997). For ten thousand rows of entities this takes seconds, not
# minutes.
DRAWN_ROWS, DRAWS = 1_000, 100

Judged = Mapping[str, Sequence[Any]]


def noise_of(task: Task, metric_inputs: Judged, rows: Rows) -> np.ndarray:
    """Returns the `row_noise` of the task's first metric: [rows], or [draws] if it is not a mean over rows."""
    return draws_of(headline(task, rows), metric_inputs, len(rows))


def draws_of(metric: PrimaryMetric, metric_inputs: Judged, rows: int) -> np.ndarray:
    """Returns the `row_noise` of a metric: [rows], or [draws] if it is not a mean over rows."""
    return row_noise(metric, metric_inputs, None if metric.is_mean else draw_rows(rows, DRAWS)[:, :DRAWN_ROWS])


def row_variance(task: Task, score: float, noise: np.ndarray, rows: Rows) -> float:
    """Returns the variance of `score`, from `noise_of`, or from the difference of two of these."""
    scale = 1 / len(rows) if headline(task, rows).is_mean else min(len(rows), DRAWN_ROWS) / len(rows)
    return estimate(SeedScores(np.array([score]), noise[None], scale, len(rows))).row_variance


def estimate_over(values: Sequence[float], rows: int, row_variance: float) -> Estimate:
    """Returns the mean of the seeds' scores, with its variances."""
    # The row variance of a single run is an upper bound for the part that all seeds share.
    seeds = statistics.variance(values) if len(values) > 1 else None
    return Estimate(statistics.fmean(values), len(values), rows, seeds, row_variance)
