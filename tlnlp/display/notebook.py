"""What a notebook shows of a run under way: one bar in one output, rewritten in place. It needs no ipywidgets."""

from __future__ import annotations

import sys
import time
from html import escape
from typing import Any

# The bar is sent at most this often: each time it is a message to the browser.
REFRESH_SECONDS = 0.5


def in_notebook() -> bool:
    """Whether this is the kernel of a notebook (Jupyter, VS Code, Colab): an IPython that something else displays."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


class NotebookBar:
    """A progress bar as an output of the cell.

    The output has an id and is replaced, not added to: a notebook that is saved has the bar as it was last.

    Args:
        total: what there is to be done.
        unit: of what, "rows".
    """

    def __init__(self, total: int, unit: str) -> None:
        self._total, self._unit = total, unit
        self._done, self._description, self._left = 0, "", ""
        self._sent = float("-inf")
        self._handle: Any = None

    def show(self, done: int, description: str, left: str = "", *, now: bool = False) -> None:
        """Puts the bar where it has come to.

        Args:
            done: of the total.
            description: what is being done.
            left: '5 min left'.
            now: even where it was sent a moment ago.
        """
        self._done, self._description, self._left = done, description, left
        if not now and time.monotonic() - self._sent < REFRESH_SECONDS:
            return
        self._sent = time.monotonic()
        if self._handle is None:
            # A kernel has it already; whoever has no notebook need not have IPython.
            self._handle = sys.modules["IPython"].display.display(self, display_id=True)
        else:
            self._handle.update(self)

    def __repr__(self) -> str:
        words = f"{self._description}: {self._done:,} of {self._total:,} {self._unit}"
        return f"{words}, {self._left}" if self._left else words

    def _repr_html_(self) -> str:
        bar = f'<progress value="{self._done}" max="{max(1, self._total)}" style="width: 16em"></progress>'
        return f'<div style="font-family: monospace">{bar} {escape(repr(self))}</div>'
