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
from tlnlp.heads.label_thresholds import decide, held_by, thresholds_of
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

# With more labels than this, predictions have the scores of the best ones only.
MOST_SCORES = 100
ROWS_AT_ONCE = 1_000


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
        held = held_by(values, rows.labels or ())
        return held if held.shape[1] > MOST_SCORES else held.astype(np.float32)
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
        targets = torch.from_numpy(encoded.targets[items])
        batch["labels"] = targets.float() if targets.dtype == torch.bool else targets
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
    """Returns for each row the most probable label, its probability and those of all labels (of the best `MOST_SCORES`,
    if there are more); or all predicted labels; or a number."""
    if isinstance(task.labels, Regression):
        return [Prediction(float(value), float(value)) for (value,) in outputs]
    names, found = rows.labels or (), list[Prediction]()
    some = _decode_several if isinstance(task.labels, MultiLabel) else _decode_one
    for first in range(0, len(outputs), ROWS_AT_ONCE):  # thousands of labels are many numbers
        found += some(np.stack(outputs[first : first + ROWS_AT_ONCE]).astype(np.float64), names, task)
    return found


def _decode_one(logits: np.ndarray, names: Sequence[str], task: Task) -> list[Prediction]:
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances = exponents / exponents.sum(axis=1, keepdims=True)
    return [
        Prediction(names[line.argmax()], float(line.max()), scores)
        for line, scores in zip(chances, (_scores(line, names) for line in chances), strict=True)
    ]


def _decode_several(logits: np.ndarray, names: Sequence[str], task: Task) -> list[Prediction]:
    chances = 1 / (1 + np.exp(-logits))
    if len(names) <= MOST_SCORES:
        raw = [Prediction([], line.tolist()) for line in chances]
    else:
        raw = [Prediction([], [], _scores(line, names)) for line in chances]
        chances = np.where(_are_kept(chances), chances, 0)
    thresholds = task.labels.thresholds if isinstance(task.labels, MultiLabel) else {}
    return decide(raw, chances, thresholds_of(thresholds, names), names)


def _are_kept(chances: np.ndarray) -> np.ndarray:
    """Returns which labels are among the best of each row: [rows, labels]."""
    kept = np.zeros(chances.shape, dtype=bool)
    np.put_along_axis(kept, np.argpartition(-chances, MOST_SCORES, axis=1)[:, :MOST_SCORES], True, axis=1)
    return kept


def _scores(line: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """Returns {label: probability} of all labels; if they are many, of the best ones, best first."""
    places = range(len(names))
    if len(names) > MOST_SCORES:
        best = np.argpartition(-line, MOST_SCORES)[:MOST_SCORES]
        places = best[np.argsort(-line[best], kind="stable")].tolist()
    return {names[i]: float(f"{line[i]:.6g}") for i in places}


def confidences(predictions: list[Prediction], rows: Rows, task: Task) -> Confidences | None:
    """Returns the probabilities of all labels; in multi-label tasks, one binary prediction per label. If there are only
    those of the best labels, the others are one class, and there are none of many labels in a row."""
    values = rows.columns["label"]
    if isinstance(task.labels, Regression):
        return None
    names = rows.labels or ()
    if isinstance(task.labels, MultiLabel):
        if len(names) > MOST_SCORES:
            return None
        held = [[i in each for i in range(len(names))] for each in values]
        return Confidences.of_all(
            [[chance, 1 - chance] for each in predictions for chance in each.score],
            [int(not each) for of_row in held for each in of_row],
        )
    kept = [list(each.scores) for each in predictions]
    chosen = [line.index(each.prediction) for line, each in zip(kept, predictions, strict=True)]
    lines = [list(each.scores.values()) for each in predictions]
    if len(names) <= MOST_SCORES:
        return Confidences.of_all(lines, values, chosen)
    of_names = [names[value] for value in values]
    right = [line.index(name) if name in line else len(line) for line, name in zip(kept, of_names, strict=True)]
    return Confidences.of_all([[*line, max(0.0, 1 - sum(line))] for line in lines], right, chosen)


def metric_inputs(predictions: list[Prediction], rows: Rows, task: Task) -> dict[str, list[Any]]:
    """Returns predictions and references as label indices, as 0 or 1 per label (multi-label), or as numbers."""
    values = rows.columns["label"]
    if isinstance(task.labels, Regression):
        return {"predictions": [each.prediction for each in predictions], "references": list(values)}
    index = {name: i for i, name in enumerate(rows.labels or ())}
    if isinstance(task.labels, MultiLabel):
        told = [[index[name] for name in each.prediction] for each in predictions]
        sides = {"predictions": held_by(told, list(index)), "references": held_by(values, list(index))}
        many = len(index) > MOST_SCORES  # arrays: lists of thousands of numbers would fill the memory
        return {side: list(each.astype(np.int8)) if many else each.astype(int).tolist() for side, each in sides.items()}
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
