"""The encoded rows of all splits of a run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tlnlp.data.rows import Rows, Splits
from tlnlp.heads.encoded import EncodedDataset
from tlnlp.runs import encoding_cache
from tlnlp.settings import Settings
from tlnlp.task import Task


@dataclass(frozen=True)
class EncodedSplits:
    """The encoded rows of all splits; names as in `PreparedRun`."""

    train: EncodedDataset
    dev: EncodedDataset
    eval: EncodedDataset
    extra_splits: dict[str, tuple[EncodedDataset, Rows]]
    target_languages: dict[str, tuple[EncodedDataset, Rows]]

    @classmethod
    def of(cls, splits: Splits, task: Task, tokenizer: Any, settings: Settings) -> EncodedSplits:
        """Encodes the rows of all splits, or finds them in the cache."""

        def encode(rows: Rows) -> EncodedDataset:
            return encoding_cache.encode(rows, task, tokenizer, settings)

        dev = encode(splits.dev)
        extra_splits, target_languages = (
            {name: (encode(rows), rows) for name, rows in further.items()}
            for further in (splits.extra_splits, splits.target_languages)
        )
        on_eval = dev if splits.test is None else encode(splits.test)
        return cls(encode(splits.train), dev, on_eval, extra_splits, target_languages)

    @property
    def own(self) -> list[EncodedDataset]:
        """All but those of the target languages."""
        return [self.train, self.dev, self.eval, *(each for each, _ in self.extra_splits.values())]

    @property
    def notes(self) -> list[str]:
        """What there is to say about each split."""
        further = (each for each, _ in self.target_languages.values())
        return [note for each in (*self.own, *further) for note in each.notes]

    def without_padding(self) -> EncodedSplits:
        """Returns the same rows, to be batched with rows of equal length only."""
        of_train, dev = replace(self.train, can_pad=False), replace(self.dev, can_pad=False)
        on_eval = dev if self.eval is self.dev else replace(self.eval, can_pad=False)
        extra_splits, target_languages = (
            {name: (replace(each, can_pad=False), rows) for name, (each, rows) in further.items()}
            for further in (self.extra_splits, self.target_languages)
        )
        return EncodedSplits(of_train, dev, on_eval, extra_splits, target_languages)
