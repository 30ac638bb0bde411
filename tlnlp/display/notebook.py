"""The progress bar in a notebook: one output that is updated in place. It does not need ipywidgets."""

from __future__ import annotations

import sys
import time
from html import escape
from typing import Any

# Minimum time between two updates: each is a message to the browser.
REFRESH_SECONDS = 0.5


def in_notebook() -> bool:
    """Returns whether this process is the kernel of a notebook (Jupyter, VS Code, Colab)."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


class NotebookBar:
    """A progress bar as an output of the cell.

    The output has an id and is updated in place: a saved notebook contains the last state of the bar.

    Args:
        total: number of units to process.
        unit: name of the unit, such as "rows".
    """

    def __init__(self, total: int, unit: str) -> None:
        self._total, self._unit = total, unit
        self._done, self._description, self._left = 0, "", ""
        self._sent = float("-inf")
        self._handle: Any = None

    def show(self, done: int, description: str, left: str = "", *, now: bool = False) -> None:
        """Updates the bar.

        Args:
            done: number of units processed.
            description: the current step.
            left: the remaining time, such as "5 min left".
            now: whether to update the output even if it was updated a moment ago.
        """
        self._done, self._description, self._left = done, description, left
        if not now and time.monotonic() - self._sent < REFRESH_SECONDS:
            return
        self._sent = time.monotonic()
        if self._handle is None:
            # Imported already in a kernel; not imported here, so that IPython is not required.
            self._handle = sys.modules["IPython"].display.display(self, display_id=True)
        else:
            self._handle.update(self)

    def __repr__(self) -> str:
        words = f"{self._description}: {self._done:,} of {self._total:,} {self._unit}"
        return f"{words}, {self._left}" if self._left else words

    def _repr_html_(self) -> str:
        bar = f'<progress value="{self._done}" max="{max(1, self._total)}" style="width: 16em"></progress>'
        return f'<div style="font-family: monospace">{bar} {escape(repr(self))}</div>'
