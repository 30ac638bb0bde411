"""Make a checkpoint small enough to ship: python -m tlnlp.bundle RUN FOLDER, from a run's output to a bundled model."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from safetensors.torch import load_file, save_file

from tlnlp.data.vocabulary import SOURCE_FILE
from tlnlp.training.folder import MODEL, RESULT

KEPT_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", SOURCE_FILE)


def bundle(run: Path, folder: Path) -> None:
    """Copies the model of `run` to `folder`, its weights rounded to fp16. The configuration goes on saying float32, so
    that whoever loads it computes in full precision."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = load_file(run / MODEL / "model.safetensors")
    save_file(
        {name: tensor.half() for name, tensor in weights.items()},
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    for name in KEPT_FILES:
        shutil.copy(run / MODEL / name, folder / name)
    (folder / "README.md").write_text(_card(json.loads((run / RESULT).read_text()), folder.name), encoding="utf-8")


def _card(result: dict, name: str) -> str:
    settings, seconds = result["settings"], result["seconds"]
    tokens = result["tokens_per_second"] * seconds["train"]
    return f"""# {name}

A small English masked-word encoder, made by this project's own `recipes/pretrain.py`, to show what transfer is where
there is no network. Lower case, 4 ModernBERT layers of width 256, {result["parameters"]["total"]:,} weights in fp16.

| | |
|---|---|
| text | English Wikipedia (CC BY-SA), public-domain novels and poems, US addresses of state: {result["rows"]["train"]:,} lines |
| licence | CC BY-SA 4.0, after the text |
| tokens seen | {tokens:,.0f} in {result["updates"]:,} updates of {settings["batch_size"]} sequences of {settings["max_length"]} |
| perplexity of the hidden words on {result["rows"]["dev"]:,} other lines | {result["metrics"]["perplexity"]:.1f} |
| peak learning rate, masked share, precision | {settings["learning_rate"]:g}, {settings["mask_fraction"]:g}, {settings["precision"]} |
| made by | `python recipes/pretrain.py --data en.txt.xz --learning-rate {settings["learning_rate"]:g} --precision \
{settings["precision"]}`, then `python -m tlnlp.bundle` |

It knows common words and set phrases; it knows few facts. It is no substitute for a checkpoint of a hundred million
weights: use `--model bert-base-uncased` or better for work that counts.
"""


if __name__ == "__main__":
    bundle(Path(sys.argv[1]), Path(sys.argv[2]))
