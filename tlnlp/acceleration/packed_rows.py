"""The rows of a padded micro-batch as one packed row of real tokens, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.nn.functional import pad

# Rows shorter than this fraction of the longest row in their group start a new group. The fastest value from 0.3 to 0.9
# on two cores; the result does not depend on it.
SIMILAR_LENGTH_FRACTION = 0.5
# oneDNN compiles and caches a kernel for each shape. To limit the number of shapes, a packed row is filled up to a
# multiple of a sixteenth of its size (at least 32 tokens), the padded length of a group to a multiple of 8, and the
# number of rows in a group is a power of two. Without this, memory was two thirds higher and updates a sixth slower.
LEAST_TOKENS_STEP, PLACES_STEP = 32, 8


@dataclass(frozen=True)
class RowGroup:
    """Rows of similar length, for attention.

    Args:
        tokens: their total number of tokens, which are consecutive in the packed row.
        real: [tokens] the positions of the real tokens in the padded group [rows x longest], in order.
        mask: [rows, 1, 1, longest] True at real tokens; None if all rows have the same length.
    """

    tokens: int
    rows: int
    longest: int
    real: torch.Tensor
    mask: torch.Tensor | None


@dataclass(frozen=True)
class PackedBatch:
    """One padded micro-batch [rows, longest] and the positions of its `real` tokens, longest rows first if they are in
    groups."""

    rows: int
    longest: int
    real: torch.Tensor  # [tokens] flat position of each token
    filling: int  # number of zero rows after the tokens, which attention skips and `unpack` drops
    firsts: torch.Tensor  # [rows] the first token of each row
    groups: list[RowGroup]  # for attention group by group
    starts: torch.Tensor | None = None  # [rows + 1] where each row begins, for attention in one call

    def pack(self, states: torch.Tensor) -> torch.Tensor:
        """Packs states [rows or 1, longest, width] to [1, tokens + filling, width]."""
        if len(states) == 1 and self.rows > 1:  # shared by all rows, like rotary position embeddings
            packed = states[0].index_select(0, self.real % self.longest)
        else:
            packed = Take.apply(states.flatten(0, 1), self.real)
        return pad(packed, (0, 0, 0, self.filling)).unsqueeze(0)

    def pin_memory(self) -> PackedBatch:
        """Returns it in page-locked memory. Without groups only."""
        return self._each(torch.Tensor.pin_memory)

    def to(self, device: torch.device, non_blocking: bool = False) -> PackedBatch:
        """Returns it on `device`. Without groups only."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> PackedBatch:
        if self.groups or self.starts is None:
            raise ValueError("a packing in groups belongs to its device")
        return replace(self, real=change(self.real), firsts=change(self.firsts), starts=change(self.starts))

    def unpack(self, states: torch.Tensor) -> torch.Tensor:
        """Unpacks states [1, tokens + filling or rows, width] to [rows, longest, width], with zeros at padding."""
        whole = states.shape[1] == len(self.real) + self.filling
        places = self.real if whole else self.real[self.firsts]
        padded = Put.apply(states[0, : len(places)], places, self.rows * self.longest)
        return padded.view(self.rows, self.longest, -1)


def describe_packing(attention_mask: torch.Tensor, *, grouped: bool = True) -> PackedBatch | None:
    """Returns how to pack a padded micro-batch [rows, longest]; None if it has no padding.

    Args:
        grouped: for attention group by group; otherwise for attention in one call.
    """
    rows, longest = attention_mask.shape
    if not grouped:
        starts = torch.zeros(rows + 1, dtype=torch.int32, device=attention_mask.device)
        starts[1:] = attention_mask.sum(1).cumsum(0)
        real = attention_mask.flatten().nonzero()[:, 0]
        if len(real) == rows * longest:
            return None
        return PackedBatch(rows, longest, real, 0, starts[:-1].long(), [], starts)
    lengths = attention_mask.sum(1).tolist()
    if min(lengths) == longest:
        return None
    order = sorted(range(rows), key=lambda row: -lengths[row])
    real_of = [attention_mask[row].nonzero()[:, 0] + row * longest for row in order]
    groups, first_row = [], 0
    while first_row < rows:
        least = SIMILAR_LENGTH_FRACTION * lengths[order[first_row]]
        alike = sum(1 for row in order[first_row:] if lengths[row] >= least)
        last_row = first_row + (1 << (alike.bit_length() - 1))
        groups.append(_describe_group([lengths[row] for row in order[first_row:last_row]], attention_mask.device))
        first_row = last_row
    ordered = torch.tensor([lengths[row] for row in order], device=attention_mask.device)
    return PackedBatch(rows, longest, torch.cat(real_of), filling_of(sum(lengths)), ordered.cumsum(0) - ordered, groups)


def filling_of(tokens: int) -> int:
    """Returns the number of zero rows that are appended to `tokens` packed tokens."""
    return -tokens % max(LEAST_TOKENS_STEP, 1 << max(0, tokens.bit_length() - 4))


def _describe_group(lengths: Sequence[int], device: torch.device) -> RowGroup:
    longest = lengths[0] + -lengths[0] % PLACES_STEP
    mask = torch.arange(longest, device=device) < torch.tensor(lengths, device=device)[:, None]
    real = mask.flatten().nonzero()[:, 0]
    all_alike = lengths[-1] == longest
    return RowGroup(sum(lengths), len(lengths), longest, real, None if all_alike else mask[:, None, None, :])


class Take(torch.autograd.Function):
    """Gathers the rows `places` of a matrix, which are unique, so that the gradient needs no accumulation."""

    @staticmethod
    def forward(context: Any, states: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        context.save_for_backward(places)
        context.lines = len(states)
        return states.index_select(0, places)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        (places,) = context.saved_tensors
        return Put.apply(gradient, places, context.lines), None


class Put(torch.autograd.Function):
    """The inverse: scatters rows to `places` of a larger matrix, with zeros elsewhere."""

    @staticmethod
    def forward(context: Any, states: torch.Tensor, places: torch.Tensor, lines: int) -> torch.Tensor:
        context.save_for_backward(places)
        return states.new_zeros(lines, *states.shape[1:]).index_copy_(0, places, states)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (places,) = context.saved_tensors
        return Take.apply(gradient, places), None, None
