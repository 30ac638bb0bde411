"""What a handful of runs can say: intervals over seeds and dev rows, comparisons, and how many seeds would be enough.

A score depends on two draws that another experiment would make anew: the seed (train rows, head, order, dropout) and
the dev rows it is measured on. All runs answer the same dev rows, so that the score of seed s is

    score[s] = truth + seed effect[s] + row effect + (seed x row) effect[s]

The variance between seeds shows the first and the last part, and a mean over S seeds has 1/S of it. The row effect is
the same for every seed: no number of seeds makes it smaller. It is estimated by drawing dev rows anew with replacement,
the same rows for every run (bootstrap; Efron and Tibshirani 1993, chapter 6), as the covariance of the scores of
different seeds.

Seeds are not drawn anew. A bootstrap over three to five of them shows only (S - 1) / S of their variance, and takes it
for certain: over 3 seeds its "95 %" intervals miss the truth up to a quarter of the time. Instead each part has
Student's t of its own, and the two are joined as their squares are, which keeps the level whichever part is the larger
one (as Graybill and Wang 1980 do for sums of variances):

    half width = sqrt(t(S - 1)^2 * seed variance / S  +  t(rows - 1)^2 * row variance)

tests/evaluation/test_statistics.py measures the share of false alarms of both.

All scores are turned so that higher is better. Arrays only: no torch, no task, no file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

LEVEL = 0.05  # of false alarms; intervals cover 1 - LEVEL
POWER = 0.8  # Cohen 1988: what an experiment should at least have
RESAMPLES = 200  # enough for a variance: Efron and Tibshirani 1993, section 6.4
MOST_SEEDS = 1000  # beyond it a difference is called none


@dataclass(frozen=True)
class SeedScores:
    """The scores of one set of runs that differ in nothing but their seed; or a weighted sum of such.

    Args:
        values: higher is better [seeds].
        draws: what each value varies by where dev rows are drawn anew, the same for all seeds [seeds, draws]; None
            where every seed has dev rows of its own, so that the seeds' variance holds that of the rows, too.
        scale: what the covariance of `draws` is to be multiplied with: 1 for resampled scores, 1 / rows for the
            outcomes of single rows where the score is their mean.
        rows: dev rows.
    """

    values: np.ndarray
    draws: np.ndarray | None
    scale: float
    rows: int


def scores_of_means(outcomes: np.ndarray) -> SeedScores:
    """Scores that are means over rows, exactly: the bootstrap's variance of a mean needs no drawing.

    Args:
        outcomes: of each dev row, e.g. 1 where it is answered rightly [seeds, rows].
    """
    rows = outcomes.shape[1]
    return SeedScores(outcomes.mean(axis=1), outcomes, 1 / rows, rows)


def draw_rows(rows: int, resamples: int = RESAMPLES) -> np.ndarray:
    """Dev rows drawn anew with replacement, always the same ones: [resamples, rows]."""
    return np.random.default_rng(0).integers(rows, size=(resamples, rows))


def weigh(weights: Sequence[float], parts: Sequence[SeedScores]) -> SeedScores:
    """The weighted sum, seed by seed and draw by draw: the k-th value of each part is of the same seed."""
    draws = [part.draws for part in parts]
    joined = None
    if all(each is not None for each in draws):
        joined = np.asarray(sum(weight * each for weight, each in zip(weights, draws, strict=True) if each is not None))
    values = np.asarray(sum(weight * part.values for weight, part in zip(weights, parts, strict=True)))
    return SeedScores(values, joined, parts[0].scale, parts[0].rows)


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and what is known of its precision.

    Args:
        value: the mean.
        seeds, rows: how many there were.
        seed_variance: of one seed's value; None: one seed, so that nothing is known of it and nothing covers it.
        row_variance: of the mean, from the dev rows; more seeds do not make it smaller. With one seed it is that of
            the one score.
    """

    value: float
    seeds: int
    rows: int
    seed_variance: float | None
    row_variance: float

    @property
    def covers_seeds(self) -> bool:
        """Whether the interval says anything of other seeds."""
        return self.seed_variance is not None

    def half_width(self, level: float = LEVEL) -> float:
        """Of the interval that misses the truth with probability `level`."""
        squared = _t(level, self.rows - 1) ** 2 * self.row_variance
        if self.seed_variance is not None:
            squared += _t(level, self.seeds - 1) ** 2 * self.seed_variance / self.seeds
        return math.sqrt(squared)

    def interval(self, level: float = LEVEL) -> tuple[float, float]:
        """Where the truth lies."""
        half = self.half_width(level)
        return self.value - half, self.value + half

    @property
    def p(self) -> float:
        """Two-sided: the level at which the interval begins to hold 0."""
        if self.value == 0:
            return 1.0
        # The half width falls as the level rises; 60 halvings between 1e-12 and 1 are exact to rounding.
        low, high = math.log(1e-12), 0.0
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if self.half_width(math.exp(middle)) > abs(self.value) else (low, middle)
        return math.exp(high)


