"""Executes each run in a process of its own, which has its own peak memory and may crash without affecting the others.

The processes are forked from a server that has already imported torch and transformers, so that a run starts in one
second instead of ten. The server never uses a GPU, since forked processes could not use it any more.
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import multiprocessing.forkserver
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import torch

from tlnlp.errors import InputError, say_error
from tlnlp.recipe import load_recipe
from tlnlp.runs.folder import RESULT
from tlnlp.runs.result import read_result
from tlnlp.training.files import locked

PRELOADED = [
    "tlnlp.run",
    "transformers.models.bert.modeling_bert",
    "transformers.models.modernbert.modeling_modernbert",
    "transformers.models.gpt2.modeling_gpt2",
]
# A run whose comparison was killed finishes its update and writes a checkpoint; a new run of it waits this long.
PATIENCE_SECONDS = 60.0
DONE, REFUSED, CRASHED, STOPPED, DIVERGED = "done", "refused", "crashed", "stopped", "diverged"


class Run(Protocol):
    """A planned run of a recipe.

    Args:
        rows: number of train rows, for the estimate of the remaining time; 0 if unknown.
        folder: its output folder.
    """

    @property
    def rows(self) -> int: ...

    @property
    def folder(self) -> Path: ...

    @property
    def name(self) -> str:
        """Its name in the progress bar and in messages."""
        ...

    def flags(self, passed: Sequence[str]) -> list[str]:
        """Returns its command line after the recipe's name."""
        ...


AnyRun = TypeVar("AnyRun", bound=Run)


@dataclass(frozen=True)
class Outcome:
    """The outcome of a run.

    Args:
        kind: DONE, REFUSED (invalid input), CRASHED, STOPPED or DIVERGED.
        words: the reason, if it is not DONE.
    """

    kind: str
    words: str = ""


@dataclass(frozen=True)
class WorkerSlot:
    """A GPU or some cores, for one run at a time."""

    environment: dict[str, str]
    cores: tuple[int, ...]


def find_places(workers: int | None) -> list[WorkerSlot]:
    """Returns one slot per GPU, or one with all cores on a CPU; with `workers`, that many slots, which share the
    devices.
    """
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    gpus = torch.cuda.device_count()
    if gpus:
        # The GPUs that are visible to this process, by their names.
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(gpus)))).split(",")
        return [WorkerSlot({"CUDA_VISIBLE_DEVICES": visible[i % gpus]}, ()) for i in range(workers or gpus)]
    count = workers or 1
    # Two runs on the same cores would each start one thread per core: several times slower than one after the other.
    return [WorkerSlot({}, tuple(cores[i % max(1, len(cores)) :: count])) for i in range(count)]


