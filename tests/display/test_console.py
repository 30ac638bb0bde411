"""Progress where the output is no terminal: a line now and then, and no bar."""

from __future__ import annotations

import pytest

from tlnlp.display import console as screens
from tlnlp.display.console import RunConsole, show_duration


def test_without_a_terminal_there_is_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr(screens.time, "monotonic", lambda: now[0])
    with RunConsole(speaks=True, quiet=False).bar(1_000, 200) as bar:
        for _ in range(8):
            bar.say("all layers, epoch 1")
            now[0] += 20
            bar.advance(50)
    lines = capsys.readouterr().out.splitlines()
    # 80 rows a minute and a half: after 40 s 100 of the 800 are done, and so on.
    assert lines == [
        "all layers, epoch 1: 300 of 1,000 rows, 5 min left",
        "all layers, epoch 1: 400 of 1,000 rows, 4 min left",
        "all layers, epoch 1: 500 of 1,000 rows, 3 min left",
        "all layers, epoch 1: 600 of 1,000 rows, 3 min left",
    ]


@pytest.mark.parametrize(("speaks", "quiet"), [(False, False), (True, True)])
def test_other_processes_and_quiet_runs_say_nothing(
    speaks: bool, quiet: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(screens.time, "monotonic", lambda: now[0])
    with RunConsole(speaks=speaks, quiet=quiet).bar(10, 0) as bar:
        now[0] = 100
        bar.advance(5)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("seconds", "shown"), [(7.4, "7 s"), (89, "89 s"), (95, "2 min"), (2_040, "34 min"), (18_600, "5 h 10 min")]
)
def test_durations_are_short(seconds: float, shown: str) -> None:
    assert show_duration(seconds) == shown
