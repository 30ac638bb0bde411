"""Padding-free layers: between the first layer and the last, a micro-batch is one row of real tokens.

A padded micro-batch spends most of its arithmetic on places that hold no token (two thirds of it on random rows of
SST-2). Linear layers, norms and dropout do not care which row a token belongs to, so they run on the tokens alone;
attention, which does care, runs on groups of rows of similar length. Embeddings and the head see the padded rectangle
as before, so that any head of transformers works as it is, and nothing of this is saved with the model.

Uses transformers' own interface for attention functions, and hooks on the layers found by structure.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import pad
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from tlnlp.acceleration.fast_dropout import drop
from tlnlp.transfer.groups import layer_stack

ATTENTION = "tlnlp_packed"
# Rows shorter than this share of the longest in their group begin a group of their own. Of 0.3 to 0.9 the fastest on
# two cores; the result does not depend on it.
SIMILAR_LENGTH_FRACTION = 0.5
# oneDNN makes a kernel for each shape that it meets, and keeps it. So that few shapes occur, a packed row is filled up
# to a multiple of its size's sixteenth (at least 32 tokens), a group's rectangle to a multiple of 8 places, and the
# rows of a group are a power of two. Without this memory grew by two thirds, and updates took a sixth longer.
LEAST_TOKENS_STEP, PLACES_STEP = 32, 8


@dataclass(frozen=True)
class RowGroup:
    """Rows of similar length, for attention.

    Args:
        tokens: how many they have together; they stand together in the packed row.
        real: [tokens] the places of their rectangle [rows x longest] that hold a token, in order.
        mask: [rows, 1, 1, longest] True where a token is; None where all rows are of one length.
    """

    tokens: int
    rows: int
    longest: int
    real: torch.Tensor
    mask: torch.Tensor | None


@dataclass(frozen=True)
class PackedBatch:
    """One micro-batch: [rows, longest] places, of which the `real` ones hold tokens, longest rows first."""

    rows: int
    longest: int
    real: torch.Tensor  # [tokens] flat place of each token
    filling: int  # lines of zeros after the tokens: attention skips them, and `unpack` drops them
    firsts: torch.Tensor  # [rows] which of the tokens begin a row
    groups: list[RowGroup]

    def pack(self, states: torch.Tensor) -> torch.Tensor:
        """[rows or 1, longest, width] -> [1, tokens + filling, width]"""
        if len(states) == 1 and self.rows > 1:  # one for all rows, as rotary positions are
            packed = states[0].index_select(0, self.real % self.longest)
        else:
            packed = _Take.apply(states.flatten(0, 1), self.real)
        return pad(packed, (0, 0, 0, self.filling)).unsqueeze(0)

    def unpack(self, states: torch.Tensor) -> torch.Tensor:
        """[1, tokens + filling or rows, width] -> [rows, longest, width], zeros where nothing is"""
        whole = states.shape[1] == len(self.real) + self.filling
        places = self.real if whole else self.real[self.firsts]
        padded = _Put.apply(states[0, : len(places)], places, self.rows * self.longest)
        return padded.view(self.rows, self.longest, -1)


def describe_packing(attention_mask: torch.Tensor) -> PackedBatch | None:
    """How to pack a padded micro-batch [rows, longest]; None where it has no padding to save."""
    rows, longest = attention_mask.shape
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
    """Lines of zeros that a packed row of `tokens` is filled up with."""
    return -tokens % max(LEAST_TOKENS_STEP, 1 << max(0, tokens.bit_length() - 4))


def _describe_group(lengths: Sequence[int], device: torch.device) -> RowGroup:
    longest = lengths[0] + -lengths[0] % PLACES_STEP
    mask = torch.arange(longest, device=device) < torch.tensor(lengths, device=device)[:, None]
    real = mask.flatten().nonzero()[:, 0]
    all_alike = lengths[-1] == longest
    return RowGroup(sum(lengths), len(lengths), longest, real, None if all_alike else mask[:, None, None, :])


class _Take(torch.autograd.Function):
    """The lines of a matrix that `places` names, each at most once: the gradient need not be added up."""

    @staticmethod
    def forward(context: Any, states: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        context.save_for_backward(places)
        context.lines = len(states)
        return states.index_select(0, places)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        (places,) = context.saved_tensors
        return _Put.apply(gradient, places, context.lines), None


class _Put(torch.autograd.Function):
    """The opposite: lines put at `places` of a taller matrix, zeros elsewhere."""

    @staticmethod
    def forward(context: Any, states: torch.Tensor, places: torch.Tensor, lines: int) -> torch.Tensor:
        context.save_for_backward(places)
        return states.new_zeros(lines, *states.shape[1:]).index_copy_(0, places, states)

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (places,) = context.saved_tensors
        return _Take.apply(gradient, places), None, None


class PaddingFree:
    """Makes a network run padding-free, in ways that `install` has seen to give the same answers on this very network.

    Args:
        firsts_only: the head reads the first token of each row and no other, so that the last layer's feed-forward part
            need not be computed for the rest. Only where a layer's attention block holds its own residual (BERT and
            its kin, not the pre-norm networks).
    """

    def __init__(self, model: nn.Module, *, firsts_only: bool) -> None:
        self.layers, self.firsts_only = layer_stack(model), firsts_only
        # Attention here sees the whole row: a micro-batch with a row beyond a layer's window runs padded.
        windows = (getattr(module, "sliding_window", None) for module in model.modules())
        self.window = min((window for window in windows if window is not None), default=math.inf)
        self.now: PackedBatch | None = None
        self._is_paused = False

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """While it is open the network runs padded: for whoever reads what `firsts_only` leaves out."""
        self._is_paused = True
        try:
            yield
        finally:
            self._is_paused = False

    @classmethod
    def install(cls, model: Any, ask: Callable[[nn.Module], torch.Tensor]) -> PaddingFree | None:
        """Prepares `model` with the boldest way that answers a padded batch as before; None if there is none.

        Args:
            ask: runs the network on a batch with an attention mask, of at least two rows of different lengths, and
                gives its logits, places of padding left out.
        """
        if model.config._attn_implementation != "sdpa":
            return None
        was_training = model.training
        with torch.no_grad():
            expected = ask(model.eval())
            for firsts_only in (True, False):
                packing = cls(model, firsts_only=firsts_only)
                hooks = packing._hook(model.base_model)
                model.set_attn_implementation(ATTENTION)
                if packing._answers_as(expected, model, ask):
                    model.train(was_training)
                    return packing
                for hook in hooks:
                    hook.remove()
                model.set_attn_implementation("sdpa")
        model.train(was_training)
        return None

    @staticmethod
    def _answers_as(expected: torch.Tensor, model: nn.Module, ask: Callable[[nn.Module], torch.Tensor]) -> bool:
        try:
            found = ask(model)
        # What a network of another build trips over (shapes, arguments, attributes): it runs padded, as it always did.
        except (RuntimeError, TypeError, ValueError, LookupError, AttributeError):
            return False
        return found.shape == expected.shape and torch.allclose(expected, found, rtol=1e-4, atol=1e-4)

    def places(self, lengths: np.ndarray) -> int:
        """Places that the layers compute for a micro-batch of rows of these `lengths`, filling or padding included."""
        padded, tokens = len(lengths) * int(lengths.max()), int(lengths.sum())
        packs = lengths.max() <= self.window and lengths.min() < lengths.max()
        return tokens + filling_of(tokens) if packs else padded

    def _hook(self, body: nn.Module) -> list[Any]:
        return [
            body.register_forward_pre_hook(self._begin, with_kwargs=True),
            body.register_forward_hook(self._end, always_call=True),
            *(layer.register_forward_pre_hook(self._enter_layer, with_kwargs=True) for layer in self.layers),
            self.layers[-1].register_forward_hook(self._leave_last_layer),
            *([next(self.layers[-1].children()).register_forward_hook(self._keep_firsts)] if self.firsts_only else []),
        ]

    def _begin(self, body: nn.Module, arguments: Any, named: dict[str, Any]) -> None:
        mask = named.get("attention_mask")
        self.now = None
        if not self._is_paused and mask is not None and mask.dim() == 2 and mask.shape[1] <= self.window:
            self.now = describe_packing(mask)
        _CURRENT.append(self.now)

    def _end(self, body: nn.Module, arguments: Any, output: Any) -> None:
        self.now = None
        _CURRENT.pop()

    def _enter_layer(self, layer: nn.Module, arguments: Any, named: dict[str, Any]) -> Any:
        if self.now is None:
            return None
        pack = self.now.pack
        states, *others = arguments
        if layer is self.layers[0]:
            states = pack(states)
        # Masks are made for the padded rectangle: attention has its own here.
        others = [None if isinstance(other, torch.Tensor) and other.dim() == 4 else other for other in others]
        if named.get("attention_mask") is not None:
            named = {**named, "attention_mask": None}
        if named.get("position_embeddings") is not None:
            named = {**named, "position_embeddings": tuple(pack(each) for each in named["position_embeddings"])}
        return (states, *others), named

    def _keep_firsts(self, attention: nn.Module, arguments: Any, output: Any) -> Any:
        if self.now is None:
            return None
        if isinstance(output, tuple):
            return (output[0][:, self.now.firsts], *output[1:])
        return output[:, self.now.firsts]

    def _leave_last_layer(self, layer: nn.Module, arguments: Any, output: Any) -> Any:
        if self.now is None:
            return None
        if isinstance(output, tuple):
            return (self.now.unpack(output[0]), *output[1:])
        return self.now.unpack(output)


# The micro-batch in hand, for the attention function, which transformers calls without telling whose it is. A stack,
# since one network may be run while another is.
_CURRENT: list[PackedBatch | None] = []


def unpacked(states: torch.Tensor) -> torch.Tensor:
    """The states of any layer in the micro-batch at hand as [rows, longest, width], packed or not."""
    current = _CURRENT[-1] if _CURRENT else None
    # Only several rows are packed, and then they are one.
    return states if current is None or len(states) == current.rows else current.unpack(states)


def packed(states: torch.Tensor) -> torch.Tensor:
    """The opposite: [rows, longest, width] as the layers of the micro-batch at hand have it."""
    current = _CURRENT[-1] if _CURRENT else None
    return states if current is None else current.pack(states)


def packed_attention(
    module: nn.Module,
    query: torch.Tensor,  # [1, heads, tokens, width of a head], as are key and value
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Attention within each row of a packed micro-batch; transformers' own where nothing is packed.

    Returns:
        [1, tokens, heads, width of a head]
    """
    current = _CURRENT[-1] if _CURRENT else None
    if current is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, is_causal=is_causal, **others
        )
    causal = bool(getattr(module, "is_causal", True) if is_causal is None else is_causal)
    inputs = torch.stack([states[0].transpose(0, 1) for states in (query, key, value)], dim=1)
    # [tokens, 3, heads, width] each, and the filling
    *parts, rest = inputs.split([*(group.tokens for group in current.groups), current.filling])
    answers = [
        _attend(group, part, dropout=dropout, scaling=scaling, causal=causal)
        for group, part in zip(current.groups, parts, strict=True)
    ]
    return torch.cat([*answers, torch.zeros_like(rest[:, 0])]).unsqueeze(0), None


