"""The plan: the rows of each update, and their split into micro-batches. It is a pure function (numpy only), so that a
resumed run, or one with another number of processes, follows the same plan."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Update:
    """The items of one optimizer step.

    Args:
        number: counts from 0 over the whole run.
        epoch: counts from 0 over the whole run.
        micro_batches: item indices; each item of the update is in exactly one micro-batch.
    """

    number: int
    epoch: int
    micro_batches: list[np.ndarray]

    @property
    def items(self) -> np.ndarray:
        """All items of the update."""
        return np.concatenate(self.micro_batches)


def updates_per_epoch(items: int, batch_size: int) -> int:
    """Returns the number of updates per epoch. The last may be smaller; no item is dropped or repeated."""
    return math.ceil(items / batch_size)


def plan_epoch(
    lengths: np.ndarray,
    epoch: int,
    *,
    seed: int,
    batch_size: int,
    max_tokens: int,
    micro_batches: int = 1,
    can_pad: bool = True,
    first: int = 0,
) -> Iterator[Update]:
    """Yields the updates of one epoch, with every item once, in an order determined by (seed, epoch). Each is cut when
    it is asked for, so that the time and memory for it do not grow with the number of items.

    Args:
        lengths: [items] in tokens.
        batch_size: number of items per update, over all processes.
        max_tokens, can_pad: see `cut`.
        micro_batches: minimum number per update, if it has that many items.
        first: number of updates of the epoch to leave out.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(lengths))
    per_epoch = updates_per_epoch(len(lengths), batch_size)
    for number in range(first, per_epoch):
        items = order[number * batch_size : (number + 1) * batch_size]
        yield Update(epoch * per_epoch + number, epoch, cut(items, lengths, max_tokens, micro_batches, can_pad=can_pad))


def plan_updates(lengths: np.ndarray, first: int, last: int, *, batch_size: int, **plan: Any) -> Iterator[Update]:
    """Yields the updates `first` to `last` - 1 of a run, without iterating over earlier ones."""
    per_epoch = updates_per_epoch(len(lengths), batch_size)
    for epoch in range(first // per_epoch, math.ceil(last / per_epoch)):
        begin = max(0, first - epoch * per_epoch)
        updates = plan_epoch(lengths, epoch, batch_size=batch_size, first=begin, **plan)
        yield from itertools.islice(updates, last - epoch * per_epoch - begin)


def cut(
    items: np.ndarray, lengths: np.ndarray, max_tokens: int, at_least: int = 1, *, can_pad: bool = True
) -> list[np.ndarray]:
    """Splits `items` into micro-batches of similar lengths, longest first.

    A micro-batch has at most `max_tokens` tokens, padding included (items x longest), unless a single item has more.
    The split does not depend on the number of processes.

    Args:
        can_pad: whether a micro-batch may have items of different lengths.
    """
    items = items[np.argsort(-lengths[items], kind="stable")]
    longest_first, at_least = lengths[items], min(at_least, len(items))
    tokens = np.concatenate([[0], longest_first.cumsum()])  # [items + 1] before each
    pieces: list[np.ndarray] = []
    start, made = 0, 0
    while start < len(items):
        made += 1
        end = start + max(1, max_tokens // max(1, int(longest_first[start])))
        if not can_pad:
            end = min(end, int(np.searchsorted(-longest_first, -longest_first[start], side="right")))
        if made < at_least:  # the next piece begins here at the latest: at its share of the tokens, if items are left
            share = int(np.searchsorted(tokens, tokens[-1] / at_least * made))
            end = min(end, max(start + 1, min(share, len(items) - (at_least - made))))
        pieces.append(items[start:end])
        start = end
    return pieces


def shard_micro_batches(
    micro_batches: list[np.ndarray], process: int, processes: int
) -> list[tuple[int, np.ndarray | None]]:
    """Returns the micro-batches of one process, with their numbers. All processes get the same number, filled up with
    None, since all must participate equally often in sharing gradients."""
    turns = math.ceil(len(micro_batches) / processes)
    mine = [turn * processes + process for turn in range(turns)]
    return [(number, micro_batches[number] if number < len(micro_batches) else None) for number in mine]


def padded_places(lengths: np.ndarray) -> int:
    """Returns the number of positions of a micro-batch of items of these `lengths`, padded to the longest."""
    return len(lengths) * int(lengths.max())
