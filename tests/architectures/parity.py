"""One update of ours beside one of transformers' Trainer: the same network, rows and settings, in float64."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from tests.architectures.cells import MAX_LENGTH
from tests.fixtures import keep_float64
from tests.recipe_runs import begin
from tlnlp.runs.setup import PreparedRun
from tlnlp.training.loop import collate, optimizer_step
from tlnlp.training.plan import plan_updates

# Encoders, encoder-decoders and decoders whose layers, positions, masks and heads differ most.
ARCHITECTURES = (
    "bert", "modernbert", "albert", "deberta-v2", "electra", "xlnet", "t5", "bart", "gpt2", "opt", "llama", "qwen2",
)  # fmt: skip


@dataclass(frozen=True)
class Parity:
    """How far one update of ours is from the Trainer's.

    Args:
        loss: relative difference of the losses.
        gradient: norm of the difference of all gradients, relative to the norm of the Trainer's.
        speed_ups: what our update was computed with.
    """

    name: str
    loss: float
    gradient: float
    speed_ups: tuple[str, ...]


def compare(name: str, checkpoint: Path, rows: Path, folder: Path) -> Parity:
    """Returns how far apart the two are for a checkpoint without dropout."""
    with pytest.MonkeyPatch.context() as patch:
        keep_float64(patch)
        work = begin("sst2", folder, model=str(checkpoint), data=str(rows), max_length=MAX_LENGTH, max_grad_norm=1e30)
        work.training.model.double()
        patch.setattr(torch, "zeros", functools.partial(torch.zeros, dtype=torch.float64))  # the loop's sum of losses
        initial = {key: value.clone() for key, value in _whole_state(work).items()}
        loss, gradients = _ours(work)
        expected_loss, expected = _theirs(name, checkpoint, work, initial, folder / "trainer")
    pairs = [(gradients[key], expected[key]) for key in expected]
    distance = math.sqrt(sum(float((ours - theirs).square().sum()) for ours, theirs in pairs))
    size = math.sqrt(sum(float(theirs.square().sum()) for _, theirs in pairs))
    used = [("padding-free layers", work.packing), ("pruned embeddings", work.compact)]
    names = tuple(speed_up for speed_up, found in used if found is not None)
    return Parity(name, abs(loss - expected_loss) / abs(expected_loss), distance / size, names)


def _whole_state(work: PreparedRun) -> dict[str, torch.Tensor]:
    """The weights, with all rows of a pruned table."""
    state = dict(work.training.model.named_parameters())
    if work.compact is not None:
        state[work.compact.parameter] = work.compact.whole.double()
    return {name: each.detach() for name, each in state.items()}


class _Recorder:
    """In place of an optimizer: keeps the gradients of the update."""

    def __init__(self, model: torch.nn.Module) -> None:
        self.model, self.gradients = model, dict[str, torch.Tensor]()

    def step(self) -> None:
        self.gradients = {
            name: torch.zeros_like(each) if each.grad is None else each.grad.clone()
            for name, each in self.model.named_parameters()
        }

    def zero_grad(self) -> None:
        self.model.zero_grad()


def _ours(work: PreparedRun) -> tuple[float, dict[str, torch.Tensor]]:
    training = work.training
    training.model.train()
    training.learning = list(training.model.parameters())
    (update,) = plan_updates(
        training.encoded.lengths, 0, 1, seed=0, batch_size=len(training.encoded), max_tokens=256,
        can_pad=training.encoded.can_pad,
    )  # fmt: skip
    recorder = _Recorder(training.model)
    loss = float(optimizer_step(training, training.model, recorder, update, collate(training, update)))
    if work.compact is not None:
        name = work.compact.parameter
        whole = torch.zeros_like(work.compact.whole, dtype=torch.float64)
        whole[work.compact.used] = recorder.gradients[name]
        recorder.gradients[name] = whole
    return loss, recorder.gradients


def _theirs(
    name: str, checkpoint: Path, work: PreparedRun, state: dict[str, torch.Tensor], folder: Path
) -> tuple[float, dict[str, torch.Tensor]]:
    tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    if name != "xlnet":  # which reads the last position; on the left, rotary positions would be rounded otherwise
        tokenizer.padding_side = "right"
    network = transformers.AutoModelForSequenceClassification.from_pretrained(
        checkpoint, num_labels=2, pad_token_id=tokenizer.pad_token_id
    ).double()
    missing = network.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys
    rows = work.train_rows.columns
    encoded = tokenizer(list(rows["text"]), truncation=True, max_length=MAX_LENGTH)
    examples = [
        {**{name: encoded[name][row] for name in encoded}, "labels": label} for row, label in enumerate(rows["label"])
    ]
    arguments = transformers.TrainingArguments(
        str(folder), max_steps=1, per_device_train_batch_size=len(examples), max_grad_norm=0, report_to=[],
        use_cpu=True, save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    keep = _KeepGradients()
    trainer = _Trainer(
        network, arguments, train_dataset=examples, data_collator=transformers.DataCollatorWithPadding(tokenizer),
        callbacks=[keep],
    )  # fmt: skip
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.train()
    return trainer.loss, keep.gradients


class _Trainer(transformers.Trainer):
    """Keeps its loss in full precision."""

    loss = math.nan

    def training_step(self, *arguments: Any, **named: Any) -> torch.Tensor:
        found = super().training_step(*arguments, **named)
        self.loss = float(found)
        return found


class _KeepGradients(transformers.TrainerCallback):
    """Keeps the gradients from which the update is made."""

    def __init__(self) -> None:
        self.gradients: dict[str, torch.Tensor] = {}

    def on_pre_optimizer_step(self, arguments: Any, state: Any, control: Any, **named: Any) -> None:
        self.gradients = {
            name: torch.zeros_like(each) if each.grad is None else each.grad.clone()
            for name, each in named["model"].named_parameters()
        }
