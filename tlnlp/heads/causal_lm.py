"""Causal language modelling: predict each token from those before it (Radford et al. 2018, section 3.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tlnlp.heads.encoded import NOT_SCORED, EncodedDataset, pad_features
from tlnlp.heads.masked_lm import (
    confidences,
    config_changes,
    decode,
    forward,
    logits,
    loss,
    majority_baseline,
    metric_inputs,
    note_on_joining,
)
from tlnlp.heads.truncation import join_rows

if TYPE_CHECKING:
    from tlnlp.data.rows import Rows
    from tlnlp.settings import Settings
    from tlnlp.task import Task

__all__ = [
    "collate",
    "confidences",
    "config_changes",
    "decode",
    "encode",
    "forward",
    "logits",
    "loss",
    "majority_baseline",
    "metric_inputs",
]

auto_class = "AutoModelForCausalLM"
roles = ("text",)
optional_roles: tuple[str, ...] = ()
tokenizer_options: dict[str, Any] = {}
causal = True


def encode(rows: Rows, task: Task, tokenizer: Any, settings: Settings) -> EncodedDataset:
    """Concatenates the rows, in order, into full sequences of `max_length` tokens, with the tokenizer's end token after
    each row (Radford et al. 2019, section 2.1). `counts` is the number of predicted tokens of each sequence."""
    ids = join_rows(rows.columns["text"], tokenizer, settings.max_length, separator=tokenizer.eos_token_id)
    counts = np.maximum(ids.lengths - 1, 0).astype(np.float64)
    return EncodedDataset(
        {"input_ids": ids}, rows=np.arange(len(ids)), counts=counts, notes=[note_on_joining(rows, ids, settings)]
    )


def collate(encoded: EncodedDataset, items: np.ndarray, tokenizer: Any, draw: np.random.Generator) -> dict[str, Any]:
    """Returns model inputs [items, longest] and `labels`: the next token at each position, NOT_SCORED if there is
    none."""
    batch = pad_features(encoded, items, tokenizer)
    labels = torch.full_like(batch["input_ids"], NOT_SCORED)
    follows = batch["attention_mask"][:, 1:].bool()
    labels[:, :-1][follows] = batch["input_ids"][:, 1:][follows]
    batch["labels"] = labels
    return batch
