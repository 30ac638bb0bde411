"""Attention of all rows of a packed micro-batch in one call, by the fused kernels of GPUs (Dao 2023, FlashAttention-2).

torch's public `torch.nn.attention.varlen.varlen_attn` calls the same operator, without dropout.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from tlnlp.acceleration.packed_rows import PackedBatch, describe_packing
from tlnlp.acceleration.padding_free import PaddingFree
from tlnlp.training.device_feed import DeviceFeed

# Key of a staged batch under which its packing travels to the device.
PACKING = "packing"
# Relative difference, in norm, up to which attention in 16 bits is the same: a few roundings of 2^-8.
ROUNDING = 2e-2


def flash_attention(
    query: torch.Tensor,  # [tokens, heads, width of a head], as are key and value
    key: torch.Tensor,
    value: torch.Tensor,
    batch: PackedBatch,
    dropout: float,
    scaling: float | None,
    causal: bool,
) -> torch.Tensor:
    """Computes attention within each row of a packed micro-batch: [tokens, heads, width of a head].

    Like `scaled_dot_product_attention`, it computes in the precision of autocast where that is on.
    """
    device = query.device.type
    if torch.is_autocast_enabled(device):
        query, key, value = (states.to(torch.get_autocast_dtype(device)) for states in (query, key, value))
    return torch.ops.aten._flash_attention_forward(
        query, key, value, batch.starts, batch.starts, batch.longest, batch.longest, dropout, causal, False,
        scale=scaling,
    )[0]  # fmt: skip


def attend_at_once(packing: PaddingFree, model: Any, ask: Callable[[nn.Module], torch.Tensor]) -> str:
    """Makes padding-free layers use `flash_attention`, if it gives the same outputs as plain attention in every layer
    of the network. Returns why it does not; an empty text if it does.

    The outputs of each layer's attention are compared, since attention may change those of a network little.

    Args:
        ask: as in `PaddingFree.install`, in the precision of the run.
    """
    was_training = model.training
    packing.attend = _checked_attention
    try:
        with torch.no_grad():
            ask(model.eval())
    # An operator that the GPU, the precision or the width of a head rules out raises whatever it raises.
    except Exception as error:
        packing.attend = None
        return f"{type(error).__name__}: {(str(error).strip().splitlines() or [''])[0][:80]}"
    finally:
        model.train(was_training)
    packing.attend = flash_attention
    return ""


def _checked_attention(*arguments: Any) -> torch.Tensor:
    found, expected = flash_attention(*arguments), row_by_row(*arguments)
    if not bool((found.float() - expected).norm() <= ROUNDING * expected.norm()):
        raise ValueError("the GPU's attention gives other outputs on packed rows")
    return found


def row_by_row(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    batch: PackedBatch,
    dropout: float,
    scaling: float | None,
    causal: bool,
) -> torch.Tensor:
    """Computes the same as `flash_attention` in fp32 (or fp64), plainly, for comparison; without dropout."""
    if batch.starts is None:
        raise ValueError("a packing in groups")
    answers = []
    for first, end in itertools.pairwise(batch.starts.tolist()):
        q, k, v = (states[first:end].transpose(0, 1) for states in (query, key, value))  # [heads, tokens, width]
        q, k, v = (states if states.dtype == torch.float64 else states.float() for states in (q, k, v))
        scores = q @ k.mT * (q.shape[-1] ** -0.5 if scaling is None else scaling)
        if causal:
            scores = scores.masked_fill(torch.ones_like(scores, dtype=torch.bool).triu(1), -torch.inf)
        answers.append((scores.softmax(-1) @ v).transpose(0, 1))
    return torch.cat(answers)


def feed_of(packing: PaddingFree | None, device: torch.device) -> DeviceFeed:
    """Returns what brings the batches of a network to `device`.

    Args:
        packing: its padding-free layers, if it has any.
    """
    if packing is None or packing.attend is None:
        return DeviceFeed.to(device)
    return PackedFeed(device, DeviceFeed.to(device).ahead, packing=packing)


@dataclass(frozen=True)
class PackedFeed(DeviceFeed):
    """Brings batches to the device together with the description of how their rows are packed, which is computed on
    the processor: counting real tokens on the GPU would wait for it.

    Args:
        packing: the layers that will run packed.
    """

    packing: PaddingFree = field(kw_only=True)

    def stage(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Returns the batch in page-locked memory, and the packing of its rows."""
        described = None
        if batch["attention_mask"].shape[1] <= self.packing.window:
            described = describe_packing(batch["attention_mask"], grouped=False)
        return super().stage(batch | ({} if described is None else {PACKING: described}))

    def move(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Returns the batch on the device, for whose attention mask the packing is known there."""
        moved = dict(super().move(batch))
        self.packing.know(moved["attention_mask"], moved.pop(PACKING, None))
        return moved
