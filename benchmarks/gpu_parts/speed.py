"""Rows per second of bert-base (random weights): the Trainer as the example scripts call it, tuned, and ours."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import transformers

from gpu_parts.bench import Bench, TrainingLog, Window, attempt, memory_of
from gpu_parts.ours import OursArm
from gpu_parts.trainer import SHAPES, TrainerArm

ARMS: dict[str, dict[str, Any]] = {
    "trainer": {"tuned": False},
    "trainer_tuned": {"tuned": True},
    "ours_fp32": {"precision": "fp32"},
    "ours_bf16": {"precision": "bf16"},
    "ours_bf16_padded": {"precision": "bf16", "compute_padding": True},
    "ours_bf16_whole": {"precision": "bf16", "max_tokens": 65_536},
    "trainer_compiled": {"tuned": True, "compiled": True},
    "ours_compiled": {"precision": "bf16", "max_tokens": 65_536, "compile": True},
}
ROUNDS = 3
SMALL_BATCH, LARGE_BATCH = 32, 256
# Updates skipped, timed, and (in the last round) profiled; the second triple is for long rows.
UPDATES = {SMALL_BATCH: ((5, 20, 5), (3, 12, 3)), LARGE_BATCH: ((3, 8, 3), (2, 3, 2))}


def small_batches(bench: Bench) -> Iterator[TrainingLog]:
    """Measures the papers' batch size."""
    return run(SMALL_BATCH, bench.size(list(SHAPES), ["squad", "conll2003"]), bench)


def large_batches(bench: Bench) -> Iterator[TrainingLog]:
    """Measures a batch size for a large GPU."""
    return run(LARGE_BATCH, bench.size(list(SHAPES), ["sst2", "mnli"]), bench)


def run(batch_size: int, shapes: list[str], bench: Bench) -> Iterator[TrainingLog]:
    """Runs the arms in turn for each shape, `ROUNDS` times; in the last round also under the profiler."""
    for number, shape in enumerate(shapes):
        names = [name for name in ARMS if not name.endswith("compiled")]
        names = bench.size(names, names[number % 2 :: 2])  # a dry run has each arm and each shape, not the product
        arms: dict[str, Any] = {}
        updates = UPDATES[batch_size][shape == "squad"]
        for round_number in range(bench.size(ROUNDS, 1)):
            for name in names:
                record = {"kind": "speed", "shape": shape, "batch_size": batch_size, "arm": name, "round": round_number}
                window = bench.size(Window(*updates), Window(1, 2, 1))
                window.profiled *= round_number == bench.size(ROUNDS, 1) - 1
                rows = bench.size(batch_size, 4)
                yield record | attempt(lambda: measure(name, shape, arms, rows, window, bench))  # noqa: B023
        ours = next((arm for name, arm in arms.items() if name.startswith("ours")), None)
        if ours is not None:
            yield {"kind": "shape", "shape": shape, **describe_shape(ours.lengths, bench)}


def compiled(bench: Bench) -> Iterator[TrainingLog]:
    """Measures ours and the tuned Trainer with torch.compile: compile time and speed."""
    for shape in bench.size(["sst2", "squad"], ["sst2"]):
        for arm in ("ours_compiled", "trainer_compiled"):
            record = {"kind": "speed", "shape": shape, "batch_size": SMALL_BATCH, "arm": arm, "round": 0}
            window, began = bench.size(Window(20, 60), Window(1, 2)), time.perf_counter()
            rows = bench.size(SMALL_BATCH, 4)
            measured = attempt(lambda: measure(arm, shape, {}, rows, window, bench))  # noqa: B023
            yield record | measured | {"whole_seconds": time.perf_counter() - began}


def make_arm(name: str, shape: str, arms: dict[str, Any], bench: Bench) -> TrainerArm | OursArm:
    """Makes an arm by its name in `ARMS`, given the existing ones."""
    if name.startswith("trainer"):
        return TrainerArm(shape, bench, **ARMS[name])
    return OursArm(shape, bench, max_length=SHAPES[shape].length or 128, **ARMS[name])


def measure(name: str, shape: str, arms: dict[str, Any], batch_size: int, window: Window, bench: Bench) -> TrainingLog:
    """Measures one run of an arm, which is created if `arms` does not have it yet.

    Returns:
        `rows_per_second`; `gib`, the peak GPU memory; if the window profiles, `busy`, the fraction of an update's time
        in which a kernel ran, and `host_ms`, the milliseconds of an update in which the host did not wait for the GPU.
    """
    record: TrainingLog = {}
    with memory_of(record, arms[name].held_bytes if name in arms else 0):
        if name not in arms:
            arms[name] = make_arm(name, shape, arms, bench)
        arms[name].run(batch_size, window)
    record["rows_per_second"] = batch_size * window.timed / window.seconds
    record["update_ms"] = window.seconds / window.timed * 1e3
    if window.activity is not None and window.activity.kernels:
        record["kernel_ms"] = window.activity.busy_ms / window.profiled
        record["busy"] = record["kernel_ms"] / record["update_ms"]
        record["host_ms"] = (window.activity.wall_ms - window.activity.waits_ms) / window.profiled
    return record


def describe_shape(lengths: np.ndarray, bench: Bench) -> TrainingLog:
    """Returns the mean length, and the minimum number of operations of a row's forward and backward pass.

    A multiplication and an addition are two operations; the backward pass counts twice the forward pass; padding,
    norms, embeddings and heads are not counted. A layer multiplies each token by 4 h^2 + 2 h i weights (attention,
    feed-forward) and attends to every token: 2 x 2 h n operations.
    """
    config = transformers.AutoConfig.from_pretrained(bench.work / "bert")
    width, inner, layers = config.hidden_size, config.intermediate_size, config.num_hidden_layers
    weights = layers * (4 * width**2 + 2 * width * inner)
    tokens, squares = float(lengths.mean()), float((lengths.astype(float) ** 2).mean())
    operations = 3 * (2 * weights * tokens + 4 * layers * width * squares)
    return {
        "mean_tokens": tokens,
        "operations_per_row": operations,
        "quantiles": np.quantile(lengths, [0.05, 0.5, 0.95]).tolist(),
    }
