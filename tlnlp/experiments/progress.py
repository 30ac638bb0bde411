"""Progress over all runs: one bar with the name of the current run; plain lines if the output is neither a terminal nor
a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn
from rich.progress import Progress as ProgressBar

from tlnlp.display.notebook import NotebookBar, in_notebook
from tlnlp.experiments.verdicts import show_score
from tlnlp.experiments.workers import DONE, STOPPED, Outcome, Run
from tlnlp.runs.result import read_result

# The fixed cost of a run (start-up, dev rows, saving), in train rows, for the estimate of the remaining time.
FIXED_ROWS = 300


class Progress:
    """Shows the progress; it is notified of the start and end of each run."""

    def __init__(self, runs: Sequence[Run], places: int, console: Console) -> None:
        self._left = list(runs)
        self._total, self._places, self._console = len(runs), places, console
        self._seconds = self._cost = 0.0
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=16), MofNCompleteColumn())
        self._bar = ProgressBar(*columns, TextColumn("{task.fields[left]}"), console=console, transient=True,
                        disable=not console.is_terminal)  # fmt: skip
        self._task = self._bar.add_task("", total=max(1, len(runs)), left="")
        self._notebook = NotebookBar(len(runs), "runs") if in_notebook() and runs and not console.quiet else None

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        self._bar.stop()

    def begins(self, run: Run) -> None:
        """Called when a run starts."""
        self._bar.update(self._task, description=run.name[:44])
        self._show(run.name)

    def ends(self, run: Run, outcome: Outcome, seconds: float) -> None:
        """Called when a run ends."""
        self._left.remove(run)
        if outcome.kind == STOPPED:
            return
        if outcome.kind == DONE:
            self._seconds += seconds
            self._cost += run.rows + FIXED_ROWS
        self._bar.update(self._task, advance=1, left=self._time_left())
        if self._notebook is not None and not self._left:
            self._show("done")
        if (self._console.is_terminal or self._notebook is not None) and outcome.kind == DONE:
            return
        said = self._score(run) if outcome.kind == DONE else f"{outcome.kind}: {' '.join(outcome.words.split())}"
        done = self._total - len(self._left)
        left = f"; {self._time_left()}" if self._left and self._seconds else ""
        self._console.print(
            f"{done}/{self._total}  {run.name}: {said}, {seconds:.1f} s{left}", markup=False, soft_wrap=True
        )

    def _show(self, description: str) -> None:
        if self._notebook is not None:
            self._notebook.show(self._total - len(self._left), description, self._time_left(), now=True)

    def _score(self, run: Run) -> str:
        name, value = read_result(run.folder).headline
        return f"{name} {show_score(value)}"

    def _time_left(self) -> str:
        if not self._seconds or not self._left:
            return ""
        left = sum(run.rows + FIXED_ROWS for run in self._left) * self._seconds / self._cost / self._places
        return f"{left:.0f} s left" if left < 100 else f"{left / 60:.0f} min left"
