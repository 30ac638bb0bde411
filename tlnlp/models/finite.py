"""NaN and infinite weights: of a damaged checkpoint, or of a training that diverged."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from tlnlp.errors import InputError


def not_finite(network: nn.Module, names: Iterable[str] | None = None) -> list[str]:
    """Returns the names of the parameters that have NaN or infinite values.

    Each is summed, which takes a pass over the weights and no memory: a sum is finite only if all values are. Quantised
    weights are integers, and left out.

    Args:
        names: the parameters to look at; all if unset.
    """
    parameters = dict(network.named_parameters())
    looked_at = [name for name in (parameters if names is None else names) if parameters[name].is_floating_point()]
    if not looked_at:
        return []
    with torch.no_grad():
        # One look at the device, not one for each parameter.
        sums = torch.stack([parameters[name].sum(dtype=torch.float32) for name in looked_at])
        return [name for name, is_finite in zip(looked_at, sums.isfinite().tolist(), strict=True) if not is_finite]


def check_finite(network: nn.Module, model: str) -> None:
    """Raises an InputError if weights that were loaded are NaN or infinite.

    Args:
        model: the value of `--model`.
    """
    if found := not_finite(network):
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        raise InputError(
            expected=f"--model {model} with finite weights",
            found=f"NaN or infinite values in {found[0]}{more}",
            change="another checkpoint: this one is damaged, or its training diverged; or --strategy from_scratch",
        )
