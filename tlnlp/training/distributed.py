"""Distributed training: the accelerator, threads, and work of the main process only."""

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
from tlnlp.training import sharding

# Parameters of glibc's mallopt(3): maximum number of mmap blocks; how much free memory is kept (-1: all).
M_MMAP_MAX, M_TRIM_THRESHOLD = -4, -1
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
MIXED = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


class PreciseAccelerator(Accelerator):
    """An Accelerator with its own precision. accelerate has one precision per process, so a later run in bf16 would
    change the precision of a model that was loaded before."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.own_precision = super().mixed_precision

    @property
    def mixed_precision(self) -> str:
        """no, bf16 or fp16."""
        return str(self.__dict__.get("own_precision", super().mixed_precision))  # also read in __init__

    def autocast(self, autocast_handler: Any = None) -> Any:
        """Returns the context in which the network computes in this precision."""
        if self.own_precision not in DTYPES:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, DTYPES[self.own_precision])


def start_accelerator(
    precision: Precision = "fp32", tracker: str | None = None, tracker_folder: Path | None = None
) -> Accelerator:
    """Creates the Accelerator for the device and processes of the launcher.

    Args:
        precision: of the network's computation; weights stay in fp32.
        tracker: name of an Accelerate tracker, which writes to `tracker_folder`.

    Raises:
        InputError: this machine does not support the precision, or the tracker is not installed.
    """
    if precision == "fp16" and not torch.cuda.is_available():
        raise InputError(
            expected="--precision fp32 or bf16 without a GPU",
            found="--precision fp16",
            change="--precision bf16",
        )
    sharding.check_launcher(os.environ, precision)
    try:
        # A process may do several runs one after the other, in different precisions.
        AcceleratorState._reset_state()
        with sharding.hidden_from_accelerate():
            accelerator = PreciseAccelerator(
                # Without a GPU, accelerate distributes the training only with cpu=True.
                cpu=not torch.accelerator.is_available(),
                mixed_precision=MIXED[precision],
                log_with=tracker,
                project_dir=tracker_folder,
            )
    except ValueError as error:
        raise InputError(
            expected="a tracker or a precision that accelerate supports and that is installed",
            found=str(error).strip().splitlines()[0],
            change="--tracker or --precision, or install the tracker's package",
        ) from error
    if tracker and not accelerator.log_with:
        raise InputError(
            expected="a tracker that is installed",
            found=f"--tracker {tracker}, whose package is not installed",
            change=f"pip install {tracker}, or omit --tracker",
        )
    if accelerator.device.type == "cpu":
        # The cores that this process may use; only Linux reports them.
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        torch.set_num_threads(threads(os.environ, cores))
        _keep_freed_memory()
    return accelerator


def threads(environment: Mapping[str, str], cores: int) -> int:
    """Returns the number of threads of a process: OMP_NUM_THREADS if the user has set it, otherwise its share of the
    cores; never more than the number of cores.

    Launchers set OMP_NUM_THREADS to 1 on every machine, so a 1 under a launcher is ignored. A user's value matters most
    if several runs share a machine: with more threads than cores, small operations wait for threads that are not
    running.
    """
    asked = environment.get("OMP_NUM_THREADS", "")
    launched = "LOCAL_WORLD_SIZE" in environment or "ACCELERATE_MIXED_PRECISION" in environment
    if asked.isdecimal() and int(asked) > (1 if launched else 0):
        return min(int(asked), cores)
    return max(1, cores // int(environment.get("LOCAL_WORLD_SIZE", "1")))


def _keep_freed_memory() -> None:
    """Configures glibc to reuse large blocks instead of returning them to the system and requesting zeroed pages at
    each update, which takes 5 to 10 % of an update on a CPU. Other C libraries are left alone."""
    with contextlib.suppress(OSError, AttributeError):
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, -1)


def launch_advice(accelerator: Accelerator) -> list[str]:
    """Returns advice on how the processes were started, and on their precision."""
    if sharding.REQUEST in os.environ and accelerator.num_processes == 1:
        return ["FSDP: there is one process, so nothing is sharded"]
    if accelerator.device.type != "cpu":
        return []
    advice = []
    if "MASTER_ADDR" in os.environ and "WORLD_SIZE" not in os.environ:
        # accelerate starts several processes on GPUs, but on CPUs only with MPI, and does not say so.
        advice.append(
            "accelerate launch starts one process on a CPU; for several: torchrun --nproc_per_node 2 recipes/..."
        )
    if accelerator.mixed_precision == "bf16" and not multiplies_bf16(_capabilities()):
        advice.append("this processor only emulates bf16: --precision fp32 is faster here")
    return advice


def multiplies_bf16(capabilities: Mapping[str, Any]) -> bool:
    """Returns whether an x86 processor has instructions for bf16 products; True for other processors."""
    if "avx512_bf16" not in capabilities:
        return True
    return bool(capabilities["avx512_bf16"] or capabilities.get("amx_bf16"))


def _capabilities() -> Mapping[str, Any]:
    # Older versions of torch lack this function.
    return torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}


def run_on_main(accelerator: Accelerator, act: Callable[[], Any]) -> Any:
    """Runs `act` on the main process and returns its result on all; an InputError is raised on all as well."""
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
