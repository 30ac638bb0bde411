"""Does speed cost accuracy? Fine-tunes the bundled `mini` on SST-2 with the tuned Trainer and with ours."""

from __future__ import annotations

from collections.abc import Iterator

from gpu_parts.bench import Bench, TrainingLog, attempt
from gpu_parts.inputs import bundled_mini
from gpu_parts.ours import begin, learn
from gpu_parts.trainer import TrainerArm, accuracy_on, encode

SEEDS = 5
# As benchmarks/sst2_throughput.py, at the rate that benchmarks/sst2_settings.py chose for mini.
EPOCHS, BATCH_SIZE, RATE = 1, 32, 5e-4


def run(bench: Bench) -> Iterator[TrainingLog]:
    """Yields the dev accuracy after one epoch for each seed."""
    for seed in range(bench.size(SEEDS, 1)):
        for arm, by in (("trainer_tuned", by_trainer), ("ours_bf16", by_ours)):
            record = {"kind": "learning", "arm": arm, "seed": seed}
            yield record | attempt(lambda: by(seed, bench))  # noqa: B023


def model_of(bench: Bench) -> str:
    """Returns the bundled `mini`; in a dry run, a network with random weights."""
    return bench.size(bundled_mini(), str(bench.work / "small-bert"))


def by_trainer(seed: int, bench: Bench) -> TrainingLog:
    """Returns the tuned Trainer's dev accuracy, with warm-up and decay as in our recipes."""
    arm = TrainerArm("sst2", bench, tuned=True, model=model_of(bench))
    trainer = arm.trainer(
        callbacks=[], per_device_train_batch_size=BATCH_SIZE, learning_rate=RATE, num_train_epochs=EPOCHS, seed=seed,
        warmup_steps=0.1, weight_decay=0.01,
    )  # fmt: skip
    trainer.train()
    dev = encode(arm.rows / "validation.jsonl", "sst2", arm.tokenizer, padded=False)
    return {"accuracy": accuracy_on(trainer, dev), "rows": len(arm.train)}


def by_ours(seed: int, bench: Bench) -> TrainingLog:
    """Returns the dev accuracy of our run."""
    work = begin(
        "sst2", bench.work / "learning", data=str(bench.work / "sst2"), model=model_of(bench), precision="bf16",
        seed=seed, epochs=EPOCHS, batch_size=BATCH_SIZE, learning_rate=RATE,
    )  # fmt: skip
    return {"accuracy": learn(work)["accuracy"], "rows": len(work.train_rows)}
