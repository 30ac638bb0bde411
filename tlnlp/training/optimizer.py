"""AdamW over layer groups, and the rate at each update as a pure function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from tlnlp.settings import Settings
from tlnlp.transfer.groups import Group


def build_optimizer(model: nn.Module, groups: Sequence[Group], settings: Settings) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) with two parameter groups for each layer group: matrices, which decay, and
    vectors (biases, norms) and lookup tables, which do not: a word that the train rows lack must not fade. Found by
    structure, not by name. `group` in each says whose it is."""
    parameters = dict(model.named_parameters())
    tables = {module.weight for module in model.modules() if isinstance(module, nn.Embedding)}
    parameter_groups = []
    for group in groups:
        members = [parameters[name] for name in group.parameters]
        for decay, of_kind in (
            (settings.weight_decay, [p for p in members if p.dim() >= 2 and p not in tables]),
            (0.0, [p for p in members if p.dim() < 2 or p in tables]),
        ):
            if of_kind:
                parameter_groups.append({"params": of_kind, "weight_decay": decay, "group": group.name})
    return torch.optim.AdamW(parameter_groups, lr=0.0, fused=True)


def set_rates(optimizer: torch.optim.Optimizer, peak: Mapping[str, float], factor: float) -> None:
    """Gives each layer group its peak rate times `factor`; 0 to a group without one."""
    for each in optimizer.param_groups:
        each["lr"] = peak.get(each["group"], 0.0) * factor


def linear_factor(update: int, updates: int, warmup_fraction: float) -> float:
    """Share of the peak rate at `update` of `updates`: a rise over the warm-up, then a straight fall to zero
    (Devlin et al. 2019, A.2). The first update of a warm-up does not waste its rows on a rate of zero."""
    warmup = int(updates * warmup_fraction)
    if update < warmup:
        return (update + 1) / (warmup + 1)
    return (updates - update) / max(1, updates - warmup)
