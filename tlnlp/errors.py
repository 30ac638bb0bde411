"""Errors for the user: what was expected, what was found, and what to change."""

import difflib
import os
import sys
from collections.abc import Iterable


class InputError(ValueError):
    """Invalid input: data, settings or files that cannot be used. Printed as three parts, without a traceback.

    Args:
        expected: what would be valid.
        found: what was found instead, with the row and the value, if there is one.
        change: how to fix it.
    """

    def __init__(self, *, expected: str, found: str, change: str) -> None:
        super().__init__(expected, found, change)
        self.expected, self.found, self.change = expected, found, change

    def __str__(self) -> str:
        return f"expected: {self.expected}\nfound:    {self.found}\nchange:   {self.change}"

    def _render_traceback_(self) -> list[str]:
        """Returns what IPython prints instead of a traceback, whose frames would not help the user."""
        return [f"{type(self).__name__}: what was given cannot be used", *str(self).splitlines()]


class Interrupted(KeyboardInterrupt):
    """The run was stopped (Ctrl-C, SIGTERM), after writing a checkpoint if it trains by updates.

    Args:
        done: number of optimiser updates in the checkpoint; number of rows, for runs without checkpoints; or number of
            finished runs of a comparison.
        whole: total number of updates, rows or runs.
        unit: "update", "row" or "run".
        advice: how to resume.
    """

    def __init__(self, done: int, whole: int, unit: str = "update", advice: str = "") -> None:
        super().__init__(done, whole, unit, advice)
        self.done, self.whole, self.unit, self.advice = done, whole, unit, advice

    def __str__(self) -> str:
        return f"stopped after {self.unit} {self.done:,} of {self.whole:,}" + (f"; {self.advice}" * bool(self.advice))

    def _render_traceback_(self) -> list[str]:
        """Returns the message without a traceback, as `InputError` does."""
        return [f"{type(self).__name__}: {self}"]


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Returns " (did you mean sentence?)", or an empty string if no known name is similar."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean {near[0]}?)" if near else ""


def say_error(error: InputError) -> None:
    """Prints an error, on the first process only."""
    if os.environ.get("RANK", "0") == "0":
        print(error, file=sys.stderr)
