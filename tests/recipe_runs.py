"""Recipes and functions in processes of their own, so that they can be killed, starved of disk, and run side by side.

A process is forked from a server that has torch and transformers in it already: a run costs a second, not ten.
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import multiprocessing.forkserver
import os
import resource
import runpy
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import huggingface_hub.constants

from tlnlp.experiments.workers import PRELOADED
from tlnlp.recipe import Recipe
from tlnlp.runs.checks import check_run
from tlnlp.runs.request import Request
from tlnlp.runs.setup import PreparedRun, prepare
from tlnlp.training.distributed import start_accelerator

ROOT = Path(__file__).parents[1]
CHECKPOINTS = "checkpoints"
# No test's process needs longer; a process that hangs is killed and the test fails.
PATIENCE_SECONDS = 400.0

_server = multiprocessing.get_context("forkserver")


def start_server() -> None:
    """Starts what processes are forked from, if it is not there yet."""
    _server.set_forkserver_preload([*PRELOADED, "tests.preloaded"])
    multiprocessing.forkserver.ensure_running()


def load_recipe(name: str) -> Recipe:
    """The recipe that `recipes/<name>.py` declares."""
    return runpy.run_path(str(ROOT / "recipes" / f"{name}.py"))["recipe"]


def begin(recipe: str, folder: Path, **settings: Any) -> PreparedRun:
    """All that a run of `recipes/<recipe>.py` has in hand before its first update, in this process.

    The run is small: 16 rows an update, 32 tokens a row, so that 41 train rows give updates of 16, 16 and 9.
    """
    declared = load_recipe(recipe)
    asked = declared.settings(**({"batch_size": 16, "max_length": 32, "epochs": 2, "strategy": "full"} | settings))
    request = replace(Request.of(declared, asked), folder=folder)
    return prepare(check_run(request), start_accelerator(asked.precision))


@dataclass
class Ended:
    """A process that is over.

    Args:
        status: exit status; minus the signal's number where one killed it.
        output: standard output and error together.
        folder: the run's `--output-dir`.
    """

    status: int | None
    output: str
    folder: Path

    @property
    def result(self) -> dict[str, Any]:
        return json.loads((self.folder / "result.json").read_text())

    @property
    def weights(self) -> bytes:
        """The bytes of the trained model's files: whole, an adapter's, or with a classifier beside it."""
        return b"".join(file.read_bytes() for file in sorted((self.folder / "model").glob("*.safetensors")))

    @property
    def predictions(self) -> str:
        return (self.folder / "predictions.jsonl").read_text()


@dataclass
class Running:
    """A recipe under way."""

    processes: list[Any]
    folder: Path
    log: Path = field(default_factory=lambda: Path(tempfile.mkstemp(suffix=".log")[1]))

    @property
    def pid(self) -> int:
        """Of the first process."""
        return self.processes[0].pid

    def signal(self, number: int) -> None:
        """Sends a signal to the first process."""
        os.kill(self.pid, number)

    def wait_for_update(self, number: int) -> None:
        """Until a checkpoint of update `number` or a later one is there, or the run is over."""
        while self.processes[0].is_alive() and newest_update(self.folder) < number:
            time.sleep(0.002)

    def wait(self) -> Ended:
        """Until all processes are over; what the first one left behind."""
        until = time.monotonic() + PATIENCE_SECONDS
        for each in self.processes:
            each.join(max(0.0, until - time.monotonic()))
        hanging = [each for each in self.processes if each.is_alive()]
        for each in hanging:
            each.kill()
            each.join()
        output = self.log.read_text(errors="replace")
        assert not hanging, f"{len(hanging)} processes did not end:\n{output}"
        return Ended(self.processes[0].exitcode, output, self.folder)


def newest_update(folder: Path) -> int:
    """The update of the newest finished checkpoint; -1 where there is none."""
    return max((int(path.name) for path in (folder / CHECKPOINTS).glob("[0-9]*")), default=-1)


def start_recipe(
    recipe: str,
    *flags: object,
    folder: Path,
    processes: int = 1,
    environment: Mapping[str, str] | None = None,
    largest_file_bytes: int | None = None,
    report: bool = False,
) -> Running:
    """Starts `recipes/<recipe>.py FLAGS --output-dir folder` in so many processes that share one training.

    Args:
        report: whether it writes its page, which takes a second.
        largest_file_bytes: writing more into any one file fails, as on a full disk.
    """
    arguments = [*map(str, flags), "--output-dir", str(folder), *([] if report else ["--no-report"])]
    running = Running([], folder)
    running.processes = _start(
        _run_recipe, (recipe, arguments, largest_file_bytes), processes, running.log, environment or {}
    )
    return running


def run_recipe(recipe: str, *flags: object, folder: Path, **how: Any) -> Ended:
    """`start_recipe`, until it is over."""
    return start_recipe(recipe, *flags, folder=folder, **how).wait()


def start_function(
    act: Callable[..., None], *arguments: Any, processes: int = 1, environment: Mapping[str, str] | None = None
) -> Running:
    """Starts `act(*arguments)` in so many processes that share one training."""
    running = Running([], Path())
    running.processes = _start(act, arguments, processes, running.log, environment or {})
    return running


def run_function(
    act: Callable[..., None], *arguments: Any, processes: int, environment: Mapping[str, str] | None = None
) -> None:
    """`start_function`, until it is over; all processes must end well."""
    running = start_function(act, *arguments, processes=processes, environment=environment)
    output = running.wait().output
    assert [each.exitcode for each in running.processes] == [0] * processes, output


def _start(
    act: Callable[..., None], arguments: Sequence[Any], processes: int, log: Path, environment: Mapping[str, str]
) -> list[Any]:
    start_server()
    port = _free_port()
    started = []
    for rank in range(processes):
        # What torchrun tells its processes.
        launched = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "LOCAL_WORLD_SIZE": processes}
        launched |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        told = {**({name: str(value) for name, value in launched.items()} if processes > 1 else {}), **environment}
        process = _server.Process(target=_begin, args=(act, tuple(arguments), told, str(log)), daemon=True)
        process.start()
        started.append(process)
    return started


def _begin(act: Callable[..., None], arguments: Sequence[Any], environment: Mapping[str, str], log: str) -> None:
    os.environ.update(environment)
    if "HF_ENDPOINT" in environment:  # which the library read when it was imported
        importlib.reload(huggingface_hub.constants)
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.chdir(ROOT)
    act(*arguments)


def _run_recipe(recipe: str, arguments: Sequence[str], largest_file_bytes: int | None) -> None:
    if largest_file_bytes is not None:
        fill_disk(largest_file_bytes)
    sys.argv = [f"recipes/{recipe}.py", *arguments]
    runpy.run_path(sys.argv[0], run_name="__main__")


def fill_disk(largest_file_bytes: int) -> None:
    """From now on, writing more into any one file fails, as on a full disk."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file_bytes, largest_file_bytes))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
