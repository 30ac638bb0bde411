"""Cases that stand for many leave out no pair of values, and are the same in each process."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.pairwise import long_but_for, pairs_of, pairwise

CASES = list(itertools.product("abcde", range(4), (True, False)))
ANY_TWO = list(itertools.combinations(range(3), 2))


def all_pairs(cases: list[tuple[object, ...]], places: list[tuple[int, int]]) -> set[object]:
    return set().union(*(pairs_of(case, places) for case in cases))


def test_every_pair_of_values_meets_in_few_cases() -> None:
    chosen = pairwise(CASES)
    assert all_pairs(chosen, ANY_TWO) == all_pairs(CASES, ANY_TWO)
    assert len(all_pairs(chosen, ANY_TWO)) == 5 * 4 + 5 * 2 + 4 * 2
    assert 5 * 4 <= len(chosen) <= 22 < len(CASES)


def test_only_pairs_that_are_asked_for_must_meet() -> None:
    chosen = pairwise(CASES, [(0, 2), (1, 2)])
    assert all_pairs(chosen, [(0, 2), (1, 2)]) == all_pairs(CASES, [(0, 2), (1, 2)])
    assert len(chosen) == 5 * 2


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3), st.booleans()), min_size=1, unique=True))
def test_values_that_never_meet_are_not_asked_to(cases: list[tuple[int, int, bool]]) -> None:
    chosen = pairwise(cases)
    assert all_pairs(chosen, ANY_TWO) == all_pairs(cases, ANY_TWO)
    assert [case for case in cases if case in chosen] == chosen, "some of them, in their order"


def test_the_choice_is_the_same_in_every_process() -> None:
    """Workers must collect the same tests, and the hash of a string differs from process to process."""
    by_first = {case[0]: case for case in reversed(pairwise(CASES))}
    assert by_first == {"a": ("a", 0, True), "b": ("b", 0, False), "c": ("c", 0, True), "d": ("d", 0, True),
                        "e": ("e", 0, True)}  # fmt: skip


def test_the_rest_is_for_the_long_tests() -> None:
    chosen = pairwise(CASES)
    parameters = long_but_for(chosen, CASES)
    assert [each.values for each in parameters] == CASES
    assert [each.values for each in parameters if not each.marks] == chosen
    assert all(each.marks == (pytest.mark.long,) for each in parameters if each.values not in chosen)
