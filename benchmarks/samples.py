"""Gain from transfer on the bundled samples: each recipe with its defaults, and the same network from scratch.

    python benchmarks/samples.py                # all recipes that start from a bundled checkpoint; half an hour
    python benchmarks/samples.py cola rte       # some; finished runs are not repeated

Prints a table, and stores it in recipes/results/samples.json for recipes/README.md.
"""

from __future__ import annotations

import argparse
import json
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

from tlnlp.models.checkpoint import bundled_models

REPOSITORY = Path(__file__).resolve().parent.parent
KEPT = REPOSITORY / "recipes" / "results" / "samples.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=REPOSITORY / "runs" / "samples", metavar="FOLDER")
    asked = parser.parse_args()
    found = json.loads(KEPT.read_text()) if KEPT.exists() else {}
    for name in asked.recipes or starting_from_bundled():
        results = {strategy: run(name, strategy, asked.seeds, asked.runs) for strategy in ("full", "from_scratch")}
        metric = next(iter(results["full"]["metrics"]))
        found[name] = {
            "metric": metric,
            "rows": results["full"]["rows"],
            "seeds": asked.seeds,
            "majority": results["full"]["majority"].get(metric),
            **{
                strategy: {"mean": result["metrics"][metric], "std": result["spread"][metric]["std"]}
                for strategy, result in results.items()
            },
        }
        KEPT.write_text(json.dumps(dict(sorted(found.items())), indent=1) + "\n")
    print("\n".join(table(found)))


def starting_from_bundled() -> list[str]:
    """Returns the recipes of tasks with labels whose default checkpoint is a bundled one."""
    recipes = {path.stem: runpy.run_path(str(path))["recipe"] for path in sorted((REPOSITORY / "recipes").glob("*.py"))}
    return [
        name
        for name, recipe in recipes.items()
        if recipe.settings().model in bundled_models() and not recipe.task.head.__name__.endswith("_lm")
    ]


def run(name: str, strategy: str, seeds: int, folder: Path) -> dict[str, Any]:
    """Returns the joined result of `seeds` runs of a recipe on its sample."""
    output = folder / name / strategy
    command = [
        sys.executable, f"recipes/{name}.py", "--strategy", strategy, "--seeds", str(seeds),
        "--output-dir", str(output), "--quiet", "--resume",
    ]  # fmt: skip
    subprocess.run(command, cwd=REPOSITORY, check=True)
    return json.loads((output / "result.json").read_text())


def table(found: dict[str, Any]) -> list[str]:
    lines = [
        "| recipe | rows | metric | majority baseline | from scratch | pre-trained |",
        "|---|---|---|---:|---:|---:|",
    ]
    for name, each in found.items():
        majority_baseline = "" if each["majority"] is None else f"{each['majority']:.3f}"
        scores = [f"{each[s]['mean']:.3f} ± {each[s]['std']:.3f}" for s in ("from_scratch", "full")]
        rows = f"{each['rows']['train']:,} / {each['rows']['dev']:,}"
        lines.append(f"| {name} | {rows} | {each['metric']} | {majority_baseline} | {' | '.join(scores)} |")
    return lines


if __name__ == "__main__":
    main()
