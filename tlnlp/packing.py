"""Padding-free layers: between the first layer and the last, a micro-batch is one row of real tokens.

A padded micro-batch spends most of its arithmetic on places that hold no token (two thirds of it on random rows of
SST-2). Linear layers, norms and dropout do not care which row a token belongs to, so they run on the tokens alone;
attention, which does care, runs on groups of rows of similar length. Embeddings and the head see the padded rectangle
as before, so that any head of transformers works as it is, and nothing of this is saved with the model.

Uses transformers' own interface for attention functions, and hooks on the layers found by structure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from tlnlp.transfer.groups import layer_stack

ATTENTION = "tlnlp_packed"
# Rows shorter than this share of the longest in their group begin a group of their own. Of 0.5 to 0.9 the fastest on
# two cores; the result does not depend on it.
SIMILAR_LENGTH_FRACTION = 0.7


@dataclass(frozen=True)
class RowGroup:
    """Rows of similar length, for attention.

    Args:
        tokens: which tokens of the packed row are theirs: a slice.
        places: [rows x longest] for each place of their rectangle the token in it, within `tokens`; 0 where none is.
        real: [tokens] the places that hold a token, in order.
        mask: [rows, 1, 1, longest] True where a token is; None where all rows are of one length.
    """

    tokens: slice
    rows: int
    longest: int
    places: torch.Tensor
    real: torch.Tensor
    mask: torch.Tensor | None


@dataclass(frozen=True)
class Packed:
    """One micro-batch: [rows, longest] places, of which the `real` ones hold tokens, longest rows first."""

    rows: int
    longest: int
    real: torch.Tensor  # [tokens] flat place of each token
    firsts: torch.Tensor  # [rows] which of the tokens begin a row
    groups: list[RowGroup]

    def pack(self, states: torch.Tensor) -> torch.Tensor:
        """[rows or 1, longest, width] -> [1, tokens, width]"""
        if len(states) == 1 and self.rows > 1:  # one for all rows, as rotary positions are
            return states[0].index_select(0, self.real % self.longest).unsqueeze(0)
        return states.flatten(0, 1).index_select(0, self.real).unsqueeze(0)

    def unpack(self, states: torch.Tensor) -> torch.Tensor:
        """[1, tokens or rows, width] -> [rows, longest, width], zeros where nothing is"""
        places = self.real if states.shape[1] == len(self.real) else self.real[self.firsts]
        padded = states.new_zeros(self.rows * self.longest, states.shape[-1])
        return padded.index_copy(0, places, states[0]).view(self.rows, self.longest, -1)


def describe_packing(attention_mask: torch.Tensor) -> Packed | None:
    """How to pack a padded micro-batch [rows, longest]; None where it has no padding to save."""
    rows, longest = attention_mask.shape
    lengths = attention_mask.sum(1).tolist()
    if min(lengths) == longest:
        return None
    order = sorted(range(rows), key=lambda row: -lengths[row])
    real_of = [attention_mask[row].nonzero()[:, 0] + row * longest for row in order]
    groups, first_row, first_token = [], 0, 0
    while first_row < rows:
        least = SIMILAR_LENGTH_FRACTION * lengths[order[first_row]]
        last_row = first_row
        while last_row < rows and lengths[order[last_row]] >= least:
            last_row += 1
        group = _describe_group([lengths[row] for row in order[first_row:last_row]], first_token, attention_mask.device)
        groups.append(group)
        first_row, first_token = last_row, group.tokens.stop
    ordered = torch.tensor([lengths[row] for row in order], device=attention_mask.device)
    return Packed(rows, longest, torch.cat(real_of), ordered.cumsum(0) - ordered, groups)


def _describe_group(lengths: Sequence[int], first_token: int, device: torch.device) -> RowGroup:
    longest, tokens = lengths[0], sum(lengths)
    mask = torch.arange(longest, device=device) < torch.tensor(lengths, device=device)[:, None]
    real = mask.flatten().nonzero()[:, 0]
    places = torch.zeros(mask.numel(), dtype=torch.long, device=device)
    places[real] = torch.arange(tokens, device=device)
    all_alike = lengths[-1] == longest
    span = slice(first_token, first_token + tokens)
    return RowGroup(span, len(lengths), longest, places, real, None if all_alike else mask[:, None, None, :])


class Packing:
    """Makes a network run padding-free, in ways that `install` has seen to give the same answers on this very network.

    Args:
        firsts_only: the head reads the first token of each row and no other, so that the last layer's feed-forward part
            need not be computed for the rest. Only where a layer's attention block holds its own residual (BERT and
            its kin, not the pre-norm networks).
    """

    def __init__(self, model: nn.Module, *, firsts_only: bool) -> None:
        self.layers, self.firsts_only = layer_stack(model), firsts_only
        self.now: Packed | None = None

    @classmethod
    def install(cls, model: Any, batch: dict[str, torch.Tensor]) -> Packing | None:
        """Prepares `model` with the boldest way that answers the padded `batch` as before; None if there is none.

        Args:
            batch: model inputs with an attention mask; at least two rows, of different lengths.
        """
        if model.config._attn_implementation != "sdpa":
            return None
        was_training = model.training
        with torch.no_grad():
            expected = model.eval()(**batch).logits
            for firsts_only in (True, False):
                packing = cls(model, firsts_only=firsts_only)
                hooks = packing._hook(model.base_model)
                model.set_attn_implementation(ATTENTION)
                if packing._answers_as(expected, model, batch):
                    model.train(was_training)
                    return packing
                for hook in hooks:
                    hook.remove()
                model.set_attn_implementation("sdpa")
        model.train(was_training)
        return None

    @staticmethod
    def _answers_as(expected: torch.Tensor, model: nn.Module, batch: dict[str, torch.Tensor]) -> bool:
        try:
            found = model(**batch).logits
        # Whatever a foreign network trips over: it then runs padded, as it always did.
        except Exception:
            return False
        return found.shape == expected.shape and torch.allclose(expected, found, rtol=1e-4, atol=1e-4)

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
        self.now = describe_packing(mask) if mask is not None and mask.dim() == 2 else None
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
_CURRENT: list[Packed | None] = []


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
    packed = _CURRENT[-1] if _CURRENT else None
    if packed is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, is_causal=is_causal, **others
        )
    window = others.get("sliding_window")
    if window is not None and packed.longest > window:
        raise NotImplementedError("a row longer than the layer's attention window")
    causal = bool(getattr(module, "is_causal", True) if is_causal is None else is_causal)
    answers = [
        _attend(group, query, key, value, dropout=dropout, scaling=scaling, causal=causal) for group in packed.groups
    ]
    return torch.cat(answers).unsqueeze(0), None


def _attend(
    group: RowGroup, *inputs: torch.Tensor, dropout: float, scaling: float | None, causal: bool
) -> torch.Tensor:
    """Attention of one group of rows: [tokens, heads, width].

    Written out, since the CPU's fused kernel knows no dropout and what it falls back to takes four times as many
    operations, each of them small here.
    """
    query, key, value = (_rectangle(group, states) for states in inputs)  # [rows x heads, longest, width]
    heads, width = inputs[0].shape[1], inputs[0].shape[-1]
    bias = _bias(group, heads, causal, query)
    scores = torch.baddbmm(bias, query, key.mT, alpha=width**-0.5 if scaling is None else scaling)
    weights = torch.dropout(scores.softmax(-1), dropout, train=True)
    answer = torch.bmm(weights, value).view(group.rows, heads, group.longest, width)
    answer = answer.transpose(1, 2).reshape(group.rows * group.longest, heads, width)
    return answer if group.mask is None else answer.index_select(0, group.real)


def _rectangle(group: RowGroup, states: torch.Tensor) -> torch.Tensor:
    """[1, heads, tokens, width] -> [rows x heads, longest, width]; where no token is, any token's."""
    own = states[0].transpose(0, 1)[group.tokens]  # [tokens, heads, width], as it lies in memory
    if group.mask is not None:
        own = own.index_select(0, group.places)
    return own.view(group.rows, group.longest, *own.shape[1:]).transpose(1, 2).flatten(0, 1)


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
