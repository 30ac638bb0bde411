"""Feature extraction on SST-2: frozen layers that run once, compared with our run without the cache and the Trainer.

    python benchmarks/frozen_layers.py                          # 6,400 rows, 10 epochs; half an hour on one core
    python benchmarks/frozen_layers.py --rows 640 --epochs 10   # a quick look

Only the head (pooler and classifier) of all-MiniLM-L6-v2 is trained, with batches of 32 and rows of at most 128 tokens.
Seconds are training time: they include the pass over all rows, but not tokenisation, start-up and evaluation. For each
seed the arms run one after the other, each in its own process; finished runs are not repeated.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from real_data import minilm
from sst2_throughput import REPOSITORY, write_data

TRAINER = [str(REPOSITORY / "benchmarks" / "trainer_arm.py"), "--frozen"]
OURS = [str(REPOSITORY / "recipes" / "sst2.py"), "--strategy", "head_only:factor=1", "--quiet", "--overwrite"]
ARMS = {
    "Trainer, run_glue (padded to 128)": TRAINER,
    "Trainer, tuned (dynamic padding, by length, bf16)": [*TRAINER, "--tuned"],
    "ours, layers run each time": [*OURS, "--recompute-frozen"],
    "ours": OURS,
}


def main() -> None:
    asked = read_flags()
    folder = asked.work / f"{asked.rows} rows, {asked.epochs} epochs"
    write_data(asked, folder / "data")
    runs: dict[str, list[dict[str, Any]]] = {}
    for seed in range(asked.seeds):
        for arm in asked.arms:
            name = list(ARMS)[arm - 1]
            runs.setdefault(name, []).append(run(asked, name, seed, folder))
    print("\n".join(table(runs)))


def read_flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=6400)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--arms", type=int, nargs="+", default=list(range(1, len(ARMS) + 1)), metavar="NUMBER")
    parser.add_argument("--model", default=minilm(), metavar="FOLDER")
    parser.add_argument("--data", type=Path, default=REPOSITORY.parent / "shared" / "data" / "sst2", metavar="FOLDER")
    parser.add_argument("--work", type=Path, default=REPOSITORY / "runs" / "benchmarks" / "frozen", metavar="FOLDER")
    return parser.parse_args()


def run(asked: argparse.Namespace, name: str, seed: int, folder: Path) -> dict[str, Any]:
    output = folder / f"{list(ARMS).index(name) + 1}-seed{seed}"
    result = output / "result.json"
    if not result.exists():
        command = [
            sys.executable, *ARMS[name], "--model", asked.model, "--data", str(folder / "data"), "--epochs",
            str(asked.epochs), "--batch-size", "32", "--learning-rate", "1e-3", "--max-length", "128", "--seed",
            str(seed), "--output-dir", str(output),
        ]  # fmt: skip
        subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.DEVNULL)
    return json.loads(result.read_text())


def table(runs: dict[str, list[dict[str, Any]]]) -> list[str]:
    lines = ["| arm | seconds of training | times as long as ours | dev accuracy |", "|---|---:|---:|---:|"]
    ours = [each["seconds"]["train"] for each in runs.get("ours", [])]
    for name, each in runs.items():
        seconds = [run["seconds"]["train"] for run in each]
        ratio = statistics.median(s / o for s, o in zip(seconds, ours, strict=True)) if ours else float("nan")
        accuracy = statistics.fmean(run["metrics"]["accuracy"] for run in each)
        lines.append(f"| {name} | {statistics.median(seconds):,.1f} | {ratio:.1f} | {accuracy:.4f} |")
    return lines


if __name__ == "__main__":
    main()
