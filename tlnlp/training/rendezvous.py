"""How the processes that torchrun has started find each other: on a store of their own at each start."""

from __future__ import annotations

import socket
import time
import uuid
from collections.abc import MutableMapping
from datetime import timedelta
from typing import Any

import torch
from torch.distributed import TCPStore  # type: ignore[attr-defined]

# So long a process waits for one that starts later: torch's own limit.
MOST_WAITING = timedelta(minutes=30)
POLL_SECONDS = 0.05


def meet_anew(environment: MutableMapping[str, str]) -> None:
    """Lets the first process open a store on a new port, and tells the others.

    torchrun's own store outlives its workers: after a restart (`--max-restarts`) it still has the addresses of the
    dead, for which new workers then wait (https://github.com/pytorch/pytorch/issues/135712 and 167288). Nothing in its
    variables tells one start from the next on all machines.
    """
    if environment.get("TORCHELASTIC_USE_AGENT_STORE") != "True" or torch.distributed.is_initialized():
        return
    address, port = environment["MASTER_ADDR"], int(environment["MASTER_PORT"])
    store = TCPStore(address, port, is_master=False, timeout=MOST_WAITING, wait_for_workers=False)
    rank, processes = int(environment["RANK"]), int(environment["WORLD_SIZE"])
    environment["MASTER_PORT"] = tell_port(store, free_port(), processes) if rank == 0 else hear_port(store, rank)
    environment["TORCHELASTIC_USE_AGENT_STORE"] = "False"


def tell_port(store: Any, port: str, processes: int) -> str:
    """Answers the other processes until each has understood, and returns the port.

    A process that waits is known by a name of its own, so that answers to the dead do harm to nobody.
    """
    waiting, until = set(range(1, processes)), time.monotonic() + MOST_WAITING.total_seconds()
    while waiting and time.monotonic() < until:
        for rank in list(waiting):
            if store.check([f"waits {rank}"]):
                store.set(f"port for {store.get(f'waits {rank}').decode()}", port)
            if store.check([f"knows {port} {rank}"]):
                waiting.discard(rank)
        time.sleep(POLL_SECONDS if waiting else 0)
    return port


def hear_port(store: Any, rank: int) -> str:
    """Returns the port that the first process has opened at this start."""
    name = uuid.uuid4().hex
    store.set(f"waits {rank}", name)
    port = store.get(f"port for {name}").decode()
    store.set(f"knows {port} {rank}", "1")
    return port


def free_port() -> str:
    """Returns a port that nobody uses; it is drawn anew each time, so that it is not that of an earlier start."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return str(probe.getsockname()[1])
