"""The terminal output of a run: notes, the table of layer groups, a progress bar, the table of results."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tlnlp.display.notebook import NotebookBar, in_notebook

# The bar is updated at most this often: nobody reads faster, and reading a loss waits for the device.
REFRESH_SECONDS = 0.5
# Without a terminal, a line is printed this often, so that the log of a long run stays short.
LINE_SECONDS = 30.0


def count_epochs(epochs: int) -> str:
    """Returns '1 epoch' or '2 epochs'."""
    return f"{epochs} epoch{'s' * (epochs != 1)}"


def new_console(**options: Any) -> Console:
    """Creates a console. In a notebook it prints plain text: by default rich would create one output per line, and a
    kernel's streams claim to be terminals."""
    if in_notebook():
        options |= {"force_jupyter": False, "force_terminal": False, "color_system": None}
    return Console(highlight=False, **options)


class RunConsole:
    """Prints on the main process, unless quiet. Lines and tables go to standard output.

    Args:
        speaks: False on all processes except the main process.
        quiet: print only `always`.
        spell: rewrites lines that name flags, for callers that gave none.
    """

    def __init__(self, *, speaks: bool, quiet: bool, spell: Callable[[str], str] = str) -> None:
        self._quiet, self._spell = quiet, spell
        self._always = new_console(quiet=not speaks)
        self._console = new_console(quiet=not speaks or quiet)

    def when_quiet(self, text: str) -> None:
        """Prints a line that replaces all others in quiet mode."""
        if self._quiet:
            self.always(text)

    def note(self, text: str) -> None:
        """Prints one line without wrapping, so that commands can be copied."""
        self._console.print(self._spell(text), markup=False, soft_wrap=True)

    def always(self, text: str) -> None:
        """Prints one line, even in quiet mode."""
        self._always.print(text, markup=False, soft_wrap=True)

    def grid(self, table: Table) -> None:
        """Prints a table."""
        self._console.print(table)

    @contextlib.contextmanager
    def bar(self, rows: int, rows_done: int) -> Iterator[ProgressBar]:
        """Opens the progress bar of the run, which counts train rows and evaluated rows."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("rows"),
            TimeRemainingColumn(compact=True),
        )
        plain = not self._console.is_terminal
        shows = in_notebook() and not self._console.quiet
        progress = Progress(*columns, console=self._console, refresh_per_second=4, disable=plain)
        # Started on a terminal only: elsewhere older releases of rich print an empty line at the end.
        with contextlib.nullcontext() if plain else progress:
            task = progress.add_task("training", total=rows, completed=rows_done)
            notebook = NotebookBar(rows, "rows") if shows else None
            bar = ProgressBar(progress, task, self.note if plain else None, notebook)
            yield bar
            bar.finish()

    def result(self, title: str, lines: Sequence[tuple[str, str]]) -> None:
        """Prints a table of two columns."""
        table = Table(title=title, title_justify="left", box=None, pad_edge=False, show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in lines:
            table.add_row(name, self._spell(value))
        self._console.print()
        self._console.print(table, markup=False)

    def table(self, title: str, lines: Sequence[Sequence[str]], remarks: Sequence[str]) -> None:
        """Prints a table with a header and right-aligned numbers, and sentences below it."""
        table = Table(title=title, title_justify="left", box=None, pad_edge=False, padding=(0, 1, 0, 0))
        for place, name in enumerate(lines[0]):
            table.add_column(name, justify="left" if place == 0 else "right", no_wrap=True)
        for line in lines[1:]:
            table.add_row(*line)
        self._console.print(table, markup=False)
        for remark in remarks:
            self._console.print(remark, markup=False)


class ProgressBar:
    """The open progress bar: rich's in a terminal, one output in a notebook, occasional lines elsewhere.

    Args:
        print_line: prints a line; None: there is a terminal.
        notebook: the bar of a notebook, which no lines are printed beside.
    """

    def __init__(
        self,
        progress: Progress,
        task: Any,
        print_line: Callable[[str], None] | None = None,
        notebook: NotebookBar | None = None,
    ) -> None:
        self._progress, self._task, self._print_line, self._notebook = progress, task, print_line, notebook
        self._next_refresh = 0.0
        self._begun = self._last_line = time.monotonic()
        self._begun_at = progress.tasks[0].completed

    def advance(self, rows: int) -> None:
        """Advances by this many rows."""
        self._progress.advance(self._task, rows)
        if self._notebook is not None:
            self._show()
        elif self._print_line is not None and time.monotonic() - self._last_line >= LINE_SECONDS:
            self._last_line = time.monotonic()
            self._print_line(self._line())

    def finish(self) -> None:
        """Marks the end. A notebook keeps the bar, without the remaining time."""
        if self._notebook is not None:
            task = self._progress.tasks[0]
            self._notebook.show(int(task.completed), "done", now=True)

    def _show(self) -> None:
        assert self._notebook is not None
        task = self._progress.tasks[0]
        self._notebook.show(int(task.completed), task.description, self._left())

    def _line(self) -> str:
        """Returns a line such as 'all layers, epoch 1, loss 4.933: 35,358 of 94,541 rows, 34 min left'."""
        task = self._progress.tasks[0]
        return f"{task.description}: {int(task.completed):,} of {int(task.total or 0):,} rows, {self._left()}"

    def _left(self) -> str:
        """Returns '34 min left'."""
        task = self._progress.tasks[0]
        done, whole = int(task.completed), int(task.total or 0)
        left = (whole - done) * (time.monotonic() - self._begun) / max(1, done - self._begun_at)
        return f"{show_duration(left)} left"

    def due(self) -> bool:
        """Returns whether it is time to update the numbers."""
        return time.monotonic() >= self._next_refresh

    def say(self, text: str) -> None:
        """Sets the text in front of the bar."""
        self._next_refresh = time.monotonic() + REFRESH_SECONDS
        self._progress.update(self._task, description=text)
        if self._notebook is not None:
            self._show()


def show_duration(seconds: float) -> str:
    """Returns '45 s', '34 min' or '5 h 10 min'."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
