"""What a run was asked for: a recipe, its settings, the strategy that they name, and where all of it came from."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tlnlp.data.rows import Splits
from tlnlp.data.table import Table
from tlnlp.recipe import Recipe
from tlnlp.runs.folder import FROZEN
from tlnlp.settings import Settings
from tlnlp.transfer.parse_strategy import StrategyChoice, find_strategy


@dataclass(frozen=True)
class Request:
    """A run, or one for each seed, before anything but rows has been looked at.

    Args:
        strategy: what `settings.strategy` names, with its options.
        folder: where the run goes.
        command: the command line or the Python call that repeats it.
        began: when it was asked for, in seconds of `time.time()`; None: when it starts.
        tables: {split: table} of rows in memory, in place of `--data`.
        splits: the rows, where they have been read already.
    """

    recipe: Recipe
    settings: Settings
    strategy: StrategyChoice
    folder: Path
    command: str = ""
    began: float | None = None
    tables: Mapping[str, Table] | None = None
    splits: Splits | None = None

    @classmethod
    def of(cls, recipe: Recipe, settings: Settings, command: str = "", began: float | None = None) -> Request:
        """The request for a recipe with these settings.

        Raises:
            InputError: `--strategy` names none, or has options that it does not know.
        """
        folder = settings.output_dir or default_folder(recipe, settings)
        return cls(recipe, settings, find_strategy(settings.strategy), folder, command, began)

    def of_seed(self, seed: int) -> Request:
        """One of the runs of `--seeds`, in a folder of its own; cached activations are the same for all of them."""
        frozen = self.settings.frozen_dir or self.folder / FROZEN
        is_first = seed == 0
        return replace(
            self,
            settings=replace(self.settings, seed=seed, seeds=1, frozen_dir=frozen),
            folder=self.folder / f"seed{seed}",
            began=self.began if is_first else None,
            splits=self.splits if is_first else None,
        )


def this_command() -> str:
    """The command that started this process, as a person would type it."""
    return _command(sys.argv[1:])


def resume_command() -> str:
    """The command that resumes what this process was doing."""
    # What was to be overwritten is gone by now; what there is, is to be gone on with.
    return _command([*(flag for flag in sys.argv[1:] if flag not in ("--overwrite", "--resume")), "--resume"])


def _command(arguments: Sequence[str]) -> str:
    processes = os.environ.get("WORLD_SIZE", "1")
    start = ["python"]
    if "ACCELERATE_MIXED_PRECISION" in os.environ:  # what `accelerate launch` sets in any case
        start = ["accelerate", "launch", *(["--num_processes", processes] if processes != "1" else [])]
    elif processes != "1":
        start = ["torchrun", "--nproc_per_node", processes]
    program = Path(sys.argv[0])
    if program.name == "__main__.py":  # python -m tlnlp
        return shlex.join([*start, "-m", "tlnlp", *arguments])
    if program.name == "tlnlp":
        return shlex.join(["tlnlp", *arguments])
    return shlex.join([*start, program.as_posix(), *arguments])


def default_folder(recipe: Recipe, settings: Settings) -> Path:
    """runs/TASK/NAME, where the name says model, data, strategy and every flag that differs from the recipe's own."""
    changed = recipe.changed(settings)
    for known in ("model", "data", "strategy", "columns"):
        changed.pop(known, None)
    words = [Path(settings.model).name, Path(settings.data).name.split(".")[0], settings.strategy.replace(":", "-")]
    words += [f"{name}={value}" for name, value in changed.items()]
    return Path("runs") / recipe.task.name / "-".join(words)
