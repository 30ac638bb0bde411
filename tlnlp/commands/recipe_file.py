"""The command line of a recipe: `python recipes/sst2.py ...`, and `tlnlp run sst2 ...`."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from types import FrameType

import psutil

from tlnlp.display.closed_pipe import end_quietly
from tlnlp.errors import InputError, say_error
from tlnlp.lazy import lazy_module
from tlnlp.recipe import Recipe
from tlnlp.runs.request import Request, resume_command, this_command
from tlnlp.training.launchers import adopt_launcher


def main(recipe: Recipe, arguments: Sequence[str], description: str) -> int:
    """Reads the command line and runs the recipe; returns the exit status of the process.

    Flags, strategy and rows are checked before torch and transformers are imported, which takes seconds.
    """
    adopt_launcher(os.environ)
    with end_quietly(), _sigterm_as_ctrl_c():
        try:
            settings = recipe.parse(arguments, description)
            # The run has waited for the imports, too.
            request = Request.of(recipe, settings, this_command(), psutil.Process().create_time())
            request = _read_early(request)
            return int(lazy_module("tlnlp.run").run_command(request))
        except InputError as error:
            say_error(error)
            return 2
        except KeyboardInterrupt:  # without a checkpoint: before training, after it, or for the second time
            if os.environ.get("RANK", "0") == "0":
                print(f"Stopped. To continue:\n  {resume_command()}")
            return 130


@contextlib.contextmanager
def _sigterm_as_ctrl_c() -> Iterator[None]:
    """SIGTERM interrupts this process as Ctrl-C does; a second one ends it at once, whatever it is doing."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_DFL)
        raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set signal handlers
        return
    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _read_early(request: Request) -> Request:
    """Returns the request with its rows. If one of several processes cannot read them, it is told later, when they can
    speak to each other: the first one says it, and none waits for another."""
    try:
        return replace(request, splits=request.read_rows())
    except InputError:
        if os.environ.get("WORLD_SIZE", "1") == "1":
            raise
        return request
