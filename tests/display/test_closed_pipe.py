"""Commands whose output nobody reads to its end, as in `tlnlp recipes | head -1`."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.recipe_runs import ROOT
from tlnlp.display.closed_pipe import STATUS, end_quietly


def run_with_closed_output(*command: str) -> tuple[int, str]:
    """(exit status, standard error) of a Python process whose output has no reader from the beginning."""
    read, write = os.pipe()
    os.close(read)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with os.fdopen(write) as output:
        ended = subprocess.run(
            [sys.executable, *command], cwd=ROOT, env=environment, stdout=output, stderr=subprocess.PIPE, text=True,
            check=False,
        )  # fmt: skip
    return ended.returncode, ended.stderr


@pytest.mark.parametrize(
    "command",
    [
        ("recipes/sst2.py", "--help"), ("-m", "tlnlp", "run", "sst2", "--help"), ("-m", "tlnlp", "recipes"),
        ("-m", "tlnlp", "--help"), ("-m", "tlnlp", "--version"), ("-m", "tlnlp.cli", "run", "--help"),
    ],
)  # fmt: skip
def test_a_command_that_nobody_reads_ends_without_a_traceback(command: tuple[str, ...]) -> None:
    assert run_with_closed_output(*command) == (STATUS, "")


def test_what_is_refused_is_still_said() -> None:
    status, said = run_with_closed_output("recipes/sst2.py", "--epochs", "0")
    assert status == 2 and "--epochs: at least 1" in said


def test_more_than_a_buffer_holds_ends_in_the_same_way() -> None:
    code = "from tlnlp.display.closed_pipe import end_quietly\nwith end_quietly():\n    print('a' * 1_000_000)"
    assert run_with_closed_output("-c", code) == (STATUS, "")


def test_another_pipe_that_breaks_is_an_error() -> None:
    with pytest.raises(BrokenPipeError, match="a worker"), end_quietly():
        raise BrokenPipeError("a worker")
