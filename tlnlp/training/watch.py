"""Watches the other processes of a run: if one dies, this one ends within seconds and says so, instead of waiting for
it in a collective operation. Launchers do as much on one machine, but not all of them, and none says it in words."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, NoReturn

import psutil
import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]

from tlnlp.errors import InputError, Interrupted
from tlnlp.training.threads import machine_and_pids

TICK_SECONDS = 1.0
# After the end of another process is known, so long for this one to end by itself, with what its own error says.
GRACE_SECONDS = 5.0
# A machine that is not heard of for so long is lost: longer than a file server or a full memory stops a process.
SILENCE_SECONDS = 60.0
LOST = "lost"


class ProcessLost(RuntimeError):
    """Another process of the run has ended, and this one cannot go on without it.

    Args:
        speaks: whether this process says it: one on each machine does.
    """

    def __init__(self, reason: str, speaks: bool) -> None:
        super().__init__(reason)
        self.reason, self.speaks = reason, speaks

    def end(self) -> NoReturn:
        """Says it and ends this process at once: what is left to tidy up would wait for the other one."""
        if self.speaks:
            words = f"The run ends here: {self.reason}. Its checkpoints are intact; to continue, add --resume."
            print(words, file=sys.stderr)
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(1)


@contextlib.contextmanager
def watch_others(accelerator: Accelerator) -> Iterator[None]:
    """While it is open, the end of another process ends this one.

    Raises:
        ProcessLost: instead of the error of an operation in which another process no longer takes part.
    """
    watch = _start(accelerator)
    if watch is None:
        yield
        return
    try:
        yield
    except (InputError, Interrupted):  # raised on all processes
        raise
    except Exception as error:
        if is_broken_connection(error):
            raise watch.lost() from error
        watch.tell(f"{watch.name} ended: {type(error).__name__}: {str(error).strip()[:300]}")
        raise
    finally:
        watch.stop()


def is_broken_connection(error: Exception) -> bool:
    """Returns whether an operation failed since another process did not take part in it."""
    words = ("gloo", "nccl", "connection closed by peer", "connection reset", "timed out")
    return isinstance(error, torch.distributed.DistError) or (
        isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)
    )


class _Watch:
    """A thread that looks every second.

    On one machine a process sees whether another exists. Of other machines the first process is heard of through the
    store of the process group: it counts, and the first process of all compares the counts.

    Args:
        mates: {rank: (pid, when it began)} of the other processes on this machine.
        machines: the first rank of each machine.
    """

    def __init__(
        self, store: Any, rank: int, mates: dict[int, tuple[int, float]], machines: dict[int, str], first: int
    ) -> None:
        self.rank, self.name = rank, f"process {rank} on {socket.gethostname()}"
        self._store, self._mates, self._machines, self._first = store, mates, machines, first
        self._stopped, self._lock = threading.Event(), threading.Lock()
        self._lost: ProcessLost | None = None
        self._heard = dict.fromkeys(machines, (0, time.monotonic()))
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the watch: this process takes part in nothing any more."""
        self._stopped.set()
        self._write(f"done {self.rank}", "1")

    def tell(self, reason: str) -> None:
        """Tells all processes why this one ends."""
        self._write(LOST, reason)

    def lost(self) -> ProcessLost:
        """Returns why an operation failed, once the thread knows."""
        until = time.monotonic() + GRACE_SECONDS - TICK_SECONDS
        while self._lost is None and time.monotonic() < until:
            time.sleep(0.05)
        return self._lost or self._as_error("the connection to another process broke")

    def _as_error(self, reason: str) -> ProcessLost:
        lower = [mate for rank, mate in self._mates.items() if rank < self.rank]
        return ProcessLost(reason, speaks=not any(_exists(*mate) for mate in lower))

    def _write(self, key: str, value: str) -> None:
        with contextlib.suppress(Exception), self._lock:  # without a store, nobody is left to read it
            self._store.set(key, value)

    def _run(self) -> None:
        while not self._stopped.wait(TICK_SECONDS):
            try:
                with self._lock:
                    reason = self._look()
            except Exception:  # whatever a broken connection raises
                reason = self._lost_mate(asks=False) or "the first process, or its machine, cannot be reached any more"
            if reason is None:
                continue
            self._lost = self._as_error(reason)
            # By itself, or here: it may wait for the lost one for ever.
            if not self._stopped.wait(GRACE_SECONDS):
                self._lost.end()
            return

    def _look(self) -> str | None:
        """Returns which process is lost; None if all are there."""
        if self._store.check([LOST]):
            return self._store.get(LOST).decode()
        if self.rank == self._first:
            self._store.add(f"beat {self.rank}", 1)
        lost = self._lost_mate() or (self._lost_machine() if self.rank == 0 else None)
        if lost is not None:
            self._store.set(LOST, lost)
        return lost

    def _lost_mate(self, asks: bool = True) -> str | None:
        """Returns which process of this machine is lost.

        Args:
            asks: whether to look in the store whether those that do not exist any more are done.
        """
        for rank, (pid, began) in self._mates.items():
            if not _exists(pid, began) and not (asks and self._store.check([f"done {rank}"])):
                return f"process {rank} on {socket.gethostname()} (pid {pid}) was killed or crashed"
        return None

    def _lost_machine(self) -> str | None:
        now = time.monotonic()
        for rank, machine in self._machines.items():
            beats, since = self._heard[rank]
            counted = self._store.add(f"beat {rank}", 0)
            if counted != beats or self._store.check([f"done {rank}"]):
                self._heard[rank] = counted, now
            elif now - since > SILENCE_SECONDS:
                return f"{machine} has not been heard of for {SILENCE_SECONDS:.0f} seconds"
        return None


def _exists(pid: int, began: float) -> bool:
    try:
        process = psutil.Process(pid)
        # Times differ when the clock is set; a pid is not given anew so soon.
        return process.status() != psutil.STATUS_ZOMBIE and abs(process.create_time() - began) < 60
    except psutil.Error:
        return False


def _start(accelerator: Accelerator) -> _Watch | None:
    """Returns None for a single process, and where processes have no store (MPI's own backend)."""
    if accelerator.num_processes == 1:
        return None
    rank, me, token = accelerator.process_index, psutil.Process(), [uuid.uuid4().hex]
    broadcast_object_list(token)
    store, here = _connect(), machine_and_pids()
    everyone = gather_object([(rank, here, socket.gethostname(), me.pid, me.create_time(), store is not None)])
    if store is None or not all(is_connected for *_, is_connected in everyone):
        return None
    machines: dict[str, tuple[int, str]] = {}
    for each, machine, host, *_ in sorted(everyone):
        machines.setdefault(machine, (each, host))
    mates = {each: (pid, at) for each, machine, _, pid, at, _ in everyone if machine == here and each != rank}
    return _Watch(PrefixStore(token[0], store), rank, mates, dict(machines.values()), machines[here][0])


def _connect() -> TCPStore | None:
    """Returns a connection of its own to the store of the process group, whose connection is blocked while processes
    connect to each other; None if there is no store."""
    timeout = timedelta(seconds=SILENCE_SECONDS)
    try:
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        return TCPStore(address, port, is_master=False, timeout=timeout, wait_for_workers=False)
    except (LookupError, ValueError, RuntimeError):
        return None
