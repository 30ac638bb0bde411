"""Rows per second of `tlnlp predict` beside `transformers.pipeline(batch_size=32)`: the same network, rows and threads.

    python benchmarks/predict_throughput.py                       # both networks, labels and tags
    python benchmarks/predict_throughput.py --rows 500 --rounds 1 # quick
    python benchmarks/predict_throughput.py --memory 100000 1000000  # peak memory and seconds of long files instead

The networks have the sizes of the bundled `mini` and of all-MiniLM-L6-v2 (6 layers of 384), with random weights. Rows
are sentences of the bundled sample, drawn with replacement and joined, a third each of one, two and five, since the
lengths of texts vary. Both sides get texts in memory and return labels with their scores, after they have warmed up;
they take turns, and the median counts. The time is that of the processor (all threads), which other processes do not
change. Our side is what `tlnlp predict` and `tlnlp.load(...).predict` call. --memory writes files of so many rows and
runs the command on them, in processes of their own, with a network of one small layer.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
import tyro

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tlnlp.display.quiet import quiet_libraries  # noqa: E402
from tlnlp.inference.predictor import Predictor  # noqa: E402
from tlnlp.models.task_file import write_task  # noqa: E402
from tlnlp.recipe import load_recipe  # noqa: E402
from tlnlp.settings import Settings  # noqa: E402

BUNDLED = ROOT / "tlnlp" / "bundled"
TAGS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC")
# Sizes of all-MiniLM-L6-v2.
MINILM = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
ONE_LAYER = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64}


@dataclass
class ThroughputArguments:
    """The command's flags.

    Args:
        rows: rows of each measurement.
        rounds: how often each side runs; the median counts.
        batch_size: of the pipeline.
        threads: of torch; its own choice if unset.
        memory: numbers of rows whose peak memory is measured instead.
        forms: of the files that --memory writes.
        stand_in: with --memory, every row gets the same answer without the network, which would take hours: what is
            measured is reading, checking and writing.
    """

    rows: int = 2_000
    rounds: int = 3
    batch_size: int = 32
    threads: int | None = None
    memory: tuple[int, ...] = ()
    forms: tuple[str, ...] = ("csv", "jsonl")
    stand_in: bool = False


def sentences() -> list[str]:
    lines = (BUNDLED / "samples" / "reviews" / "train.jsonl").read_text().splitlines()
    return [json.loads(line)["text"] for line in lines]


def draw_texts(rows: int, seed: int = 0) -> list[str]:
    """Returns texts of one, two and five sentences."""
    given, draws = sentences(), np.random.default_rng(seed)
    return [" ".join(given[i] for i in draws.integers(0, len(given), draws.choice([1, 2, 5]))) for _ in range(rows)]


def build(folder: Path, size: str, kind: str) -> Path:
    """Saves a network of a size with a new head, as a run does."""
    config = transformers.AutoConfig.from_pretrained(BUNDLED / "mini")
    tokenizer = transformers.AutoTokenizer.from_pretrained(BUNDLED / "mini", add_prefix_space=kind == "tags")
    if size != "mini":
        of_size = MINILM if size == "MiniLM" else ONE_LAYER
        config = transformers.BertConfig(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, **of_size)
    recipe = load_recipe("conll2003" if kind == "tags" else "sst2")
    labels = TAGS if kind == "tags" else ("negative", "positive")
    config.id2label, config.label2id = dict(enumerate(labels)), {name: i for i, name in enumerate(labels)}
    torch.manual_seed(0)
    auto = transformers.AutoModelForTokenClassification if kind == "tags" else None
    auto = auto or transformers.AutoModelForSequenceClassification
    auto.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    write_task(folder, recipe.task, labels, Settings(model=str(folder), max_length=256), None, temperature=1.1)
    return folder


def ours(folder: Path, texts: list[str], kind: str) -> Callable[[], Any]:
    predictor = Predictor(folder)
    rows: list[Any] = [text.split() for text in texts] if kind == "tags" else texts
    return lambda: predictor.predict(rows)


def theirs(folder: Path, texts: list[str], kind: str, batch_size: int) -> Callable[[], Any]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, model_max_length=256)
    name = "token-classification" if kind == "tags" else "text-classification"
    more = {} if kind == "tags" else {"truncation": True, "top_k": None}
    pipeline = transformers.pipeline(name, model=str(folder), tokenizer=tokenizer, device="cpu", **more)
    return lambda: pipeline(texts, batch_size=batch_size)


def seconds_of(act: Callable[[], Any]) -> float:
    """Returns seconds of a processor."""
    began = time.process_time()
    act()
    return time.process_time() - began


def measure(size: str, kind: str, asked: ThroughputArguments) -> tuple[float, float]:
    """Returns the rows per second of both sides, ours first."""
    texts = draw_texts(asked.rows)
    with tempfile.TemporaryDirectory() as place:
        folder = build(Path(place) / "model", size, kind)
        warm = texts[:64]
        for each in (ours(folder, warm, kind), theirs(folder, warm, kind, asked.batch_size)):
            each()
        sides = ours(folder, texts, kind), theirs(folder, texts, kind, asked.batch_size)
        taken = [[seconds_of(side) for side in sides] for _ in range(asked.rounds)]
    return tuple(asked.rows / statistics.median(each) for each in zip(*taken, strict=True))  # type: ignore[return-value]


STAND_IN = """
import sys
from tlnlp.cli import main
from tlnlp.inference.predictor import Predictor
from tlnlp.task import Prediction
def same(self, part, *rest):
    return [Prediction("positive", 0.75, {"negative": 0.25, "positive": 0.75}, 0.7) for _ in range(len(part.rows))]
