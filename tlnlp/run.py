"""The steps of a run: check, open the folder, prepare, train, report."""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack
from dataclasses import replace

from tlnlp.display.console import RunConsole
from tlnlp.display.notes import condense
from tlnlp.display.quiet import quiet_libraries
from tlnlp.errors import InputError, Interrupted, say_error
from tlnlp.lazy import lazy_module
from tlnlp.models.hub import check_can_push, push
from tlnlp.runs import folder as folders
from tlnlp.runs.checks import check_run
from tlnlp.runs.feature_trainer import FeatureTrainer
from tlnlp.runs.languages import predict_languages
from tlnlp.runs.record import describe, write
from tlnlp.runs.request import Request, resume_command
from tlnlp.runs.result import RunResult, join_seeds
from tlnlp.runs.setup import prepare
from tlnlp.runs.summary import show
from tlnlp.runs.trainer import Trainer
from tlnlp.training import files
from tlnlp.training.broadcast import is_shared
from tlnlp.training.distributed import PreciseAccelerator, launch_advice, run_on_all, run_on_main, start_accelerator
from tlnlp.training.watch import ProcessLost, watch_others
from tlnlp.transfer.strategy_table import strategy_table

# Written last: until then a run does not wait for matplotlib and scikit-learn.
page = lazy_module("tlnlp.reporting.page")


def run_command(request: Request) -> int:
    """Runs a request and prints the result. Returns the exit status of the process."""
    quiet_libraries()
    settings, folder = request.settings, request.folder
    try:
        accelerator = start_accelerator(settings.precision, settings.tracker, folder / "tracker")
        screen = RunConsole(speaks=accelerator.is_main_process, quiet=settings.quiet)
        for advice in launch_advice(accelerator):
            screen.note(advice)
        if settings.push_to is not None:
            run_on_main(accelerator, lambda: check_can_push(str(settings.push_to)))
        result = run_seeds(request, accelerator, screen)
        if accelerator.is_main_process and not settings.no_report:
            page.save_page([folder], folder / folders.REPORT)
            screen.note(f"report: {folder / folders.REPORT}")
        if settings.push_to is not None and accelerator.is_main_process:
            screen.always(f"pushed: {push(result.model_folder, settings.push_to)}")
        accelerator.end_training()  # ends the process group: no collective operation after it
    except InputError as error:
        say_error(error)
        return 2
    except ProcessLost as lost:
        lost.end()
    except Interrupted as stop:
        screen.always(f"Stopped after {stop.unit} {stop.done:,} of {stop.whole:,}. To continue:\n  {resume_command()}")
        return 130
    return 0


def run_seeds(request: Request, accelerator: PreciseAccelerator, screen: RunConsole) -> RunResult:
    """Returns the result of one run, or the joined result of one run for each of `--seeds`, each in its own folder."""
    with watch_others(accelerator):
        return _run_seeds(settle(request, accelerator, screen), accelerator, screen)


def _run_seeds(request: Request, accelerator: PreciseAccelerator, screen: RunConsole) -> RunResult:
    if request.settings.seeds == 1:
        result = run_once(request, accelerator, screen)
    else:
        seeds = [request.of_seed(seed) for seed in range(request.settings.seeds)]
        results = [run_once(seeds[0], accelerator, screen)]
        # The rarer of two labels that are nearly balanced could be another one in another seed's train rows.
        positive = results[0].settings.get("positive")
        results += [run_once(each.with_positive(positive), accelerator, screen) for each in seeds[1:]]
        result = join_seeds(results, request.folder)
        run_on_main(accelerator, lambda: files.write_json(request.folder / folders.RESULT, result.as_json()))
    if accelerator.is_local_main_process:
        shutil.rmtree(request.folder / folders.FROZEN, ignore_errors=True)
    show(result, screen)
    return result


def settle(request: Request, accelerator: PreciseAccelerator, screen: RunConsole) -> Request:
    """Returns the request with what the machine decides where a flag is unset, and says it: the precision, and the
    number of `--micro-batches`, which the main process knows."""
    precision = request.settings.precision or accelerator.precision
    if request.settings.precision is None and precision != "fp32":
        screen.note(f"the GPU computes in {precision}, with weights in fp32 (--precision {precision})")
    processes = accelerator.num_processes
    number = run_on_main(accelerator, lambda: request.with_micro_batches(processes).settings.micro_batches)
    if request.settings.micro_batches is None and (number, processes) != (1, 1):
        now = "1 process has all" if processes == 1 else f"{processes} processes share them"
        begun = f", as when the run began; now {now}" if number != processes else ", one a process"
        screen.note(f"each update is cut in {number} micro-batches or more{begun} (--micro-batches {number})")
    return replace(request, settings=replace(request.settings, micro_batches=number, precision=precision))


def run_once(request: Request, accelerator: PreciseAccelerator, screen: RunConsole) -> RunResult:
    """Runs one seed and returns the result. A run that has already finished is not repeated."""
    began = time.time() if request.began is None else request.began
    folder = request.folder
    run = run_on_all(accelerator, lambda: check_run(request), lambda run: run.identity)

    def save() -> RunResult:
        with files.room_wanted(folder):
            return write(work, result, predictions, further)

    with ExitStack() as held:
        run_on_main(accelerator, lambda: held.enter_context(files.locked(folder)))
        finished = run_on_main(accelerator, lambda: folders.open_folder(folder, run.identity, run.request.settings))
        if finished is not None:
            screen.note(f"{folder}: this very run is there already (--overwrite runs it anew).")
            return RunResult.of(finished | {"output": str(folder)})  # it may have been moved
        if not is_shared(accelerator, folder):
            screen.note(
                f"{folder} is not shared by all processes: that of the first one counts, which sends what it has"
            )
        accelerator.init_trackers(request.recipe.task.name)
        work = prepare(run, accelerator)
        for note in condense(work.notes):
            screen.note(note)
        screen.grid(strategy_table(request.strategy.text, work.groups, work.training.phases))
        by_updates = work.training.phases[0].fit is None
        way = Trainer(work, screen, began) if by_updates else FeatureTrainer(work, screen, began)
        log, predictions, extra_splits = way.learn()
        further = predict_languages(work, screen)
        result = describe(work, log, predictions, extra_splits, further)
        if work.training.sharded is not None:
            work.training.sharded.gather()
        return run_on_main(accelerator, save)
