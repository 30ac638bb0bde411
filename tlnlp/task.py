"""What is asked: where a task's rows are, which column plays which role, and the shape of its answers. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import torch

    from tlnlp.data.rows import Rows
    from tlnlp.heads.confidences import Confidences
    from tlnlp.heads.encoded import EncodedDataset
    from tlnlp.settings import Settings


@dataclass(frozen=True)
class Data:
    """Where a task's rows are: its published data set on the Hub, and the sample that ships with the package.

    Args:
        sample: folder in `tlnlp/bundled/samples` (None: no sample).
        hub: data set id on the Hub, with `subset` its configuration (None: not on the Hub).
        train, dev, test: split names, the same for Hub, sample and folders of files; `test` only where it has labels.
        extra_splits: {name: split} of further rows to report on beside dev, where the source has them.
        original_columns: {column of the originally published files: its name on the Hub}, where they differ.
        original_header: column names of originally published files that come without a header line.
        partly_labelled: rows without a label are no mistake: they are left out, and that is said.
    """

    sample: str | None = None
    hub: str | None = None
    subset: str | None = None
    train: str = "train"
    dev: str = "validation"
    test: str | None = None
    extra_splits: Mapping[str, str] = field(default_factory=dict)
    original_columns: Mapping[str, str] = field(default_factory=dict)
    original_header: tuple[str, ...] = ()
    partly_labelled: bool = False


@dataclass(frozen=True)
class Columns:
    """Which column plays which role. None: this task has no such role.

    Args:
        text, text_pair: a sentence, and the second of a pair.
        label: one label, several labels or a score; for `endings` the place of the right one, from 0.
        weight: how much a row counts in the loss, in rows.
        words, tags: the words of a row, and one tag for each.
        question, context, answers: as in SQuAD: the answers are pieces of the context, with their places in it.
        prompt: what each ending begins with.
        endings: a list of texts; or several columns of one text each, "ending0,ending1,ending2,ending3".
    """

    text: str | None = None
    text_pair: str | None = None
    label: str | None = None
    weight: str | None = None
    words: str | None = None
    tags: str | None = None
    question: str | None = None
    context: str | None = None
    answers: str | None = None
    prompt: str | None = None
    endings: str | None = None

    def by_role(self) -> dict[str, str]:
        """{role: column}, the roles of this task only."""
        return {each.name: getattr(self, each.name) for each in fields(self) if getattr(self, each.name)}


class MultiLabel(tuple[str, ...]):
    """Labels of which any number may hold for one row (multi-label): `labels=Several(("joy", "anger"))`."""


@dataclass(frozen=True)
class Regression:
    """A number instead of a label (regression), in the data's own unit: `labels=Score(0, 5)`."""

    low: float
    high: float


# One of several names; any of several names; a number; or None: the names are found in the data, and said.
Labels = tuple[str, ...] | MultiLabel | Regression | None


class Head(Protocol):
    """What every head offers: a module, or any object, with these. Encode, loss and decode stand in one file because
    they share one invariant."""

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

    def encode(self, rows: Rows, task: Task, tokenizer: Any, settings: Settings) -> EncodedDataset:
        """Rows to token ids and targets. Every row gives at least one item."""

    def collate(
        self, encoded: EncodedDataset, items: np.ndarray, tokenizer: Any, draw: np.random.Generator
    ) -> dict[str, Any]:
        """The padded tensors of a micro-batch. `draw` for what is drawn anew each time (masking): the same for every
        micro-batch of an update, so that each item must draw by its own number."""

    def loss(self, model: torch.nn.Module, batch: dict[str, Any], task: Task) -> torch.Tensor:
        """The loss summed over what `EncodedDataset.counts` counts, so that the loop can normalise over the update."""

    def logits(self, model: torch.nn.Module, batch: dict[str, Any]) -> torch.Tensor:
        """The network's own answers, places of padding left out: two networks that agree on these are the same."""

    def forward(self, model: torch.nn.Module, batch: dict[str, Any]) -> torch.Tensor:
        """What `decode` needs from the model, one row of it for each item: [items, ...]."""

    def decode(
        self, outputs: list[np.ndarray], encoded: EncodedDataset, rows: Rows, task: Task
    ) -> list[dict[str, Any]]:
        """One answer for each row, in the task's own words: {"prediction": ..., "score": ...}."""

    def metric_inputs(self, answers: list[dict[str, Any]], rows: Rows, task: Task) -> dict[str, list[Any]]:
        """What the metrics are computed on: {"predictions": [...], "references": [...]}."""

    def confidences(self, answers: list[dict[str, Any]], rows: Rows, task: Task) -> Confidences | None:
        """How sure each answer was, and whether it is right; None where answers have no probability."""

    def majority_baseline(self, train: Rows, rows: Rows, task: Task) -> list[dict[str, Any]] | None:
        """The answers of one who only knows how often each answer occurs in `train`; None where that says nothing."""


@dataclass(frozen=True)
class Task:
    """What is asked and how an answer is judged.

    Args:
        name: short name, also the name of the output folder.
        head: the shape of the answer, a module of `tlnlp.heads`.
        labels: label names in the order of the data set's integers; `MultiLabel`, `Regression` or None, see `Labels`.
        metrics: modules of `tlnlp.evaluation.metrics`; the first one is the task's headline.
        pair_is_symmetric: the two texts of a pair may change places (paraphrase, similarity).
        unanswerable: questions without an answer in their context belong to the task (SQuAD 2.0).
        language: the language of `data` (ISO 639 code): what is learnt from unless `--train-language` says otherwise.
        target_languages: {language: its data} of further languages, answered in without having been learnt from
            (zero-shot cross-lingual transfer). Neither the loop nor the choice of a checkpoint sees them.
    """

    name: str
    data: Data
    columns: Columns
    head: Head
    labels: Labels = None
    metrics: tuple[Any, ...] = ()
    pair_is_symmetric: bool = False
    unanswerable: bool = False
    language: str = "en"
    target_languages: Mapping[str, Data] = field(default_factory=dict)
