"""The text of SST-2's train rows, for continued pre-training (Gururangan et al. 2020, section 4): each sentence once.

    python benchmarks/sst2_text.py ../shared/data/sst2 runs/sst2_text
    python recipes/pretrain.py --data runs/sst2_text --model mini --strategy full --epochs 8 --output-dir runs/text
    python recipes/sst2.py --data ../shared/data/sst2 --model runs/text/model --epochs 1 --learning-rate 5e-4

Train rows are phrases, many of them parts of one another: what is part of another is left out. Labels are not read.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
from pathlib import Path

FEWEST_WORDS = 5
HELD_OUT = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder with train.jsonl.gz of SST-2")
    parser.add_argument("output", type=Path)
    asked = parser.parse_args()
    with gzip.open(asked.data / "train.jsonl.gz", "rt", encoding="utf-8") as file:
        texts = sorted({json.loads(line)["sentence"].strip() for line in file})
    everything = "\n".join(texts)
    sentences = [text for text in texts if len(text.split()) >= FEWEST_WORDS and everything.count(text) == 1]
    random.Random(0).shuffle(sentences)
    asked.output.mkdir(parents=True, exist_ok=True)
    for name, lines in (("train", sentences[HELD_OUT:]), ("validation", sentences[:HELD_OUT])):
        (asked.output / f"{name}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"{len(sentences):,} sentences, {sum(len(each.split()) for each in sentences):,} words")


if __name__ == "__main__":
    main()
