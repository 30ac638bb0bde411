"""The statistics on simulated runs whose truth is known: how often they raise a false alarm, and how often they see."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tlnlp.evaluation.curves import half_of, rows_to_reach, slope
from tlnlp.evaluation.statistics import (
    LEVEL,
    POWER,
    Estimate,
    SeedScores,
    compare,
    draw_rows,
    estimate,
    holm,
    power,
    rows_needed,
    scores_of_means,
    seeds_needed,
    weigh,
)

# What the scores of two strategies differ by: standard deviations of seed, row, and seed x row effects.
WORLDS = {
    "seeds differ most": (0.12, 0.1, 0.2),
    "rows differ most": (0.002, 0.6, 0.1),
    "both differ": (0.02, 0.3, 0.3),
    "only noise": (0.0, 0.0, 0.5),
}


def runs_of(
    draw: np.random.Generator, world: str, seeds: int, rows: int, truth: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """The outcomes of two strategies [seeds, rows] each, the first better by `truth` in the long run. Rows differ in
    difficulty and seeds in luck, in the same way for both, which a paired comparison must not mind."""
    by_seed, by_row, by_both = WORLDS[world]
    common = draw.normal(0, 0.5, (1, rows)) + draw.normal(0, 0.1, (seeds, 1))
    first, second = (
        common
        + draw.normal(0, by_seed / math.sqrt(2), (seeds, 1))
        + draw.normal(0, by_row / math.sqrt(2), (1, rows))
        + draw.normal(0, by_both / math.sqrt(2), (seeds, rows))
        for _ in range(2)
    )
    return first + truth, second


def right_or_wrong(draw: np.random.Generator, seeds: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes of 0 and 1 of two strategies that are equally good in the long run."""
    difficulty = draw.normal(1, 1.5, (1, rows))
    first, second = (
        difficulty
        + draw.normal(0, 0.4, (seeds, 1))
        + draw.normal(0, 0.4, (1, rows))
        + draw.logistic(0, 0.5, (seeds, rows))
        for _ in range(2)
    )
    return (first > 0).astype(float), (second > 0).astype(float)


def share_of_alarms(alarms: list[bool], level: float) -> tuple[float, float]:
    """The share, and the most that the simulation's own noise explains where `level` is kept: three deviations."""
    return float(np.mean(alarms)), level + 3 * math.sqrt(level * (1 - level) / len(alarms))


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("seeds", [3, 5, *(pytest.param(each, marks=pytest.mark.long) for each in (4, 10))])
def test_false_alarms_are_at_most_as_frequent_as_stated(world: str, seeds: int) -> None:
    draw = np.random.default_rng(0)
    found = [compare(*map(scores_of_means, runs_of(draw, world, seeds, rows=150))) for _ in range(700)]
    for level in (0.05, 0.2):
        share, most = share_of_alarms([abs(each.value) > each.half_width(level) for each in found], level)
        assert share <= most


@pytest.mark.parametrize("seeds", [3, pytest.param(5, marks=pytest.mark.long)])
def test_false_alarms_are_at_most_as_frequent_as_stated_where_rows_are_right_or_wrong(seeds: int) -> None:
    draw = np.random.default_rng(0)
    found = [compare(*map(scores_of_means, right_or_wrong(draw, seeds, rows=240))) for _ in range(1000)]
    share, most = share_of_alarms([each.p < LEVEL for each in found], LEVEL)
    assert share <= most
    assert share > LEVEL / 4, "an interval that never alarms sees nothing either"


@pytest.mark.long
@pytest.mark.parametrize("rows", [50, 240, 900])
@pytest.mark.parametrize("seeds", [2, 3, 4, 5, 7, 10])
def test_false_alarms_are_at_most_as_frequent_as_stated_over_many_more_runs(seeds: int, rows: int) -> None:
    draw = np.random.default_rng(0)
    for world in WORLDS:
        found = [compare(*map(scores_of_means, runs_of(draw, world, seeds, rows))) for _ in range(4000)]
        share, most = share_of_alarms([abs(each.value) > each.half_width() for each in found], LEVEL)
        assert share <= most, world


@pytest.mark.long
def test_a_plain_bootstrap_over_three_seeds_would_raise_several_times_as_many() -> None:
    """Why the module does not do it."""
    assert np.mean(plain_bootstrap_alarms(np.random.default_rng(0), 3, rows=150, repetitions=300)) > 3 * LEVEL


def plain_bootstrap_alarms(draw: np.random.Generator, seeds: int, rows: int, repetitions: int) -> list[bool]:
    """Whether a bootstrap that draws seeds and rows anew sees a difference where there is none, time after time."""
    alarms = []
    for _ in range(repetitions):
        first, second = runs_of(draw, "seeds differ most", seeds, rows)
        by_seed = draw.multinomial(seeds, [1 / seeds] * seeds, 300) / seeds
        by_row = draw.multinomial(rows, [1 / rows] * rows, 300) / rows
        means = np.einsum("bs,sr,br->b", by_seed, first - second, by_row)
        low, high = np.quantile(means, [LEVEL / 2, 1 - LEVEL / 2])
        alarms.append(not low <= 0 <= high)
    return alarms


