"""How much of a run is padding, for networks that run padded, by token budget.

    python benchmarks/padding.py                       # the bundled reviews
    python benchmarks/padding.py --data $DATA/sst2     # a folder with the published rows

Prints, for updates of 32 rows, the share of positions that are padding. The budget changes neither gradients nor
predictions, only how an update is cut: a smaller one puts rows of similar length together.
"""

from __future__ import annotations

import runpy
import sys
from dataclasses import dataclass
from pathlib import Path

import tyro

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tlnlp.models.checkpoint import find_checkpoint  # noqa: E402
from tlnlp.models.loading import load_tokenizer  # noqa: E402
from tlnlp.recipe import Recipe  # noqa: E402
from tlnlp.runs.request import Request  # noqa: E402
from tlnlp.training.plan import padded_places, plan_epoch  # noqa: E402

BUDGETS = (4096, 1024, 512, 256)


@dataclass
class PaddingArguments:
    """The command's flags.

    Args:
        data: where the rows are, as for the recipe.
        recipe: its name.
        model: whose tokenizer cuts the rows.
        batch_size: rows of an update.
    """

    data: str = "sample"
    recipe: str = "sst2"
    model: str = "mini"
    batch_size: int = 32


def main() -> int:
    """Runs the command. Returns its exit status."""
    arguments = tyro.cli(PaddingArguments, description=__doc__)
    recipe: Recipe = runpy.run_path(str(ROOT / "recipes" / f"{arguments.recipe}.py"))["recipe"]
    settings = recipe.settings(data=arguments.data, model=arguments.model)
    splits = Request.of(recipe, settings).read_rows()
    tokenizer = load_tokenizer(find_checkpoint(arguments.model), arguments.model)
    lengths = recipe.task.head.encode(splits.train, recipe.task, tokenizer, settings).lengths
    print("| `--max-tokens` | micro-batches an update | padding |\n|---|---|---|")
    for budget in BUDGETS:
        updates = list(plan_epoch(lengths, 0, seed=0, batch_size=arguments.batch_size, max_tokens=budget))
        batches = [items for update in updates for items in update.micro_batches]
        places = sum(padded_places(lengths[items]) for items in batches)
        print(f"| {budget:,} | {len(batches) / len(updates):.1f} | {1 - lengths.sum() / places:.0%} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
