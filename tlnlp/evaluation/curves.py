"""Learning curves (score by number of train rows): the gain from transfer at the start, in the slope and at the end of
a curve, and in rows.

The first three are those of Torrey and Shavlik 2010 ("Transfer learning", figure 11.2): a higher start, a higher slope
and a higher asymptote (here, the score at the largest size). Between two sizes, curves are interpolated linearly in the
logarithm of the rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tlnlp.evaluation.statistics import LEVEL, Estimate, SeedScores, estimate, weigh

# Resolution of the search between two sizes: steps of 3 % of the rows.
STEPS_A_DOUBLING = 24


@dataclass(frozen=True)
class RowsToReach:
    """The number of train rows at which a curve reaches a score; None: not within the sizes that were run.

    Args:
        needed: where the mean of the curve first reaches the score.
        low: where the curve is first not significantly below the score.
        high: where the curve is first significantly above the score; None: nowhere (open interval).
    """

    needed: float | None
    low: float | None
    high: float | None


def half_of(sizes: Sequence[int]) -> int:
    """Returns the index of the last size of the first half: the size nearest to the middle on a logarithmic scale (the
    smaller of two equally near ones), and at least the second size."""
    logs = np.log2(sizes)
    return max(1, int(np.argmin(np.abs(logs - (logs[0] + logs[-1]) / 2).round(9))))


def slope(sizes: Sequence[int], curve: Sequence[SeedScores]) -> SeedScores:
    """Returns for each seed the gain per doubling of the train rows over the first half of the curve.

    Only the first half is used, since every curve flattens: over the whole curve, a low start always means a high
    slope.

    Args:
        sizes: numbers of train rows, ascending, at least two; `curve` has the scores at each.
    """
    end = half_of(sizes)
    doublings = float(np.log2(sizes[end] / sizes[0]))
    return weigh((1 / doublings, -1 / doublings), (curve[end], curve[0]))


def rows_to_reach(
    target: SeedScores, sizes: Sequence[int], curve: Sequence[SeedScores], level: float = LEVEL
) -> RowsToReach:
    """Computes how many train rows `curve` needs to reach `target`, paired by seed and by row.

    The interval contains every number of rows at which the two do not differ significantly (inversion of the test, as
    in Fieller 1954 for ratios). It covers both seeds and rows and may have no upper end, where a bootstrap over three
    seeds would give one that is too low.
    """
    steps = max(1, round(STEPS_A_DOUBLING * float(np.log2(sizes[-1] / sizes[0]))))
    places = np.unique(np.concatenate([np.log2(sizes), np.linspace(np.log2(sizes[0]), np.log2(sizes[-1]), steps)]))
    ahead = [(float(2**place), _ahead(target, place, np.log2(sizes), curve)) for place in places]

    def first(margin: float) -> float | None:
        """Returns the smallest number of rows at which the target is ahead by at most `margin` half widths."""
        return next((rows for rows, each in ahead if each.value <= margin * each.half_width(level)), None)

    return RowsToReach(first(0), first(1), first(-1))


def _ahead(target: SeedScores, place: float, logs: np.ndarray, curve: Sequence[SeedScores]) -> Estimate:
    """Estimates how far the target is above the curve at `place`, which is in log2 of rows."""
    right = min(int(np.searchsorted(logs, place)), len(logs) - 1)
    left = max(right - 1, 0)
    share = 1.0 if left == right else float((place - logs[left]) / (logs[right] - logs[left]))
    return estimate(weigh((1, -share, share - 1), (target, curve[right], curve[left])))
