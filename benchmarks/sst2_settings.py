"""Settings for training `mini` on all rows of SST-2, compared on sentences held out of the train rows.

    python benchmarks/sst2_settings.py $DATA/sst2 --precision fp32      # two hours on one core

SST-2's train rows are phrases, many of which contain one another. The held-out rows are complete sentences, and every
phrase of three or more words that occurs in one of them is removed from the train rows. Finished runs are not repeated.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

from sst2_text import REPOSITORY, read_rows, whole_sentences

HELD_OUT = 2_000
SENTENCE_WORDS = 12  # a phrase of this length that is part of no other counts as a sentence
SHARED_WORDS = 3
SETTINGS = (
    "--strategy full --epochs 3 --learning-rate 1e-4",
    "--strategy full --epochs 3 --learning-rate 3e-4",
    "--strategy full --epochs 3 --learning-rate 8e-4",
    "--strategy full --epochs 1 --learning-rate 5e-4",
    "--strategy full --epochs 1 --learning-rate 5e-4 --new-head",
    "--strategy layer_decay --epochs 1 --learning-rate 1e-3",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder with train.jsonl.gz of SST-2")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--work", type=Path, default=REPOSITORY / "runs" / "benchmarks" / "sst2_settings")
    asked = parser.parse_args()
    cut = asked.work / "rows"
    train, held_out = cut_sentences(read_rows(asked.data))
    cut.mkdir(parents=True, exist_ok=True)
    for name, rows in (("train", train), ("validation", held_out)):
        (cut / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    print(f"{len(train):,} train rows, {len(held_out):,} held out\n\n| settings | accuracy |\n|---|---:|")
    for flags in SETTINGS:
        folder = asked.work / flags.replace("--", "").replace(" ", "_")
        if not (folder / "result.json").exists():
            command = [sys.executable, "recipes/sst2.py", "--data", str(cut), "--model", asked.model, *flags.split()]
            command += ["--precision", asked.precision, "--quiet", "--resume", "--output-dir", str(folder)]
            subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
        result = json.loads((folder / "result.json").read_text())
        print(f"| `{flags}` | {result['metrics']['accuracy']:.4f} |", flush=True)


def cut_sentences(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Returns the remaining train rows and the held-out rows."""
    whole = set(whole_sentences((row["sentence"] for row in rows), SENTENCE_WORDS))
    sentences = [row for row in rows if row["sentence"].strip() in whole]
    random.Random(0).shuffle(sentences)
    held_out = sentences[:HELD_OUT]
    kept_apart = "\n".join(f" {row['sentence'].strip()} " for row in held_out)
    sentence_texts = {row["sentence"].strip() for row in held_out}
    left = [
        row
        for row in rows
        if row["sentence"].strip() not in sentence_texts
        and (len(row["sentence"].split()) < SHARED_WORDS or f" {row['sentence'].strip()} " not in kept_apart)
    ]
    return left, held_out


if __name__ == "__main__":
    main()
