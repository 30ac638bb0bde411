"""Learning curves, score by number of train rows: what transfer brings at their start, in their slope, at their end,
and in rows.

The three of Torrey and Shavlik 2010 ("Transfer learning", figure 11.2): a higher start, a steeper slope, a higher end
("asymptote"; here the end is the largest size that was run). Between two sizes a curve is taken to be straight in the
logarithm of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tlnlp.evaluation.statistics import LEVEL, Estimate, SeedScores, estimate, weigh

# How finely a curve is searched between two sizes: steps of 3 % of the rows.
STEPS_A_DOUBLING = 24


@dataclass(frozen=True)
class RowsToReach:
    """How many train rows a curve needs to reach a score; None: not in the sizes that were run.

    Args:
        needed: where its mean first reaches the score.
        low: from here on it cannot be told from the score.
        high: from here on it is above the score for certain; None: open.
    """

    needed: float | None
    low: float | None
    high: float | None


def half_of(sizes: Sequence[int]) -> int:
    """Where the first half of the sizes ends: the place of the one that is nearest to the middle of their logarithms,
    the smaller one of two, and at least the second."""
    logs = np.log2(sizes)
    return max(1, int(np.argmin(np.abs(logs - (logs[0] + logs[-1]) / 2).round(9))))


def slope(sizes: Sequence[int], curve: Sequence[SeedScores]) -> SeedScores:
    """Gain for each doubling of the train rows over the curve's first half, seed by seed.

    The first half because every curve flattens: over all of it, the one that starts low would always be the steeper.

    Args:
        sizes: train rows, ascending, two at least; `curve` has the scores at each.
    """
    end = half_of(sizes)
    doublings = float(np.log2(sizes[end] / sizes[0]))
    return weigh((1 / doublings, -1 / doublings), (curve[end], curve[0]))


def rows_to_reach(
    target: SeedScores, sizes: Sequence[int], curve: Sequence[SeedScores], level: float = LEVEL
) -> RowsToReach:
    """How many train rows `curve` needs to reach `target`, paired by seed and by row.

    The interval holds every number of rows at which the two cannot be told apart (inversion of the test, as Fieller
    1954 does for ratios). It covers seeds and rows alike and may be open above, where a bootstrap over three seeds
    would name an end that is too near.
    """
    steps = max(1, round(STEPS_A_DOUBLING * float(np.log2(sizes[-1] / sizes[0]))))
    places = np.unique(np.concatenate([np.log2(sizes), np.linspace(np.log2(sizes[0]), np.log2(sizes[-1]), steps)]))
    ahead = [(float(2**place), _ahead(target, place, np.log2(sizes), curve)) for place in places]

    def first(margin: float) -> float | None:
        """The fewest rows at which the target is ahead by no more than so many half widths."""
        return next((rows for rows, each in ahead if each.value <= margin * each.half_width(level)), None)

    return RowsToReach(first(0), first(1), first(-1))


def _ahead(target: SeedScores, place: float, logs: np.ndarray, curve: Sequence[SeedScores]) -> Estimate:
    """By how much the target is above the curve at `place`, in log2 of rows."""
    right = min(int(np.searchsorted(logs, place)), len(logs) - 1)
    left = max(right - 1, 0)
    share = 1.0 if left == right else float((place - logs[left]) / (logs[right] - logs[left]))
    return estimate(weigh((1, -share, share - 1), (target, curve[right], curve[left])))
