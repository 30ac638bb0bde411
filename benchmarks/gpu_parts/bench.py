"""Shared by all parts: sizes, timing of updates, and a clean state for each run in a process."""

from __future__ import annotations

import contextlib
import gc
import os
import statistics
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from accelerate.state import AcceleratorState, GradientState
from torch.profiler import ProfilerActivity, profile

REPOSITORY = Path(__file__).resolve().parents[2]
# Calls in which the host waits for the GPU, including copies from pageable (not pinned) memory.
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "cudaMemcpyAsync", "cudaMemcpy")

TrainingLog = dict[str, Any]
Value = TypeVar("Value")


@dataclass(frozen=True)
class Bench:
    """The inputs and the size of a part.

    Args:
        work: folder of checkpoints and rows, made by `inputs.make`, and of runs.
        dry_run: toy sizes, on the CPU.
        sst2: folder with SST-2 as `train.jsonl.gz` and `validation.jsonl.gz`; None: random rows with its lengths.
    """

    work: Path
    dry_run: bool
    sst2: Path | None

    def size(self, full: Value, toy: Value) -> Value:
        """Returns `full`, or `toy` in a dry run."""
        return toy if self.dry_run else full

    @property
    def device(self) -> torch.device:
        """The GPU, or the CPU in a dry run."""
        return torch.device("cpu" if self.dry_run or not torch.cuda.is_available() else "cuda")


def start_afresh() -> None:
    """Resets the Accelerator of the previous run, and the precision that the Trainer leaves in the environment and in
    torch's settings."""
    AcceleratorState._reset_state(reset_partial_state=True)
    GradientState._reset_state()
    os.environ.pop("ACCELERATE_MIXED_PRECISION", None)
    set_tf32(False)  # torch's own default
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def set_tf32(on: bool) -> None:
    """Sets whether fp32 matrix products use TF32. It sets the option of the matrix products: torch 2.11 still used TF32
    after transformers' `enable_tf32(False)` had set the global option."""
    if hasattr(torch.backends.cuda.matmul, "fp32_precision"):
        torch.backends.cuda.matmul.fp32_precision = "tf32" if on else "ieee"
    else:  # before torch 2.9
        torch.backends.cuda.matmul.allow_tf32 = on


def wait_for_gpu() -> None:
    """Waits until the GPU has finished."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def attempt(act: Callable[[], TrainingLog]) -> TrainingLog:
    """Returns the record of `act`, or its error, so that one failure does not end the other measurements of a part."""
    try:
        return act()
    except Exception as error:
        traceback.print_exc()
        return {"failed": f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"}


def median(values: list[float]) -> float | None:
    """Returns the median; None for an empty list."""
    return statistics.median(values) if values else None


@dataclass(frozen=True)
class Activity:
    """Profiler data of a few updates.

    Args:
        kernels: [(start, end)] of each kernel and copy on the GPU, in milliseconds, in order.
        waits_ms: time in which the host waited for the GPU.
        wall_ms: wall-clock time of the updates.
    """

    kernels: list[tuple[float, float]]
    waits_ms: float
    wall_ms: float

    @property
    def busy_ms(self) -> float:
        """Returns the time in which at least one kernel ran."""
        busy, until = 0.0, 0.0
        for start, end in self.kernels:
            busy += max(0.0, end - max(start, until))
            until = max(until, end)
        return busy

    @property
    def gaps_ms(self) -> list[float]:
        """Returns the times between kernels."""
        gaps, until = [], self.kernels[0][1] if self.kernels else 0.0
        for start, end in self.kernels:
            if start > until:
                gaps.append(start - until)
            until = max(until, end)
        return gaps


def activity_of(profiler: Any, wall_seconds: float) -> Activity:
    """Extracts the GPU's kernels and the host's waits from the recording of `profiler`."""
    events = profiler.profiler.kineto_results.events()
    kernels, waits = [], 0.0
    for event in events:
        on_gpu = event.device_type() == torch.autograd.DeviceType.CUDA
        if on_gpu and not event.is_user_annotation():
            kernels.append((event.start_ns() / 1e6, (event.start_ns() + event.duration_ns()) / 1e6))
        elif not on_gpu and event.name() in WAITS:
            waits += event.duration_ns() / 1e6
    return Activity(sorted(kernels), waits, wall_seconds * 1e3)


@dataclass
class Window:
    """A clock that is called after each update: it skips `warm` updates, times `timed`, and profiles `profiled`.

    Args:
        warm: at least 1.
        profiled: 0 in all rounds except one, since profiling takes time.
    """

    warm: int
    timed: int
    profiled: int = 0
    seconds: float = 0.0
    activity: Activity | None = None
    _profiler: Any = field(default=None, repr=False)
    _began: float = field(default=0.0, repr=False)

    @property
    def updates(self) -> int:
        """Total number of updates."""
        return self.warm + self.timed + self.profiled

    def tick(self, done: int) -> None:
        """To be called when `done` updates are done."""
        if done == self.warm:
            wait_for_gpu()
            self._began = time.perf_counter()
        elif done == self.warm + self.timed:
            wait_for_gpu()
            self.seconds = time.perf_counter() - self._began
            if self.profiled:
                self._begin_profile()
        elif self.profiled and done == self.updates:
            wait_for_gpu()
            wall = time.perf_counter() - self._began
            self._profiler.stop()
            self.activity = activity_of(self._profiler, wall)
            self._profiler = None

    def _begin_profile(self) -> None:
        on_gpu = torch.cuda.is_available()
        self._profiler = profile(activities=[ProfilerActivity.CUDA if on_gpu else ProfilerActivity.CPU])
        self._profiler.start()
        wait_for_gpu()
        self._began = time.perf_counter()


@contextlib.contextmanager
def memory_of(owner: dict[str, Any], held: int = 0) -> Iterator[None]:
    """Records in `owner["gib"]` the peak GPU memory while it is open, minus what was allocated before, except for the
    `held` bytes, which belong to the owner."""
    if not torch.cuda.is_available():
        yield
        return
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    yield
    owner["gib"] = (torch.cuda.max_memory_allocated() - before + held) / 2**30


def bytes_of(network: torch.nn.Module, optimizer: torch.optim.Optimizer | None = None) -> int:
    """Returns the size of the weights and, if given, of the optimizer's moments."""
    states = [] if optimizer is None else [value for state in optimizer.state.values() for value in state.values()]
    return sum(each.nbytes for each in (*network.parameters(), *states) if isinstance(each, torch.Tensor))
