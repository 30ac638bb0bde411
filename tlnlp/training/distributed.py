"""Distributed training: the accelerator, threads, and work of the main process only."""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import InitProcessGroupKwargs, broadcast_object_list, gather_object

from tlnlp.errors import InputError
from tlnlp.settings import Precision
from tlnlp.training import sharding
from tlnlp.training.launchers import adopt_launcher, advice_on_processes
from tlnlp.training.rendezvous import meet_anew
from tlnlp.training.threads import Cores, asked_threads, count_threads, environment_of_launcher

# Parameters of glibc's mallopt(3): maximum number of mmap blocks; how much free memory is kept (-1: all).
M_MMAP_MAX, M_TRIM_THRESHOLD = -4, -1
# Processes wait for each other no longer: for the first one, which makes a vocabulary or writes a large checkpoint. The
# end of a process is noticed within seconds (`tlnlp.training.watch`).
MOST_WAITING = timedelta(hours=1)
DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
MIXED = {"fp32": "no", "tf32": "no", "bf16": "bf16", "fp16": "fp16"}


class PreciseAccelerator(Accelerator):
    """An Accelerator with its own precision, which `--precision` names `precision`. accelerate has one precision per
    process, so a later run in bf16 would change the precision of a model that was loaded before."""

    precision: Precision = "fp32"

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
    precision: Precision | None = None, tracker: str | None = None, tracker_folder: Path | None = None
) -> PreciseAccelerator:
    """Creates the Accelerator for the device and processes of the launcher.

    Args:
        precision: of the network's computation; weights stay in fp32. That of `default_precision` if unset.
        tracker: name of an Accelerate tracker, which writes to `tracker_folder`.

    Raises:
        InputError: this machine does not support the precision, or the tracker is not installed.
    """
    if precision in ("fp16", "tf32") and not torch.cuda.is_available():
        raise InputError(
            expected="--precision fp32 or bf16 without a GPU",
            found=f"--precision {precision}",
            change="--precision bf16",
        )
    precision = default_precision() if precision is None else precision
    sharding.check_launcher(os.environ, precision)
    adopt_launcher(os.environ)
    meet_anew(os.environ)
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
                kwargs_handlers=[InitProcessGroupKwargs(timeout=MOST_WAITING)],
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
    accelerator.precision = precision
    if accelerator.device.type == "cpu":
        set_threads(accelerator)
        _keep_freed_memory()
    if accelerator.device.type == "cuda":
        # TensorFloat-32 keeps 10 bits of fp32's 23 in products: only where it is asked for.
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
        # cuDNN's attention plans each new shape for some 80 ms, and rows of texts have many shapes.
        torch.backends.cuda.enable_cudnn_sdp(False)
    return accelerator


def default_precision() -> Precision:
    """Returns bf16 for a GPU that computes in it, otherwise fp32: other processors are slower in bf16 or emulate it."""
    has_bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16" if has_bf16 else "fp32"


def set_threads(accelerator: Accelerator) -> None:
    """Sets the number of threads with which a CPU computes: see `count_threads`."""
    own = Cores.of_this_process()
    everyone = gather_object([own]) if accelerator.num_processes > 1 else [own]
    asked = asked_threads(os.environ, environment_of_launcher())
    torch.set_num_threads(count_threads(asked, own, everyone))


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
    if (on_processes := advice_on_processes(os.environ)) is not None:
        advice.append(on_processes)
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
    outcome = list(_outcome(act)) if accelerator.is_main_process else [None, None]
    if accelerator.num_processes > 1:
        broadcast_object_list(outcome)
    _raise_refusal(outcome[1])
    return outcome[0]


def run_on_all(accelerator: Accelerator, act: Callable[[], Any], digest: Callable[[Any], str]) -> Any:
    """Runs `act` on every process and returns its result; an InputError of any is raised on all.

    Args:
        digest: of a result, which must be the same on all processes.

    Raises:
        InputError: of the first process that has one; or the digests differ: the processes see other files.
    """
    result, refusal = _outcome(act)
    if accelerator.num_processes > 1:
        place = f"process {accelerator.process_index} on {socket.gethostname()}"
        digests, refusals, places = zip(
            *gather_object([(None if refusal else digest(result), refusal, place)]), strict=True
        )
        refused = [(each, where) for each, where in zip(refusals, places, strict=True) if each is not None]
        if refused:
            (expected, found, change), where = refused[0]
            only = "" if len(refused) == len(refusals) else f" (seen by {where}, not by all processes)"
            refusal = expected, found + only, change
        elif len(set(digests)) > 1:
            other = next(where for each, where in zip(digests, places, strict=True) if each != digests[0])
            refusal = (
                "the same rows and the same checkpoint on all processes",
                f"other files in {places[0]} and {other}",
                "copy the files to all machines, or name a folder that they share",
            )
    _raise_refusal(refusal)
    return result


Refusal = tuple[str, str, str]


def _outcome(act: Callable[[], Any]) -> tuple[Any, Refusal | None]:
    """Returns the result of `act`, and the parts of an InputError."""
    try:
        return act(), None
    except InputError as error:
        return None, (error.expected, error.found, error.change)


def _raise_refusal(refusal: Refusal | None) -> None:
    if refusal is not None:
        raise InputError(expected=refusal[0], found=refusal[1], change=refusal[2])
