"""GPT: each row is framed by a start and an extract token, with a delimiter between texts. The head classifies the
state of the extract token, with an auxiliary language-model loss (Radford et al. 2018, sections 3.2 and 3.3, figure
1)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from tlnlp.heads import choice, sentence
from tlnlp.heads.choice import pair_endings, side_by_side
from tlnlp.heads.confidences import Confidences
from tlnlp.heads.encoded import EncodedDataset, Ragged, model_inputs, pad_features
from tlnlp.heads.losses import loss_constants, loss_inputs
from tlnlp.heads.sentence import (
    add_up,
    row_losses,
    row_targets,
    row_weights,
    text_columns,
    weights_of_several,
)
from tlnlp.heads.truncation import Template, join_texts
from tlnlp.heads.windows import join_windows
from tlnlp.task import Prediction

if TYPE_CHECKING:
    from tlnlp.data.rows import Rows
    from tlnlp.settings import Settings
    from tlnlp.task import Task

START, DELIMITER, EXTRACT = "<|start|>", "<|delimiter|>", "<|extract|>"

auto_class = "AutoModelForSequenceClassification"  # it pools a row's last token: here, the extract token
roles = ("text", "label")
optional_roles = ("text_pair", "endings", "prompt", "weight")
tokenizer_options: dict[str, Any] = {"extra_special_tokens": [START, DELIMITER, EXTRACT]}
causal = True
takes_windows = True  # but for rows with endings


def config_changes(task: Task, labels: Sequence[str]) -> dict[str, Any]:
    """Returns no changes for endings (one number each); otherwise those of the sentence head."""
    return {"num_labels": 1} if task.columns.endings else sentence.config_changes(task, labels)


def encode(rows: Rows, task: Task, tokenizer: Any, settings: Settings) -> EncodedDataset:
    """Encodes each row as one item. A text or a pair is one sequence, a symmetric pair (`Task.pair_is_symmetric`) two,
    one for each order; a row with endings has one sequence per ending. With `--windows mean` a longer row has such
    sequences for each window, see `join_windows`."""
    start, delimiter, extract = (np.asarray([i]) for i in tokenizer.convert_tokens_to_ids([START, DELIMITER, EXTRACT]))
    one, two = Template((start, extract), None, None), Template((start, delimiter, extract), None, None)
    sequence_offsets: np.ndarray | None = None
    orders = 1
    if "endings" in rows.columns:
        texts, endings, sequence_offsets = pair_endings(rows)
        features, notes = join_texts({"text": texts, "endings": endings}, tokenizer, settings, rows.origin, two)
        targets = np.asarray(rows.columns["label"], dtype=np.int64) if "label" in rows.columns else None
    else:
        columns = text_columns(rows)
        columns_of_orders = [columns]
        if task.pair_is_symmetric and len(columns) == 2:
            columns_of_orders.append(dict(reversed(columns.items())))
        orders = len(columns_of_orders)
        template = one if len(columns) == 1 else two
        if settings.windows == "mean":
            joined = [join_windows(each, tokenizer, settings, rows.origin, template) for each in columns_of_orders]
            of_orders, firsts, notes = [features["input_ids"] for features, _, _ in joined], joined[0][1], joined[0][2]
            sequence_offsets = firsts * orders
        else:
            fitted = [join_texts(each, tokenizer, settings, rows.origin, template) for each in columns_of_orders]
            of_orders, firsts, notes = [f["input_ids"] for f, _ in fitted], np.arange(len(rows) + 1), fitted[0][1]
            sequence_offsets = None if orders == 1 else firsts * orders
        features = {"input_ids": _order_by_row(of_orders, firsts)}
        targets = row_targets(rows, task)
    return EncodedDataset(
        features,
        rows=np.arange(len(rows)),
        counts=np.ones(len(rows)) if "endings" in rows.columns else row_weights(rows, task, settings),
        targets=targets,
        batch_constants={
            "lm_weight": settings.lm_weight,
            "endings": "endings" in rows.columns,
            "orders": orders,
            **loss_constants(settings),
        },
        sequence_offsets=sequence_offsets,
        label_weights=None if "endings" in rows.columns else weights_of_several(rows, task, settings),
        notes=notes,
    )


def _order_by_row(of_orders: Sequence[Ragged], firsts: np.ndarray) -> Ragged:
    """Returns the sequences of all orders, row by row. Rows have the same number of sequences in each order.

    Args:
        firsts: [rows + 1] the first sequence of each row, in each order.
    """
    if len(of_orders) == 1:
        return of_orders[0]
    rows = pairwise(firsts.tolist())
    return Ragged.from_lists([each[i] for first, last in rows for each in of_orders for i in range(first, last)])


def collate(encoded: EncodedDataset, items: np.ndarray, tokenizer: Any, draw: np.random.Generator) -> dict[str, Any]:
    """Returns model inputs [sequences, longest]; `endings` or `orders` [items], the number of sequences of each item;
    `windows` [items], how many of them an order has, if there are several; `weights` [items]; `lm_weight` if it is set;
    and `labels` [items] or [items, labels] if the rows have labels."""
    batch: dict[str, Any] = pad_features(encoded, items, tokenizer)
    firsts = encoded.sequence_offsets
    sequences = np.ones(len(items), dtype=np.int64) if firsts is None else np.diff(firsts)[items]
    # Logits of endings are compared, those of orders are summed, those of windows averaged.
    batch["endings" if encoded.batch_constants["endings"] else "orders"] = torch.from_numpy(sequences)
    windows = sequences // int(encoded.batch_constants["orders"])
    if not encoded.batch_constants["endings"] and windows.max() > 1:
        batch["windows"] = torch.from_numpy(windows)
    batch["weights"] = torch.from_numpy(encoded.counts[items].astype(np.float32))
    if encoded.batch_constants["lm_weight"] > 0:
        batch["lm_weight"] = torch.tensor(encoded.batch_constants["lm_weight"])
    batch |= loss_inputs(encoded)
    if isinstance(encoded.targets, np.ndarray):
        targets = torch.from_numpy(encoded.targets[items])
        batch["labels"] = targets.float() if targets.dtype == torch.bool else targets
    return batch


def loss(model: torch.nn.Module, batch: dict[str, Any], task: Task) -> torch.Tensor:
    """Returns the weighted sum over rows of the task's loss plus `lm_weight` times the language-model loss. The latter
    is the mean over the tokens of a sequence, then over the sequences of a row, as in the paper's code (equation 5)."""
    network: Any = getattr(model, "module", model)  # with several processes the model is wrapped
    states: list[torch.Tensor] = []
    hook = network.base_model.register_forward_hook(lambda module, given, output: states.append(output[0]))
    try:
        found = forward(model, batch).float()
    finally:
        hook.remove()
    if task.columns.endings:
        losses = cross_entropy(found, batch["labels"], reduction="none")
    else:
        losses = row_losses(found, batch, task)
    if "lm_weight" in batch:
        losses = losses + batch["lm_weight"] * _language_losses(states[0], network, batch)
    return (losses * batch["weights"]).sum()


