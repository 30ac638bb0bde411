"""How many tokens a network reads at once."""

from __future__ import annotations

from typing import Any

from torch import nn

from tlnlp.transfer.layers import token_table


def count_positions(model: Any) -> int | None:
    """Returns the number of tokens that a sequence may have; None if there is no limit (relative positions, state
    spaces).

    RoBERTa and its kind count from behind the padding's index: of 514 positions they have 512 for tokens. This is seen
    in the table of positions, which has a padding row.
    """
    positions = getattr(model.config, "max_position_embeddings", None)
    if positions is None or positions <= 0:  # -1 for XLNet
        return None
    of_tokens = token_table(model)
    taken = [
        module.padding_idx + 1
        for module in model.modules()
        if isinstance(module, nn.Embedding)
        and module is not of_tokens
        and module.num_embeddings == positions
        and module.padding_idx is not None
    ]
    return int(positions - max(taken, default=0))
