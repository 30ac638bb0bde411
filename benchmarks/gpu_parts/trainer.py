"""The reference: transformers' Trainer on the same rows, as its example scripts call it, or tuned."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import transformers
from datasets import Dataset
from transformers import TrainerCallback, TrainingArguments

from gpu_parts.bench import Bench, Window, bytes_of, set_tf32, start_afresh

IGNORED = -100  # the target of a token that is not scored
TAGS = ("O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "B-MISC", "I-MISC")


@dataclass(frozen=True)
class Shape:
    """A task as in the example script.

    Args:
        auto: the model class.
        labels: number of labels; None: the default of the class.
        length: number of tokens to which the script pads every row by default; None: the longest row of a batch.
    """

    auto: str
    labels: int | None
    length: int | None


SHAPES = {
    "sst2": Shape("AutoModelForSequenceClassification", 2, 128),  # run_glue.py
    "mnli": Shape("AutoModelForSequenceClassification", 3, 128),
    "squad": Shape("AutoModelForQuestionAnswering", None, 384),  # run_qa.py
    "conll2003": Shape("AutoModelForTokenClassification", len(TAGS), None),  # run_ner.py
}


class _Clock(TrainerCallback):
    def __init__(self, window: Window) -> None:
        self.window = window

    def on_step_end(self, _: Any, state: Any, *__: Any, **___: Any) -> None:
        self.window.tick(state.global_step)


class TrainerArm:
    """The Trainer on the generated rows of one shape.

    Args:
        tuned: bf16, TF32, batches of similar lengths padded to their longest row, fused AdamW.
        compiled: also use torch.compile.
        model: checkpoint, if not that of the bench.
    """

    def __init__(
        self, shape: str, bench: Bench, *, tuned: bool, compiled: bool = False, model: str | None = None
    ) -> None:
        self.bench, self.shape, self.tuned, self.compiled = bench, SHAPES[shape], tuned, compiled
        self.model = model or str(bench.work / "bert")
        self.rows, self.folder = bench.work / shape, bench.work / "trainer"
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(self.model)
        self.train = encode(self.rows / "train.jsonl", shape, self.tokenizer, padded=not tuned)
        self.network = self.load_network()

    def load_network(self) -> Any:
        """Loads the checkpoint with a new head."""
        labels = {} if self.shape.labels is None else {"num_labels": self.shape.labels}
        return getattr(transformers, self.shape.auto).from_pretrained(self.model, **labels)

    @property
    def held_bytes(self) -> int:
        """Returns the GPU memory that it uses between runs; each run has its own optimizer."""
        return bytes_of(self.network)

    def run(self, batch_size: int, window: Window) -> None:
        """Runs updates of `batch_size` rows until the window closes."""
        trainer = self.trainer(
            callbacks=[_Clock(window)],
            per_device_train_batch_size=batch_size,
            max_steps=window.updates,
            learning_rate=5e-5,
        )
        trainer.train()

    def trainer(self, callbacks: list[TrainerCallback], **arguments: Any) -> transformers.Trainer:
        """Returns a Trainer on this arm's network and rows, with additional `TrainingArguments`."""
        start_afresh()
        if self.tuned:
            set_tf32(True)
            arguments |= {"bf16": True, "optim": "adamw_torch_fused"} | _by_length()
        if self.shape.auto.endswith("TokenClassification"):
            collator: Any = transformers.DataCollatorForTokenClassification(self.tokenizer)
        else:
            collator = (
                transformers.DataCollatorWithPadding(self.tokenizer)
                if self.tuned
                else transformers.default_data_collator
            )
        return transformers.Trainer(
            model=self.network,
            args=TrainingArguments(
                output_dir=str(self.folder),
                torch_compile=self.compiled,
                torch_compile_backend=self.bench.size("inductor", "eager") if self.compiled else None,
                use_cpu=self.bench.dry_run,
                save_strategy="no",
                report_to="none",
                disable_tqdm=True,
                **arguments,
            ),
            train_dataset=self.train,
            data_collator=collator,
            processing_class=self.tokenizer,
            callbacks=callbacks,
        )


def _by_length() -> dict[str, Any]:
    """Returns the option for batches of similar lengths, which differs between releases of transformers."""
    if "train_sampling_strategy" in {each.name for each in fields(TrainingArguments)}:
        return {"train_sampling_strategy": "group_by_length"}
    return {"group_by_length": True}


def encode(file: Path, shape: str, tokenizer: Any, *, padded: bool) -> Dataset:
    """Encodes the rows like the example script; `padded` to its fixed length, if it has one."""
    with file.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    length = SHAPES[shape].length
    padding: Any = "max_length" if padded and length is not None else False
    if shape == "squad":
        return Dataset.from_dict(_encode_questions(rows, tokenizer, padding, length or 0))
    if shape == "conll2003":
        return Dataset.from_dict(_encode_tags(rows, tokenizer))
    keys = ("premise", "hypothesis") if shape == "mnli" else ("sentence",)
    texts = [[row[key] for row in rows] for key in keys]
    encoded = tokenizer(*texts, padding=padding, max_length=length, truncation=True)
    return Dataset.from_dict({**encoded, "labels": [row["label"] for row in rows]})


def _encode_questions(rows: list[dict[str, Any]], tokenizer: Any, padding: Any, length: int) -> dict[str, Any]:
    encoded = tokenizer(
        [row["question"] for row in rows], [row["context"] for row in rows], truncation="only_second",
        max_length=length, stride=128, return_overflowing_tokens=True, padding=padding,
    )  # fmt: skip
    starts, ends = [], []
    for window, number in enumerate(encoded.pop("overflow_to_sample_mapping")):
        answers = rows[number]["answers"]
        first = answers["answer_start"][0]
        start = encoded.char_to_token(window, first, sequence_index=1)
        end = encoded.char_to_token(window, first + len(answers["text"][0]) - 1, sequence_index=1)
        inside = start is not None and end is not None
        starts.append(start if inside else 0)
        ends.append(end if inside else 0)
    return {**encoded, "start_positions": starts, "end_positions": ends}


def _encode_tags(rows: list[dict[str, Any]], tokenizer: Any) -> dict[str, Any]:
    encoded = tokenizer([row["tokens"] for row in rows], truncation=True, is_split_into_words=True)
    labels = []
    for number, row in enumerate(rows):
        words = encoded.word_ids(number)
        begins = [word is not None and word != before for word, before in zip(words, [None, *words], strict=False)]
        labels.append(
            [TAGS.index(row["ner_tags"][word]) if new else IGNORED for word, new in zip(words, begins, strict=True)]
        )
    return {**encoded, "labels": labels}


def accuracy_on(trainer: transformers.Trainer, dev: Dataset) -> float:
    """Returns the accuracy of the Trainer's network on `dev`."""
    found = trainer.predict(dev)  # type: ignore[arg-type]
    return float((np.asarray(found.predictions).argmax(-1) == np.asarray(found.label_ids)).mean())