def estimate(scores: SeedScores) -> Estimate:
    """The mean over seeds, with the two variances that the module's docstring speaks of."""
    values, seeds = scores.values, len(scores.values)
    seed_variance = float(values.var(ddof=1)) if seeds > 1 else None
    row_variance = 0.0
    if scores.draws is not None:
        covariance = np.atleast_2d(np.cov(scores.draws)) * scores.scale  # [seeds, seeds]
        shared = covariance[~np.eye(seeds, dtype=bool)] if seeds > 1 else covariance
        row_variance = max(0.0, float(shared.mean()))  # below 0 only by the noise of its estimate
    return Estimate(float(values.mean()), seeds, scores.rows, seed_variance, row_variance)


def compare(ours: SeedScores, theirs: SeedScores) -> Estimate:
    """By how much `ours` are better than `theirs`, paired by seed and by row."""
    return estimate(weigh((1, -1), (ours, theirs)))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for their number (Holm 1979): reject those below a level, and the probability of any false
    alarm among them is at most that level, however they depend on each other. In the order given."""
    order = np.argsort(p_values, kind="stable")
    adjusted = [0.0] * len(order)
    highest = 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def power(found: Estimate, seeds: int, level: float = LEVEL, difference: float | None = None) -> float:
    """How likely `seeds` seeds on the same number of dev rows would tell a difference of this size from none.

    Exact for normal effects with the variances found: over what the seeds' variance would be estimated at (chi-square,
    200 equally likely values) and over the difference that would be seen.

    Args:
        found: a comparison of two seeds or more.
        level: of the test; after Holm's correction for k comparisons LEVEL / k is always enough.
        difference: the true one; the one found if None.
    """
    assert found.seed_variance is not None
    likely = (np.arange(200) + 0.5) / 200
    seen = found.seed_variance / seeds * special.chdtri(seeds - 1, likely) / (seeds - 1)
    half = np.sqrt(_t(level, seeds - 1) ** 2 * seen + _t(level, found.rows - 1) ** 2 * found.row_variance)
    spread = max(math.sqrt(found.seed_variance / seeds + found.row_variance), 1e-300)
    true = abs(found.value if difference is None else difference)
    return float((special.ndtr((true - half) / spread) + special.ndtr((-true - half) / spread)).mean())


def seeds_needed(found: Estimate, level: float = LEVEL) -> int | None:
    """The fewest seeds with which a difference as large as the one found would be told from none with `POWER`.

    None: no number up to `MOST_SEEDS` would do.
    """
    if power(found, MOST_SEEDS, level) < POWER:
        return None
    low, high = 1, MOST_SEEDS  # `high` is enough, `low` is not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(found, middle, level) >= POWER else (middle, high)
    return high


def rows_needed(found: Estimate, level: float = LEVEL) -> int:
    """Dev rows with which such a difference could be told from none with `POWER`, given seeds without end; no more
    than there are where the rows do not hide it."""
    if found.value == 0:
        return 0
    quantiles = _t(level, found.rows - 1) + special.ndtri(POWER)
    return math.ceil(found.rows * quantiles**2 * found.row_variance / found.value**2)


def _t(level: float, freedom: int) -> float:
    """The two-sided quantile of Student's distribution."""
    return float(-special.stdtrit(max(freedom, 1), level / 2))
