"""Prediction: every row exactly once, on any number of processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from tlnlp.data.rows import Rows
from tlnlp.heads.encoded import EncodedDataset
from tlnlp.task import Head, Prediction, Task
from tlnlp.training.device_feed import DeviceFeed, HostCopy, one_behind
from tlnlp.training.layer_cache import LayerCache, use_cache
from tlnlp.training.plan import cut, shard_micro_batches
from tlnlp.training.sharding import is_sharded, reshard

# Probabilities of all classes that are held at once: 200 MB.
MOST_VALUES = 50_000_000


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
    feed: DeviceFeed | None = None,
) -> list[Prediction]:
    """Returns one prediction for each row, in the rows' order; the same list on every process.

    The micro-batches do not depend on the number of processes, so neither do the predictions.

    Args:
        max_tokens: token budget of a micro-batch.
        advance: called with the number of items after each micro-batch, for a progress bar.
        frozen: cache of the frozen layers' outputs, if there is one.
        feed: brings the batches to the device; a plain one if unset.
    """
    feed = DeviceFeed.to(accelerator.device) if feed is None else feed
    micro_batches = cut(np.arange(len(encoded)), encoded.lengths, max_tokens, can_pad=encoded.can_pad)
    shares = shard_micro_batches(micro_batches, accelerator.process_index, accelerator.num_processes)
    mine = [(items, True) for _, items in shares if items is not None]
    if is_sharded(model):  # every process has a share of the weights: all must go through the network equally often
        mine += [(micro_batches[0], False)] * (len(shares) - len(mine))
    found: list[tuple[int, np.ndarray]] = []
    model.eval()
    if frozen is not None:
        frozen.keep(encoded)

    def batches() -> Iterator[tuple[np.ndarray, bool, dict[str, Any]]]:
        for items, is_mine in mine:
            # A fixed generator: every evaluation masks the same tokens, whatever the seed and the token budget.
            batch = task.head.collate(encoded, items, tokenizer, np.random.default_rng(0))
            yield items, is_mine, feed.stage(batch)

    def outputs() -> Iterator[tuple[np.ndarray, HostCopy]]:
        for items, is_mine, staged in feed.iterate(batches()):
            batch = feed.move(staged)
            with torch.no_grad(), accelerator.autocast(), use_cache(frozen, encoded, items, batch) as batch:
                copy = HostCopy(task.head.forward(model, batch).float())
            if is_mine:
                yield items, copy

    for items, copy in one_behind(outputs()):
        found.extend(zip(items.tolist(), copy.numpy(), strict=True))
        advance(len(items))
    reshard(model)
    return _decode(gather_object(found) if accelerator.num_processes > 1 else found, encoded, rows, task)


def with_all_classes(task: Task, encoded: EncodedDataset, rows: Rows) -> Task:
    """Returns the task for `predict`, with the probabilities of all classes also where the head reports the best one
    (tags: `Prediction.distribution`), unless they would take too much memory."""
    values = int(encoded.lengths.sum()) * len(rows.labels or ())
    if not hasattr(task.head, "forward_all") or values > MOST_VALUES:
        return task
    return replace(task, head=cast(Head, _AllClasses(task.head)))


class _AllClasses:
    """A head with the outputs of its `forward_all`."""

    def __init__(self, head: Any) -> None:
        self._head, self.forward = head, head.forward_all

    def __getattr__(self, name: str) -> Any:
        return getattr(self._head, name)


def _decode(
    everywhere: list[tuple[int, np.ndarray]], encoded: EncodedDataset, rows: Rows, task: Task
) -> list[Prediction]:
    """Returns the predictions from the outputs of all processes, after counting both."""
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
