"""One process or many: the accelerator, and what only the first process does."""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list

from tlnlp.errors import InputError
from tlnlp.settings import Precision

# Parameters of glibc's mallopt(3): how many blocks mmap may give; how much free memory is kept (-1: all).
M_MMAP_MAX, M_TRIM_THRESHOLD = -4, -1
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
MIXED = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


class PreciseAccelerator(Accelerator):
    """An Accelerator that keeps its own precision: accelerate's is one for the whole process, so that a later run in
    bf16 would change what a model that was loaded before it computes in."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.own_precision = super().mixed_precision

    @property
    def mixed_precision(self) -> str:
        """no, bf16 or fp16."""
        return str(self.__dict__.get("own_precision", super().mixed_precision))  # asked on the way to it, too

    def autocast(self, autocast_handler: Any = None) -> Any:
        """The context in which the network computes in this precision."""
        if self.own_precision not in DTYPES:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, DTYPES[self.own_precision])


def start_accelerator(
    precision: Precision = "fp32", tracker: str | None = None, tracker_folder: Path | None = None
) -> Accelerator:
    """The Accelerator on the machine and processes that the launcher gave.

    Args:
        precision: of the network's arithmetic; weights stay in fp32.
        tracker: name of an Accelerate tracker to log to, which writes to `tracker_folder`.

    Raises:
        InputError: a precision that this machine cannot compute in, or a tracker that is not there.
    """
    if precision == "fp16" and not torch.cuda.is_available():
        raise InputError(
            expected="--precision fp32 or bf16 where there is no GPU",
            found="--precision fp16",
            change="--precision bf16",
        )
    try:
        # A process may have several runs one after the other, in other precisions.
        AcceleratorState._reset_state()
        accelerator = PreciseAccelerator(
            # Processes without a GPU share the training only where accelerate is told that this is meant.
            cpu=not torch.accelerator.is_available(),
            mixed_precision=MIXED[precision],
            log_with=tracker,
            project_dir=tracker_folder,
        )
    except ValueError as error:
        raise InputError(
            expected="a tracker or a precision that accelerate knows and finds installed",
            found=str(error).strip().splitlines()[0],
            change="--tracker or --precision, or install the tracker's package",
        ) from error
    if tracker and not accelerator.log_with:
        raise InputError(
            expected="a tracker that is installed",
            found=f"--tracker {tracker}, whose package is not there",
            change=f"pip install {tracker}, or leave --tracker out",
        )
    if accelerator.device.type == "cpu":
        # Those this process may run on; only Linux tells.
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        torch.set_num_threads(threads(os.environ, cores))
        _keep_freed_memory()
    return accelerator


def threads(environment: Mapping[str, str], cores: int) -> int:
    """How many threads a process computes with: OMP_NUM_THREADS where a person has set it, else its share of the cores;
    never more than it has cores.

    Launchers set it to 1 whatever the machine, so a 1 of theirs says nothing. That a person's is kept matters most
    where several runs share a machine: with more threads than cores, each small operation waits for a thread that is
    not running.
    """
    asked = environment.get("OMP_NUM_THREADS", "")
    launched = "LOCAL_WORLD_SIZE" in environment or "ACCELERATE_MIXED_PRECISION" in environment
    if asked.isdecimal() and int(asked) > (1 if launched else 0):
        return min(int(asked), cores)
    return max(1, cores // int(environment.get("LOCAL_WORLD_SIZE", "1")))


def _keep_freed_memory() -> None:
    """Tells glibc to reuse large blocks instead of giving them back to the system and asking for them anew at each
    update, each page zeroed again: 5 to 10 % of an update on a CPU. Other C libraries are left alone."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, -1)


def launch_advice(accelerator: Accelerator) -> list[str]:
    """What a person should know of the way the processes were started, and of what they compute in."""
    if accelerator.device.type != "cpu":
        return []
    advice = []
    if "MASTER_ADDR" in os.environ and "WORLD_SIZE" not in os.environ:
        # accelerate starts several processes on GPUs, and on CPUs through MPI only; it says nothing about it.
        advice.append(
            "accelerate launch starts one process on a CPU; for several: torchrun --nproc_per_node 2 recipes/..."
        )
    if accelerator.mixed_precision == "bf16" and not multiplies_bf16(_capabilities()):
        advice.append("this processor has no bf16 arithmetic and imitates it: --precision fp32 is faster here")
    return advice


def multiplies_bf16(capabilities: Mapping[str, Any]) -> bool:
    """Whether an x86 processor has instructions for it; of others nothing is claimed."""
    if "avx512_bf16" not in capabilities:
        return True
    return bool(capabilities["avx512_bf16"] or capabilities.get("amx_bf16"))


def _capabilities() -> Mapping[str, Any]:
    # An older torch cannot be asked.
    return torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}


def run_on_main(accelerator: Accelerator, act: Callable[[], Any]) -> Any:
    """What `act` gives on the first process, on all of them; what it refuses there is refused everywhere."""
    outcome: list[Any] = [None, None]
    if accelerator.is_main_process:
        try:
            outcome[0] = act()
        except InputError as error:
            outcome[1] = (error.expected, error.found, error.change)
    if accelerator.num_processes > 1:
        broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise InputError(expected=outcome[1][0], found=outcome[1][1], change=outcome[1][2])
    return outcome[0]
