"""The whole program on one screen: load, find the model, open the folder, prepare, learn, report."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
from accelerate import Accelerator

from tlnlp.data import load_splits
from tlnlp.data.rows import Splits
from tlnlp.data.table import Table
from tlnlp.display.console import RunConsole
from tlnlp.display.quiet import quiet_libraries
from tlnlp.errors import InputError, Interrupted, say_error
from tlnlp.evaluation.scoring import check_metrics, try_metrics
from tlnlp.models.hub import check_can_push, push
from tlnlp.models.validation import find_source, follow_labels
from tlnlp.recipe import Recipe
from tlnlp.reporting.page import save_page
from tlnlp.runs import folder as folders
from tlnlp.runs import result as report
from tlnlp.runs.feature_trainer import FeatureTrainer
from tlnlp.runs.languages import answer_languages, describe_languages
from tlnlp.runs.setup import prepare
from tlnlp.runs.trainer import Trainer
from tlnlp.settings import Settings
from tlnlp.training import files
from tlnlp.training.distributed import launch_advice, run_on_main, start_accelerator
from tlnlp.transfer.parse_strategy import find_strategy
from tlnlp.transfer.strategy_table import strategy_table


def run_command(recipe: Recipe, settings: Settings, splits: Splits | None = None) -> int:
    """Runs, and says how it went: the exit status of the process.

    Args:
        splits: the rows of the first seed, where they are read already.
    """
    quiet_libraries()
    folder = settings.output_dir or default_folder(recipe, settings)
    try:
        accelerator = start_accelerator(settings, folder / "tracker")
        screen = RunConsole(speaks=accelerator.is_main_process, quiet=settings.quiet)
        for advice in launch_advice(accelerator):
            screen.note(advice)
        if settings.push_to is not None:
            run_on_main(accelerator, lambda: check_can_push(str(settings.push_to)))
        result = run_seeds(recipe, settings, folder, accelerator, screen, splits=splits)
        if accelerator.is_main_process and not settings.no_report:
            save_page([folder], folder / folders.REPORT)
            screen.note(f"report: {folder / folders.REPORT}")
        if settings.push_to is not None and accelerator.is_main_process:
            screen.always(f"pushed: {push(report.place_of_model(result), settings.push_to)}")
        accelerator.end_training()  # parts the processes: nothing is shared after it
    except InputError as error:
        say_error(error)
        return 2
    except Interrupted as stop:
        # What was to be overwritten is gone by now; what there is, is to be gone on with.
        flags = [flag for flag in sys.argv[1:] if flag not in ("--overwrite", "--resume")]
        command = how_started([*flags, "--resume"])
        screen.always(f"Stopped after {stop.unit} {stop.done:,} of {stop.whole:,}. To go on:\n  {command}")
        return 130
    return 0


@dataclass(frozen=True)
class Call:
    """How a run was asked for, where not by the command line.

    Args:
        text: what repeats it.
        tables: {split: table} of rows that are in memory.
        began: in seconds of `time.time()`.
    """

    text: str
    tables: Mapping[str, Table] | None
    began: float


def run_seeds(
    recipe: Recipe,
    settings: Settings,
    folder: Path,
    accelerator: Accelerator,
    screen: RunConsole,
    call: Call | None = None,
    splits: Splits | None = None,
) -> dict[str, Any]:
    """One run; or one for each seed, each in its own folder, and their joined result."""
    if settings.seeds == 1:
        result = run_once(recipe, settings, folder, accelerator, screen, call, splits)
    else:
        frozen = settings.frozen_dir or folder / folders.FROZEN  # the same for all of them
        seeds = [replace(settings, seed=seed, seeds=1, frozen_dir=frozen) for seed in range(settings.seeds)]
        runs = [
            run_once(
                recipe,
                each,
                folder / f"seed{each.seed}",
                accelerator,
                screen,
                call,
                splits if each.seed == 0 else None,
                is_first=each.seed == 0,
            )
            for each in seeds
        ]
        result = report.join_seeds(runs, folder)
        run_on_main(accelerator, lambda: files.write_json(folder / folders.RESULT, result))
    if accelerator.is_local_main_process:
        shutil.rmtree(folder / folders.FROZEN, ignore_errors=True)
    report.show(recipe, result, screen)
    return result


def run_once(
    recipe: Recipe,
    settings: Settings,
    folder: Path,
    accelerator: Accelerator,
    screen: RunConsole,
    call: Call | None = None,
    splits: Splits | None = None,
    *,
    is_first: bool = True,
) -> dict[str, Any]:
    """One run of one seed in `folder`: its result. What is already there and finished is not run again."""
    # The first run of a command has waited for the imports, too.
    began = time.time() if not is_first else call.began if call is not None else psutil.Process().create_time()
    command = how_started(sys.argv[1:]) if call is None else call.text
    find_strategy(settings.strategy)
    check_metrics(recipe.task)
    if splits is None:
        splits = load_splits(recipe.task, settings, None if call is None else call.tables)
    try_metrics(recipe.task, splits.train, splits.dev)
    source = find_source(recipe, settings, splits)
    splits = follow_labels(splits, source.labels)
    identity = folders.identity_of(recipe.task.name, settings, splits.fingerprint, source.fingerprint)

    def write() -> None:
        with files.room_wanted(folder):
            report.write(work, result, answers, further, folder, command)

    with ExitStack() as held:
        run_on_main(accelerator, lambda: held.enter_context(files.locked(folder)))
        finished = run_on_main(accelerator, lambda: folders.open_folder(folder, identity, settings))
        if finished is not None:
            screen.note(f"{folder}: this very run is there already (--overwrite runs it anew).")
            return finished
        accelerator.init_trackers(recipe.task.name)
        work = prepare(recipe, settings, splits, source, folder, accelerator)
        for note in work.notes:
            screen.note(note)
        screen.grid(strategy_table(settings.strategy, work.groups, work.training.phases))
        by_updates = work.training.phases[0].fit is None
        way = Trainer(work, folder, identity, screen, began) if by_updates else FeatureTrainer(work, screen, began)
        record, answers, extra_splits = way.learn()
        further = answer_languages(work, screen)
        result = report.describe(work, record, answers, extra_splits, folder, identity, splits.fingerprint)
        result["languages"] = describe_languages(work, answers, further, record.history)
        result["command"] = command
        run_on_main(accelerator, write)
        return result


def default_folder(recipe: Recipe, settings: Settings) -> Path:
    """runs/TASK/NAME, where the name says model, data, strategy and every flag that differs from the recipe's own."""
    changed = recipe.changed(settings)
    for known in ("model", "data", "strategy", "columns"):
        changed.pop(known, None)
    words = [Path(settings.model).name, Path(settings.data).name.split(".")[0], settings.strategy.replace(":", "-")]
    words += [f"{name}={value}" for name, value in changed.items()]
    return Path("runs") / recipe.task.name / "-".join(words)


def how_started(arguments: list[str]) -> str:
    """The command that started this process, as a person would type it."""
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