def _attend(
    group: RowGroup, inputs: torch.Tensor, *, dropout: float, scaling: float | None, causal: bool
) -> torch.Tensor:
    """Attention of one group of rows: [tokens, 3, heads, width] -> [tokens, heads, width].

    Written out, since the CPU's fused kernel knows no dropout and what it falls back to takes four times as many
    operations, each of them small here.
    """
    _, _, heads, width = inputs.shape
    if group.mask is not None:
        inputs = _Put.apply(inputs, group.real, group.rows * group.longest)
    inputs = inputs.view(group.rows, group.longest, 3, heads, width).permute(2, 0, 3, 1, 4)
    query, key, value = inputs.reshape(3, group.rows * heads, group.longest, width).unbind()
    bias = _bias(group, heads, causal, query)
    scores = torch.baddbmm(bias, query, key.mT, alpha=width**-0.5 if scaling is None else scaling)
    weights = drop(scores.softmax(-1), dropout)
    answer = torch.bmm(weights, value).view(group.rows, heads, group.longest, width)
    answer = answer.transpose(1, 2).reshape(group.rows * group.longest, heads, width)
    return answer if group.mask is None else _Take.apply(answer, group.real)


def _bias(group: RowGroup, heads: int, causal: bool, like: torch.Tensor) -> torch.Tensor:
    """What is added to the scores, [rows x heads, 1 or longest, longest]: minus infinity at keys that are not seen."""
    if causal:  # a token sees only what stands before it, which the filling at the end of a row never does
        later = torch.ones(group.longest, group.longest, dtype=torch.bool, device=like.device).triu(1)
        return torch.zeros_like(later, dtype=like.dtype).masked_fill_(later, -torch.inf).unsqueeze(0)
    if group.mask is None:
        return like.new_zeros(1, 1, 1)
    bias = torch.zeros_like(group.mask, dtype=like.dtype).masked_fill_(~group.mask, -torch.inf)
    return bias.expand(-1, heads, -1, -1).flatten(0, 1)


AttentionInterface.register(ATTENTION, packed_attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