@pytest.mark.parametrize(
    "world",
    ["both differ", *(pytest.param(each, marks=pytest.mark.long) for each in ("seeds differ most", "only noise"))],
)
def test_the_seeds_that_are_said_to_be_needed_find_the_difference_as_often_as_stated(world: str) -> None:
    draw = np.random.default_rng(1)
    by_seed, by_row, by_both = WORLDS[world]
    rows, truth = 150, 0.12 if world == "only noise" else 0.08
    # What a very long experiment would have found.
    known = Estimate(truth, 5, rows, by_seed**2 + by_both**2 / rows, by_row**2 / rows)
    seeds = seeds_needed(known)
    assert seeds is not None and 2 < seeds < 60
    for count, least, most in ((seeds, POWER, 1.0), (seeds - 1, 0.0, POWER)):
        expected = power(known, count)
        assert least <= expected <= most
        seen = [
            each.value > each.half_width()
            for each in (compare(*map(scores_of_means, runs_of(draw, world, count, rows, truth))) for _ in range(800))
        ]
        # Rows' own quantile is of the same rows: what is left is the simulation's noise, three deviations.
        assert np.mean(seen) == pytest.approx(expected, abs=3 * math.sqrt(0.16 / 800) + 0.02)


def test_where_rows_hide_the_difference_rows_are_asked_for_and_no_seeds() -> None:
    hidden = Estimate(0.01, 5, 100, seed_variance=0.0001, row_variance=0.0004)
    assert seeds_needed(hidden) is None
    rows = rows_needed(hidden)
    assert rows > 100
    enough = Estimate(0.01, 5, rows, seed_variance=1e-12, row_variance=0.0004 * 100 / rows)
    assert power(enough, 1000) == pytest.approx(POWER, abs=0.01)


def test_more_seeds_are_needed_at_a_stricter_level_and_for_a_smaller_difference() -> None:
    found = Estimate(0.05, 3, 10_000, seed_variance=0.002, row_variance=1e-6)
    smaller = Estimate(0.025, 3, 10_000, seed_variance=0.002, row_variance=1e-6)
    needed = [seeds_needed(found), seeds_needed(found, LEVEL / 6), seeds_needed(smaller, LEVEL / 6)]
    assert all(each is not None for each in needed)
    assert all(a < b for a, b in pairwise(each for each in needed if each is not None))


def test_many_seeds_on_endless_rows_give_the_paired_t_test_of_scipy() -> None:
    draw = np.random.default_rng(2)
    first, second = draw.normal(0.03, 0.05, (6, 1)), draw.normal(0, 0.05, (6, 1))
    flat = [
        scores_of_means(np.broadcast_to(each, (6, 50))) for each in (first, second)
    ]  # every row alike: no row noise
    oracle = stats.ttest_rel(first[:, 0], second[:, 0])
    found = compare(*flat)
    assert found.p == pytest.approx(oracle.pvalue, rel=1e-6)
    assert found.interval() == pytest.approx(tuple(oracle.confidence_interval()))


def test_one_seed_gives_the_t_interval_over_rows_and_says_that_it_does_not_cover_seeds() -> None:
    outcomes = np.random.default_rng(3).normal(0.2, 1, (1, 80))
    found = estimate(scores_of_means(outcomes))
    oracle = stats.ttest_1samp(outcomes[0], 0)
    assert not found.covers_seeds
    assert found.p == pytest.approx(oracle.pvalue, rel=1e-6)
    assert found.interval() == pytest.approx(tuple(oracle.confidence_interval()))


def test_seeds_with_rows_of_their_own_are_compared_by_their_scores_alone() -> None:
    values = np.array([0.1, 0.2, 0.15, 0.3])
    found = estimate(SeedScores(values, None, 1.0, 40))
    assert found.p == pytest.approx(stats.ttest_1samp(values, 0).pvalue, rel=1e-6)


def test_resampled_rows_give_the_same_noise_as_the_exact_way_where_the_score_is_a_mean() -> None:
    outcomes = (np.random.default_rng(4).random((3, 300)) < [[0.7], [0.75], [0.8]]).astype(float)
    rows = draw_rows(300, 4000)
    drawn = SeedScores(outcomes.mean(axis=1), outcomes[:, rows].mean(axis=2), 1.0, 300)
    exact, resampled = (np.cov(each.draws) * each.scale for each in (scores_of_means(outcomes), drawn))
    assert np.diag(resampled) == pytest.approx(np.diag(exact), rel=0.1)
    assert resampled == pytest.approx(exact, abs=0.1 * exact.max())


