"""Runs in processes of their own: each has its own peak memory and may crash without taking the others with it.

They are forked from a server that has torch and transformers in it already, so that a run costs a second to start and
not ten. The server itself never touches a GPU, which a forked process could not use any more.
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
from tlnlp.training.files import locked

PRELOADED = [
    "tlnlp.run",
    "transformers.models.bert.modeling_bert",
    "transformers.models.modernbert.modeling_modernbert",
    "transformers.models.gpt2.modeling_gpt2",
]
# A run whose comparison was killed finishes its update and writes a checkpoint; whoever follows waits so long for it.
PATIENCE_SECONDS = 60.0
DONE, REFUSED, CRASHED, STOPPED = "done", "refused", "crashed", "stopped"


class Run(Protocol):
    """An ordinary run of a recipe, to be made.

    Args:
        rows: that it learns from, for the estimate of the time left; 0 where that is not known.
        folder: its output folder.
    """

    @property
    def rows(self) -> int: ...

    @property
    def folder(self) -> Path: ...

    @property
    def name(self) -> str:
        """For the progress bar and messages."""
        ...

    def flags(self, passed: Sequence[str]) -> list[str]:
        """Its command line after the recipe's name."""
        ...


AnyRun = TypeVar("AnyRun", bound=Run)


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Args:
        kind: DONE, REFUSED (bad input, said in words), CRASHED or STOPPED.
        words: why, where it is not done.
    """

    kind: str
    words: str = ""


@dataclass(frozen=True)
class WorkerSlot:
    """Where one run at a time can go: a GPU, or some cores."""

    environment: dict[str, str]
    cores: tuple[int, ...]


def find_places(workers: int | None) -> list[WorkerSlot]:
    """One for each GPU; on a CPU one with all cores. With `workers` as many, which share what there is."""
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    gpus = torch.cuda.device_count()
    if gpus:
        # Those that this process may see, by the names that it knows them by.
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(gpus)))).split(",")
        return [WorkerSlot({"CUDA_VISIBLE_DEVICES": visible[i % gpus]}, ()) for i in range(workers or gpus)]
    count = workers or 1
    # Two runs on the same cores would each start a thread for every core: several times slower than one by one.
    return [WorkerSlot({}, tuple(cores[i % max(1, len(cores)) :: count])) for i in range(count)]


def start_server() -> None:
    """Lets the server load its libraries while this process still looks at rows and checkpoints."""
    multiprocessing.get_context("forkserver").set_forkserver_preload(PRELOADED)
    multiprocessing.forkserver.ensure_running()


def is_finished(run: Run) -> bool:
    """Whether it is there; a result is the last thing that a run writes."""
    return (run.folder / RESULT).is_file()


class Stopped(Exception):
    """Ctrl-C or SIGTERM; the runs at hand have written their checkpoints."""


def make_runs(
    runs: Sequence[AnyRun],
    recipe: Path,
    passed: Sequence[str],
    places: Sequence[WorkerSlot],
    begins: Callable[[AnyRun], None],
    ends: Callable[[AnyRun, Outcome, float], None],
) -> dict[AnyRun, Outcome]:
    """Makes all `runs`, one at a time in each place.

    Args:
        begins, ends: told of each run; the last argument is its seconds.

    Raises:
        Stopped: it was asked to stop.
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
                    # On one SIGTERM a run writes a checkpoint and ends; on the second wish it is killed.
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
    """Gives a function that says how often anybody asked to stop (Ctrl-C, SIGTERM) since."""
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
    """What the run says, beside its folder; kept only where it did not end well."""
    return run.folder.with_name(f"{run.folder.name}.log")


def _act(start: str, recipe: str, flags: list[str], folder: str, log: str, place: WorkerSlot) -> None:
    """The run's own process: an ordinary run of the recipe, as from a command line."""
    os.setpgrp()  # a Ctrl-C reaches the comparison alone, which passes it on once: a second one would end the run
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
    """Asks this process to stop when the comparison is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _wait_until_free(folder: Path) -> None:
    """Until a run whose comparison was killed has let go of the folder."""
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        try:
            with locked(folder):
                return
        except InputError:
            time.sleep(0.1)


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
        return Outcome(CRASHED, f"ended by {killer}" + (", as the system does without memory" if status == -9 else ""))
    last = said.splitlines()[-1] if said else f"exit status {status}"
    return Outcome(CRASHED, f"{last} (all of it: {_log(run)})")
