"""Profiles an update of ours: the largest kernels, the gaps between them, the waits for the GPU."""

from __future__ import annotations

import collections
import time
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from gpu_parts.bench import REPOSITORY, Bench, TrainingLog, activity_of, attempt, wait_for_gpu
from gpu_parts.ours import OursArm
from gpu_parts.speed import make_arm

UPDATES, LARGEST = 10, 10
LONG_GAP_MS = 0.05
OURS = str(REPOSITORY / "tlnlp")


class Watch:
    """A window for `OursArm.run`, in which waits are counted and then a few updates are profiled."""

    def __init__(self, warm: int, encoded_dev: int) -> None:
        self.warm, self.encoded_dev = warm, encoded_dev
        self.updates = warm + 2 * encoded_dev
        self.waits: collections.Counter[str] = collections.Counter()
        self.record: TrainingLog = {}
        self._show = warnings.showwarning
        self._profiler: Any = None
        self._began = 0.0

    def tick(self, done: int) -> None:
        """To be called when `done` updates are done."""
        on_gpu = torch.cuda.is_available()
        if done == self.warm and on_gpu:
            warnings.simplefilter("always")
            warnings.showwarning = self._count
            torch.cuda.set_sync_debug_mode("warn")
        elif done == self.warm + self.encoded_dev:
            if on_gpu:
                torch.cuda.set_sync_debug_mode("default")
                warnings.showwarning = self._show
            kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
            self._profiler = profile(activities=kinds)
            self._profiler.start()
            wait_for_gpu()
            self._began = time.perf_counter()
        elif done == self.updates:
            wait_for_gpu()
            wall = time.perf_counter() - self._began
            self._profiler.stop()
            self.record = self._describe(wall)

    def _count(self, message: Any, *_: Any, **__: Any) -> None:
        """Torch warns at each wait: counts it for the innermost line of our code in the traceback."""
        if "synchron" not in str(message):
            return
        frames = [frame for frame in traceback.extract_stack() if frame.filename.startswith(OURS)]
        place = "not in tlnlp"
        if frames:
            place = f"{Path(frames[-1].filename).relative_to(REPOSITORY)}:{frames[-1].lineno} {frames[-1].line}"
        self.waits[place] += 1

    def _describe(self, wall_seconds: float) -> TrainingLog:
        on_gpu = torch.cuda.is_available()
        averages = self._profiler.key_averages()
        spent = "self_device_time_total" if on_gpu else "self_cpu_time_total"
        kinds = [each for each in averages if not on_gpu or is_kernel(each)]
        total = sum(getattr(each, spent) for each in kinds) or 1
        largest = sorted(kinds, key=lambda each: -getattr(each, spent))[:LARGEST]
        activity = activity_of(self._profiler, wall_seconds)
        gaps = activity.gaps_ms
        return {
            "update_ms": activity.wall_ms / self.encoded_dev,
            "kernels": len(activity.kernels) / self.encoded_dev,
            "kernel_ms": activity.busy_ms / self.encoded_dev,
            "gap_ms": sum(gaps) / self.encoded_dev,
            "long_gaps": sum(gap > LONG_GAP_MS for gap in gaps) / self.encoded_dev,
            "longest_gap_ms": max(gaps, default=0.0),
            "largest": [
                {
                    "name": short_name(each.key),
                    "share": getattr(each, spent) / total,
                    "calls": each.count / self.encoded_dev,
                }
                for each in largest
            ],
            "waits": {place: count / self.encoded_dev for place, count in self.waits.most_common()},
        }


def is_kernel(event: Any) -> bool:
    """Returns whether an average is that of a GPU kernel, and not of a labelled range."""
    return event.device_type == torch.autograd.DeviceType.CUDA and not event.is_user_annotation


def short_name(kernel: str) -> str:
    """Shortens the name of a kernel, without namespaces."""
    for noise in ("void ", "at::native::", "(anonymous namespace)::", "unsigned "):
        kernel = kernel.replace(noise, "")
    return kernel[:80]


def run(bench: Bench) -> Iterator[TrainingLog]:
    """Profiles bert-base in bf16 on rows of SST-2 and SQuAD, 32 per update; toy sizes in a dry run."""
    for shape in bench.size(["sst2", "squad"], ["squad"]):
        yield {"kind": "profile", "shape": shape} | attempt(lambda: watch(shape, bench))  # noqa: B023


def watch(shape: str, bench: Bench) -> TrainingLog:
    """Profiles updates of the arm `ours_bf16`."""
    arm = make_arm("ours_bf16", shape, {}, bench)
    assert isinstance(arm, OursArm)
    watch = Watch(bench.size(10, 1), bench.size(UPDATES, 2))
    arm.run(bench.size(32, 4), watch)  # type: ignore[arg-type]
    return watch.record
