"""Does the GPU compute the same as the CPU? Each head, on the bundled samples and networks (which have no dropout)."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch

from gpu_parts.bench import Bench, TrainingLog, attempt
from gpu_parts.ours import begin, learn, pack_on_device
from tlnlp.training.loop import train

# A recipe for each head. The pre-training ones continue from the bundled network, on made-up text.
HEADS: dict[str, tuple[str, dict[str, Any]]] = {
    "sentence": ("sst2", {}),
    "pair": ("mnli", {}),
    "choice": ("swag", {}),
    "tag": ("conll2003", {}),
    "span": ("squad", {}),
    "gpt": ("gpt_sst2", {}),
    "masked_lm": ("pretrain", {"model": "mini", "strategy": "full"}),
    "causal_lm": ("pretrain_gpt", {"model": "mini-gpt"}),
}
UPDATES = 20
# Epochs on a sample for the scores in two precisions: enough to learn something in little GPU time.
EPOCHS = 3


def begin_head(head: str, bench: Bench, **settings: Any) -> Any:
    """Prepares a run of `head`'s recipe on part of its sample."""
    recipe, own = HEADS[head]
    rows = {"data": str(bench.work / "text"), "train_rows": bench.size(2000, 20)} if head.endswith("_lm") else {}
    if bench.dry_run:
        rows |= {"train_rows": 12, "batch_size": 4, "max_length": 64, "window_overlap": 8}
        rows |= {} if "gpt" in own.get("model", recipe) else {"model": str(bench.work / "small-bert")}
    return begin(recipe, bench.work / "parity", **(own | rows | settings))


def losses(work: Any, updates: int) -> list[float]:
    """Returns the losses of the first updates."""
    return [float(step.loss) for step in islice(train(work.training), updates)]


def run_cpu(bench: Bench) -> Iterator[TrainingLog]:
    """Yields the losses on the CPU."""
    for head in bench.size(list(HEADS), list(HEADS)[:1]):
        record = {"kind": "losses", "head": head, "where": "cpu"}
        yield record | attempt(lambda: {"losses": losses(begin_head(head, bench), bench.size(UPDATES, 2))})  # noqa: B023


def run_gpu(bench: Bench) -> Iterator[TrainingLog]:
    """Yields the losses on the GPU; the same seed twice; padding-free layers; frozen layers; scores in two
    precisions."""
    updates = bench.size(UPDATES, 2)
    checks = {
        "losses": lambda head: {"where": "gpu"} | twice(head, updates, bench),
        "padding_free": lambda head: packed_and_not(head, updates, bench),
        "frozen": lambda head: kept_and_not(head, bench),
        "precision": lambda head: scores(head, bench),
        "determinism": lambda head: forbidding(head, updates, bench),
    }
    for number, (kind, check) in enumerate(checks.items()):
        # A dry run has each head once and each check at least once, not the product.
        heads = bench.size(list(HEADS), list(HEADS)[number :: len(checks)])
        for head in heads:
            yield {"kind": kind, "head": head} | attempt(lambda: check(head))  # noqa: B023


def twice(head: str, updates: int, bench: Bench) -> TrainingLog:
    """Returns the losses of two runs with one seed, and whether their final weights are bit-identical."""
    first, second = (begin_head(head, bench) for _ in range(2))
    found, again = losses(first, updates), losses(second, updates)
    same = all(
        torch.equal(one, other)
        for one, other in zip(first.training.model.parameters(), second.training.model.parameters(), strict=True)
    )
    return {"losses": found, "same_losses": found == again, "same_bits": same}


def forbidding(head: str, updates: int, bench: Bench) -> TrainingLog:
    """Returns whether two runs with deterministic algorithms are bit-identical, and the operations that lack one."""
    named: set[str] = set()
    for only_warn in (False, True):  # attention has one that torch uses only if it is forced to
        torch.use_deterministic_algorithms(True, warn_only=only_warn)
        try:
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                found = twice(head, updates, bench)
            break
        except RuntimeError as error:
            if "determinis" not in str(error):
                raise
            named.add(str(error).partition(" does not")[0][:80])
        finally:
            torch.use_deterministic_algorithms(False)
    said = (str(each.message) for each in caught)
    named |= {text.partition(" does not")[0][:80] for text in said if "determinis" in text}
    return {"same_bits": found["same_bits"], "operations": sorted(named)}


def packed_and_not(head: str, updates: int, bench: Bench) -> TrainingLog:
    """Returns the largest difference between the losses with padded and with padding-free layers."""
    padded = begin_head(head, bench)
    padded_losses = losses(padded, updates)
    packed = begin_head(head, bench)
    installed = packed.packing is not None or pack_on_device(packed)
    packed_losses = losses(packed, updates)
    return {"installed": installed, "difference": difference(padded_losses, packed_losses)}


def kept_and_not(head: str, bench: Bench) -> TrainingLog:
    """Returns the largest difference between the losses of two epochs with and without cached frozen layers."""
    found = []
    for again in (False, True):
        work = begin_head(
            head, bench, strategy="head_only", epochs=2, recompute_frozen=again, train_rows=bench.size(128, 4)
        )
        steps = train(work.training)
        of_run = []
        for step in steps:
            of_run.append(float(step.loss))
            kept = work.training.frozen is not None
        found.append(of_run)
        if not again:
            was_kept = kept
    return {"installed": was_kept, "difference": difference(*found)}


def scores(head: str, bench: Bench) -> TrainingLog:
    """Returns the primary metric on the dev rows after training in fp32 and in bf16."""
    found = {}
    for precision in ("fp32", "bf16"):
        work = begin_head(head, bench, precision=precision, epochs=bench.size(EPOCHS, 1))
        name, value = next(iter(learn(work).items()))
        found[precision] = value
    return {"metric": name, **found}


def difference(one: list[float], other: list[float]) -> float:
    """Returns the largest difference between two lists of losses, relative to the larger loss."""
    first, second = np.asarray(one), np.asarray(other)
    return float((np.abs(first - second) / np.maximum(1e-9, np.maximum(np.abs(first), np.abs(second)))).max())
