"""One run of transformers' Trainer for sst2_throughput.py and frozen_layers.py: as run_glue.py calls it, or tuned.

It takes the flags of a recipe and writes a result.json of the same form.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    EvalPrediction,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
    set_seed,
)


class Clock(TrainerCallback):
    """Records the start of the first update and the end of the last one, in seconds of `time.time()`.

    Unlike the Trainer's `train_runtime`, this excludes the time before the first update.
    """

    first_update_at = 0.0
    trained_at = 0.0

    def on_step_begin(self, *_: Any, **__: Any) -> None:
        self.first_update_at = self.first_update_at or time.time()

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self.trained_at = time.time()


def main() -> None:
    asked = read_flags()
    set_seed(asked.seed)  # before the model, as in run_glue.py: it determines the new head

    tokenizer = AutoTokenizer.from_pretrained(asked.model)
    model = AutoModelForSequenceClassification.from_pretrained(asked.model, num_labels=2)
    if asked.frozen:
        head = set(model.classifier.parameters())
        head |= {parameter for name, parameter in model.named_parameters() if ".pooler." in name}
        for parameter in model.parameters():
            parameter.requires_grad_(parameter in head)
    train, dev = (load_encoded(asked, tokenizer, split) for split in ("train", "validation"))
    clock = Clock()
    trainer = Trainer(
        model=model,
        args=training_arguments(asked),
        train_dataset=train,
        eval_dataset=dev,
        compute_metrics=accuracy,
        processing_class=tokenizer,
        data_collator=DataCollatorWithPadding(tokenizer) if asked.tuned else default_data_collator,
        callbacks=[clock],
    )
    trained = trainer.train()
    began = time.time()
    scores = trainer.evaluate()
    write_result(asked, clock, len(train), trained.metrics, scores, time.time() - began)


def read_flags() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tuned", action="store_true", help="dynamic padding, batches of similar length, bf16")
    parser.add_argument("--frozen", action="store_true", help="only the head learns (see frozen_layers.py)")
    parser.add_argument("--model", required=True, metavar="FOLDER")
    parser.add_argument("--data", required=True, type=Path, metavar="FOLDER")
    parser.add_argument("--epochs", required=True, type=int)
    parser.add_argument("--batch-size", required=True, type=int, metavar="ROWS")
    parser.add_argument("--learning-rate", required=True, type=float)
    parser.add_argument("--max-length", required=True, type=int, metavar="TOKENS")
    parser.add_argument("--seed", required=True, type=int)
    parser.add_argument("--output-dir", required=True, type=Path, metavar="FOLDER")
    parser.add_argument(
        "--launched-at", type=float, default=time.time(), metavar="SECONDS", help="time.time() just before the launch"
    )
    return parser.parse_args()


def load_encoded(asked: argparse.Namespace, tokenizer: Any, split: str) -> Dataset:
    """Tokenises the rows in memory, so that no cache makes the second start faster than the first."""
    with (asked.data / f"{split}.jsonl").open(encoding="utf-8") as file:
        rows = Dataset.from_list([json.loads(line) for line in file])
    padding = False if asked.tuned else "max_length"
    return rows.map(
        lambda batch: tokenizer(batch["sentence"], padding=padding, max_length=asked.max_length, truncation=True),
        batched=True,
    )


def training_arguments(asked: argparse.Namespace) -> TrainingArguments:
    """Returns the Trainer's defaults, with the settings that all arms share and the changes of `--tuned`."""
    tuned: dict[str, Any] = {"bf16": True, "train_sampling_strategy": "group_by_length"} if asked.tuned else {}
    return TrainingArguments(
        output_dir=str(asked.output_dir),
        num_train_epochs=asked.epochs,
        per_device_train_batch_size=asked.batch_size,
        learning_rate=asked.learning_rate,
        seed=asked.seed,
        use_cpu=True,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
        **tuned,
    )


def accuracy(predicted: EvalPrediction) -> dict[str, float]:
    """Computes the accuracy; `predictions` are logits [rows, labels]."""
    logits = np.asarray(predicted.predictions)
    return {"accuracy": float((logits.argmax(axis=1) == predicted.label_ids).mean())}


def write_result(
    asked: argparse.Namespace,
    clock: Clock,
    rows: int,
    trained: dict[str, float],
    scores: dict[str, float],
    evaluate_seconds: float,
) -> None:
    train_seconds = clock.trained_at - clock.first_update_at
    result = {
        "metrics": {"accuracy": scores["eval_accuracy"]},
        "rows_per_second": rows * asked.epochs / train_seconds,
        "seconds": {
            "startup": clock.first_update_at - asked.launched_at,
            "train": train_seconds,
            "evaluate": evaluate_seconds,
        },
        "trainer_metrics": trained,
    }
    asked.output_dir.mkdir(parents=True, exist_ok=True)
    (asked.output_dir / "result.json").write_text(json.dumps(result, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
