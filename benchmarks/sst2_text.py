"""All rows of SST-2 with `mini` and from scratch, each also after continued pre-training on the text of the rows.

    python benchmarks/sst2_text.py $DATA/sst2 --precision fp32         # two hours on one core
    python benchmarks/sst2_text.py $DATA/sst2 --arms mini mini-text

The text consists of the sentences of the train rows, each once (continued pre-training on the task's text: Gururangan
et al. 2020, section 4); labels and dev rows are not used. There is one pre-training run and three seeds of fine-tuning
with the settings from sst2_settings.py. Finished runs are not repeated. The commands are printed below the table.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import shlex
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
ARMS = ("mini", "mini-text", "scratch", "scratch-text")
SENTENCE_WORDS = 5
HELD_OUT = 200
PRETRAIN = "--epochs 8"
FINE_TUNE = "--epochs 1 --learning-rate 5e-4 --seeds 3"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder with train.jsonl.gz of SST-2")
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS, metavar="ARM")
    parser.add_argument("--precision", default="bf16", help="fp32 is faster without bf16 arithmetic")
    parser.add_argument("--work", type=Path, default=REPOSITORY / "runs" / "benchmarks" / "sst2_text")
    asked = parser.parse_args()
    sentences = whole_sentences((row["sentence"] for row in read_rows(asked.data)), SENTENCE_WORDS)
    words = sum(len(each.split()) for each in sentences)
    write_text(sentences, asked.work / "text")
    print(f"{len(sentences):,} sentences, {words:,} words\n\n| | accuracy | std | seeds |\n|---|---:|---:|---|")
    commands: list[str] = []
    for arm in asked.arms:
        result = run(arm, asked, commands)
        spread = result["spread"]["accuracy"]
        between = f"{spread['min']:.3f} to {spread['max']:.3f}"
        print(f"| {arm} | {result['metrics']['accuracy']:.3f} | {spread['std']:.3f} | {between} |", flush=True)
    print("\n" + "\n".join(f"    {each}" for each in commands))


def run(arm: str, asked: argparse.Namespace, commands: list[str]) -> dict[str, Any]:
    """Returns the result of the fine-tuned arm, and appends its commands to `commands`."""
    model, strategy = "mini", "full" if arm.startswith("mini") else "from_scratch"
    precision = ["--precision", asked.precision]
    if arm.endswith("-text"):
        text = ["--data", str(asked.work / "text"), "--model", model, "--strategy", strategy, *PRETRAIN.split()]
        folder = asked.work / f"{arm}-pretrain"
        finish("pretrain", [*text, *precision], folder, commands)
        model, strategy = str(folder / "model"), "full"
    rows = ["--data", str(asked.data), "--model", model, "--strategy", strategy, *FINE_TUNE.split()]
    return finish("sst2", [*rows, *precision], asked.work / arm, commands)


def finish(recipe: str, flags: list[str], folder: Path, commands: list[str]) -> dict[str, Any]:
    """Returns the result of a run, and executes it if necessary."""
    command = [f"recipes/{recipe}.py", *flags, "--output-dir", str(folder)]
    commands.append(shlex.join(["python", *command]).replace(f"{REPOSITORY}/", ""))
    if not (folder / "result.json").exists():
        again = [sys.executable, *command, "--quiet", "--resume"]
        subprocess.run(again, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def read_rows(data: Path) -> list[dict[str, Any]]:
    """Reads SST-2's train rows."""
    with gzip.open(data / "train.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def whole_sentences(texts: Iterable[str], fewest_words: int) -> list[str]:
    """Returns the texts that are part of no other, without duplicates, sorted: SST-2's train rows are phrases."""
    phrases = sorted({text.strip() for text in texts})
    everything = "\n".join(phrases)
    return [text for text in phrases if len(text.split()) >= fewest_words and everything.count(text) == 1]


def write_text(sentences: list[str], folder: Path) -> None:
    """Writes train.txt and validation.txt, one sentence per line."""
    shuffled = list(sentences)
    random.Random(0).shuffle(shuffled)
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in (("train", shuffled[HELD_OUT:]), ("validation", shuffled[:HELD_OUT])):
        (folder / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
