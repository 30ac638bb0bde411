"""Statistics for a few runs: intervals over seeds and dev rows, comparisons, and the number of seeds needed.

A score depends on two random samples, which would differ in another experiment: the seed (train rows, head, order,
dropout) and the dev rows. All runs are evaluated on the same dev rows, so the score of seed s is

    score[s] = truth + seed effect[s] + row effect + (seed x row) effect[s]

The variance between seeds contains the seed effect and the interaction, and the mean over S seeds has 1/S of it. The
row effect is the same for every seed, so more seeds do not reduce it. It is estimated by resampling dev rows with
replacement, the same rows for every run (bootstrap; Efron and Tibshirani 1993, chapter 6), as the covariance of the
scores of different seeds.

Seeds are not resampled. A bootstrap over S seeds, with S from three to five, shows only (S - 1) / S of their variance
and treats it as exact: with 3 seeds its "95 %" intervals miss the truth up to a quarter of the time. Instead, each part
has its own Student's t, and the squares are added, which keeps the level whichever part is larger (as Graybill and Wang
1980 do for sums of variances):

    half width = sqrt(t(S - 1)^2 * seed variance / S  +  t(rows - 1)^2 * row variance)

tests/evaluation/test_statistics.py measures the false-alarm rate of both.

All scores are oriented so that higher is better. This module works on arrays only: no torch, no task, no file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

LEVEL = 0.05  # significance level; intervals cover 1 - LEVEL
POWER = 0.8  # the minimum power recommended by Cohen 1988
RESAMPLES = 200  # enough for a variance: Efron and Tibshirani 1993, section 6.4
MOST_SEEDS = 1000  # more are not considered


@dataclass(frozen=True)
class SeedScores:
    """The scores of runs that differ only in their seed, or a weighted sum of such scores.

    Args:
        values: scores, higher is better [seeds].
        draws: the same scores on resampled dev rows, the same rows for all seeds [seeds, draws]; None if each seed has
            its own dev rows, so that the variance over seeds includes that over rows.
        scale: factor for the covariance of `draws`: 1 for resampled scores, 1 / rows for the outcomes of single rows,
            if the score is their mean.
        rows: number of dev rows.
    """

    values: np.ndarray
    draws: np.ndarray | None
    scale: float
    rows: int


def scores_of_means(outcomes: np.ndarray) -> SeedScores:
    """Returns scores that are means over rows, for which the bootstrap variance is known exactly without resampling.

    Args:
        outcomes: the score of each dev row, e.g. 1 if the prediction is correct [seeds, rows].
    """
    rows = outcomes.shape[1]
    return SeedScores(outcomes.mean(axis=1), outcomes, 1 / rows, rows)


def draw_rows(rows: int, resamples: int = RESAMPLES) -> np.ndarray:
    """Returns bootstrap samples of row indices, drawn with replacement and a fixed seed: [resamples, rows]."""
    return np.random.default_rng(0).integers(rows, size=(resamples, rows))


def weigh(weights: Sequence[float], parts: Sequence[SeedScores]) -> SeedScores:
    """Returns the weighted sum of scores, paired by seed and by draw: the k-th value of each part has the same seed."""
    draws = [part.draws for part in parts]
    joined = None
    if all(each is not None for each in draws):
        joined = np.asarray(sum(weight * each for weight, each in zip(weights, draws, strict=True) if each is not None))
    values = np.asarray(sum(weight * part.values for weight, part in zip(weights, parts, strict=True)))
    return SeedScores(values, joined, parts[0].scale, parts[0].rows)


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and its precision.

    Args:
        value: the mean.
        seeds, rows: the number of seeds and of dev rows.
        seed_variance: variance of a single seed's value; None with one seed, for which it is unknown.
        row_variance: variance of the mean due to the dev rows, which more seeds do not reduce. With one seed, that of
            its score.
    """

    value: float
    seeds: int
    rows: int
    seed_variance: float | None
    row_variance: float

    @property
    def covers_seeds(self) -> bool:
        """Whether the interval includes the variance over seeds."""
        return self.seed_variance is not None

    def half_width(self, level: float = LEVEL) -> float:
        """Returns half the width of the interval with coverage 1 - `level`."""
        squared = _t(level, self.rows - 1) ** 2 * self.row_variance
        if self.seed_variance is not None:
            squared += _t(level, self.seeds - 1) ** 2 * self.seed_variance / self.seeds
        return math.sqrt(squared)

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Returns the confidence interval."""
        half = self.half_width(level)
        return self.value - half, self.value + half

    @property
    def p(self) -> float:
        """The two-sided p-value: the level at which the interval just includes 0."""
        if self.value == 0:
            return 1.0
        # The half width falls as the level rises; 60 halvings between 1e-12 and 1 are exact to rounding.
        low, high = math.log(1e-12), 0.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.half_width(math.exp(middle)) > abs(self.value) else (low, middle)
        return math.exp(high)


def estimate(scores: SeedScores) -> Estimate:
    """Returns the mean over seeds, with the two variances described in the module's docstring."""
    values, seeds = scores.values, len(scores.values)
    seed_variance = float(values.var(ddof=1)) if seeds > 1 else None
    row_variance = 0.0
    if scores.draws is not None:
        covariance = np.atleast_2d(np.cov(scores.draws)) * scores.scale  # [seeds, seeds]
        shared = covariance[~np.eye(seeds, dtype=bool)] if seeds > 1 else covariance
        row_variance = max(0.0, float(shared.mean()))  # negative only because of estimation noise
    return Estimate(float(values.mean()), seeds, scores.rows, seed_variance, row_variance)


