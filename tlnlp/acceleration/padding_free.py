"""Padding-free layers: between the first and the last layer, a micro-batch is one packed row of real tokens.

A padded micro-batch spends most of its arithmetic on padding (two thirds of it for random rows of SST-2). Linear
layers, norms and dropout process each token independently, so they run on the real tokens only; attention runs on
groups of rows of similar length. Embeddings and the head get padded tensors as before, so that every head of
transformers works unchanged, and nothing of this is saved with the model.

It uses transformers' interface for attention functions, and hooks on the layers, which are found by structure.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.weak import WeakTensorKeyDictionary
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from tlnlp.acceleration.fast_dropout import drop
from tlnlp.acceleration.packed_rows import PackedBatch, Put, RowGroup, Take, describe_packing, filling_of
from tlnlp.transfer.layers import layer_modules

ATTENTION = "tlnlp_packed"


class PaddingFree:
    """Makes a network run padding-free, in a way that `install` has verified to give the same outputs on this network.

    Args:
        firsts_only: the head reads only the first token of each row, so that the last feed-forward block is computed
            for these tokens only. Requires that the attention block includes its residual connection (BERT-like
            networks, not pre-norm networks).
    """

    def __init__(self, model: nn.Module, *, firsts_only: bool) -> None:
        self.layers, self.firsts_only = layer_modules(model), firsts_only
        # Attention here is global: a micro-batch with a row longer than a layer's sliding window runs padded.
        self.window = attention_window(model)
        self.now: PackedBatch | None = None
        # Attention in one call, see `varlen_attention`; None: group by group.
        self.attend: Callable[..., torch.Tensor] | None = None
        # The packings that are known beforehand, by attention mask.
        self._known: Any = WeakTensorKeyDictionary()
        self._hooks: list[Any] = []
        self._is_paused = False
        self._is_tried = False
        self._packed_batches = 0

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """While it is open, the network runs padded, for callers that need the states that `firsts_only` skips."""
        self._is_paused = True
        try:
            yield
        finally:
            self._is_paused = False

    def know(self, attention_mask: torch.Tensor, described: PackedBatch | None) -> None:
        """Takes note of how a micro-batch will be packed (None: not at all), which its mask would otherwise tell."""
        self._known[attention_mask] = described

    def remove(self, model: Any) -> None:
        """The network runs padded again."""
        for hook in self._hooks:
            hook.remove()
        model.set_attn_implementation("sdpa")

    @classmethod
    def install(
        cls,
        model: Any,
        ask: Callable[[nn.Module], torch.Tensor],
        left_out: Callable[[str], None] = lambda reason: None,
    ) -> PaddingFree | None:
        """Prepares `model` in the fastest way that gives the same outputs on a padded batch; None if there is none.

        Args:
            ask: runs the network on a batch with an attention mask and at least two rows of different lengths, none
                longer than `attention_window`, and returns its logits without those at padding.
            left_out: called with the reason if there is none.
        """
        implementation = model.config._attn_implementation
        if implementation != "sdpa":
            left_out(f"the attention of a {model.config.model_type} cannot be replaced ({implementation})")
            return None
        was_training, reason = model.training, ""
        with torch.no_grad():
            expected = ask(model.eval())
            for firsts_only in (True, False):
                try:
                    packing = cls(model, firsts_only=firsts_only)
                except ValueError as error:
                    reason = str(error)
                    break
                packing._hooks = packing._hook(model.base_model)
                model.set_attn_implementation(ATTENTION)
                reason = packing._try_on(expected, model, ask)
                if not reason:
                    model.train(was_training)
                    return packing
                packing.remove(model)
        model.train(was_training)
        left_out(reason)
        return None

    def _try_on(self, expected: torch.Tensor, model: Any, ask: Callable[[nn.Module], torch.Tensor]) -> str:
        """Returns why the network cannot run packed; an empty text if it can."""
        kind = f"a {model.config.model_type}"
        self._is_tried, before = True, len(_CURRENT)
        try:
            found = ask(model)
        # A network of another structure raises whatever it raises: it runs padded.
        except Exception as error:
            return f"the layers of {kind} do not run on packed rows ({_first_line(error)})"
        finally:
            self._is_tried = False
            self.now = None
            del _CURRENT[before:]
        if not self._packed_batches:
            return f"{kind} does not show its attention mask"
        # Relative to the largest: new weights are small, and so are their outputs.
        tolerance = 1e-4 * float(expected.abs().max())
        if found.shape != expected.shape or bool(((expected - found).abs() > tolerance).any()):
            return f"{kind} gives other outputs on packed rows"
        return ""

    def places(self, lengths: np.ndarray) -> int:
        """Returns the number of positions computed for rows of these `lengths`, including padding or filling."""
        padded, tokens = len(lengths) * int(lengths.max()), int(lengths.sum())
        packs = lengths.max() <= self.window and lengths.min() < lengths.max()
        if not packs:
            return padded
        return tokens if self.attend is not None else tokens + filling_of(tokens)

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
            self.now = self._known[mask] if mask in self._known else self._describe(mask)
            self._packed_batches += self.now is not None
        _CURRENT.append(self)

    def _describe(self, mask: torch.Tensor) -> PackedBatch | None:
        if self.attend is None:
            return describe_packing(mask)
        described = describe_packing(mask.cpu(), grouped=False)
        return None if described is None else described.to(mask.device)

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
        # The masks are those of the padded batch: packed attention has its own.
        if self._is_tried:
            _check_masks(layer, [*others, named.get("attention_mask")])
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


def _check_masks(layer: nn.Module, masks: Sequence[Any]) -> None:
    """Raises an error for masks that say something else than packed attention: a bias for each key, or another
    direction than the attention's own `is_causal`. Small weights would not show it in the outputs."""
    says = {bool(module.is_causal) for module in layer.modules() if hasattr(module, "is_causal")}
    for mask in masks:
        if not isinstance(mask, torch.Tensor) or mask.dim() != 4:
            continue
        if mask.is_floating_point():
            if bool(((mask != 0) & (mask > torch.finfo(mask.dtype).min / 2)).any()):
                raise ValueError("its attention masks hold a bias")
            mask = mask == 0
        if mask.shape[-2] > 1:
            square = mask.expand(*mask.shape[:-2], mask.shape[-1], mask.shape[-1])
            sees_later = bool(square.triu(1).any())
            if says and says != {not sees_later}:
                raise ValueError("its attention masks have another direction than it says")


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:80]}"