def test_the_bootstrap_of_f1_knows_how_far_f1_varies_from_dev_set_to_dev_set() -> None:
    draw = np.random.default_rng(5)

    def dev_set() -> tuple[np.ndarray, np.ndarray]:
        held = draw.random(200) < 0.3
        return held, np.where(draw.random(200) < 0.85, held, ~held)

    def score(held: np.ndarray, told: np.ndarray) -> float:
        return float(2 * (held & told).sum() / (held.sum() + told.sum()))

    truth = np.var([score(*dev_set()) for _ in range(2000)])
    found = []
    for held, told in (dev_set() for _ in range(20)):
        draws = np.array([[score(held[rows], told[rows]) for rows in draw_rows(200)]])
        found.append(estimate(SeedScores(np.array([score(held, told)]), draws, 1.0, 200)).row_variance)
    assert np.mean(found) == pytest.approx(truth, rel=0.2)


def test_holm_gives_a_case_worked_by_hand() -> None:
    # Sorted: 0.005 x 4, 0.01 x 3, 0.03 x 2, 0.04 x 1, each at least the one before it (Holm 1979, section 3).
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(1e-6, 1), min_size=1, max_size=8))
def test_holm_rejects_what_the_step_down_procedure_rejects(p_values: list[float]) -> None:
    """Holm's own wording: from the smallest on, until one is above level / (those left)."""
    for level in (0.01, 0.05, 0.3):
        rejected = set()
        for rank, place in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
            if p_values[place] * (len(p_values) - rank) > level:
                break
            rejected.add(place)
        assert {i for i, p in enumerate(holm(p_values)) if p <= level} == rejected


def curve_of(means: list[float], spread: float = 0.0, seeds: int = 4) -> list[SeedScores]:
    """A curve that goes through `means`, its seeds evenly around them."""
    around = np.linspace(-spread, spread, seeds)
    return [SeedScores(mean + around, np.zeros((seeds, 20)), 1 / 20, 20) for mean in means]


SIZES = (100, 200, 400, 800)
CONTROL = [0.5, 0.6, 0.7, 0.8]  # 0.1 for each doubling


@pytest.mark.parametrize(("score", "rows"), [(0.5, 100), (0.65, 200 * math.sqrt(2)), (0.7, 400), (0.8, 800)])
def test_rows_are_read_off_a_hand_made_curve(score: float, rows: float) -> None:
    (target,) = curve_of([score])
    reach = rows_to_reach(target, SIZES, curve_of(CONTROL))
    assert reach.needed == pytest.approx(rows, rel=0.03), "to a step of the search"
    assert reach.low == pytest.approx(rows, rel=0.03)


def test_a_score_that_the_curve_never_reaches_needs_more_rows_than_there_are() -> None:
    (target,) = curve_of([0.9])
    reach = rows_to_reach(target, SIZES, curve_of(CONTROL))
    assert (reach.needed, reach.low, reach.high) == (None, None, None)


def test_the_interval_of_rows_widens_with_the_spread_and_may_be_open() -> None:
    (target,) = curve_of([0.65])
    narrow = rows_to_reach(target, SIZES, curve_of(CONTROL, 0.01))
    wide = rows_to_reach(target, SIZES, curve_of(CONTROL, 0.15))
    assert narrow.low is not None and narrow.needed is not None and narrow.high is not None
    assert narrow.low < narrow.needed < narrow.high
    assert wide.low is not None and wide.low < narrow.low
    assert wide.high is None


@pytest.mark.long
def test_the_interval_of_rows_holds_the_truth_as_often_as_stated() -> None:
    draw = np.random.default_rng(6)
    missed = []
    for _ in range(120):
        noise = draw.normal(0, 0.03, (5, 3, 1))  # [curve's four sizes and the target, seeds, 1]
        outcomes = [mean + noise[i] + draw.normal(0, 0.3, (3, 100)) for i, mean in enumerate([*CONTROL, 0.65])]
        *curve, target = map(scores_of_means, outcomes)
        reach = rows_to_reach(target, SIZES, curve)
        truth = 200 * math.sqrt(2)
        above = reach.low is None or reach.low > truth * 1.015
        missed.append(above or (reach.high is not None and reach.high < truth / 1.015))
    share, most = share_of_alarms(missed, LEVEL)
    assert share <= most


def test_the_slope_is_the_gain_of_a_doubling_over_the_first_half_of_the_sizes() -> None:
    assert [half_of(sizes) for sizes in ((10, 20), (71, 214, 714), SIZES, (1, 3, 10, 30, 100))] == [1, 1, 1, 2]
    assert slope(SIZES, curve_of(CONTROL)).values == pytest.approx([0.1] * 4)
    # From 64 to 1,024 rows the middle is 256: two doublings, 0.3 in all; what comes later does not count.
    assert slope((64, 256, 1024), curve_of([0.2, 0.5, 0.6])).values == pytest.approx([0.15] * 4)


def test_a_weighted_sum_is_taken_seed_by_seed_and_draw_by_draw() -> None:
    draw = np.random.default_rng(7)
    first, second = draw.random((3, 50)), draw.random((3, 50))
    joined = weigh((2, -1), (scores_of_means(first), scores_of_means(second)))
    direct = scores_of_means(2 * first - second)
    assert joined.values == pytest.approx(direct.values)
    assert joined.draws == pytest.approx(direct.draws)
