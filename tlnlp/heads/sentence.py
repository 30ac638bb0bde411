"""Sequence classification: a label, several labels or a number for a text or a pair (Devlin et al. 2019, figure 4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import mse_loss

from tlnlp.errors import InputError
from tlnlp.heads.confidences import Confidences
from tlnlp.heads.encoded import EncodedDataset, model_inputs, pad_features
from tlnlp.heads.losses import (
    balanced_weights,
    binary_losses,
    cell_weights,
    label_losses,
    loss_constants,
    loss_inputs,
    positive_weights,
)
from tlnlp.heads.truncation import join_texts
from tlnlp.heads.windows import join_windows
from tlnlp.task import MultiLabel, Prediction, Regression

if TYPE_CHECKING:
    from tlnlp.data.rows import Rows
    from tlnlp.settings import Settings
    from tlnlp.task import Task

auto_class = "AutoModelForSequenceClassification"
roles = ("text", "label")
optional_roles = ("text_pair", "weight")
tokenizer_options: dict[str, Any] = {}
causal = False
# Whether `--windows` applies.
takes_windows = True

# In multi-label tasks a label is predicted if its probability is above one half, as in transformers' pipelines.
HOLDS = 0.5


def config_changes(task: Task, labels: Sequence[str]) -> dict[str, Any]:
    """Returns `id2label`, `label2id` and `problem_type`, as transformers' models and pipelines read them."""
    if isinstance(task.labels, Regression):
        return {"num_labels": 1, "problem_type": "regression"}
    kind = "multi_label_classification" if isinstance(task.labels, MultiLabel) else "single_label_classification"
    return {
        "id2label": dict(enumerate(labels)),
        "label2id": {name: i for i, name in enumerate(labels)},
        "problem_type": kind,
    }


def encode(rows: Rows, task: Task, tokenizer: Any, settings: Settings) -> EncodedDataset:
    """Encodes each row as one item of at most `max_length` tokens; in a pair, the longer text is truncated first. With
    `--windows mean` a longer row is one item of several sequences, see `join_windows`."""
    columns, offsets = text_columns(rows), None
    if settings.windows == "mean":
        features, offsets, notes = join_windows(columns, tokenizer, settings, rows.origin)
    else:
        features, notes = join_texts(columns, tokenizer, settings, rows.origin)
    return EncodedDataset(
        features,
        rows=np.arange(len(rows)),
        counts=row_weights(rows, task, settings),
        targets=row_targets(rows, task),
        batch_constants=loss_constants(settings),
        sequence_offsets=offsets,
        label_weights=weights_of_several(rows, task, settings),
        notes=notes,
    )


def text_columns(rows: Rows) -> dict[str, Sequence[str]]:
    """Returns {role: texts} of a single text or of a pair."""
    return {role: values for role, values in sorted(rows.columns.items()) if role in ("text", "text_pair")}


def row_weights(rows: Rows, task: Task, settings: Settings) -> np.ndarray:
    """Returns the weight of each row in the loss: its own weight times that of its label, or the mean of those of
    several labels. The mean over an update is then the weighted mean, as in torch's CrossEntropyLoss."""
    weights = np.asarray(rows.columns.get("weight", np.ones(len(rows))), dtype=np.float64)
    if settings.class_weights == "none" or "label" not in rows.columns:
        return weights
    if isinstance(task.labels, Regression):
        raise InputError(
            expected="labels, for weights of labels",
            found=f"--class-weights {settings.class_weights}, but {task.name} has numbers",
            change="omit --class-weights, or give each row a weight: --columns weight=COLUMN",
        )
    of_labels = weights_of_several(rows, task, settings)
    if of_labels is not None:
        targets = row_targets(rows, task)
        assert targets is not None
        return weights * cell_weights(targets, of_labels).mean(axis=1)
    labels = np.asarray(rows.columns["label"])
    return weights * balanced_weights(labels, len(rows.labels or ()))[labels]


def weights_of_several(rows: Rows, task: Task, settings: Settings) -> np.ndarray | None:
    """Returns the weight of each of several labels per row [labels]; None without `--class-weights`."""
    if settings.class_weights == "none" or "label" not in rows.columns or not isinstance(task.labels, MultiLabel):
        return None
    targets = row_targets(rows, task)
    assert targets is not None
    return positive_weights(targets)


def row_targets(rows: Rows, task: Task) -> np.ndarray | None:
    """Returns label indices [rows], multi-hot labels [rows, labels] or numbers [rows]; None if there are no labels."""
    if "label" not in rows.columns:
        return None
    values = rows.columns["label"]
    if isinstance(task.labels, MultiLabel):
        targets = np.zeros((len(values), len(rows.labels or ())), dtype=np.float32)
        for line, held in zip(targets, values, strict=True):
            line[list(held)] = 1
        return targets
    return np.asarray(values, dtype=np.float32 if isinstance(task.labels, Regression) else np.int64)


def collate(encoded: EncodedDataset, items: np.ndarray, tokenizer: Any, draw: np.random.Generator) -> dict[str, Any]:
    """Returns model inputs [sequences, longest], `weights` [items], with `--windows` the number of `windows` of each
    item [items] and, if the rows have labels, `labels` [items] or [items, labels]."""
    batch: dict[str, Any] = pad_features(encoded, items, tokenizer)
    if encoded.sequence_offsets is not None:
        batch["windows"] = torch.from_numpy(np.diff(encoded.sequence_offsets)[items])
    batch["weights"] = torch.from_numpy(encoded.counts[items].astype(np.float32))
    batch |= loss_inputs(encoded)
    if isinstance(encoded.targets, np.ndarray):
        batch["labels"] = torch.from_numpy(encoded.targets[items])
    return batch


