"""When focal loss and class weights help: SST-2 with few positive rows, a new head on frozen layers, three seeds.

    python benchmarks/rare_labels.py $DATA/sst2
    python benchmarks/rare_labels.py $DATA/sst2 --model FOLDER --rows 4000 --seeds 5

Of the train rows of SST-2, phrases of at least eight words, 1 %, 5 % and 20 % positive rows are drawn, `--rows` to
learn from and as many to score, other ones for each seed; train rows that share four words in a row with a scored one
are left out. Each way to learn is one flag of `tlnlp run own_classification`. Prints a Markdown table: means over the
seeds, and the standard deviation of F1. Precision, recall and F1 are those of the positive label at a probability of
one half; average precision and the area under the ROC curve do not depend on where the line is drawn.
"""

from __future__ import annotations

import argparse
import gzip
import json
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import tlnlp

SHARES = (0.01, 0.05, 0.2)
WAYS: dict[str, dict[str, Any]] = {
    "cross entropy": {},
    "--class-weights balanced": {"class_weights": "balanced"},
    "--loss focal": {"loss": "focal"},
    "--loss focal --class-weights balanced": {"loss": "focal", "class_weights": "balanced"},
}
FEWEST_WORDS, SHARED_WORDS = 8, 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder with train.jsonl.gz of SST-2")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--rows", type=int, default=1_000, help="rows to learn from, and to score")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--strategy", default="head_only")
    asked = parser.parse_args()
    phrases = read_phrases(asked.data)
    print("| positive rows | | precision | recall | F1 | ± | average precision | ROC AUC |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        for share in SHARES:
            found: dict[str, list[dict[str, float]]] = {name: [] for name in WAYS}
            for seed in range(asked.seeds):
                rows = draw(phrases, share, asked.rows, seed)
                for name, flags in WAYS.items():
                    found[name].append(score(rows, flags, asked, seed, Path(folder)))
                    print(f"{share:.0%}, seed {seed}, {name}: {found[name][-1]}", file=sys.stderr, flush=True)
            for name, scores in found.items():
                print(line(share, asked.rows, name, scores), flush=True)


def read_phrases(data: Path) -> tuple[list[str], list[str]]:
    """Returns the distinct negative and positive phrases."""
    with gzip.open(data / "train.jsonl.gz", "rt", encoding="utf-8") as file:
        rows = [json.loads(each) for each in file]
    label_of = {row["sentence"].strip(): row["label"] for row in rows}
    long = sorted(text for text in label_of if len(text.split()) >= FEWEST_WORDS)
    return [text for text in long if not label_of[text]], [text for text in long if label_of[text]]


def draw(phrases: tuple[list[str], list[str]], share: float, rows: int, seed: int) -> dict[str, list[dict[str, str]]]:
    """Returns train and validation rows with this share of positive ones."""
    generator = np.random.default_rng(seed)
    counts = (rows - round(share * rows), round(share * rows))
    left = [generator.permutation(each).tolist() for each in phrases]
    dev = [texts[:count] for texts, count in zip(left, counts, strict=True)]
    seen = {part for texts in dev for text in texts for part in runs_of_words(text)}
    train = []
    for texts, count in zip(left, counts, strict=True):
        apart = (text for text in texts[count:] if seen.isdisjoint(runs_of_words(text)))
        train.append([text for text, _ in zip(apart, range(count), strict=False)])
        assert len(train[-1]) == count
    names = ("negative", "positive")
    return {
        split: [{"text": text, "label": name} for texts, name in zip(parts, names, strict=True) for text in texts]
        for split, parts in (("train", train), ("validation", dev))
    }


def runs_of_words(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[i : i + SHARED_WORDS]) for i in range(len(words) - SHARED_WORDS + 1)}


def score(
    rows: dict[str, list[dict[str, str]]], flags: dict[str, Any], asked: argparse.Namespace, seed: int, folder: Path
) -> dict[str, float]:
    """Returns the scores of one run. What the frozen layers answer is kept for the other ways to learn."""
    run = tlnlp.train(
        "own_classification", rows, model=asked.model, strategy=asked.strategy, epochs=asked.epochs, seed=seed,
        metrics=("f1", "average_precision", "roc_auc"), positive="positive", frozen_dir=folder / "frozen",
        output_dir=folder / "run", overwrite=True, no_report=True, quiet=True, **flags,
    )  # fmt: skip
    scores = run.result.label_scores
    assert scores is not None
    of_positive = scores["each"]["positive"]
    return {name: of_positive[name] for name in ("precision", "recall", "f1")} | {
        "average precision": run.metrics["average_precision of positive"], "ROC AUC": run.metrics["roc_auc"]
    }  # fmt: skip


def line(share: float, rows: int, name: str, scores: list[dict[str, float]]) -> str:
    mean = {each: statistics.fmean(score[each] for score in scores) for each in scores[0]}
    spread = statistics.stdev(score["f1"] for score in scores) if len(scores) > 1 else 0.0
    numbers = [mean["precision"], mean["recall"], mean["f1"], spread, mean["average precision"], mean["ROC AUC"]]
    cells = [f"{share:.0%} ({round(share * rows):,} of {rows:,})", name, *(f"{each:.3f}" for each in numbers)]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