def _language_losses(states: torch.Tensor, network: Any, batch: dict[str, Any]) -> torch.Tensor:
    """Returns each row's language-model loss, in nats per token: [items]. Output weights are tied to the embeddings."""
    follows = batch["attention_mask"][:, 1:].bool()
    guesses = states[:, :-1][follows] @ network.get_input_embeddings().weight.to(states).T  # [positions, vocabulary]
    nats = cross_entropy(guesses.float(), batch["input_ids"][:, 1:][follows], reduction="none")
    sequence_of = follows.nonzero()[:, 0]
    of_sequences = nats.new_zeros(len(follows)).index_add(0, sequence_of, nats) / follows.sum(1)
    sequences = batch["endings"] if "endings" in batch else batch["orders"]
    return add_up(of_sequences, sequences) / sequences


def logits(model: torch.nn.Module, batch: dict[str, Any]) -> torch.Tensor:
    """Returns logits [sequences, labels]; for endings [sequences, 1]."""
    return model(**model_inputs(batch)).logits


def forward(model: torch.nn.Module, batch: dict[str, Any]) -> torch.Tensor:
    """Returns logits [items, labels], summed over both orders of a symmetric pair and averaged over windows; for
    endings [items, most endings]."""
    found = logits(model, batch)
    if "endings" in batch:
        return side_by_side(found[:, 0], batch["endings"])
    if "windows" in batch:
        return add_up(found.float(), batch["orders"]) / batch["windows"][:, None]
    return add_up(found, batch["orders"])


def decode(outputs: list[np.ndarray], encoded: EncodedDataset, rows: Rows, task: Task) -> list[Prediction]:
    """Same as the choice head for endings, otherwise the sentence head."""
    return _like(rows).decode(outputs, encoded, rows, task)


def metric_inputs(predictions: list[Prediction], rows: Rows, task: Task) -> dict[str, list[Any]]:
    """Same as the choice head for endings, otherwise the sentence head."""
    return _like(rows).metric_inputs(predictions, rows, task)


def confidences(predictions: list[Prediction], rows: Rows, task: Task) -> Confidences | None:
    """Same as the choice head for endings, otherwise the sentence head."""
    return _like(rows).confidences(predictions, rows, task)


def majority_baseline(train: Rows, rows: Rows, task: Task) -> list[Prediction] | None:
    """Same as the choice head for endings, otherwise the sentence head."""
    return _like(rows).majority_baseline(train, rows, task)


def _like(rows: Rows) -> Any:
    return choice if "endings" in rows.columns else sentence
