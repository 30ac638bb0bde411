"""The end of one process ends the others, soon and in words."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.recipe_runs import Running, start_function, start_recipe
from tlnlp.training.distributed import start_accelerator
from tlnlp.training.watch import GRACE_SECONDS, ProcessLost, is_broken_connection, watch_others

# Looks, grace, and what a slow machine takes besides.
SOON_SECONDS = GRACE_SECONDS + 15


def end_in_some_way(way: str) -> None:
    """In two processes: the second one ends, while the first one waits for something else, for ever."""
    accelerator = start_accelerator()
    try:
        with watch_others(accelerator):
            if accelerator.is_main_process:
                time.sleep(0 if way == "done" else 300)
            elif way == "killed":
                os.kill(os.getpid(), signal.SIGKILL)
            elif way == "failed":
                raise MemoryError("no room for a batch")
        if accelerator.is_main_process:
            time.sleep(3)  # the other one has ended long ago
    except ProcessLost as lost:
        lost.end()


def wait(running: Running) -> tuple[float, str, list[int]]:
    began = time.monotonic()
    output = running.wait().output
    return time.monotonic() - began, output, [each.exitcode for each in running.processes]


def test_a_process_that_waits_for_a_dead_one_is_ended() -> None:
    seconds, output, statuses = wait(start_function(end_in_some_way, "killed", processes=2))
    assert statuses == [1, -signal.SIGKILL], output
    assert output.count("The run ends here: process 1 on ") == 1
    assert "was killed or crashed" in output
    assert seconds < SOON_SECONDS


@pytest.mark.long
def test_a_process_that_fails_tells_the_others_why() -> None:
    seconds, output, statuses = wait(start_function(end_in_some_way, "failed", processes=2))
    assert statuses == [1, 1], output
    assert "ended: MemoryError: no room for a batch" in output
    assert seconds < SOON_SECONDS


@pytest.mark.long
def test_a_process_that_is_done_is_not_missed() -> None:
    _, output, statuses = wait(start_function(end_in_some_way, "done", processes=2))
    assert statuses == [0, 0], output
    assert "The run ends here" not in output


@pytest.mark.parametrize("victim", [1, pytest.param(0, marks=pytest.mark.long)])
def test_the_death_of_one_process_of_a_run_is_said(victim: int, bert: Path, reviews: Path, tmp_path: Path) -> None:
    flags: list[Any] = ["--model", bert, "--data", reviews, "--max-length", 32, "--epochs", 200, "--save-every", 2]
    running = start_recipe("sst2", *flags, folder=tmp_path / "run", processes=2)
    running.wait_for_update(2)
    running.processes[victim].kill()
    seconds, output, statuses = wait(running)
    assert statuses[victim] == -signal.SIGKILL and statuses[1 - victim] == 1, output
    assert output.count("The run ends here: ") == 1
    assert "to continue, add --resume" in output
    assert "Traceback" not in output
    assert seconds < SOON_SECONDS


def test_only_errors_of_operations_between_processes_are_taken_for_those() -> None:
    assert is_broken_connection(RuntimeError("[gloo/transport/tcp/pair.cc:534] Connection closed by peer [::1]:1"))
    assert is_broken_connection(torch.distributed.DistBackendError("unhandled system error"))
    assert not is_broken_connection(RuntimeError("CUDA out of memory"))
    assert not is_broken_connection(ValueError("gloo"))
