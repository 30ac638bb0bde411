"""Stratified draws, against the properties that define them."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tlnlp.data.sampling import FOR_CHOICE, FOR_DEV, FOR_TRAIN, cut_groups, cut_rows, draw_rows

COUNTS = st.lists(st.integers(1, 60), min_size=1, max_size=8)


def _strata(counts: list[int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)) * 7 - 3, counts))


@given(COUNTS, st.data(), st.integers(0, 1000))
def test_a_draw_keeps_each_labels_share_within_one_row_or_gives_it_one(
    counts: list[int], data: st.DataObject, seed: int
) -> None:
    strata = _strata(counts, seed)
    total = data.draw(st.integers(1, len(strata)))
    drawn = draw_rows(strata, total, seed)
    assert len(drawn) == total
    assert (np.diff(drawn) > 0).all()
    given_rows, quotas = (
        Counter(strata[drawn].tolist()),
        {s: total * n / len(strata) for s, n in Counter(strata.tolist()).items()},
    )
    # Only where a rare label is raised to one row may the others give up more than rounding does.
    raised = sum(quota < 1 for quota in quotas.values()) if total >= len(counts) else 0
    for stratum, quota in quotas.items():
        assert given_rows[stratum] >= (1 if total >= len(counts) else 0)
        assert quota - 1 - raised <= given_rows[stratum] <= max(quota + 1, 1)


@given(COUNTS.filter(lambda counts: max(counts) > 1), st.integers(0, 1000))
def test_a_cut_takes_a_tenth_and_one_row_of_every_label_that_has_two(counts: list[int], seed: int) -> None:
    strata = _strata(counts, seed)
    cut = cut_rows(strata, seed, FOR_DEV)
    taken, there = Counter(strata[cut].tolist()), Counter(strata.tolist())
    pairs = sum(count > 1 for count in counts)
    assert len(cut) == min(max(round(len(strata) / 10), pairs), len(strata) - len(counts))
    for stratum, count in there.items():
        assert (taken[stratum] >= 1) == (count > 1)
        assert taken[stratum] < count


@given(
    st.lists(st.integers(1, 6), min_size=12, max_size=60).filter(lambda counts: sum(n > 1 for n in counts) > 10),
    st.sampled_from([0.05, 0.1, 0.3]),
    st.integers(0, 1000),
)
def test_a_cut_of_many_rare_labels_is_no_larger_than_its_share(counts: list[int], share: float, seed: int) -> None:
    strata = _strata(counts, seed)
    cut = cut_rows(strata, seed, FOR_DEV, share)
    taken = Counter(strata[cut].tolist())
    assert len(cut) == min(max(round(share * len(strata)), 1), len(strata) - len(counts))
    # Stratified where it can be: no label gives up two rows more than its share, and each keeps one.
    for stratum, count in Counter(strata.tolist()).items():
        assert taken[stratum] < count
        assert taken[stratum] < share * count + 2


def test_chance_says_which_rare_labels_are_held_out() -> None:
    strata = np.repeat(np.arange(150), 2)
    labels = [set(strata[cut_rows(strata, seed, FOR_DEV)].tolist()) for seed in range(3)]
    assert [len(each) for each in labels] == [30, 30, 30]
    assert labels[0] != labels[1] != labels[2]
    assert max(labels[0]) > 100  # not the first thirty


def test_shares_come_out_exactly_where_they_can() -> None:
    strata = np.repeat([0, 1, 2], [500, 300, 200])
    assert Counter(strata[draw_rows(strata, 100, 0)].tolist()) == {0: 50, 1: 30, 2: 20}
    assert Counter(strata[cut_rows(strata, 0, FOR_DEV)].tolist()) == {0: 50, 1: 30, 2: 20}


def test_a_cut_is_never_above_two_thousand_rows() -> None:
    assert len(cut_rows(np.arange(50_000) % 3, 0, FOR_DEV)) == 2000
    assert len(cut_rows(np.arange(50_000) % 5000, 0, FOR_DEV)) == 2000  # fewer rows than labels


def test_the_same_seed_draws_the_same_rows_and_another_seed_or_purpose_others() -> None:
    strata = np.arange(1000) % 2
    first = cut_rows(strata, 5, FOR_DEV)
    assert (first == cut_rows(strata, 5, FOR_DEV)).all()
    assert (first != cut_rows(strata, 6, FOR_DEV)).any()
    assert (first != cut_rows(strata, 5, FOR_CHOICE)).any()
    assert (draw_rows(strata, 100, 5, FOR_TRAIN) == draw_rows(strata, 100, 5)).all()


@given(COUNTS.filter(lambda counts: len(counts) > 1), st.integers(0, 1000))
def test_a_cut_by_groups_takes_whole_groups_as_many_as_a_tenth_has_room_for(counts: list[int], seed: int) -> None:
    groups = _strata(counts, seed)
    cut = cut_groups(groups, seed, FOR_DEV)
    taken, stayed = set(groups[cut].tolist()), set(np.delete(groups, cut).tolist())
    assert taken and stayed and not taken & stayed
    assert len(taken) == 1 or len(cut) <= round(len(groups) / 10)
    assert (cut == cut_groups(groups, seed, FOR_DEV)).all()


def test_a_cut_by_groups_is_never_above_two_thousand_rows() -> None:
    assert 1990 < len(cut_groups(np.arange(50_000) // 5, 0, FOR_DEV)) <= 2000
