"""Ctrl-C and SIGTERM: the run finishes the current update, writes a checkpoint and ends."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType

from accelerate import Accelerator

# Several processes ask each other after so many updates on GPUs: the answer waits for all that they are computing.
UPDATES_BETWEEN = 8


@contextlib.contextmanager
def stop_requests(accelerator: Accelerator) -> Iterator[Callable[[], bool]]:
    """Yields a function that returns, the same on all processes, whether any of them has been asked to stop.

    A second Ctrl-C stops at once, since the first restores the previous handlers.
    """
    asked, calls = False, 0
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def put_back() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        put_back()

    def stop_asked() -> bool:
        nonlocal calls
        if accelerator.num_processes == 1:
            return asked
        calls += 1  # equally many on all processes
        if accelerator.device.type != "cpu" and calls % UPDATES_BETWEEN:
            return False
        if asked:
            accelerator.set_trigger()
        return accelerator.check_trigger()

    if threading.current_thread() is not threading.main_thread():
        before.clear()  # only the main thread may set signal handlers
    for number in before:
        signal.signal(number, note)
    try:
        yield stop_asked
    finally:
        put_back()
