"""The peak rates of the GPU: matrix products and a copy, on random numbers."""

from __future__ import annotations

import platform
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version

import torch

from gpu_parts.bench import Bench, TrainingLog, median, set_tf32, wait_for_gpu

LIBRARIES = ("torch", "transformers", "accelerate", "peft", "datasets", "tokenizers", "numpy")
REPEATS = 20


def run(bench: Bench) -> Iterator[TrainingLog]:
    """Yields the machine, TFLOP/s of a product of square matrices in three precisions, and GB/s of a copy (reads and
    writes)."""
    yield {"kind": "machine", **describe_machine()}
    side = bench.size(8192, 64)
    for name, dtype, tf32 in (
        ("bf16", torch.bfloat16, False),
        ("TF32", torch.float32, True),
        ("fp32", torch.float32, False),
    ):
        set_tf32(tf32)
        left, right = (torch.randn(side, side, device=bench.device, dtype=dtype) for _ in range(2))
        seconds = time_of(lambda: left @ right)  # noqa: B023
        yield {"kind": "product", "precision": name, "side": side, "tflops": 2 * side**3 / seconds / 1e12}
    source = torch.randn(bench.size(2**30, 2**16), device=bench.device)
    target = torch.empty_like(source)
    seconds = time_of(lambda: target.copy_(source))
    yield {"kind": "copy", "gib": source.nbytes / 2**30, "gb_per_second": 2 * source.nbytes / seconds / 1e9}


def time_of(act: Callable[[], object]) -> float:
    """Returns the median seconds, after three warm-up rounds."""
    seconds = []
    for _ in range(REPEATS + 3):
        wait_for_gpu()
        began = time.perf_counter()
        act()
        wait_for_gpu()
        seconds.append(time.perf_counter() - began)
    return median(seconds[3:]) or 0.0


def describe_machine() -> TrainingLog:
    """Returns GPU, driver and versions; nothing that identifies the machine."""
    card, driver = "none: a dry run on the CPU", ""
    if torch.cuda.is_available():
        card = torch.cuda.get_device_name()
        asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        driver = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    return {
        "card": card,
        "driver": driver,
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
    }
