"""Batches on their way to the device: built ahead in a thread, in page-locked memory, and copied without waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch

# Updates whose batches are ready before the network asks for them. Two hide the time of an unusually long batch.
UPDATES_AHEAD = 2
Value = TypeVar("Value")


@dataclass(frozen=True)
class DeviceFeed:
    """Brings the batches of a run to the network's device.

    On a CPU the cores that would build batches ahead are those that the network computes on, so nothing is built ahead
    there.

    Args:
        device: of the network.
        ahead: number of values that `iterate` computes ahead, in a thread of its own; 0: each when it is asked for.
    """

    device: torch.device
    ahead: int = 0

    @classmethod
    def to(cls, device: torch.device) -> DeviceFeed:
        """Returns the feed for `device`."""
        return cls(device, 0 if device.type == "cpu" else UPDATES_AHEAD)

    def stage(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Returns the batch in memory from which it can be copied to the device while the processor goes on. Called in
        the thread of `iterate`."""
        if self.device.type != "cuda":
            return batch
        return {name: value.pin_memory() for name, value in batch.items()}

    def move(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Returns the batch on the device; the copies may still be under way, before everything that uses them."""
        if self.device.type == "cpu":
            return batch
        return {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}

    def iterate(self, values: Iterator[Value]) -> Iterator[Value]:
        """Yields `values` in order. Errors are raised where their value would have come."""
        return compute_ahead(values, self.ahead) if self.ahead else values


def compute_ahead(values: Iterator[Value], count: int) -> Iterator[Value]:
    """Yields `values`, of which up to `count` are computed beforehand in a thread. It ends with the generator."""
    end = object()
    pool = ThreadPoolExecutor(1, thread_name_prefix="batches")
    try:
        waiting = deque(pool.submit(next, values, end) for _ in range(count))
        while (value := waiting.popleft().result()) is not end:
            waiting.append(pool.submit(next, values, end))
            yield value  # type: ignore[misc]  # `end` is none of them
    finally:
        pool.shutdown(cancel_futures=True)


def one_behind(values: Iterator[Value]) -> Iterator[Value]:
    """Yields each value when the next one has been computed: the device has work while the last result is read."""
    before = next(values, None)
    while before is not None:
        after = next(values, None)
        yield before
        before = after


class HostCopy:
    """The copy of a tensor in the processor's memory, which is made while the device goes on.

    Args:
        tensor: of any shape, in fp32.
    """

    def __init__(self, tensor: torch.Tensor) -> None:
        self._copied: torch.cuda.Event | None = None
        if tensor.device.type != "cuda":
            self._tensor = tensor.cpu()
            return
        self._tensor = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        self._tensor.copy_(tensor, non_blocking=True)
        self._copied = torch.cuda.Event()
        self._copied.record()

    def numpy(self) -> np.ndarray:
        """Returns the values, when they have arrived."""
        if self._copied is not None:
            self._copied.synchronize()
        return self._tensor.numpy()
