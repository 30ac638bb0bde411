"""Encoded rows: token ids of any length, concatenated, and the padded tensors made from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from tlnlp.errors import InputError

# Rows tokenised at once: fast tokenizers process a batch in threads.
TOKENIZED_ROWS = 10_000
MODEL_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
# cross_entropy and the losses of the model classes ignore positions with this target.
NOT_SCORED = -100


@dataclass(frozen=True)
class Ragged:
    """Sequences of any length in one flat array: `flat[offsets[i]:offsets[i + 1]]` is the i-th sequence."""

    flat: np.ndarray
    offsets: np.ndarray  # [items + 1]

    @classmethod
    def from_lists(cls, sequences: Iterable[Sequence[int] | np.ndarray], dtype: Any = np.int32) -> Ragged:
        """Concatenates `sequences`."""
        arrays = [np.asarray(each, dtype=dtype) for each in sequences]
        offsets = np.zeros(len(arrays) + 1, dtype=np.int64)
        np.cumsum([len(each) for each in arrays], out=offsets[1:])
        return cls(np.concatenate(arrays) if arrays else np.zeros(0, dtype=dtype), offsets)

    @cached_property
    def lengths(self) -> np.ndarray:
        """[items] Computed once: the loop asks for them in each update."""
        return np.diff(self.offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, item: int) -> np.ndarray:
        return self.flat[self.offsets[item] : self.offsets[item + 1]]

    def padded(self, items: np.ndarray, fill: int) -> np.ndarray:
        """Returns the sequences `items`, padded on the right with `fill`: [items, longest].

        Padding is always on the right, whatever side the tokenizer uses for generation: positions count from the left.
        """
        lengths = self.lengths[items]
        rectangle = np.full((len(items), int(lengths.max(initial=0))), fill, dtype=np.int64)
        starts = self.offsets[items] - (lengths.cumsum() - lengths)
        rectangle[np.arange(rectangle.shape[1]) < lengths[:, None]] = self.flat[
            np.repeat(starts, lengths) + np.arange(lengths.sum())
        ]
        return rectangle


@dataclass(frozen=True)
class EncodedDataset:
    """Rows encoded for the network. A long row may give several items (windows); `rows` maps each item to its row.

    Args:
        features: model input name to token sequences: "input_ids", and "token_type_ids" if the model has them. One
            sequence per item, unless `sequence_offsets` is set.
        rows: [items] the row of each item.
        counts: [items] the weight of each item in the loss: 1 for a sentence, otherwise the number of scored tokens.
            The loss of an update is divided by the sum over the whole update, which every process knows in advance.
        targets: [items] or [items, ...] the training targets, or a sequence per item; None if they are made by
            `collate`, or if the rows have no labels.
        alignment: what each token corresponds to (its word, its characters), if decode needs it; like `features`.
        batch_constants: settings that `collate` needs.
        sequence_offsets: [items + 1] the first sequence of each item, if an item has several (endings, windows).
        label_weights: [labels] the weight of each label in the loss: of tags, and of rows that have one of several
            labels; None if all are 1, or are in `counts`.
        notes: notes to print ("3.2 % of the rows were cut to 128 tokens").
        can_pad: whether a micro-batch may have items of different lengths: False for a network whose outputs depend on
            the padding.
    """

    features: dict[str, Ragged]
    rows: np.ndarray
    counts: np.ndarray
    targets: np.ndarray | Ragged | None = None
    alignment: dict[str, Ragged] = field(default_factory=dict)
    batch_constants: dict[str, float] = field(default_factory=dict)
    sequence_offsets: np.ndarray | None = None
    label_weights: np.ndarray | None = None
    notes: list[str] = field(default_factory=list)
    can_pad: bool = True

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Lengths in tokens [items]; for an item of several sequences, the positions of all, padded to the longest."""
        lengths = self.features["input_ids"].lengths
        if self.sequence_offsets is None:
            return lengths
        return np.maximum.reduceat(lengths, self.sequence_offsets[:-1]) * np.diff(self.sequence_offsets)

    def sequences_of(self, items: np.ndarray) -> np.ndarray:
        """Returns the indices of the sequences of `items`, in order: [sequences]."""
        if self.sequence_offsets is None:
            return items
        counts = self.sequence_offsets[items + 1] - self.sequence_offsets[items]
        starts = self.sequence_offsets[items] - (counts.cumsum() - counts)
        return np.repeat(starts, counts) + np.arange(counts.sum())

    def sequence_lengths(self, items: np.ndarray) -> np.ndarray:
        """Returns the length in tokens of each sequence of `items`: [sequences]."""
        return self.features["input_ids"].lengths[self.sequences_of(items)]


def pad_features(encoded: EncodedDataset, items: np.ndarray, tokenizer: Any) -> dict[str, torch.Tensor]:
    """Returns the model inputs of a micro-batch, padded to its longest sequence: {name: [sequences, longest]}.

    If the tokenizer has no pad token (GPT-2), the padding is 0, which the attention mask excludes.
    """
    sequences = encoded.sequences_of(items)
    batch = {
        name: torch.from_numpy(ragged.padded(sequences, _fill(name, tokenizer)))
        for name, ragged in encoded.features.items()
    }
    lengths = encoded.features["input_ids"].lengths[sequences]
    places = np.arange(batch["input_ids"].shape[1])
    real = places < lengths[:, None]
    batch["attention_mask"] = torch.from_numpy(real.astype(np.int64))
    return batch


def require_fast(tokenizer: Any, model: str) -> None:
    """Raises an error for a tokenizer that does not say which characters or words its tokens come from.

    Args:
        model: the value of `--model`.
    """
    if not tokenizer.is_fast:
        raise InputError(
            expected="a checkpoint with a fast tokenizer, which says where in a text each token is",
            found=f"{model}, with a {type(tokenizer).__name__}",
            change="another --model, or a task that classifies whole texts",
        )


def model_inputs(batch: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the inputs of the network from a batch; the rest (targets, weights, alignment) is for the head."""
    return {name: value for name, value in batch.items() if name in MODEL_INPUTS}


def _fill(name: str, tokenizer: Any) -> int:
    return (tokenizer.pad_token_id or 0) if name == "input_ids" else 0
