"""The shapes of answer. A head is a module with the functions of `Head`; a new file in this folder is a new head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, cast

from tlnlp.lazy import lazy_module

if TYPE_CHECKING:
    import numpy as np
    import torch

    from tlnlp.data.rows import Rows
    from tlnlp.heads.chances import Chances
    from tlnlp.heads.encoded import Encoded
    from tlnlp.recipe import Task
    from tlnlp.settings import Settings


class Head(Protocol):
    """What every head offers. Encode, loss and decode stand in one file because they share one invariant."""

    #: The module's own, "tlnlp.heads.sentence".
    __name__: str
    #: Name of the `transformers` auto class whose checkpoints this head reads and writes.
    auto_class: str
    #: Roles of `Columns` that the head needs, and those that it can use.
    roles: tuple[str, ...]
    optional_roles: tuple[str, ...]
    #: What the tokenizer is loaded with, by the names of `AutoTokenizer.from_pretrained`.
    tokenizer_options: dict[str, Any]
    #: Whether the network must read from left to right only (GPT), its piece table being the words it may say.
    causal: bool

    def config_changes(self, task: Task, labels: Sequence[str]) -> dict[str, Any]:
        """What the model's configuration must say for this task: label names in order, problem type."""

    def encode(self, rows: Rows, task: Task, tokenizer: Any, settings: Settings) -> Encoded:
        """Rows to token ids and targets. Every row gives at least one item."""

    def collate(self, encoded: Encoded, items: np.ndarray, tokenizer: Any, draw: np.random.Generator) -> dict[str, Any]:
        """The padded tensors of a micro-batch. `draw` for what is drawn anew each time (masking): the same for every
        micro-batch of an update, so that each item must draw by its own number."""

    def loss(self, model: torch.nn.Module, batch: dict[str, Any], task: Task) -> torch.Tensor:
        """The loss summed over what `Encoded.counts` counts, so that the loop can normalise over the whole update."""

    def logits(self, model: torch.nn.Module, batch: dict[str, Any]) -> torch.Tensor:
        """The network's own answers, places of padding left out: two networks that agree on these are the same."""

    def forward(self, model: torch.nn.Module, batch: dict[str, Any]) -> torch.Tensor:
        """What `decode` needs from the model, one row of it for each item: [items, ...]."""

    def decode(self, outputs: list[np.ndarray], encoded: Encoded, rows: Rows, task: Task) -> list[dict[str, Any]]:
        """One answer for each row, in the task's own words: {"prediction": ..., "score": ...}."""

    def judged(self, answers: list[dict[str, Any]], rows: Rows, task: Task) -> dict[str, list[Any]]:
        """What the metrics are computed on: {"predictions": [...], "references": [...]}."""

    def chances(self, answers: list[dict[str, Any]], rows: Rows, task: Task) -> Chances | None:
        """How sure each answer was, and whether it is right; None where answers have no probability."""

    def majority(self, train: Rows, rows: Rows, task: Task) -> list[dict[str, Any]] | None:
        """The answers of one who only knows how often each answer occurs in `train`; None where that says nothing."""


# Written out so that editors and type checkers see them; the code of each runs when it is first used.
choice = cast(Head, lazy_module("tlnlp.heads.choice"))
gpt = cast(Head, lazy_module("tlnlp.heads.gpt"))
next_word = cast(Head, lazy_module("tlnlp.heads.next_word"))
sentence = cast(Head, lazy_module("tlnlp.heads.sentence"))
span = cast(Head, lazy_module("tlnlp.heads.span"))
tag = cast(Head, lazy_module("tlnlp.heads.tag"))
word = cast(Head, lazy_module("tlnlp.heads.word"))
