"""Tokens per second of `recipes/pretrain.py`: `mini`'s network, and one with four times its layers' weights."""

from __future__ import annotations

from collections.abc import Iterator

from gpu_parts.bench import Bench, TrainingLog, Window, attempt, memory_of
from gpu_parts.ours import OursArm

# {rows of 128 tokens per update: token budget of a micro-batch}: the recipe's defaults, and values for a large GPU.
BATCHES = {32: 4096, 512: 65_536}
UPDATES = (5, 30, 5)


def run(bench: Bench) -> Iterator[TrainingLog]:
    """Yields the speed of each network and batch size, in bf16."""
    for network in ("encoder", "encoder-x4"):
        for batch_size, max_tokens in bench.size(BATCHES, {4: 512}).items():
            record = {"kind": "pretraining", "network": network, "batch_size": batch_size}
            yield record | attempt(lambda: measure(network, batch_size, max_tokens, bench))  # noqa: B023


def measure(network: str, batch_size: int, max_tokens: int, bench: Bench) -> TrainingLog:
    """Measures one run from scratch."""
    warm, timed, profiled = bench.size(UPDATES, (1, 2, 1))
    window, record = Window(warm, timed, profiled), {}
    with memory_of(record):
        arm = OursArm(
            "pretrain", bench, rows="text", model=str(bench.work / network), strategy="from_scratch", precision="bf16",
            max_tokens=max_tokens, learning_rate=1e-3,
        )  # fmt: skip
        arm.run(batch_size, window)
    tokens = float(arm.lengths.mean()) * batch_size
    record |= {
        "weights": sum(parameter.numel() for parameter in arm.work.training.model.parameters()),
        "tokens_per_second": tokens * timed / window.seconds,
        "update_ms": window.seconds / timed * 1e3,
    }
    if window.activity is not None and window.activity.kernels:
        record["busy"] = window.activity.busy_ms / profiled / record["update_ms"]
    return record
