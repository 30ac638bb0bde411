"""Pruned embeddings: during training, the embedding matrix contains only the tokens that occur in the data.

Vocabularies are large (30,000 tokens in BERT, 250,000 in XLM-R: most of the network), and a data set uses a small part.
The other embeddings get no gradient and do not change, but gradient clipping and AdamW, with two moments each, would
still spend time and memory on them. The full matrix is restored before the model is saved.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from tlnlp.heads.growing_arrays import slices
from tlnlp.transfer.layers import token_table

# If more than this fraction of the vocabulary is used, pruning would gain little.
WORTHWHILE_FRACTION = 0.75


class PrunedEmbedding:
    """The embedding matrix of a network, pruned to the `used` rows until `restore` is called.

    Args:
        tables: the modules that share the matrix: one, or those of an encoder and a decoder (T5).
    """

    def __init__(self, tables: list[nn.Embedding], used: np.ndarray, parameter: str) -> None:
        self.tables, self.used, self.parameter = tables, torch.from_numpy(used), parameter
        table = tables[0]
        self.whole = table.weight.detach().cpu().clone()
        self.padding_piece = table.padding_idx
        # Unused tokens do not occur in the data; -1 is out of range and would raise an error.
        self._row_of = torch.full((len(self.whole),), -1)
        self._row_of[self.used] = torch.arange(len(self.used))
        row_of_padding = None if self.padding_piece is None else int(self._row_of[self.padding_piece])
        self._set(self.take(self.whole), row_of_padding)
        self._hooks = [table.register_forward_pre_hook(self._to_rows) for table in tables]

    @classmethod
    def install(
        cls, model: Any, used: np.ndarray, ask: Callable[[nn.Module], torch.Tensor] | None = None
    ) -> PrunedEmbedding | None:
        """Prunes the embeddings of `model` to the tokens `used`; None if they are tied to the output, most are used, or
        the outputs would differ.

        Args:
            used: token ids, sorted and unique.
            ask: runs the network and returns its logits, to compare.
        """
        if model.get_output_embeddings() is not None:
            return None
        table = token_table(model)
        if table is None or len(used) > WORTHWHILE_FRACTION * table.num_embeddings:
            return None
        owners = [module for module in model.modules() if table.weight in set(module.parameters(recurse=False))]
        tables = [table, *(owner for owner in owners if owner is not table)]
        if not all(isinstance(owner, nn.Embedding) and owner.padding_idx == table.padding_idx for owner in tables):
            return None
        if table.padding_idx is not None:
            used = np.union1d(used, [table.padding_idx])
        name = next(name for name, parameter in model.named_parameters() if parameter is table.weight)
        expected = torch.empty(0) if ask is None else _answers(model, ask)
        pruned = cls(tables, used, name)
        if ask is None:
            return pruned
        try:
            is_same = torch.equal(_answers(model, ask), expected)
        except (IndexError, RuntimeError):  # it reads tokens that the rows do not have
            is_same = False
        if not is_same:
            pruned.restore()
        return pruned if is_same else None

    def take(self, whole: torch.Tensor) -> torch.Tensor:
        """Returns the used rows of a full matrix."""
        return whole[self.used.to(whole.device)]

    def restore(self) -> None:
        """Restores the full matrix, with the trained values of the used rows. Repeated calls have no effect."""
        table = self.tables[0]
        if table.num_embeddings == len(self.whole):
            return
        self.whole[self.used] = table.weight.detach().cpu()
        for hook in self._hooks:
            hook.remove()
        self._set(self.whole, self.padding_piece)

    def _to_rows(self, table: nn.Module, arguments: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        self._row_of = self._row_of.to(arguments[0].device)
        return (self._row_of[arguments[0]],)

    def _set(self, rows: torch.Tensor, padding_row: int | None) -> None:
        weight = self.tables[0].weight
        shared = nn.Parameter(rows.to(weight), requires_grad=weight.requires_grad)
        for table in self.tables:
            table.weight, table.num_embeddings, table.padding_idx = shared, len(rows), padding_row


def _answers(model: Any, ask: Callable[[nn.Module], torch.Tensor]) -> torch.Tensor:
    was_training = model.training
    with torch.no_grad():
        found = ask(model.eval())
    model.train(was_training)
    return found


def pieces_used(*sequences: np.ndarray, always: list[int]) -> np.ndarray:
    """Returns the sorted unique token ids in `sequences`, and those `always` needed (padding, special tokens)."""
    is_used = np.zeros(1 + max(always, default=0), dtype=bool)
    is_used[always] = True
    for part in (part for each in sequences for part in slices(each) if len(part)):
        is_used = np.pad(is_used, (0, max(0, int(part.max()) + 1 - len(is_used))))
        is_used[part] = True
    return np.flatnonzero(is_used)
