"""The output of a network that answers with a number starts in the unit of the scores."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn


def start_at_scores(network: Any, scores: Sequence[float], initialized: Collection[str]) -> bool:
    """Scales a new output layer so that it first answers with numbers around the mean of `scores`, as far from it as
    these are. AdamW moves each weight by at most the learning rate in an update: from around 0 it would take thousands
    of updates to grades from 300 to 400. Returns whether there is such a layer.

    Args:
        initialized: names of the parameters that are not from a checkpoint; another output layer stays as it is.
    """
    outputs = [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, nn.Linear) and module.out_features == 1 and f"{name}.weight" in initialized
    ]
    spread = float(np.std(scores))
    if not outputs or spread == 0:
        return False
    _, output = outputs[-1]
    mean = float(np.mean(scores))
    with torch.no_grad():
        # Without a bias the mean is what the features have to reach, too.
        output.weight *= spread if output.bias is not None else max(spread, abs(mean))
        if output.bias is not None:
            output.bias.fill_(mean)
    return True