def compare(ours: SeedScores, theirs: SeedScores) -> Estimate:
    """Estimates how much better `ours` are than `theirs`, paired by seed and by row."""
    return estimate(weigh((1, -1), (ours, theirs)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Returns p-values adjusted for multiple comparisons (Holm 1979), in the same order. If those below a level are
    rejected, the probability of any false alarm is at most that level, under any dependence."""
    order = np.argsort(p_values, kind="stable")
    adjusted = [0.0] * len(order)
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def power(found: Estimate, seeds: int, level: float = LEVEL, difference: float | None = None) -> float:
    """Returns the power: the probability that `seeds` seeds on the same number of dev rows detect this difference.

    Exact for normal effects with the estimated variances: averaged over the estimate of the seed variance (chi-square,
    200 equally likely values) and over the observed difference.

    Args:
        found: a comparison with at least two seeds.
        level: of the test; for Holm's correction over k comparisons, LEVEL / k is always sufficient.
        difference: the true difference; the estimated one if None.
    """
    assert found.seed_variance is not None
    likely = (np.arange(200) + 0.5) / 200
    seen = found.seed_variance / seeds * special.chdtri(seeds - 1, likely) / (seeds - 1)
    half = np.sqrt(_t(level, seeds - 1) ** 2 * seen + _t(level, found.rows - 1) ** 2 * found.row_variance)
    spread = max(math.sqrt(found.seed_variance / seeds + found.row_variance), 1e-300)
    true = abs(found.value if difference is None else difference)
    return float((special.ndtr((true - half) / spread) + special.ndtr((-true - half) / spread)).mean())


def seeds_needed(found: Estimate, level: float = LEVEL) -> int | None:
    """Returns the smallest number of seeds that detects a difference of the estimated size with `POWER`.

    None: no number up to `MOST_SEEDS` is sufficient.
    """
    if power(found, MOST_SEEDS, level) < POWER:
        return None
    low, high = 1, MOST_SEEDS  # `high` is enough, `low` is not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(found, middle, level) >= POWER else (middle, high)
    return high


def rows_needed(found: Estimate, level: float = LEVEL) -> int:
    """Returns the number of dev rows that detects the difference with `POWER`, given infinitely many seeds; at most the
    present number if the rows are not the limit."""
    if found.value == 0:
        return 0
    quantiles = _t(level, found.rows - 1) + special.ndtri(POWER)
    return math.ceil(found.rows * quantiles**2 * found.row_variance / found.value**2)


def _t(level: float, freedom: int) -> float:
    """Returns the two-sided quantile of Student's t distribution."""
    return float(-special.stdtrit(max(freedom, 1), level / 2))
