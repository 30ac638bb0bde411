"""Seeded, stratified sampling: each label keeps its share."""

from __future__ import annotations

import numpy as np

# Each purpose has its own random stream, so that making a dev split and sampling train rows are independent.
FOR_DEV, FOR_CHOICE, FOR_TRAIN, FEW_SHOT = 1, 2, 3, 4
# Of so few strata each has a row held out, even if that is more than the share.
FEW_STRATA = 10


def allot(counts: np.ndarray, total: int, least: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Allots `total` to the strata in proportion to `counts`, by the method of largest remainders, within bounds.

    Args:
        counts: rows of each stratum [strata].
        total: between the sums of `least` and `most`.
        least, most: bounds for each stratum [strata].
    """
    quotas = total * counts / counts.sum()
    given: np.ndarray = np.clip(np.floor(quotas).astype(np.int64), least, most)
    while (missing := total - int(given.sum())) != 0:
        # Adds one to the strata furthest below their quota, or removes one from those furthest above.
        step = 1 if missing > 0 else -1
        able = np.flatnonzero(given < most if step > 0 else given > least)
        neediest = able[np.argsort(-step * (quotas - given)[able], kind="stable")]
        given[neediest[: abs(missing)]] += step
    return given


def draw_rows(strata: np.ndarray, total: int, seed: int, purpose: int = FOR_TRAIN) -> np.ndarray:
    """Returns the positions of `total` sampled rows, ascending, with at least one of each stratum if `total` allows.

    Args:
        strata: the stratum of each row [rows].
    """
    _, strata, counts = np.unique(strata, return_inverse=True, return_counts=True)
    least = np.full(len(counts), int(total >= len(counts)))
    return _draw(strata, allot(counts, total, least, counts), seed, purpose)


def cut_rows(strata: np.ndarray, seed: int, purpose: int, fraction: float = 0.1, most_rows: int = 2000) -> np.ndarray:
    """Returns the positions of the rows to hold out, ascending: `fraction` of all, but at most `most_rows`.

    From every stratum at least one row remains. From every stratum of two or more rows at least one is held out, if so
    many rows are, or if there are few strata; otherwise chance says which of the rare ones are among them.

    Args:
        strata: the stratum of each row [rows], at least two rows in one of them.
    """
    _, strata, counts = np.unique(strata, return_inverse=True, return_counts=True)
    most = counts - 1
    least = np.minimum(most, 1)
    pairs = int(least.sum())
    share = max(round(fraction * len(strata)), pairs if pairs <= FEW_STRATA else 1)
    total = min(share, most_rows, int(most.sum()))
    if total >= pairs:
        return _draw(strata, allot(counts, total, least, most), seed, purpose)
    # Not those that come first: of equal remainders, the first are raised.
    order = np.random.default_rng([seed, purpose, len(counts)]).permutation(len(counts))
    given = np.empty_like(counts)
    given[order] = allot(counts[order], total, np.zeros_like(least), most[order])
    return _draw(strata, given, seed, purpose)


def cut_groups(groups: np.ndarray, seed: int, purpose: int, fraction: float = 0.1, most_rows: int = 2000) -> np.ndarray:
    """Returns the positions of the rows to hold out, ascending, in whole groups, so that no group is on both sides: as
    many groups as fit into `fraction` of all rows and `most_rows`, but at least one.

    Args:
        groups: the group of each row [rows], at least two groups.
    """
    _, groups, counts = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng([seed, purpose]).permutation(len(counts))
    fitting = int((np.cumsum(counts[order]) <= min(round(fraction * len(groups)), most_rows)).sum())
    return np.flatnonzero(np.isin(groups, order[: min(max(fitting, 1), len(counts) - 1)]))


def _draw(strata: np.ndarray, given: np.ndarray, seed: int, purpose: int) -> np.ndarray:
    order = np.random.default_rng([seed, purpose]).permutation(len(strata))
    order = order[np.argsort(strata[order], kind="stable")]  # shuffled within each stratum
    counts = np.bincount(strata)
    starts = np.cumsum(counts) - counts
    chosen = [order[start : start + count] for start, count in zip(starts, given, strict=True)]
    return np.sort(np.concatenate(chosen))