def loss(model: torch.nn.Module, batch: dict[str, Any], task: Task) -> torch.Tensor:
    """Returns the weighted sum over rows of the cross entropy, the mean binary cross entropy (multi-label), either of
    them as focal loss, or the squared error (regression)."""
    return (row_losses(forward(model, batch).float(), batch, task) * batch["weights"]).sum()


def row_losses(found: torch.Tensor, batch: dict[str, Any], task: Task) -> torch.Tensor:
    """Returns the loss of each row [rows] from logits [rows, labels]; of several labels the mean, weighted if they have
    weights: the sum of the weights is in that of the row."""
    targets, gamma = batch["labels"], batch.get("focal_gamma")
    if isinstance(task.labels, Regression):
        return mse_loss(found[:, 0], targets, reduction="none")
    if not isinstance(task.labels, MultiLabel):
        return label_losses(found, targets, gamma)
    losses = binary_losses(found, targets, gamma)
    if "label_weights" not in batch:
        return losses.mean(-1)
    weights = torch.where(targets > 0, batch["label_weights"], 1.0)
    return (losses * weights).sum(-1) / weights.sum(-1)


def logits(model: torch.nn.Module, batch: dict[str, Any]) -> torch.Tensor:
    """Returns logits [sequences, labels]; for regression [sequences, 1]."""
    return model(**model_inputs(batch)).logits


def forward(model: torch.nn.Module, batch: dict[str, Any]) -> torch.Tensor:
    """Returns logits [items, labels], averaged over the windows of each item; for regression [items, 1]."""
    found = logits(model, batch)
    return add_up(found.float(), batch["windows"]) / batch["windows"][:, None] if "windows" in batch else found


def add_up(values: torch.Tensor, sequences: torch.Tensor) -> torch.Tensor:
    """Sums values [sequences, ...] over the sequences of each item: [items, ...]."""
    item_of = torch.repeat_interleave(sequences)
    return values.new_zeros(len(sequences), *values.shape[1:]).index_add(0, item_of, values)


def decode(outputs: list[np.ndarray], encoded: EncodedDataset, rows: Rows, task: Task) -> list[Prediction]:
    """Returns for each row the most probable label, its probability and those of all labels; or all predicted labels;
    or a number."""
    logits = np.stack(outputs).astype(np.float64)
    if isinstance(task.labels, Regression):
        return [Prediction(float(value), float(value)) for value in logits[:, 0]]
    names = rows.labels or ()
    if isinstance(task.labels, MultiLabel):
        confidences = 1 / (1 + np.exp(-logits))
        return [
            Prediction([name for name, p in zip(names, line, strict=True) if p > HOLDS], line.tolist())
            for line in confidences
        ]
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    confidences = exponents / exponents.sum(axis=1, keepdims=True)
    return [
        Prediction(
            names[line.argmax()],
            float(line.max()),
            {name: float(f"{chance:.6g}") for name, chance in zip(names, line, strict=True)},
        )
        for line in confidences
    ]


def confidences(predictions: list[Prediction], rows: Rows, task: Task) -> Confidences | None:
    """Returns the probabilities of all labels; in multi-label tasks, one binary prediction per label."""
    values = rows.columns["label"]
    if isinstance(task.labels, Regression):
        return None
    if isinstance(task.labels, MultiLabel):
        held = [[i in each for i in range(len(rows.labels or ()))] for each in values]
        return Confidences.of_all(
            [[chance, 1 - chance] for each in predictions for chance in each.score],
            [int(not each) for of_row in held for each in of_row],
        )
    chosen = [list(each.scores).index(each.prediction) for each in predictions]
    return Confidences.of_all([list(each.scores.values()) for each in predictions], values, chosen)


def metric_inputs(predictions: list[Prediction], rows: Rows, task: Task) -> dict[str, list[Any]]:
    """Returns predictions and references as label indices, as 0 or 1 per label (multi-label), or as numbers."""
    values = rows.columns["label"]
    if isinstance(task.labels, Regression):
        return {"predictions": [each.prediction for each in predictions], "references": list(values)}
    index = {name: i for i, name in enumerate(rows.labels or ())}
    if isinstance(task.labels, MultiLabel):
        return {
            "predictions": [[int(name in each.prediction) for name in index] for each in predictions],
            "references": [[int(i in held) for i in index.values()] for held in values],
        }
    return {"predictions": [index[each.prediction] for each in predictions], "references": list(values)}


def majority_baseline(train: Rows, rows: Rows, task: Task) -> list[Prediction] | None:
    """Predicts the most frequent label of `train` for every row; for regression, the mean."""
    values = train.columns["label"]
    if isinstance(task.labels, MultiLabel):
        return None
    if isinstance(task.labels, Regression):
        return [Prediction(float(np.mean(values)), float(np.mean(values)))] * len(rows)
    counts, names = Counter(values), train.labels or ()
    label, count = counts.most_common(1)[0]
    shares = {names[each]: times / len(values) for each, times in counts.items()}
    return [Prediction(names[label], count / len(values), shares)] * len(rows)
