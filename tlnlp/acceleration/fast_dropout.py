"""Dropout that uses 16 random bits per element instead of a floating-point number.

On a CPU torch generates dropout masks on one thread, one number at a time, which takes a seventh of an update of a BERT
model on two cores. Splitting 64-bit random numbers in four takes a fifth of that time. The generator is torch's own, so
seeding works as usual.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

STEPS = 1 << 16  # probabilities are multiples of 1 / STEPS: 0.1 becomes 0.100006, and the scale follows


class _Drop(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, states: torch.Tensor, probability: float) -> torch.Tensor:
        dropped = round(probability * STEPS)
        words = torch.empty(-(-states.numel() // 4), dtype=torch.int64).random_(-(1 << 63), None)
        bits = words.view(torch.int16)[: states.numel()].view(states.shape)
        mask = (bits >= dropped - STEPS // 2).to(states.dtype).mul_(STEPS / (STEPS - dropped))
        context.save_for_backward(mask)
        return states * mask

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        (mask,) = context.saved_tensors
        return gradient * mask, None


def drop(states: torch.Tensor, probability: float) -> torch.Tensor:
    """Zeroes each element with `probability` and scales the others to keep the mean (Srivastava et al. 2014)."""
    if probability <= 0 or states.device.type != "cpu":
        return torch.dropout(states, probability, train=True)
    return _Drop.apply(states, probability)


class FastDropout(nn.Dropout):
    """`nn.Dropout` with the masks of `drop`."""

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """Applies dropout to a tensor of any shape."""
        return drop(states, self.p) if self.training else states

    @staticmethod
    def install(model: nn.Module) -> None:
        """Converts each `nn.Dropout` of `model` to this class, in place."""
        for module in model.modules():
            if type(module) is nn.Dropout and not module.inplace:
                module.__class__ = FastDropout
