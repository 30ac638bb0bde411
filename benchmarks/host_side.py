"""What the processor does for each update beside the network: plan, batches, bookkeeping. It bounds the rows per second
of a fast GPU, and must not grow with the number of rows.

    python benchmarks/host_side.py                       # 10,000, 1 million and 10 million rows, in a minute
    python benchmarks/host_side.py --rows 100000000      # 100 million: 15 GB of memory

The rows are random token ids with the lengths of texts of some 20 words. The first time is that of planning, building
batches and counting alone; on a GPU most of it is spent in a thread beside the one that trains. The second is that of
whole updates of a network with one number for each token: backward pass, clipping and optimizer included.
"""

from __future__ import annotations

import argparse
import itertools
import resource
import statistics
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tlnlp.heads import sentence
from tlnlp.heads.encoded import EncodedDataset, Ragged
from tlnlp.runs.trainer import TrainingLog
from tlnlp.settings import Settings
from tlnlp.task import Columns, Data, Task
from tlnlp.training.device_feed import DeviceFeed
from tlnlp.training.distributed import start_accelerator
from tlnlp.training.loop import TrainingState, collate, train
from tlnlp.training.plan import cut, padded_places, plan_updates
from tlnlp.transfer.phases import Phase

VOCABULARY, MEAN_TOKENS = 1_000, 26
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


def measure(count: int, batch_size: int, updates: int, rounds: int) -> dict[str, float]:
    """Returns seconds to the first update, rows per second with and without a network (medians of the rounds), and
    seconds to cut all rows for prediction."""
    encoded, accelerator, model = make_rows(count), start_accelerator("fp32"), OneNumber()
    torch.set_num_threads(1)
    optimizer = torch.optim.AdamW([{"params": [model.table.weight], "group": "head", "biases": False}], lr=0.0)
    training = TrainingState(
        task=Task(
            name="rows", data=Data(hub="none", sample="reviews"), columns=Columns(text="text", label="label"),
            head=sentence, labels=("no", "yes"), metrics=(),
        ),
        head=sentence, model=model, optimizer=optimizer, encoded=encoded, tokenizer=TOKENIZER,
        phases=[Phase("all", 1, {"head": 1e-3})], settings=Settings(batch_size=batch_size, micro_batches=1),
        accelerator=accelerator, begin_phase=lambda phase: None, feed=DeviceFeed(accelerator.device),
    )  # fmt: skip
    log, speeds, alone = TrainingLog(), [], []
    plan = plan_updates(
        encoded.lengths, 0, updates * rounds, seed=0, batch_size=batch_size, max_tokens=training.settings.max_tokens
    )
    for _ in range(rounds):
        began = time.perf_counter()
        for update in itertools.islice(plan, updates):
            collate(training, update)
            log.count(update, encoded, padded_places)
        alone.append(updates * batch_size / (time.perf_counter() - began))
    began = time.perf_counter()
    steps = train(training)
    next(steps)
    first = time.perf_counter() - began
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(updates):
            log.count(next(steps).update, encoded, padded_places)
        speeds.append(updates * batch_size / (time.perf_counter() - began))
    began = time.perf_counter()
    cut(np.arange(count), encoded.lengths, 4_096)
    cut_seconds = time.perf_counter() - began
    return {"first": first, "alone": statistics.median(alone), "speed": statistics.median(speeds), "cut": cut_seconds}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000, 1_000_000, 10_000_000], metavar="COUNT")
    parser.add_argument("--batch-size", type=int, default=32, metavar="ROWS")
    parser.add_argument("--updates", type=int, default=60, help="of a round; 60 unless given")
    parser.add_argument("--rounds", type=int, default=5, help="5 unless given")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print("| rows | plan and batches, rows/s | whole updates, rows/s | s to the first | s to cut all | peak GiB |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    for count in asked.rows:
        found = measure(count, asked.batch_size, asked.updates, asked.rounds)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        cells = [
            f"{count:,}", f"{found['alone']:,.0f}", f"{found['speed']:,.0f}",
            f"{found['first']:.2f}", f"{found['cut']:.2f}", f"{peak:.1f}",
        ]  # fmt: skip
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
