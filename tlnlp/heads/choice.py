"""Multiple choice: select the right one of several endings (Devlin et al. 2019, section 4.4; figure 4 a per ending)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from tlnlp.heads.confidences import Confidences
from tlnlp.heads.encoded import EncodedDataset, model_inputs, pad_features
from tlnlp.heads.truncation import join_texts
from tlnlp.task import Prediction

if TYPE_CHECKING:
    from tlnlp.data.rows import Rows
    from tlnlp.settings import Settings
    from tlnlp.task import Task

auto_class = "AutoModelForMultipleChoice"
roles = ("text", "endings", "label")
optional_roles = ("prompt",)
tokenizer_options: dict[str, Any] = {}
causal = False


def config_changes(task: Task, labels: Sequence[str]) -> dict[str, Any]:
    """Returns no changes: the model outputs one number per ending."""
    return {}


def encode(rows: Rows, task: Task, tokenizer: Any, settings: Settings) -> EncodedDataset:
    """Encodes each row as one item with one sequence per ending: the text and that ending. The number of endings may
    differ between rows."""
    texts, endings, sequence_offsets = pair_endings(rows)
    features, notes = join_texts({"text": texts, "endings": endings}, tokenizer, settings, rows.origin)
    labels = rows.columns.get("label")
    return EncodedDataset(
        features,
        rows=np.arange(len(rows)),
        counts=np.ones(len(rows)),
        targets=None if labels is None else np.asarray(labels, dtype=np.int64),
        sequence_offsets=sequence_offsets,
        notes=notes,
    )


def pair_endings(rows: Rows) -> tuple[list[str], list[str], np.ndarray]:
    """Returns each row's text, repeated for each of its endings; the endings, after the row's prompt if there is one;
    and the offset of each row: [rows + 1]."""
    prompts = rows.columns.get("prompt", [""] * len(rows))
    texts, endings = [], []
    for text, prompt, of_row in zip(rows.columns["text"], prompts, rows.columns["endings"], strict=True):
        texts += [text] * len(of_row)
        endings += [f"{prompt} {ending}".lstrip() for ending in of_row]
    sequence_offsets = np.cumsum([0, *map(len, rows.columns["endings"])])
    return texts, endings, sequence_offsets


def collate(encoded: EncodedDataset, items: np.ndarray, tokenizer: Any, draw: np.random.Generator) -> dict[str, Any]:
    """Returns model inputs [sequences, longest]; `endings` [items], the number of endings of each item; and `labels`
    [items] if the rows have labels."""
    batch: dict[str, Any] = pad_features(encoded, items, tokenizer)
    assert encoded.sequence_offsets is not None
    batch["endings"] = torch.from_numpy(np.diff(encoded.sequence_offsets)[items])
    if isinstance(encoded.targets, np.ndarray):
        batch["labels"] = torch.from_numpy(encoded.targets[items])
    return batch


def loss(model: torch.nn.Module, batch: dict[str, Any], task: Task) -> torch.Tensor:
    """Returns the cross entropy over the endings of each row, summed over rows."""
    return cross_entropy(forward(model, batch).float(), batch["labels"], reduction="sum")


def logits(model: torch.nn.Module, batch: dict[str, Any]) -> torch.Tensor:
    """Returns one logit per sequence: [sequences]."""
    # Passed as rows with one ending each, [sequences, 1, longest]: the model classes need the same number in every row.
    return model(**{name: value.unsqueeze(1) for name, value in model_inputs(batch).items()}).logits[:, 0]


def forward(model: torch.nn.Module, batch: dict[str, Any]) -> torch.Tensor:
    """Returns logits [items, most endings], minus infinity where an item has fewer endings."""
    return side_by_side(logits(model, batch), batch["endings"])


def side_by_side(scores: torch.Tensor, endings: torch.Tensor) -> torch.Tensor:
    """Arranges the scores [sequences] by item, given the number of `endings` [items]: [items, most endings], padded
    with minus infinity."""
    there = torch.arange(int(endings.max()), device=endings.device) < endings[:, None]
    return scores.new_full(there.shape, -torch.inf).masked_scatter(there, scores)


def decode(outputs: list[np.ndarray], encoded: EncodedDataset, rows: Rows, task: Task) -> list[Prediction]:
    """Returns for each row the index of the most probable ending, its probability, those of all endings, and its
    text."""
    predictions = []
    for line, endings in zip(outputs, rows.columns["endings"], strict=True):
        logits = line[: len(endings)].astype(np.float64)
        confidences = np.exp(logits - logits.max())
        confidences /= confidences.sum()
        place = int(confidences.argmax())
        scores = [float(f"{chance:.6g}") for chance in confidences]
        predictions.append(Prediction(place, float(confidences[place]), scores, more={"ending": endings[place]}))
    return predictions


def confidences(predictions: list[Prediction], rows: Rows, task: Task) -> Confidences:
    """Returns the probabilities of all endings."""
    chosen = [each.prediction for each in predictions]
    return Confidences.of_all([each.scores for each in predictions], rows.columns["label"], chosen)


def metric_inputs(predictions: list[Prediction], rows: Rows, task: Task) -> dict[str, list[Any]]:
    """Returns ending indices."""
    return {"predictions": [each.prediction for each in predictions], "references": list(rows.columns["label"])}


def majority_baseline(train: Rows, rows: Rows, task: Task) -> list[Prediction]:
    """Predicts the index at which `train` most often has the right ending, or a row's last ending if it has fewer."""
    counts = np.bincount(train.columns["label"])
    place = int(counts.argmax())
    share = float(counts[place] / counts.sum())
    return [Prediction(min(place, len(each) - 1), share) for each in rows.columns["endings"]]
