"""Evaluates the scores of a comparison: means, differences, effects of transfer and costs (`compare.json`)."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from tlnlp.evaluation.curves import half_of, rows_to_reach, slope
from tlnlp.evaluation.intervals import scale_from, score_interval
from tlnlp.evaluation.statistics import LEVEL, Estimate, compare, estimate, holm, rows_needed, seeds_needed, weigh
from tlnlp.experiments.grid import Arm
from tlnlp.experiments.results import Table


def judge(table: Table, arms: Sequence[Arm], sizes: Sequence[int]) -> dict[str, Any]:
    """Returns {curves, comparisons, effects}, numbers only; `verdicts` puts them into words.

    Scores are not sign-corrected; an `advantage` is above 0 if the first arm is better, whatever the metric's
    direction.
    """
    there = [arm for arm in arms if any((arm, size) in table.cells for size in sizes)]
    return {
        "curves": [_curve(table, arm, sizes) for arm in there],
        "comparisons": [row for size in sizes for row in _compare_at(table, there, size)],
        "effects": _effects(table, there, sizes),
    }


def control_of(arm: Arm, arms: Sequence[Arm]) -> Arm | None:
    """Returns the arm of the same network from scratch; None for that arm itself, or if there is none."""
    if arm.is_control:
        return None
    return next((each for each in arms if each.is_control and each.model == arm.model), None)


def _curve(table: Table, arm: Arm, sizes: Sequence[int]) -> dict[str, Any]:
    return {
        "arm": arm.label,
        "model": arm.model,
        "strategy": arm.strategy.text,
        "points": [_point(table, arm, size) for size in sizes if (arm, size) in table.cells],
    }


def _point(table: Table, arm: Arm, size: int) -> dict[str, Any]:
    cell = table.cells[arm, size]
    (scores,) = table.scores((arm, size))
    found = estimate(scores)
    results = [cell.results[seed] for seed in sorted(cell.results)]
    whole = replace(found, value=table.sign * found.value)
    ends = score_interval(whole, scale_from(next(iter(cell.results.values())).interval))
    return {
        "rows": size,
        "mean": table.sign * found.value,
        "low": ends[0],
        "high": ends[1],
        "covers_seeds": found.covers_seeds,
        "seeds": sorted(cell.score),
        "scores": [cell.score[seed] for seed in sorted(cell.score)],
        "constant_seeds": [seed for seed in sorted(cell.score) if cell.results[seed].is_constant],
        "trainable_parameters": results[0].parameters["trainable"],
        "seconds": statistics.fmean(each.seconds["train"] + each.seconds["evaluate"] for each in results),
        "peak_mib": max(each.peak_mib for each in results),
        "saved_bytes": results[0].saved_bytes,
        "folders": [each.output for each in results],
    }


def _compare_at(table: Table, arms: Sequence[Arm], size: int) -> list[dict[str, Any]]:
    """Compares all pairs at one size, which are the family of Holm's correction."""
    there = [arm for arm in arms if (arm, size) in table.cells]
    pairs = [pair for pair in combinations(there, 2) if table.seeds(*((arm, size) for arm in pair))]
    found = [compare(*table.scores(*((arm, size) for arm in pair))) for pair in pairs]
    adjusted = holm([each.p for each in found])
    return [
        {"rows": size, "first": first.label, "second": second.label, **_describe(each, p, len(pairs))}
        for (first, second), each, p in zip(pairs, found, adjusted, strict=True)
    ]


def _describe(found: Estimate, adjusted: float, family: int) -> dict[str, Any]:
    """Describes an advantage and, if it is not significant, the seeds or rows that would be needed."""
    low, high = found.interval()
    is_clear = adjusted < LEVEL
    described: dict[str, Any] = {
        "advantage": found.value,
        "low": low,
        "high": high,
        "p": found.p,
        "p_holm": adjusted,
        "family": family,
        "is_clear": is_clear,
        "seeds": found.seeds,
        "covers_seeds": found.covers_seeds,
        "dev_rows": found.rows,
        "seeds_needed": None,
        "dev_rows_needed": None,
    }
    if not is_clear and found.covers_seeds and found.value:
        described["seeds_needed"] = seeds_needed(found, LEVEL / family)
        described["dev_rows_needed"] = rows_needed(found, LEVEL / family)
    return described


def _effects(table: Table, arms: Sequence[Arm], sizes: Sequence[int]) -> list[dict[str, Any]]:
    """Compares each arm with the same network from scratch: start, slope, end, and rows saved."""
    effects = []
    for arm in arms:
        control = control_of(arm, arms)
        if control is None:
            continue
        common = [size for size in sizes if table.seeds((arm, size), (control, size))]
        if not common:
            continue
        places = [(each, size) for each in (arm, control) for size in common]
        if not table.seeds(*places):
            continue
        scores = table.scores(*places)
        ours, theirs = scores[: len(common)], scores[len(common) :]
        effect: dict[str, Any] = {"arm": arm.label, "control": control.label, "slope": None}
        if len(common) > 1:
            slopes = [slope(common, curve) for curve in (ours, theirs)]
            effect["slope"] = {
                "from_rows": common[0],
                "to_rows": common[half_of(common)],
                "gain_per_doubling": float(slopes[0].values.mean()),
                "control_gain_per_doubling": float(slopes[1].values.mean()),
                "found": estimate(weigh((1, -1), slopes)),
            }
        effect["rows_saved"] = [
            {"rows": size, "largest": common[-1], "smallest": common[0], **vars(rows_to_reach(ours[i], common, theirs))}
            for i, size in enumerate(common)
        ]
        effects.append(effect)
    # One family: the slopes of all arms.
    with_slope = [effect["slope"] for effect in effects if effect["slope"]]
    adjusted = holm([each["found"].p for each in with_slope])
    for each, p in zip(with_slope, adjusted, strict=True):
        each |= _describe(each.pop("found"), p, len(with_slope))
    return effects
