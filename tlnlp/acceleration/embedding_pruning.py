"""Only the pieces that occur: while a network learns, its table of word pieces holds the rows that its data use.

A vocabulary is wide (30,000 pieces in BERT, 250,000 in XLM-R: most of the network) and a data set uses few of them.
The others get no gradient and would not move; carrying them through clipping and AdamW, with two moments each, costs
time and memory for nothing. The table is whole again before the model is saved.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

# A table of which more than this is used is left as it is: little would be won.
WORTHWHILE_FRACTION = 0.75


class PrunedEmbedding:
    """The piece table of a network, cut to `used` rows until `restore` is called."""

    def __init__(self, table: nn.Embedding, used: np.ndarray, parameter: str) -> None:
        self.table, self.used, self.parameter = table, torch.from_numpy(used), parameter
        self.whole = table.weight.detach().cpu().clone()
        self.padding_piece = table.padding_idx
        # Pieces that are not used are nowhere in the data: -1 would be out of range, and be seen.
        self._row_of = torch.full((len(self.whole),), -1)
        self._row_of[self.used] = torch.arange(len(self.used))
        if self.padding_piece is not None:
            table.padding_idx = int(self._row_of[self.padding_piece])
        self._set(self.take(self.whole))
        self._hook = table.register_forward_pre_hook(self._to_rows)

    @classmethod
    def install(cls, model: Any, used: np.ndarray) -> PrunedEmbedding | None:
        """Cuts the table of `model` to the pieces `used`; None where it also serves as output, or most are used.

        Args:
            used: numbers of the pieces, each once, in order.
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
        """The used rows of a whole table."""
        return whole[self.used.to(whole.device)]

    def restore(self) -> None:
        """Puts the whole table back, with what its used rows have learnt. Once is enough."""
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
    """The pieces in any of `sequences`, and those `always` needed (padding, special tokens): each once, in order."""
    return np.unique(np.concatenate([*(np.unique(each) for each in sequences), np.asarray(always)])).astype(np.int64)
