"""The whole program on one screen: load, find the model, open the folder, prepare, learn, report."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
from accelerate import Accelerator

from tlnlp.calm import calm_libraries
from tlnlp.data import load_splits
from tlnlp.errors import InputError, Interrupted, say_error
from tlnlp.evaluation import report
from tlnlp.evaluation.languages import answer_languages, describe_languages
from tlnlp.evaluation.measure import check_metrics
from tlnlp.evaluation.screen import Screen
from tlnlp.fit import Fitter
from tlnlp.learn import Learner
from tlnlp.prepare import prepare
from tlnlp.recipe import Recipe
from tlnlp.reporting.command import save_page
from tlnlp.settings import Settings
from tlnlp.sharing import check_can_push, push
from tlnlp.source import find_source, follow_labels
from tlnlp.training import folder as folders
from tlnlp.training.processes import launch_advice, on_main, start_accelerator
from tlnlp.transfer.options import find_strategy


def run_command(recipe: Recipe, settings: Settings) -> int:
    """Runs, and says how it went: the exit status of the process."""
    calm_libraries()
    folder = settings.output_dir or default_folder(recipe, settings)
    try:
        accelerator = start_accelerator(settings, folder / "tracker")
        screen = Screen(speaks=accelerator.is_main_process, quiet=settings.quiet)
        for advice in launch_advice(accelerator):
            screen.note(advice)
        if settings.push_to is not None:
            on_main(accelerator, lambda: check_can_push(str(settings.push_to)))
        result = run_seeds(recipe, settings, folder, accelerator, screen)
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


def run_seeds(
    recipe: Recipe, settings: Settings, folder: Path, accelerator: Accelerator, screen: Screen
) -> dict[str, Any]:
    """One run; or one for each seed, each in its own folder, and their joined result."""
    if settings.seeds == 1:
        result = run_once(recipe, settings, folder, accelerator, screen)
    else:
        frozen = settings.frozen_dir or folder / folders.FROZEN  # the same for all of them
        seeds = [replace(settings, seed=seed, seeds=1, frozen_dir=frozen) for seed in range(settings.seeds)]
        runs = [
            run_once(recipe, each, folder / f"seed{each.seed}", accelerator, screen, first_of_process=each.seed == 0)
            for each in seeds
        ]
        result = report.join_seeds(runs, folder)
        on_main(accelerator, lambda: folders.write_json(folder / folders.RESULT, result))
    if accelerator.is_local_main_process:
        shutil.rmtree(folder / folders.FROZEN, ignore_errors=True)
    report.show(recipe, result, screen)
    return result


def run_once(
    recipe: Recipe,
    settings: Settings,
    folder: Path,
    accelerator: Accelerator,
    screen: Screen,
    *,
    first_of_process: bool = True,
) -> dict[str, Any]:
    """One run of one seed in `folder`: its result. What is already there and finished is not run again."""
    # The first run of a process has waited for the imports, too.
    began = psutil.Process().create_time() if first_of_process else time.time()
    find_strategy(settings.strategy)
    check_metrics(recipe.task)
    splits = load_splits(recipe.task, settings)
    source = find_source(recipe, settings, splits)
    splits = follow_labels(splits, source.labels)
    identity = folders.identity_of(recipe.task.name, settings, splits.fingerprint, source.fingerprint)

    def write() -> None:
        with folders.room_wanted(folder):
            report.write(work, result, answers, further, folder, how_started(sys.argv[1:]))

    with ExitStack() as held:
        on_main(accelerator, lambda: held.enter_context(folders.locked(folder)))
        finished = on_main(accelerator, lambda: folders.open_folder(folder, identity, settings))
        if finished is not None:
            screen.note(f"{folder}: this very run is there already (--overwrite runs it anew).")
            return finished
        accelerator.init_trackers(recipe.task.name)
        work = prepare(recipe, settings, splits, source, folder, accelerator)
        for note in work.notes:
            screen.note(note)
        screen.strategy(settings.strategy, work.groups, work.training.phases)
        by_updates = work.training.phases[0].fit is None
        way = Learner(work, folder, identity, screen, began) if by_updates else Fitter(work, screen, began)
        record, answers, also = way.learn()
        further = answer_languages(work, screen)
        result = report.describe(work, record, answers, also, folder, identity, splits.fingerprint)
        result["languages"] = describe_languages(work, answers, further, record.history)
        result["command"] = how_started(sys.argv[1:])
        on_main(accelerator, write)
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
    return shlex.join([*start, Path(sys.argv[0]).as_posix(), *arguments])
