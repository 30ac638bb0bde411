"""AdamW over layer groups, and the rate at each update as a pure function."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import nn

from tlnlp.transfer.groups import ADAPTER, Group

# Highest rate over lowest in slanted triangles: Howard and Ruder 2018, section 3.2.
SLANTED_RATIO = 32


def build_optimizer(
    model: nn.Module, groups: Sequence[Group], *, weight_decay: float, biases_apart: bool = False
) -> torch.optim.AdamW:
    """AdamW (Loshchilov and Hutter 2019) with two parameter groups for each layer group: matrices, which decay, and
    vectors (biases, norms) and lookup tables, which do not: a word that the train rows lack must not fade. Found by
    structure, not by name. `group` in each says whose it is, `biases` whether it holds nothing else.

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
        if group.name == ADAPTER:  # the vectors of IA3 have two dimensions, and would fade from one to nothing
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


def set_rates(optimizer: torch.optim.Optimizer, peak: Mapping[str, float], factor: float) -> None:
    """Gives each layer group its peak rate times `factor`; 0 to a group without one."""
    for each in optimizer.param_groups:
        each["lr"] = peak.get(each["group"], 0.0) * factor


def schedule_factor(schedule: str, update: int, updates: int, warmup_fraction: float) -> float:
    """Share of the peak rate at `update` of `updates`: a straight rise over the warm-up, then as `schedule` says.

    - linear: a straight fall to zero (Devlin et al. 2019, A.2).
    - cosine: half a wave down to zero (Loshchilov and Hutter 2017).
    - slanted: slanted triangles, which rise from a 32nd and fall to it (Howard and Ruder 2018, section 3.2).
    - constant: the peak rate to the end.

    The first update of a warm-up does not waste its rows on a rate of zero.
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
