"""Processes that torchrun starts again find each other, and not the dead."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from torch.distributed import HashStore  # type: ignore[attr-defined]

from tlnlp.training.rendezvous import free_port, hear_port, meet_anew, tell_port


def meet(store: Any, port: str) -> list[str]:
    with ThreadPoolExecutor(3) as threads:
        heard = [threads.submit(hear_port, store, rank) for rank in (1, 2)]
        return [tell_port(store, port, 3), *(each.result() for each in heard)]


def test_each_start_has_a_port_of_its_own_on_the_same_store() -> None:
    store = HashStore()
    store.set_timeout(timedelta(seconds=20))
    assert meet(store, "1001") == ["1001"] * 3
    # Killed while it waited: it is asked for by nobody any more.
    store.set("waits 1", "the dead")
    assert meet(store, "1002") == ["1002"] * 3


def test_a_process_that_comes_late_is_waited_for() -> None:
    store, told = HashStore(), []
    store.set_timeout(timedelta(seconds=20))
    first = threading.Thread(target=lambda: told.append(tell_port(store, "1003", 2)))
    first.start()
    first.join(0.3)
    assert first.is_alive()
    assert hear_port(store, 1) == "1003"
    first.join(20)
    assert told == ["1003"]


def test_processes_of_other_launchers_keep_their_port() -> None:
    environment = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1", "RANK": "0", "WORLD_SIZE": "2"}
    meet_anew(environment)
    assert environment["MASTER_PORT"] == "1"
    assert free_port() != free_port()