def attention_window(model: nn.Module) -> float:
    """Returns the length of rows up to which the attention of all layers is global; infinity if it always is."""
    windows = (getattr(module, "sliding_window", None) for module in model.modules())
    return min((window for window in windows if window is not None), default=math.inf)


# The current micro-batch, for the attention function, to which transformers does not pass it. A stack, since one
# network may run inside another.
_CURRENT: list[PaddingFree] = []


def _current_batch() -> PackedBatch | None:
    """Returns how the current micro-batch is packed; None if it is not."""
    return _CURRENT[-1].now if _CURRENT else None


def unpacked(states: torch.Tensor) -> torch.Tensor:
    """Returns states of a layer in the current micro-batch, packed or not, as [rows, longest, width]."""
    current = _current_batch()
    # Only several rows are packed, and then the first dimension is 1.
    return states if current is None or len(states) == current.rows else current.unpack(states)


def packed(states: torch.Tensor) -> torch.Tensor:
    """The inverse: packs states [rows, longest, width] if the layers of the current micro-batch run packed."""
    current = _current_batch()
    return states if current is None else current.pack(states)


def packed_attention(
    module: nn.Module,
    query: torch.Tensor,  # [1, heads, tokens, width of a head], as are key and value, which may have fewer heads
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **others: Any,
) -> tuple[torch.Tensor, None]:
    """Computes attention within each row of a packed micro-batch, or transformers' attention if it is not packed.

    Returns:
        Attention outputs [1, tokens, heads, width of a head], and None.
    """
    current = _current_batch()
    if current is None:
        return sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, is_causal=is_causal, **others
        )
    if attention_mask is not None:  # made inside the layer, since `_enter_layer` takes away the padded batch's
        raise ValueError("its layers make attention masks of their own")
    causal = getattr(module, "is_causal", None) if is_causal is None else is_causal
    if causal is None:  # transformers would see it from the mask, which the padded batch had
        raise ValueError("its attention does not say whether it is causal")
    if key.shape[1] < query.shape[1]:  # grouped queries: each key serves several
        groups = query.shape[1] // key.shape[1]
        key, value = (states.repeat_interleave(groups, dim=1) for states in (key, value))
    if (attend := _CURRENT[-1].attend) is not None:
        at_once = (states[0].transpose(0, 1) for states in (query, key, value))
        return attend(*at_once, current, dropout, scaling, causal).unsqueeze(0), None
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
    """Computes the attention of one group of rows: [tokens, 3, heads, width] to [tokens, heads, width].

    Implemented here, since the fused CPU kernel does not support dropout, and its fallback takes four times as many
    operations, which are all small.
    """
    _, _, heads, width = inputs.shape
    if group.mask is not None:
        inputs = Put.apply(inputs, group.real, group.rows * group.longest)
    inputs = inputs.view(group.rows, group.longest, 3, heads, width).permute(2, 0, 3, 1, 4)
    query, key, value = inputs.reshape(3, group.rows * heads, group.longest, width).unbind()
    bias = _bias(group, heads, causal, query)
    scores = torch.baddbmm(bias, query, key.mT, alpha=width**-0.5 if scaling is None else scaling)
    weights = drop(scores.softmax(-1), dropout)
    answer = torch.bmm(weights, value).view(group.rows, heads, group.longest, width)
    answer = answer.transpose(1, 2).reshape(group.rows * group.longest, heads, width)
    return answer if group.mask is None else Take.apply(answer, group.real)


def _bias(group: RowGroup, heads: int, causal: bool, like: torch.Tensor) -> torch.Tensor:
    """Returns the attention bias [rows x heads, 1 or longest, longest]: minus infinity at masked keys."""
    if causal:  # tokens attend only to earlier tokens, never to the padding at the end of a row
        later = torch.ones(group.longest, group.longest, dtype=torch.bool, device=like.device).triu(1)
        return torch.zeros_like(later, dtype=like.dtype).masked_fill_(later, -torch.inf).unsqueeze(0)
    if group.mask is None:
        return like.new_zeros(1, 1, 1)
    bias = torch.zeros_like(group.mask, dtype=like.dtype).masked_fill_(~group.mask, -torch.inf)
    return bias.expand(-1, heads, -1, -1).flatten(0, 1)


AttentionInterface.register(ATTENTION, packed_attention)
AttentionMaskInterface.register(ATTENTION, sdpa_mask)