def start_server() -> None:
    """Starts the server, which imports its libraries while this process reads rows and checkpoints."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOADED)
    multiprocessing.forkserver.ensure_running()


def is_finished(run: Run) -> bool:
    """Returns whether a run is finished: its result is the last file that it writes."""
    return (run.folder / RESULT).is_file()


class Stopped(Exception):
    """Raised after Ctrl-C or SIGTERM, when the current runs have written their checkpoints."""


def make_runs(
    runs: Sequence[AnyRun],
    recipe: Path,
    passed: Sequence[str],
    places: Sequence[WorkerSlot],
    begins: Callable[[AnyRun], None],
    ends: Callable[[AnyRun, Outcome, float], None],
) -> dict[AnyRun, Outcome]:
    """Executes all `runs`, one at a time in each slot.

    Args:
        begins, ends: called when a run starts and ends; the last argument is its duration in seconds.

    Raises:
        Stopped: after Ctrl-C or SIGTERM.
    """
    waiting, free = list(runs), list(places)
    at_work: dict[Any, tuple[AnyRun, WorkerSlot, float]] = {}
    outcomes: dict[AnyRun, Outcome] = {}
    with _stop_signals() as times_asked:
        told: dict[Any, int] = {}
        while at_work or (waiting and not times_asked()):
            while waiting and free and not times_asked():
                run, place = waiting.pop(0), free.pop(0)
                begins(run)
                at_work[_start(run, recipe, passed, place)] = (run, place, time.monotonic())
            for process in at_work:
                if times_asked() > told.get(process, 0):
                    # On the first SIGTERM a run writes a checkpoint and ends; on a second request it is killed.
                    process.kill() if process in told else process.terminate()
                    told[process] = times_asked()
            multiprocessing.connection.wait([process.sentinel for process in at_work], timeout=0.2)
            for process in [each for each in at_work if not each.is_alive()]:
                run, place, began = at_work.pop(process)
                process.join()
                free.append(place)
                outcomes[run] = _outcome(run, process.exitcode, times_asked() > 0)
                ends(run, outcomes[run], time.monotonic() - began)
        if times_asked():
            raise Stopped
    return outcomes


@contextmanager
def _stop_signals() -> Iterator[Callable[[], int]]:
    """Yields a function that returns the number of stop requests (Ctrl-C, SIGTERM)."""
    asked = 0

    def note(number: int, frame: Any) -> None:
        nonlocal asked
        asked += 1

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _start(run: Run, recipe: Path, passed: Sequence[str], place: WorkerSlot) -> Any:
    run.folder.parent.mkdir(parents=True, exist_ok=True)
    _log(run).unlink(missing_ok=True)
    arguments = (str(Path.cwd()), str(recipe), run.flags(passed), str(run.folder), str(_log(run)), place)
    process = multiprocessing.get_context("forkserver").Process(target=_act, args=arguments)
    process.start()
    return process


def _log(run: Run) -> Path:
    """Returns the path of the run's log, next to its folder; it is deleted if the run succeeds."""
    return run.folder.with_name(f"{run.folder.name}.log")


def _act(start: str, recipe: str, flags: list[str], folder: str, log: str, place: WorkerSlot) -> None:
    """Executes a run in its own process, as from the command line."""
    os.setpgrp()  # Ctrl-C must reach only the comparison, which forwards it once
    os.chdir(start)
    os.environ.update(place.environment)
    if place.cores:
        os.sched_setaffinity(0, place.cores)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _wait_until_free(Path(folder))
    sys.argv = [recipe, *flags]
    try:
        declared = load_recipe(Path(recipe))
    except InputError as error:
        say_error(error)
        sys.exit(2)
    declared.main([*flags, "--quiet", "--no-report"])


def _end_with_parent() -> None:
    """Stops this process if the comparison ends in any way."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _wait_until_free(folder: Path) -> None:
    """Waits until a run whose comparison was killed has released the folder."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        try:
            with locked(folder):
                return
        except InputError:
            time.sleep(0.1)


def find_diverged(runs: Sequence[AnyRun]) -> dict[AnyRun, Outcome]:
    """Returns the finished runs whose weights are NaN or infinite: their scores are not counted."""
    diverged = {run: read_result(run.folder).diverged for run in runs}
    return {
        run: Outcome(DIVERGED, f"weights are NaN or infinite after update {update:,}: its score is not counted")
        for run, update in diverged.items()
        if update is not None
    }


def _outcome(run: Run, status: int | None, stopping: bool) -> Outcome:
    said = _log(run).read_text(errors="replace").strip() if _log(run).is_file() else ""
    if status == 0 and is_finished(run):
        _log(run).unlink(missing_ok=True)
        return Outcome(DONE)
    if stopping:
        _log(run).unlink(missing_ok=True)
        return Outcome(STOPPED)
    if status == 2:
        return Outcome(REFUSED, said)
    if status is not None and status < 0:
        killer = signal.Signals(-status).name
        return Outcome(CRASHED, f"killed by {killer}" + (", probably out of memory" if status == -9 else ""))
    last = said.splitlines()[-1] if said else f"exit status {status}"
    return Outcome(CRASHED, f"{last} (full log: {_log(run)})")
