"""Memory of the flags for large decoders: peak of the process in two updates of a random Llama, on this machine's CPU.

    python benchmarks/memory.py                              # 12 layers of width 512: six minutes on one core
    python benchmarks/memory.py --layers 4 --rows 4 --bf16   # also in bf16, slow on processors without its instructions

Each arm is a run of recipes/sst2.py in a process of its own, with the same rows and the same token budget. The peak is
that of the resident memory up to the end of training, libraries (some 500 MiB) and the loading of the weights included.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
import transformers
from sst2_throughput import REPOSITORY

from tlnlp.data.samples import load_sample
from tlnlp.models.checkpoint import bundled_models

BF16 = ["--precision", "bf16"]
ARMS = {
    "full": [],
    "full, --gradient-checkpointing": ["--gradient-checkpointing"],
    "lora": ["--strategy", "lora"],
    "lora, --gradient-checkpointing": ["--strategy", "lora", "--gradient-checkpointing"],
    "lora, --load-in bf16": ["--strategy", "lora", "--load-in", "bf16", *BF16],
    "lora, --load-in bf16 --gradient-checkpointing": [
        *("--strategy", "lora", "--load-in", "bf16", "--gradient-checkpointing"),
        *BF16,
    ],
}


def main() -> None:
    asked = read_flags()
    folder = asked.work / f"{asked.layers} layers of {asked.width}, {asked.rows} rows of {asked.tokens}"
    weights = write_model(asked, folder / "model")
    write_data(asked, folder / "data")
    print(f"{weights / 1e6:.0f} million weights; {asked.rows} rows of {asked.tokens} tokens in a micro-batch")
    arms = [name for name in ARMS if asked.bf16 or "bf16" not in name]
    print("\n".join(table({name: run(asked, number, folder) for number, name in enumerate(arms, start=1)})))


def read_flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--rows", type=int, default=16, help="of an update, which is one micro-batch")
    parser.add_argument("--tokens", type=int, default=256)
    parser.add_argument("--bf16", action="store_true", help="the arms with --load-in bf16, too")
    parser.add_argument("--work", type=Path, default=REPOSITORY / "runs" / "benchmarks" / "memory", metavar="FOLDER")
    return parser.parse_args()


def write_model(asked: argparse.Namespace, folder: Path) -> int:
    """Writes a random Llama with the tokenizer of mini-gpt. Returns the number of its weights."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(bundled_models()["mini-gpt"])
    tokenizer.save_pretrained(folder)
    config = transformers.LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=asked.width, num_hidden_layers=asked.layers,
        num_attention_heads=asked.width // 64, intermediate_size=4 * asked.width, max_position_embeddings=1024,
    )  # fmt: skip
    torch.manual_seed(0)
    network = transformers.AutoModel.from_config(config)
    network.save_pretrained(folder)
    return network.num_parameters()


def write_data(asked: argparse.Namespace, folder: Path) -> None:
    """Writes rows that are longer than `--tokens`: reviews of the bundled sample, one after the other."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = load_sample("reviews")["text"].tolist()
    for split, rows in (("train", 2 * asked.rows), ("validation", 8)):
        lines = [
            {"sentence": " ".join(texts[row:] + texts[:row])[: 8 * asked.tokens], "label": row % 2}
            for row in range(rows)
        ]
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def run(asked: argparse.Namespace, number: int, folder: Path) -> dict[str, Any]:
    output = folder / str(number)
    if not (output / "result.json").exists():
        command = [
            sys.executable, str(REPOSITORY / "recipes" / "sst2.py"), *list(ARMS.values())[number - 1], "--quiet",
            "--model", str(folder / "model"), "--data", str(folder / "data"), "--epochs", "1", "--overwrite",
            "--batch-size", str(asked.rows), "--max-length", str(asked.tokens), "--max-tokens",
            str(asked.rows * asked.tokens), "--no-report", "--output-dir", str(output),
        ]  # fmt: skip
        subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    return json.loads((output / "result.json").read_text())


def table(results: dict[str, dict[str, Any]]) -> list[str]:
    lines = ["| arm | peak, MiB | seconds of training | loss |", "|---|---:|---:|---:|"]
    return lines + [
        f"| {name} | {each['peak_mib']:,.0f} | {each['seconds']['train']:.1f} | {each['history'][0]['loss']:.4f} |"
        for name, each in results.items()
    ]


if __name__ == "__main__":
    main()
