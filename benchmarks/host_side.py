"""What the processor does for each update beside the network: plan, batches, bookkeeping. It bounds the rows per second
of a fast GPU, and must not grow with the number of rows.

    python benchmarks/host_side.py                       # 10,000, 1 million and 10 million rows, in a minute
    python benchmarks/host_side.py --rows 100000000      # 100 million: 19 GB of memory
    PYTHONPATH=EARLIER python benchmarks/host_side.py --plan-only    # of another checkout of this repository

The rows are random token ids with the lengths of texts of some 20 words. The first speed is that of planning, building
batches and counting alone; on a GPU most of it is spent in a thread beside the one that trains. The second is that of
whole updates of a network with one number for each token: backward pass, clipping and optimizer included.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import statistics
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from tlnlp.heads import sentence
from tlnlp.heads.encoded import EncodedDataset, Ragged
from tlnlp.training.plan import cut, padded_places, plan_updates

VOCABULARY, MEAN_TOKENS, MAX_TOKENS = 1_000, 26, 4_096
TOKENIZER = SimpleNamespace(pad_token_id=0)


class OneNumber(torch.nn.Module):
    """Two logits for each row, from the sum of its tokens' numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.nn.Embedding(VOCABULARY, 1)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **others: Any) -> Any:
        """Returns an object with `logits`: [rows, 2]."""
        total = (self.table(input_ids)[..., 0] * attention_mask).sum(1, keepdim=True)
        return SimpleNamespace(logits=torch.cat([total, -total], dim=1))


def make_rows(count: int) -> EncodedDataset:
    """Returns random rows: lengths are Poisson-distributed, at least 3 tokens."""
    draw = np.random.default_rng(0)
    lengths = np.maximum(3, draw.poisson(MEAN_TOKENS, count))
    offsets = np.concatenate([[0], lengths.cumsum()])
    ids = Ragged(draw.integers(1, VOCABULARY, offsets[-1], dtype=np.int32), offsets)
    labels = draw.integers(0, 2, count)
    return EncodedDataset({"input_ids": ids}, rows=np.arange(count), counts=np.ones(count), targets=labels)


def measure_plan(encoded: EncodedDataset, asked: argparse.Namespace) -> tuple[float, float, float]:
    """Returns seconds to the first planned update, rows per second (the median of the rounds), and seconds to cut all
    rows for prediction."""
    began = time.perf_counter()
    updates = asked.updates * asked.rounds + 1
    plan = plan_updates(encoded.lengths, 0, updates, seed=0, batch_size=asked.batch_size, max_tokens=MAX_TOKENS)
    next(plan)
    first, speeds = time.perf_counter() - began, []
    for _ in range(asked.rounds):
        began, rows = time.perf_counter(), 0
        for update in itertools.islice(plan, asked.updates):
            for items in update.micro_batches:
                sentence.collate(encoded, items, TOKENIZER, np.random.default_rng([0, update.number]))
                lengths = encoded.sequence_lengths(items)
                rows += len(items)
                int(lengths.sum()), padded_places(lengths)
        if rows:
            speeds.append(rows / (time.perf_counter() - began))
    began = time.perf_counter()
    cut(np.arange(len(encoded)), encoded.lengths, MAX_TOKENS)
    return first, statistics.median(speeds), time.perf_counter() - began


def measure_updates(encoded: EncodedDataset, asked: argparse.Namespace) -> float:
    """Returns rows per second of whole updates, the median of the rounds."""
    # Earlier versions, whose plan can be measured, lack some of these.
    from tlnlp.runs.training_log import TrainingLog  # noqa: PLC0415
    from tlnlp.settings import Settings  # noqa: PLC0415
    from tlnlp.task import Columns, Data, Task  # noqa: PLC0415
    from tlnlp.training.device_feed import DeviceFeed  # noqa: PLC0415
    from tlnlp.training.distributed import start_accelerator  # noqa: PLC0415
    from tlnlp.training.loop import TrainingState, train  # noqa: PLC0415
    from tlnlp.transfer.phases import Phase  # noqa: PLC0415

    accelerator, model = start_accelerator("fp32"), OneNumber()
    torch.set_num_threads(1)
    optimizer = torch.optim.AdamW([{"params": [model.table.weight], "group": "head", "biases": False}], lr=0.0)
    training = TrainingState(
        task=Task(
            name="rows", data=Data(hub="none", sample="reviews"), columns=Columns(text="text", label="label"),
            head=sentence, labels=("no", "yes"), metrics=(),
        ),
        head=sentence, model=model, optimizer=optimizer, encoded=encoded, tokenizer=TOKENIZER,
        phases=[Phase("all", 1, {"head": 1e-3})], settings=Settings(batch_size=asked.batch_size, micro_batches=1),
        accelerator=accelerator, begin_phase=lambda phase: None, feed=DeviceFeed(accelerator.device),
    )  # fmt: skip
    log, speeds, steps = TrainingLog(), [], train(training)
    next(steps)
    for _ in range(asked.rounds):
        began, rows = time.perf_counter(), log.rows_seen
        for step in itertools.islice(steps, asked.updates):
            log.count(step.update, encoded, padded_places)
        if log.rows_seen > rows:
            speeds.append((log.rows_seen - rows) / (time.perf_counter() - began))
    return statistics.median(speeds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000, 10_000_000], metavar="COUNT")
    parser.add_argument("--batch-size", type=int, default=32, metavar="ROWS")
    parser.add_argument("--updates", type=int, default=60, help="of a round; 60 unless given")
    parser.add_argument("--rounds", type=int, default=5, help="5 unless given")
    parser.add_argument("--plan-only", action="store_true", help="no whole updates, which earlier versions do not have")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print("| rows | plan and batches, rows/s | s to the first | s to cut all | whole updates, rows/s | peak GiB |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for count in asked.rows:
        encoded = make_rows(count)
        first, alone, cut_seconds = measure_plan(encoded, asked)
        whole = "-" if asked.plan_only else f"{measure_updates(encoded, asked):,.0f}"
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        cells = [f"{count:,}", f"{alone:,.0f}", f"{first:.2f}", f"{cut_seconds:.2f}", whole, f"{peak:.1f}"]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
