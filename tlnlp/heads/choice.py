"""Choice: which of several endings is right (Devlin et al. 2019, section 4.4; figure 4 a, once for each ending)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from tlnlp.heads.confidences import Confidences
from tlnlp.heads.encoded import EncodedDataset, model_inputs, pad_features
from tlnlp.heads.truncation import join_texts

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
    """Nothing: each ending gets one number."""
    return {}


def encode(rows: Rows, task: Task, tokenizer: Any, settings: Settings) -> EncodedDataset:
    """One item for each row: the text beside each of its endings, a sequence each. Rows may differ in how many."""
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
    """Each row's text once for each of its endings, the endings (behind the row's prompt, if there is one), and where
    each row begins: [rows + 1]."""
    prompts = rows.columns.get("prompt", [""] * len(rows))
    texts, endings = [], []
    for text, prompt, of_row in zip(rows.columns["text"], prompts, rows.columns["endings"], strict=True):
        texts += [text] * len(of_row)
        endings += [f"{prompt} {ending}".lstrip() for ending in of_row]
    sequence_offsets = np.cumsum([0, *map(len, rows.columns["endings"])])
    return texts, endings, sequence_offsets


def collate(encoded: EncodedDataset, items: np.ndarray, tokenizer: Any, draw: np.random.Generator) -> dict[str, Any]:
    """Model inputs [sequences, longest]; `endings` [items]: how many each item has; and, where the rows have them,
    `labels` [items]."""
    batch: dict[str, Any] = pad_features(encoded, items, tokenizer)
    assert encoded.sequence_offsets is not None
    batch["endings"] = torch.from_numpy(np.diff(encoded.sequence_offsets)[items])
    if isinstance(encoded.targets, np.ndarray):
        batch["labels"] = torch.from_numpy(encoded.targets[items])
    return batch


def loss(model: torch.nn.Module, batch: dict[str, Any], task: Task) -> torch.Tensor:
    """Cross entropy over each row's own endings, summed over rows."""
    return cross_entropy(forward(model, batch).float(), batch["labels"], reduction="sum")


def logits(model: torch.nn.Module, batch: dict[str, Any]) -> torch.Tensor:
    """One for each sequence: [sequences]."""
    # As rows of one ending each, [sequences, 1, longest]: the networks' classes want as many in every row.
    return model(**{name: value.unsqueeze(1) for name, value in model_inputs(batch).items()}).logits[:, 0]


def forward(model: torch.nn.Module, batch: dict[str, Any]) -> torch.Tensor:
    """[items, most endings], minus infinity where an item has fewer."""
    return side_by_side(logits(model, batch), batch["endings"])


def side_by_side(scores: torch.Tensor, endings: torch.Tensor) -> torch.Tensor:
    """The scores [sequences] of items with so many `endings` [items] as a table [items, most endings], filled up with
    minus infinity."""
    there = torch.arange(int(endings.max()), device=endings.device) < endings[:, None]
    return scores.new_full(there.shape, -torch.inf).masked_scatter(there, scores)


def decode(outputs: list[np.ndarray], encoded: EncodedDataset, rows: Rows, task: Task) -> list[dict[str, Any]]:
    """For each row the place of the likeliest ending, from 0, its probability and that of each, and the ending."""
    answers = []
    for line, endings in zip(outputs, rows.columns["endings"], strict=True):
        scores = line[: len(endings)].astype(np.float64)
        confidences = np.exp(scores - scores.max())
        confidences /= confidences.sum()
        place = int(confidences.argmax())
        answers.append(
            {
                "prediction": place,
                "score": float(confidences[place]),
                "ending": endings[place],
                "scores": [float(f"{chance:.6g}") for chance in confidences],
            }
        )
    return answers


def confidences(answers: list[dict[str, Any]], rows: Rows, task: Task) -> Confidences:
    """Of each ending."""
    return Confidences.of_all([answer["scores"] for answer in answers], rows.columns["label"])


def metric_inputs(answers: list[dict[str, Any]], rows: Rows, task: Task) -> dict[str, list[Any]]:
    """Places of the endings."""
    return {"predictions": [each["prediction"] for each in answers], "references": rows.columns["label"]}


def majority_baseline(train: Rows, rows: Rows, task: Task) -> list[dict[str, Any]]:
    """The place where `train` has the right ending most often, or a row's last place where it has fewer."""
    counts = np.bincount(train.columns["label"])
    place = int(counts.argmax())
    share = float(counts[place] / counts.sum())
    return [{"prediction": min(place, len(each) - 1), "score": share} for each in rows.columns["endings"]]
