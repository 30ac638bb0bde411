"""Prediction: every row exactly once, on any number of processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from tlnlp.data.rows import Rows
from tlnlp.heads.encoded import EncodedDataset
from tlnlp.task import Prediction, Task
from tlnlp.training.layer_cache import LayerCache, use_cache
from tlnlp.training.plan import cut, shard_micro_batches
from tlnlp.training.sharding import is_sharded, reshard


def predict(
    model: nn.Module,
    encoded: EncodedDataset,
    rows: Rows,
    task: Task,
    tokenizer: Any,
    max_tokens: int,
    accelerator: Accelerator,
    advance: Callable[[int], None] = lambda items: None,
    frozen: LayerCache | None = None,
) -> list[Prediction]:
    """Returns one prediction for each row, in the rows' order; the same list on every process.

    The micro-batches do not depend on the number of processes, so neither do the predictions.

    Args:
        max_tokens: token budget of a micro-batch.
        advance: called with the number of items after each micro-batch, for a progress bar.
        frozen: cache of the frozen layers' outputs, if there is one.
    """
    micro_batches = cut(np.arange(len(encoded)), encoded.lengths, max_tokens, can_pad=encoded.can_pad)
    found: list[tuple[int, np.ndarray]] = []
    model.eval()
    if frozen is not None:
        frozen.keep(encoded)
    for _, items in shard_micro_batches(micro_batches, accelerator.process_index, accelerator.num_processes):
        is_mine = items is not None
        if items is None:
            if not is_sharded(model):
                continue
            items = micro_batches[0]  # every process has a share of the weights: all must go through the network
        # A fixed generator: every evaluation masks the same tokens, whatever the seed and the token budget.
        batch = task.head.collate(encoded, items, tokenizer, np.random.default_rng(0))
        batch = {name: value.to(accelerator.device) for name, value in batch.items()}
        with torch.no_grad(), accelerator.autocast(), use_cache(frozen, encoded, items, batch) as batch:
            outputs = task.head.forward(model, batch).float().cpu().numpy()
        if is_mine:
            found.extend(zip(items.tolist(), outputs, strict=True))
            advance(len(items))
    reshard(model)
    everywhere = gather_object(found) if accelerator.num_processes > 1 else found
    outputs_of = dict(everywhere)
    if len(everywhere) != len(encoded) or len(outputs_of) != len(encoded):
        raise RuntimeError(f"{len(everywhere)} outputs for {len(encoded)} items: there must be exactly one for each")
    predictions = task.head.decode([outputs_of[item] for item in range(len(encoded))], encoded, rows, task)
    encoded_rows = len(np.unique(encoded.rows))
    if len(predictions) != encoded_rows:
        raise RuntimeError(
            f"{len(predictions)} predictions for {encoded_rows} rows: there must be exactly one for each"
        )
    return predictions
