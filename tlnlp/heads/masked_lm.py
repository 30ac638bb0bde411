"""Masked language modelling: predict masked tokens from both sides (Devlin et al. 2019, section 3.1, task 1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from tlnlp.errors import InputError
from tlnlp.heads.encoded import NOT_SCORED, EncodedDataset, Ragged, model_inputs, pad_features
from tlnlp.heads.truncation import join_rows
from tlnlp.task import Prediction

if TYPE_CHECKING:
    from tlnlp.data.rows import Rows
    from tlnlp.settings import Settings
    from tlnlp.task import Task

auto_class = "AutoModelForMaskedLM"
roles = ("text",)
optional_roles: tuple[str, ...] = ()
tokenizer_options: dict[str, Any] = {}
causal = False

# Of the predicted tokens, 80 % are masked, 10 % replaced by a random token, 10 % unchanged: Devlin et al. 2019, A.1.
HIDDEN_FRACTION, REPLACED_FRACTION = 0.8, 0.1


def config_changes(task: Task, labels: Sequence[str]) -> dict[str, Any]:
    """Returns no changes: the outputs of a masked language model are its vocabulary."""
    return {}


def encode(rows: Rows, task: Task, tokenizer: Any, settings: Settings) -> EncodedDataset:
    """Concatenates the rows, in order, into full sequences of `max_length` tokens, special tokens included, which need
    hardly any padding (Liu et al. 2019, section 4.2, FULL-SENTENCES). Only the last sequence is shorter.

    `counts` is the number of tokens to predict in each item: a fixed fraction, so that all processes know it.
    """
    if tokenizer.mask_token_id is None:
        raise InputError(
            expected="a masked language model (BERT, RoBERTa, ModernBERT)",
            found=f"{settings.model}: its tokenizer has no mask token",
            change="another --model",
        )
    ids = join_rows(rows.columns["text"], tokenizer, settings.max_length)
    # The unknown token is a special token too: it is never predicted, and so not counted.
    askable = np.add.reduceat(~np.isin(ids.flat, tokenizer.all_special_ids), ids.offsets[:-1], dtype=np.int64)
    counts = np.minimum(askable, np.maximum(1, np.round(askable * settings.mask_fraction))).astype(np.float64)
    notes = [note_on_joining(rows, ids, settings)]
    return EncodedDataset({"input_ids": ids}, rows=np.arange(len(ids)), counts=counts, notes=notes)


def note_on_joining(rows: Rows, ids: Ragged, settings: Settings) -> str:
    """Returns a note on how rows were concatenated into sequences."""
    return f"{rows.origin}: {len(rows):,} rows concatenated into {len(ids):,} sequences of {settings.max_length} tokens"


def collate(encoded: EncodedDataset, items: np.ndarray, tokenizer: Any, draw: np.random.Generator) -> dict[str, Any]:
    """Masks tokens, differently in each call, with the random generator `draw` (dynamic masking: Liu et al. 2019, 4.1).

    Returns:
        Model inputs [items, longest] and `labels`, the right token at the positions to predict, NOT_SCORED elsewhere.
    """
    batch = pad_features(encoded, items, tokenizer)
    ids = batch["input_ids"]
    real = batch["attention_mask"].numpy().astype(bool)
    allowed = real & ~np.isin(ids.numpy(), tokenizer.all_special_ids)
    # One generator per item: its masking must not depend on the micro-batch into which the token budget puts it.
    root = draw.integers(2**63)
    rank, fate, others = np.ones(real.shape), np.ones(real.shape), np.zeros(real.shape, dtype=np.int64)
    for line, item in enumerate(items):
        own, places = np.random.default_rng([root, item]), real[line]
        rank[line, places], fate[line, places] = own.random((2, places.sum()))
        others[line, places] = own.integers(0, len(tokenizer), places.sum())
    order = np.where(allowed, rank, 2.0).argsort(axis=1)
    chosen = np.zeros_like(allowed)
    wanted = np.arange(allowed.shape[1]) < encoded.counts[items][:, None]  # the first `count` positions of each order
    np.put_along_axis(chosen, order, wanted, axis=1)
    chosen &= allowed
    batch["labels"] = torch.where(torch.from_numpy(chosen), ids, NOT_SCORED)
    hidden = chosen & (fate < HIDDEN_FRACTION)
    replaced = chosen & (fate >= HIDDEN_FRACTION) & (fate < HIDDEN_FRACTION + REPLACED_FRACTION)
    ids[torch.from_numpy(hidden)] = tokenizer.mask_token_id
    ids[torch.from_numpy(replaced)] = torch.from_numpy(others)[torch.from_numpy(replaced)]
    return batch


def loss(model: torch.nn.Module, batch: dict[str, Any], task: Task) -> torch.Tensor:
    """Returns the cross entropy in nats, summed over the positions to predict."""
    return cross_entropy(logits(model, batch).float(), _scored_targets(batch), reduction="sum")


def forward(model: torch.nn.Module, batch: dict[str, Any]) -> torch.Tensor:
    """Returns per item the loss in nats summed over positions, the number of positions, and the number predicted
    correctly: [items, 3]."""
    guesses, targets = logits(model, batch), _scored_targets(batch)
    item_of = (batch["labels"] != NOT_SCORED).nonzero()[:, 0]
    losses = cross_entropy(guesses.float(), targets, reduction="none")
    columns = torch.stack([losses, torch.ones_like(losses), (guesses.argmax(-1) == targets).to(losses)], dim=1)
    return torch.zeros(len(batch["labels"]), 3, device=losses.device, dtype=losses.dtype).index_add_(
        0, item_of, columns
    )


def logits(model: torch.nn.Module, batch: dict[str, Any]) -> torch.Tensor:
    """Returns the logits at the positions to predict only: [positions, vocabulary].

    The output layer is the widest layer of a small network. The model's head therefore gets only the states of the
    scored positions (15 to 30 % of all) instead of the whole sequence.
    """
    scored, is_cut = batch["labels"] != NOT_SCORED, []

    def keep_scored(module: torch.nn.Module, arguments: Any, output: Any) -> Any:
        output["last_hidden_state"] = output["last_hidden_state"][scored].unsqueeze(0)  # [1, positions, width]
        is_cut.append(True)
        return output

    network: Any = getattr(model, "module", model)  # with several processes the model is wrapped
    hook = network.base_model.register_forward_hook(keep_scored)
    try:
        found = model(**model_inputs(batch)).logits
    finally:
        hook.remove()
    # A network that calls a part of its body (OPT: its decoder) has computed the whole sequence.
    return found[0] if is_cut else found[scored]


def _scored_targets(batch: dict[str, Any]) -> torch.Tensor:
    """Returns the right tokens at the positions to predict: [positions]."""
    return batch["labels"][batch["labels"] != NOT_SCORED]


def decode(outputs: list[np.ndarray], encoded: EncodedDataset, rows: Rows, task: Task) -> list[Prediction]:
    """Returns for each sequence its mean loss and how many of its masked tokens were predicted correctly."""
    return [
        Prediction(float(right), float(nats / max(places, 1)), more={"nats": float(nats), "places": float(places)})
        for nats, places, right in outputs
    ]


def metric_inputs(predictions: list[Prediction], rows: Rows, task: Task) -> dict[str, list[Any]]:
    """Returns the nats and positions of each sequence, for `metrics.perplexity`."""
    return {
        "predictions": [each.more["nats"] for each in predictions],
        "references": [each.more["places"] for each in predictions],
    }


def confidences(predictions: list[Prediction], rows: Rows, task: Task) -> None:
    """Returns None: a prediction here is the loss of a sequence, which has no confidence."""
    return


def majority_baseline(train: Rows, rows: Rows, task: Task) -> None:
    """Returns None: there is no majority baseline."""
    return
