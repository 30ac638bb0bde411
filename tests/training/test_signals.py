"""How often processes ask each other whether to stop."""

from __future__ import annotations

import os
import signal
from types import SimpleNamespace
from typing import Any

import pytest

from tlnlp.training.signals import UPDATES_BETWEEN, stop_requests


@pytest.mark.parametrize(
    ("device", "processes", "every"), [("cpu", 1, None), ("cpu", 2, 1), ("cuda", 2, UPDATES_BETWEEN)]
)
def test_processes_on_gpus_do_not_ask_each_other_after_every_update(
    device: str, processes: int, every: int | None
) -> None:
    """An answer waits for the GPU. All processes ask after the same updates, or they would wait for each other."""
    asked_after: list[int] = []
    state: dict[str, Any] = {"update": 0, "trigger": False}

    def check() -> bool:
        asked_after.append(state["update"])
        return bool(state["trigger"])

    accelerator: Any = SimpleNamespace(
        num_processes=processes, device=SimpleNamespace(type=device), check_trigger=check,
        set_trigger=lambda: state.update(trigger=True),
    )  # fmt: skip
    answers = []
    with stop_requests(accelerator) as stop_asked:
        for update in range(1, 3 * UPDATES_BETWEEN + 1):
            state["update"] = update
            if update == UPDATES_BETWEEN + 1:
                os.kill(os.getpid(), signal.SIGTERM)
            answers.append(stop_asked())
    assert asked_after == ([] if every is None else list(range(every, 3 * UPDATES_BETWEEN + 1, every)))
    first = answers.index(True) + 1
    assert first == (2 * UPDATES_BETWEEN if device == "cuda" else UPDATES_BETWEEN + 1)
