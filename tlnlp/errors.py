"""Errors worded for the person who must fix them: what was expected, what was found, what to change."""

import difflib
import os
import sys
from collections.abc import Iterable


class InputError(ValueError):
    """Something the user gave cannot be used; said in three parts, without a traceback.

    Args:
        expected: what would have been right.
        found: what is there instead, with row and value where there is one.
        change: what to do about it.
    """

    def __init__(self, *, expected: str, found: str, change: str) -> None:
        super().__init__(expected, found, change)
        self.expected, self.found, self.change = expected, found, change

    def __str__(self) -> str:
        return f"expected: {self.expected}\nfound:    {self.found}\nchange:   {self.change}"

    def _render_traceback_(self) -> list[str]:
        """What IPython shows in place of a traceback, whose frames say nothing of what was given."""
        return [f"{type(self).__name__}: what was given cannot be used", *str(self).splitlines()]


class Interrupted(KeyboardInterrupt):
    """The run was asked to stop (Ctrl-C, SIGTERM); a checkpoint has been written, where there are updates.

    Args:
        done: optimiser updates in the checkpoint; or so many of the rows, where nothing is kept of so short a run; or
            finished runs of a comparison.
        whole: optimiser updates, or rows, of the whole run; or runs.
        unit: "update", "row" or "run".
        advice: how to go on.
    """

    def __init__(self, done: int, whole: int, unit: str = "update", advice: str = "") -> None:
        super().__init__(done, whole, unit, advice)
        self.done, self.whole, self.unit, self.advice = done, whole, unit, advice

    def __str__(self) -> str:
        return f"stopped after {self.unit} {self.done:,} of {self.whole:,}" + (f"; {self.advice}" * bool(self.advice))

    def _render_traceback_(self) -> list[str]:
        """As that of `InputError`: where the run was stopped is not of interest."""
        return [f"{type(self).__name__}: {self}"]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """' (did you mean sentence?)', or nothing where no known name is near."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean {near[0]}?)" if near else ""


def say_error(error: InputError) -> None:
    """Prints an error for a person, once: of several processes only the first speaks."""
    if os.environ.get("RANK", "0") == "0":
        print(error, file=sys.stderr)
