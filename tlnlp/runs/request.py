"""A request for a run: a recipe, its settings, the strategy, the output folder and the command."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tlnlp.data import Splits, load_splits
from tlnlp.data.table import Table
from tlnlp.recipe import Recipe
from tlnlp.runs.folder import FROZEN, stored_micro_batches
from tlnlp.settings import Settings
from tlnlp.training.launchers import launch_command
from tlnlp.transfer.parse_strategy import StrategyChoice, find_strategy


@dataclass(frozen=True)
class Request:
    """A run, or one for each seed, before anything but the rows has been read.

    Args:
        strategy: the strategy in `settings.strategy`, with its options.
        folder: the output folder.
        command: the command line or the Python call that repeats the run.
        began: when it was requested, in seconds of `time.time()`; if None, the time when it starts.
        tables: {split: table} of rows in memory, used instead of `--data`.
        splits: the rows, if they have already been read.
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
        """Returns the request for a recipe with these settings.

        Raises:
            InputError: `--strategy` is unknown, or has unknown options.
        """
        folder = settings.output_dir or recipe.default_folder(settings)
        return cls(recipe, settings, find_strategy(settings.strategy), folder, command, began)

    def read_rows(self) -> Splits:
        """Returns the rows: those that have already been read, or those of `tables` or `--data`.

        Raises:
            InputError: the rows cannot be used.
        """
        return self.splits or load_splits(self.recipe.task, self.settings, self.tables)

    def with_labels(self, splits: Splits) -> Request:
        """Returns the same request, with the several labels that were found in the rows."""
        return replace(self, recipe=replace(self.recipe, task=self.recipe.task.with_several(splits.several)))

    def with_micro_batches(self, processes: int) -> Request:
        """Returns the same request with a number of `--micro-batches`: the one asked for, or that of the run in the
        folder, or the number of processes. A run that goes on with fewer or more of these keeps its number, and thereby
        its result."""
        if self.settings.micro_batches is not None:
            return self
        stored = None if self.settings.overwrite else stored_micro_batches(self.folder)
        return replace(self, settings=replace(self.settings, micro_batches=stored or processes))

    def with_positive(self, label: str | None) -> Request:
        """Returns the same request with a positive label."""
        return replace(self, settings=replace(self.settings, positive=label))

    def of_seed(self, seed: int) -> Request:
        """Returns the request for one of `--seeds`, in a subfolder; cached activations are shared by all seeds."""
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
    """Returns the command that started this process, as typed in a shell."""
    return _command(sys.argv[1:])


def resume_command() -> str:
    """Returns the command that resumes the run of this process."""
    # --overwrite has already taken effect; the new run must not be deleted.
    return _command([*(flag for flag in sys.argv[1:] if flag not in ("--overwrite", "--resume")), "--resume"])


def _command(arguments: Sequence[str]) -> str:
    start = launch_command(os.environ)
    program = Path(sys.argv[0])
    if program.name == "__main__.py":  # python -m tlnlp
        return shlex.join([*start, "-m", "tlnlp", *arguments])
    if program.name == "tlnlp":
        return shlex.join(["tlnlp", *arguments])
    return shlex.join([*start, program.as_posix(), *arguments])
