"""How many tokens a network reads at once."""

from __future__ import annotations

from typing import Any

from torch import nn


def count_positions(model: Any) -> int | None:
    """Returns the number of positions of the network; None if it has no limit (relative positions, state spaces)."""
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is None or positions <= 0:
        return None
    for name, module in model.named_modules():
        # RoBERTa and its kind count from behind the padding token's index.
        if name.endswith("position_embeddings") and isinstance(module, nn.Embedding) and module.padding_idx is not None:
            return min(positions, module.num_embeddings) - module.padding_idx - 1
    return int(positions)
