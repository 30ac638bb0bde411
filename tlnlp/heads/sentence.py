"""Sentence: a label, several labels or a score for one sentence or a pair (Devlin et al. 2019, figure 4 a and b)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from tlnlp.heads.encoded import Encoded, Ragged, pad_features
from tlnlp.recipe import Score, Several

if TYPE_CHECKING:
    from tlnlp.data.rows import Rows
    from tlnlp.recipe import Task
    from tlnlp.settings import Settings

auto_class = "AutoModelForSequenceClassification"
roles = ("text", "label")
optional_roles = ("text_pair",)

# Rows tokenised at once: the fast tokenizers work on a batch in threads.
TOKENIZED_ROWS = 10_000
# A label of several holds where its probability is above one half, as in the networks' own pipelines.
HOLDS = 0.5


def config_changes(task: Task, labels: Sequence[str]) -> dict[str, Any]:
    """Label names both ways and the problem type, as the networks' own classes and pipelines read them."""
    if isinstance(task.labels, Score):
        return {"num_labels": 1, "problem_type": "regression"}
    kind = "multi_label_classification" if isinstance(task.labels, Several) else "single_label_classification"
    return {
        "id2label": dict(enumerate(labels)),
        "label2id": {name: i for i, name in enumerate(labels)},
        "problem_type": kind,
    }


def encode(rows: Rows, task: Task, tokenizer: Any, settings: Settings) -> Encoded:
    """One item for each row, cut to `max_length` tokens (the longer of a pair gives way first)."""
    texts, pairs = rows.columns["text"], rows.columns.get("text_pair")
    features: dict[str, list[Sequence[int]]] = {}
    rows_cut = 0
    for first in range(0, len(texts), TOKENIZED_ROWS):
        some = slice(first, first + TOKENIZED_ROWS)
        batch = tokenizer(
            texts[some],
            pairs[some] if pairs else None,
            truncation=True,
            max_length=settings.max_length,
            return_attention_mask=False,
        )
        rows_cut += sum(bool(encoding.overflowing) for encoding in batch.encodings)
        for name, sequences in batch.items():
            features.setdefault(name, []).extend(sequences)
    notes = []
    if rows_cut:
        share = rows_cut / len(texts)
        notes.append(f"{rows.origin}: {rows_cut:,} rows ({share:.1%}) cut to {settings.max_length} tokens")
    return Encoded(
        {name: Ragged.from_lists(sequences) for name, sequences in features.items()},
        rows=np.arange(len(texts)),
        counts=np.ones(len(texts)),
        targets=_targets(rows, task),
        notes=notes,
    )


def _targets(rows: Rows, task: Task) -> np.ndarray | None:
    if "label" not in rows.columns:
        return None
    values = rows.columns["label"]
    if isinstance(task.labels, Several):
        targets = np.zeros((len(values), len(rows.labels or ())), dtype=np.float32)
        for line, held in zip(targets, values, strict=True):
            line[list(held)] = 1
        return targets
    return np.asarray(values, dtype=np.float32 if isinstance(task.labels, Score) else np.int64)


def collate(encoded: Encoded, items: np.ndarray, tokenizer: Any, draw: np.random.Generator) -> dict[str, Any]:
    """Model inputs [items, longest] and, where the rows have them, `labels` [items] or [items, labels]."""
    batch: dict[str, Any] = pad_features(encoded, items, tokenizer)
    if encoded.targets is not None:
        batch["labels"] = torch.from_numpy(encoded.targets[items])
    return batch


def loss(model: torch.nn.Module, batch: dict[str, Any], task: Task) -> torch.Tensor:
    """Summed over rows: cross entropy; mean binary cross entropy of several labels; squared error of a score."""
    logits, targets = forward(model, batch).float(), batch["labels"]
    if isinstance(task.labels, Several):
        return binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(-1).sum()
    if isinstance(task.labels, Score):
        return mse_loss(logits[:, 0], targets, reduction="sum")
    return cross_entropy(logits, targets, reduction="sum")


def forward(model: torch.nn.Module, batch: dict[str, Any]) -> torch.Tensor:
    """Logits [items, labels]; of a score [items, 1]."""
    return model(**{name: value for name, value in batch.items() if name != "labels"}).logits


def decode(outputs: list[np.ndarray], encoded: Encoded, rows: Rows, task: Task) -> list[dict[str, Any]]:
    """One answer for each row: the likeliest label and its probability, all labels that hold, or the score."""
    logits = np.stack(outputs).astype(np.float64)
    if isinstance(task.labels, Score):
        return [{"prediction": float(value), "score": float(value)} for value in logits[:, 0]]
    names = rows.labels or ()
    if isinstance(task.labels, Several):
        chances = 1 / (1 + np.exp(-logits))
        return [
            {"prediction": [name for name, p in zip(names, line, strict=True) if p > HOLDS], "score": line.tolist()}
            for line in chances
        ]
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances = exponents / exponents.sum(axis=1, keepdims=True)
    return [{"prediction": names[line.argmax()], "score": float(line.max())} for line in chances]


def judged(answers: list[dict[str, Any]], rows: Rows, task: Task) -> dict[str, list[Any]]:
    """Predictions and references as label indices (of several: as 0 or 1 for each label), or as scores."""
    values = rows.columns["label"]
    if isinstance(task.labels, Score):
        return {"predictions": [each["prediction"] for each in answers], "references": values}
    index = {name: i for i, name in enumerate(rows.labels or ())}
    if isinstance(task.labels, Several):
        return {
            "predictions": [[int(name in each["prediction"]) for name in index] for each in answers],
            "references": [[int(i in held) for i in index.values()] for held in values],
        }
    return {"predictions": [index[each["prediction"]] for each in answers], "references": values}


def majority(train: Rows, rows: Rows, task: Task) -> list[dict[str, Any]] | None:
    """The label that `train` has most often, for every row; the mean of a score."""
    values = train.columns["label"]
    if isinstance(task.labels, Several):
        return None
    if isinstance(task.labels, Score):
        return [{"prediction": float(np.mean(values)), "score": float(np.mean(values))}] * len(rows)
    label, count = Counter(values).most_common(1)[0]
    return [{"prediction": (train.labels or ())[label], "score": count / len(values)}] * len(rows)
