"""AdamW over layer groups, and the learning-rate schedule as a pure function."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from tlnlp.transfer.groups import ADAPTER, Group
from tlnlp.transfer.phases import Phase

# Ratio of the highest to the lowest rate of slanted triangles: Howard and Ruder 2018, section 3.2.
SLANTED_RATIO = 32


def build_optimizer(
    model: nn.Module, groups: Sequence[Group], *, weight_decay: float, biases_apart: bool = False
) -> torch.optim.AdamW:
    """Builds AdamW (Loshchilov and Hutter 2019) with two parameter groups per layer group: matrices, with weight decay,
    and vectors (biases, norms) and embeddings, without: tokens that do not occur in the train rows must not decay. They
    are found by structure, not by name. In each parameter group `group` is the layer group, and `biases` tells whether
    it consists of biases only.

    Args:
        weight_decay: of the matrices.
        biases_apart: a third one for biases, which may learn where the rest stays.
    """
    parameters = dict(model.named_parameters())
    tables = {module.weight for module in model.modules() if isinstance(module, nn.Embedding)}
    parameter_groups = []
    for group in groups:
        biases = {parameters[name] for name in group.biases} if biases_apart else set()
        members = [parameters[name] for name in group.parameters]
        rest = [p for p in members if p not in biases]
        matrices = {p for p in rest if p.dim() >= 2 and p not in tables}
        if group.name == ADAPTER:  # IA3's vectors have two dimensions, and would decay from one to zero
            matrices = {p for p in matrices if min(p.shape) > 1}
        for decay, of_kind in (
            (weight_decay, [p for p in rest if p in matrices]),
            (0.0, [p for p in rest if p not in matrices]),
            (0.0, [p for p in members if p in biases]),
        ):
            if of_kind:
                are_biases = of_kind[0] in biases
                parameter_groups.append(
                    {"params": of_kind, "weight_decay": decay, "group": group.name, "biases": are_biases}
                )
    return torch.optim.AdamW(parameter_groups, lr=0.0, fused=True)


def is_trained(parameter_group: Mapping[str, Any], phase: Phase) -> bool:
    """Returns whether `phase` trains a parameter group of the optimizer."""
    group = parameter_group["group"]
    return group in phase.learning_rates and (parameter_group["biases"] or group not in phase.only_biases)


def changing_parameters(
    model: nn.Module, optimizer: torch.optim.Optimizer, phases: Sequence[Phase], initialized: Collection[str] = ()
) -> frozenset[str]:
    """Returns the names of the parameters that a checkpoint of the run must hold: those that any phase trains or
    re-initialises. All others are frozen from the first update to the last.

    Args:
        initialized: those that the base checkpoint lacks: frozen or not, they are nowhere else.
    """
    changing = {
        parameter
        for each in optimizer.param_groups
        if any(is_trained(each, phase) or each["group"] in phase.reinitialize for phase in phases)
        for parameter in each["params"]
    }
    return frozenset(
        name for name, parameter in model.named_parameters() if parameter in changing or name in initialized
    )


def set_rates(optimizer: torch.optim.Optimizer, peak: Mapping[str, float], factor: float) -> None:
    """Sets the learning rate of each layer group to its peak rate times `factor`; 0 for groups without one."""
    for each in optimizer.param_groups:
        each["lr"] = peak.get(each["group"], 0.0) * factor


def schedule_factor(schedule: str, update: int, updates: int, warmup_fraction: float) -> float:
    """Returns the learning rate at `update` of `updates`, as a fraction of the peak rate: linear warm-up, then
    `schedule`.

    - linear: linear decay to zero (Devlin et al. 2019, A.2).
    - cosine: half a cosine wave, down to zero (Loshchilov and Hutter 2017).
    - slanted: slanted triangles, which rise from 1/32 and fall to it (Howard and Ruder 2018, section 3.2).
    - constant: the peak rate to the end.

    The first update of the warm-up has a rate above zero.
    """
    warmup = int(updates * warmup_fraction)
    if update < warmup:
        share = (update + 1) / (warmup + 1)
    else:
        share = (updates - update) / max(1, updates - warmup)
        if schedule == "constant":
            share = 1.0
        elif schedule == "cosine":
            share = (1 - math.cos(math.pi * share)) / 2
    return (1 + share * (SLANTED_RATIO - 1)) / SLANTED_RATIO if schedule == "slanted" else share
