"""The plan: the rows of each update, and their split into micro-batches. It is a pure function (numpy only), so that a
resumed run, or one with another number of processes, follows the same plan."""

from __future__ import annotations

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
) -> list[Update]:
    """Returns the updates of one epoch, with every item once, in an order determined by (seed, epoch).

    Args:
        lengths: [items] in tokens.
        batch_size: number of items per update, over all processes.
        max_tokens, can_pad: see `cut`.
        micro_batches: minimum number per update, if it has that many items.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(lengths))
    first = epoch * updates_per_epoch(len(lengths), batch_size)
    return [
        Update(
            first + i,
            epoch,
            cut(order[start : start + batch_size], lengths, max_tokens, micro_batches, can_pad=can_pad),
        )
        for i, start in enumerate(range(0, len(order), batch_size))
    ]


def plan_updates(lengths: np.ndarray, first: int, last: int, *, batch_size: int, **plan: Any) -> Iterator[Update]:
    """Yields the updates `first` to `last` - 1 of a run, without iterating over earlier ones."""
    per_epoch = updates_per_epoch(len(lengths), batch_size)
    for epoch in range(first // per_epoch, math.ceil(last / per_epoch)):
        for update in plan_epoch(lengths, epoch, batch_size=batch_size, **plan):
            if first <= update.number < last:
                yield update


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
    at_least = min(at_least, len(items))
    share = lengths[items].sum() / at_least  # tokens of a micro-batch if they are divided evenly
    pieces: list[list[int]] = []
    tokens_before = 0
    for place, item in enumerate(items):
        longest = lengths[pieces[-1][0]] if pieces else 0
        full = not pieces or (len(pieces[-1]) + 1) * longest > max_tokens
        full = full or not (can_pad or lengths[item] == longest)
        due = len(pieces) < at_least and (
            tokens_before >= share * len(pieces) or len(items) - place <= at_least - len(pieces)
        )
        if full or due:
            pieces.append([])
        pieces[-1].append(int(item))
        tokens_before += int(lengths[item])
    return [np.asarray(piece) for piece in pieces]


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
