"""The bar of a notebook: one output that is replaced, not often, and nothing where there is no notebook."""

from __future__ import annotations

import contextlib
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from tlnlp.display import notebook
from tlnlp.display.console import RunConsole
from tlnlp.display.notebook import NotebookBar, in_notebook


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a kernel was asked to show: 'new: ...' for an output, 'same: ...' where one was replaced."""
    told: list[str] = []

    def display(thing: Any, *, display_id: bool) -> Any:
        told.append(f"new: {thing!r}")
        return SimpleNamespace(update=lambda thing: told.append(f"same: {thing!r}"))

    shell = SimpleNamespace(kernel=object())
    kernel = SimpleNamespace(get_ipython=lambda: shell, display=SimpleNamespace(display=display))
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    return told


def test_a_bar_is_one_output_that_is_replaced_now_and_then(
    shown: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr(notebook.time, "monotonic", lambda: now[0])
    with RunConsole(speaks=True, quiet=False).bar(1_000, 0) as bar:
        for _ in range(8):
            bar.say("all layers")
            now[0] += 0.2
            bar.advance(125)
    assert shown == [
        "new: all layers: 0 of 1,000 rows, 0 s left",
        "same: all layers: 375 of 1,000 rows, 1 s left",
        "same: all layers: 750 of 1,000 rows, 0 s left",
        "same: done: 1,000 of 1,000 rows",
    ]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("speaks", "quiet"), [(False, False), (True, True)])
def test_other_processes_and_quiet_runs_show_no_bar(speaks: bool, quiet: bool, shown: list[str]) -> None:
    with RunConsole(speaks=speaks, quiet=quiet).bar(10, 0) as bar:
        bar.advance(10)
    assert shown == []


def test_a_run_that_is_stopped_leaves_its_bar_where_it_was(shown: list[str]) -> None:
    with contextlib.suppress(KeyboardInterrupt), RunConsole(speaks=True, quiet=False).bar(10, 0) as bar:
        bar.say("all layers")
        raise KeyboardInterrupt
    assert [each.split(",")[0] for each in shown] == ["new: all layers: 0 of 10 rows"]


def test_names_are_escaped() -> None:
    bar = NotebookBar(2, "runs")
    bar._description, bar._done = "<b>", 1
    assert '<progress value="1" max="2"' in bar._repr_html_() and "&lt;b&gt;: 1 of 2 runs" in bar._repr_html_()


def test_a_terminal_is_no_notebook() -> None:
    assert not in_notebook()
