"""Pruned embeddings: during training, the embedding matrix contains only the tokens that occur in the data.

Vocabularies are large (30,000 tokens in BERT, 250,000 in XLM-R: most of the network), and a data set uses a small part.
The other embeddings get no gradient and do not change, but gradient clipping and AdamW, with two moments each, would
still spend time and memory on them. The full matrix is restored before the model is saved.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

# If more than this fraction of the vocabulary is used, pruning would gain little.
WORTHWHILE_FRACTION = 0.75


class PrunedEmbedding:
    """The embedding matrix of a network, pruned to the `used` rows until `restore` is called."""

    def __init__(self, table: nn.Embedding, used: np.ndarray, parameter: str) -> None:
        self.table, self.used, self.parameter = table, torch.from_numpy(used), parameter
        self.whole = table.weight.detach().cpu().clone()
        self.padding_piece = table.padding_idx
        # Unused tokens do not occur in the data; -1 is out of range and would raise an error.
        self._row_of = torch.full((len(self.whole),), -1)
        self._row_of[self.used] = torch.arange(len(self.used))
        if self.padding_piece is not None:
            table.padding_idx = int(self._row_of[self.padding_piece])
        self._set(self.take(self.whole))
        self._hook = table.register_forward_pre_hook(self._to_rows)

    @classmethod
    def install(cls, model: Any, used: np.ndarray) -> PrunedEmbedding | None:
        """Prunes the embeddings of `model` to the tokens `used`; None if they are tied to the output, or most are used.

        Args:
            used: token ids, sorted and unique.
        """
        table = model.get_input_embeddings()
        tied = model.get_output_embeddings() is not None
        if tied or not isinstance(table, nn.Embedding) or len(used) > WORTHWHILE_FRACTION * table.num_embeddings:
            return None
        if table.padding_idx is not None:
            used = np.union1d(used, [table.padding_idx])
        name = next(name for name, parameter in model.named_parameters() if parameter is table.weight)
        return cls(table, used, name)

    def take(self, whole: torch.Tensor) -> torch.Tensor:
        """Returns the used rows of a full matrix."""
        return whole[self.used.to(whole.device)]

    def restore(self) -> None:
        """Restores the full matrix, with the trained values of the used rows. Repeated calls have no effect."""
        if self.table.num_embeddings == len(self.whole):
            return
        self.whole[self.used] = self.table.weight.detach().cpu()
        self._hook.remove()
        self.table.padding_idx = self.padding_piece
        self._set(self.whole)

    def _to_rows(self, table: nn.Module, arguments: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        self._row_of = self._row_of.to(arguments[0].device)
        return (self._row_of[arguments[0]],)

    def _set(self, rows: torch.Tensor) -> None:
        self.table.weight = nn.Parameter(rows.to(self.table.weight), requires_grad=self.table.weight.requires_grad)
        self.table.num_embeddings = len(rows)


def pieces_used(*sequences: np.ndarray, always: list[int]) -> np.ndarray:
    """Returns the sorted unique token ids in `sequences`, and those `always` needed (padding, special tokens)."""
    return np.unique(np.concatenate([*(np.unique(each) for each in sequences), np.asarray(always)])).astype(np.int64)