Predictor.predict_part = same
sys.exit(main(sys.argv[1:]))
"""


def measure_memory(rows: int, folder: Path, form: str, stand_in: bool) -> tuple[float, float]:
    """Returns seconds of a processor and peak MiB of `tlnlp predict` on a file of so many rows."""
    texts = draw_texts(min(rows, 10_000))
    given = folder / f"rows.{form}"
    with given.open("w", encoding="utf-8") as file:
        if form == "csv":
            file.write("id,sentence\n")
        for number in range(rows):
            text = f"{texts[number % len(texts)]} {number}"
            quoted = text.replace('"', '""')
            file.write(
                json.dumps({"id": number, "sentence": text}) + "\n" if form == "jsonl" else f'{number},"{quoted}"\n'
            )
    program = ["-c", STAND_IN] if stand_in else ["-m", "tlnlp"]
    command = [sys.executable, *program, "predict", str(folder / "model"), str(given)]
    environment = {**os.environ, "TLNLP_CACHE": str(folder / "cache"), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([*command, "--output", str(folder / "answers.csv")], env=environment)
    _, status, used = os.wait4(process.pid, 0)
    taken = used.ru_utime + used.ru_stime
    with (folder / "answers.csv").open(encoding="utf-8") as file:
        assert status == 0 and sum(1 for _ in file) == rows + 1
    return taken, used.ru_maxrss / 1024


def main() -> None:
    asked = tyro.cli(ThroughputArguments, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,))
    quiet_libraries()
    transformers.utils.logging.disable_progress_bar()
    if asked.threads is not None:
        torch.set_num_threads(asked.threads)
    if asked.memory:
        print("| rows | file | seconds of a processor | peak MiB |\n|---|---|---|---|")
        with tempfile.TemporaryDirectory() as place:
            build(Path(place) / "model", "one layer", "labels")
            for rows in asked.memory:
                for form in asked.forms:
                    taken, peak = measure_memory(rows, Path(place), form, asked.stand_in)
                    print(f"| {rows:,} | {form} | {taken:,.0f} | {peak:,.0f} |", flush=True)
        return
    print(f"{asked.rows:,} rows, {torch.get_num_threads()} threads, median of {asked.rounds}")
    print("rows per second of a processor\n")
    print(f"| network | task | pipeline(batch_size={asked.batch_size}) | tlnlp | ratio |\n|---|---|---|---|---|")
    for size in ("mini", "MiniLM"):
        for kind in ("labels", "tags"):
            own, other = measure(size, kind, asked)
            print(f"| {size} | {kind} | {other:,.0f} | {own:,.0f} | {own / other:.2f} |", flush=True)


if __name__ == "__main__":
    main()
