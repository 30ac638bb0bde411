"""Few cases that stand for many: each two values that can meet do so in one of them.

What breaks one strategy, one head or one network shows in any of its cases, and what breaks two of them together shows
where the two meet; three that break only together are for the long tests, which run every case.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import pytest

Case = tuple[Hashable, ...]


def pairs_of(case: Case, together: Iterable[tuple[int, int]]) -> set[tuple[int, Hashable, int, Hashable]]:
    """The pairs of values that meet in `case`, with their places in it."""
    return {(one, case[one], other, case[other]) for one, other in together}


def pairwise(cases: Sequence[Case], together: Iterable[tuple[int, int]] | None = None) -> list[Case]:
    """Some of `cases` in which every pair of values meets that meets in any of them; the same ones in each process.

    The case with most pairs that are still missing is taken, the first of several, until none is missing.

    Args:
        cases: each a value for each factor.
        together: the places of two factors whose values must meet; without it, any two.
    """
    places = list(together or itertools.combinations(range(len(cases[0])), 2))
    offered = {case: pairs_of(case, places) for case in cases}
    missing, chosen = set().union(*offered.values()), set()
    while missing:
        best = max(cases, key=lambda case: len(offered[case] & missing))
        chosen.add(best)
        missing -= offered[best]
    return [case for case in cases if case in chosen]


def long_but_for(always: Iterable[Case], cases: Iterable[Case], name: Callable[[Case], str] | None = None) -> list[Any]:
    """All of `cases` as pytest's parameters; those that are not in `always` are for the long tests."""
    kept = set(always)
    return [
        pytest.param(*case, marks=() if case in kept else pytest.mark.long, id=name(case) if name else None)
        for case in cases
    ]
