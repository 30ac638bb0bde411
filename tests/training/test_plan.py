"""The plan: every item once, within the budget, and the same whatever the budget, the processes or the start."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import (
    get_constant_schedule_with_warmup,
    get_cosine_schedule_with_warmup,
    get_linear_schedule_with_warmup,
)

from tlnlp.training.optimizer import schedule_factor
from tlnlp.training.plan import (
    Update,
    cut,
    padded_places,
    plan_epoch,
    plan_updates,
    shard_micro_batches,
    updates_per_epoch,
)

LENGTHS = st.lists(st.integers(1, 60), min_size=1, max_size=80).map(np.asarray)
BATCH_SIZES, BUDGETS, PIECES, SEEDS = st.integers(1, 40), st.integers(1, 300), st.integers(1, 12), st.integers(0, 99)


def _same(one: list[Update], other: list[Update]) -> bool:
    return len(one) == len(other) and all(
        (a.number, a.epoch, len(a.micro_batches)) == (b.number, b.epoch, len(b.micro_batches))
        and all(np.array_equal(x, y) for x, y in zip(a.micro_batches, b.micro_batches, strict=True))
        for a, b in zip(one, other, strict=True)
    )


@given(LENGTHS, BATCH_SIZES, BUDGETS, PIECES, SEEDS, st.integers(0, 5))
def test_every_item_is_in_an_epoch_exactly_once(lengths, batch_size, max_tokens, micro_batches, seed, epoch) -> None:
    plan = list(
        plan_epoch(lengths, epoch, seed=seed, batch_size=batch_size, max_tokens=max_tokens, micro_batches=micro_batches)
    )
    assert sorted(np.concatenate([update.items for update in plan])) == list(range(len(lengths)))
    assert [len(update.items) for update in plan[:-1]] == [batch_size] * (len(plan) - 1)
    assert 1 <= len(plan[-1].items) <= batch_size
    assert len(plan) == updates_per_epoch(len(lengths), batch_size)
    assert [update.number for update in plan] == [epoch * len(plan) + i for i in range(len(plan))]
    assert {update.epoch for update in plan} == {epoch}


@given(LENGTHS, BUDGETS, PIECES)
def test_a_micro_batch_stays_within_the_budget_unless_a_single_item_exceeds_it(lengths, max_tokens, at_least) -> None:
    pieces = cut(np.arange(len(lengths)), lengths, max_tokens, at_least)
    assert all(len(piece) for piece in pieces)
    assert all(len(piece) == 1 or len(piece) * lengths[piece].max() <= max_tokens for piece in pieces)


def _cut_item_by_item(lengths: np.ndarray, max_tokens: int, at_least: int, *, can_pad: bool) -> list[list[int]]:
    """The rule, as it reads: an item begins a micro-batch if the one before is full or has its share of the tokens."""
    order = np.argsort(-lengths, kind="stable")
    at_least = min(at_least, len(order))
    pieces: list[list[int]] = []
    tokens_before = 0
    for place, item in enumerate(order):
        longest = lengths[pieces[-1][0]] if pieces else 0
        full = not pieces or (len(pieces[-1]) + 1) * longest > max_tokens
        full = full or not (can_pad or lengths[item] == longest)
        enough = tokens_before >= lengths.sum() / at_least * len(pieces)
        if full or (len(pieces) < at_least and (enough or len(order) - place <= at_least - len(pieces))):
            pieces.append([])
        pieces[-1].append(int(item))
        tokens_before += int(lengths[item])
    return pieces


@given(LENGTHS, BUDGETS, PIECES, st.booleans())
def test_a_cut_is_that_of_the_rule_item_by_item(lengths, max_tokens, at_least, can_pad) -> None:
    pieces = cut(np.arange(len(lengths)), lengths, max_tokens, at_least, can_pad=can_pad)
    assert [piece.tolist() for piece in pieces] == _cut_item_by_item(lengths, max_tokens, at_least, can_pad=can_pad)


@given(LENGTHS, BUDGETS, PIECES)
def test_an_update_is_cut_in_at_least_as_many_micro_batches_as_asked(lengths, max_tokens, at_least) -> None:
    assert len(cut(np.arange(len(lengths)), lengths, max_tokens, at_least)) >= min(at_least, len(lengths))


@given(LENGTHS, BUDGETS)
def test_a_cut_puts_items_of_similar_length_together(lengths, max_tokens) -> None:
    pieces = cut(np.arange(len(lengths)), lengths, max_tokens)
    assert list(lengths[np.concatenate(pieces)]) == sorted(lengths, reverse=True)


def test_a_budget_without_limit_gives_one_micro_batch() -> None:
    assert [len(piece) for piece in cut(np.arange(7), np.asarray([3, 1, 4, 1, 5, 9, 2]), 10**9)] == [7]


@given(LENGTHS, BATCH_SIZES, st.tuples(BUDGETS, PIECES), st.tuples(BUDGETS, PIECES), SEEDS)
def test_the_budget_does_not_decide_which_items_an_update_sees(lengths, batch_size, one, other, seed) -> None:
    plans = [
        list(plan_epoch(lengths, 0, seed=seed, batch_size=batch_size, max_tokens=budget, micro_batches=pieces))
        for budget, pieces in (one, other)
    ]
    assert [set(update.items) for update in plans[0]] == [set(update.items) for update in plans[1]]


@given(LENGTHS, BATCH_SIZES, BUDGETS, PIECES, SEEDS, st.data())
def test_a_seek_is_the_tail_of_the_whole_plan(lengths, batch_size, max_tokens, micro_batches, seed, data) -> None:
    how = {"seed": seed, "batch_size": batch_size, "max_tokens": max_tokens, "micro_batches": micro_batches}
    updates = 3 * updates_per_epoch(len(lengths), batch_size)
    last = data.draw(st.integers(0, updates))
    first = data.draw(st.integers(0, last))
    whole = list(plan_updates(lengths, 0, updates, **how))
    assert [update.number for update in whole] == list(range(updates))
    assert _same(list(plan_updates(lengths, first, last, **how)), whole[first:last])


@given(st.integers(1, 30), st.integers(1, 9))
def test_all_processes_take_equally_many_turns_and_each_micro_batch_is_dealt_once(count, processes) -> None:
    micro_batches = [np.asarray([number]) for number in range(count)]
    hands = [shard_micro_batches(micro_batches, process, processes) for process in range(processes)]
    assert {len(hand) for hand in hands} == {math.ceil(count / processes)}
    dealt = [(number, items) for hand in hands for number, items in hand if items is not None]
    assert sorted(number for number, _ in dealt) == list(range(count))
    assert all(items is micro_batches[number] for number, items in dealt)
    numbers = [number for hand in hands for number, _ in hand]
    assert len(set(numbers)) == len(numbers), "idle turns have numbers, and so random draws, of their own"


def test_epochs_and_seeds_have_orders_of_their_own() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        (update,) = plan_epoch(np.ones(50, dtype=int), epoch, seed=seed, batch_size=50, max_tokens=100)
        return update.items.tolist()

    orders = [order(0, 0), order(0, 1), order(1, 0), order(1, 1)]
    assert len({tuple(each) for each in orders}) == 4
    assert order(0, 1) == orders[1]


def test_padding_fills_each_item_up_to_the_longest() -> None:
    assert padded_places(np.asarray([4, 2, 3])) == 12


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.parametrize(("updates", "warmup_fraction"), [(20, 0.1), (7, 0.5), (5, 0.0), (1, 0.1), (4, 1.0)])
@pytest.mark.parametrize(
    ("schedule", "of_transformers"),
    [
        ("linear", get_linear_schedule_with_warmup),
        ("cosine", get_cosine_schedule_with_warmup),
        ("constant", lambda optimizer, warmup, updates: get_constant_schedule_with_warmup(optimizer, warmup)),
    ],
)
def test_the_rate_follows_the_schedule_of_transformers_but_for_its_first_update_at_zero(
    schedule: str, of_transformers: Any, updates: int, warmup_fraction: float
) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    warmup = int(updates * warmup_fraction)
    expected = []
    theirs = of_transformers(optimizer, warmup + 1, updates + 1)
    for _ in range(updates):
        theirs.step()
        expected.append(theirs.get_last_lr()[0])
    found = [schedule_factor(schedule, update, updates, warmup_fraction) for update in range(updates)]
    assert found == pytest.approx(expected)


def test_slanted_triangles_rise_from_a_32nd_and_fall_to_it() -> None:
    """Equation 3 of Howard and Ruder 2018, with cut_frac 0.1 and ratio 32; theirs counts updates from 1 to T."""
    updates, cut, ratio = 100, 10, 32
    found = [schedule_factor("slanted", update, updates, 0.1) for update in range(updates)]
    share = [t / cut if t < cut else 1 - (t - cut) / (cut * (1 / 0.1 - 1)) for t in range(1, updates)]
    expected = [(1 + p * (ratio - 1)) / ratio for p in share]
    # Theirs is at the peak one update earlier: ours rises in eleven steps where theirs does in ten, and falls behind by
    # a ninetieth.
    assert found[:cut] == pytest.approx(expected[:cut], abs=1 / (cut + 1))
    assert found[cut:-1] == pytest.approx(expected[cut:], abs=1 / (updates - cut) + 1e-9)
    assert max(found) == found[cut] == 1
    assert min(found) >= 1 / ratio
    assert found[-1] == pytest.approx(1 / ratio, abs=0.02)
