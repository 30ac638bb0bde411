"""The declaration of a task: its data, the roles of its columns, its labels, head and metrics. Does not import
torch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
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
    """The data of a task: the published data set on the Hub, and the bundled sample.

    Args:
        sample: folder in `tlnlp/bundled/samples` (None: no sample).
        hub: data set id on the Hub, with `subset` as its configuration (None: not on the Hub).
        train, dev, test: split names, the same for Hub, sample and folders of files; `test` only if it has labels.
        extra_splits: {name: split} of additional splits to evaluate, if the source has them.
        original_columns: {column of the originally published files: its name on the Hub}, if they differ.
        original_header: column names of originally published files without a header line.
        partly_labelled: drop rows without a label, with a note; otherwise they are an error.
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
    """The column of each role. None: the task has no such role.

    Args:
        text, text_pair: a text, and the second text of a pair.
        label: one label, several labels or a number; for `endings`, the index of the right one, from 0.
        weight: the weight of a row in the loss (1: an ordinary row).
        words, tags: the words of a row, and one tag for each.
        question, context, answers: as in SQuAD: the answers are spans of the context, with their start offsets.
        prompt: the beginning of each ending.
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
        """Returns {role: column} with the roles of this task."""
        return {each.name: getattr(self, each.name) for each in fields(self) if getattr(self, each.name)}


class MultiLabel(tuple[str, ...]):
    """Labels of a multi-label task, in which a row has any number of them: `labels=MultiLabel(("joy", "anger"))`.

    Args:
        thresholds: {label: the probability above which a row has it}; 0.5 for those without one.
    """

    thresholds: dict[str, float]

    def __new__(cls, names: Iterable[str] = (), thresholds: Mapping[str, float] | None = None) -> MultiLabel:
        """Returns the names as a tuple, which two lists of labels are compared by."""
        made = super().__new__(cls, names)
        made.thresholds = dict(thresholds or {})
        return made


@dataclass(frozen=True)
class Regression:
    """A number instead of a label, in the unit of the data: `labels=Regression(0, 5)`. Without a range: any number."""

    low: float = -math.inf
    high: float = math.inf

    @property
    def has_range(self) -> bool:
        """Whether numbers outside a range are not valid."""
        return math.isfinite(self.low) and math.isfinite(self.high)


# One of several names; any number of several names; a number; or None: the names are read from the data and printed.
Labels = tuple[str, ...] | MultiLabel | Regression | None


# Fields of a prediction that are no keys of `predictions.jsonl`.
NOT_WRITTEN = ("more", "distribution")


@dataclass(frozen=True)
class Prediction:
    """What a model predicts for one row.

    Args:
        prediction: in the task's own terms: a label, labels, a number, a tag for each word, a text, the index of an
            ending.
        score: its probability; of several labels that of each, of a number the number itself.
        scores: {label: probability}, or a list (of each ending; of each word's tag); None if there is only `score`.
        calibrated: `score` after calibration on the dev rows; None if there is none.
        row: the row's number in its source; None for rows passed to `predict`.
        label: the row's own label, by name; None if it has none.
        prediction_set: labels (tags of each word, indices of endings) that contain the right one at the error rate
            that was asked for; None if none was.
        abstained: whether the confidence is below the threshold that was asked for: `prediction` is then None. Of tags,
            whether any word's is.
        more: what else the head reports (`ending`: the text of the chosen ending).
        distribution: probabilities of all tags of each word [words, tags], where they are needed; not written.
    """

    prediction: Any
    score: Any = None
    scores: Any = None
    calibrated: Any = None
    row: int | None = None
    label: Any = None
    prediction_set: Any = None
    abstained: bool | None = None
    more: Mapping[str, Any] = field(default_factory=dict)
    distribution: Any = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        """Leaves out what is not known."""
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.repr}
        known = [f"{name}={value!r}" for name, value in values.items() if value is not None and value != {}]
        return f"Prediction({', '.join(known)})"

    @classmethod
    def of(cls, line: Mapping[str, Any]) -> Prediction:
        """Reads the form of `predictions.jsonl`, see `as_json`."""
        own = [each.name for each in fields(cls) if each.name not in NOT_WRITTEN]
        known = {name: line[name] for name in own if name in line}
        return cls(**known, more={name: value for name, value in line.items() if name not in known})

    def as_json(self) -> dict[str, Any]:
        """Returns the form of `predictions.jsonl`: the fields that are set, those of `more` among them."""
        own = {each.name: getattr(self, each.name) for each in fields(self) if each.name not in NOT_WRITTEN}
        return {name: value for name, value in own.items() if value is not None} | dict(self.more)


class Head(Protocol):
    """The interface of a head: a module, or any object, with these attributes and functions. Encode, loss and decode
    are in one file, since they share one invariant."""

    #: Name of the `transformers` auto class with which this head loads and saves checkpoints.
    auto_class: str
    #: Roles of `Columns` that the head needs, and those that it can use in addition.
    roles: tuple[str, ...]
    optional_roles: tuple[str, ...]
    #: Keyword arguments for `AutoTokenizer.from_pretrained`.
    tokenizer_options: dict[str, Any]
    #: Whether the network must be causal (GPT), with its vocabulary as the output.
    causal: bool

    def config_changes(self, task: Task, labels: Sequence[str]) -> dict[str, Any]:
        """Returns changes to the model's configuration for this task: label names in order, problem type."""

    def encode(self, rows: Rows, task: Task, tokenizer: Any, settings: Settings) -> EncodedDataset:
        """Encodes rows as token ids and targets. Every row gives at least one item."""

    def collate(
        self, encoded: EncodedDataset, items: np.ndarray, tokenizer: Any, draw: np.random.Generator
    ) -> dict[str, Any]:
        """Returns the padded tensors of a micro-batch. `draw` is the random generator for dynamic masking. It is the
        same for every micro-batch of an update, so that each item must use a generator of its own, seeded by its
        number."""

    def loss(self, model: torch.nn.Module, batch: dict[str, Any], task: Task) -> torch.Tensor:
        """Returns the loss as a sum over what `EncodedDataset.counts` counts; the loop normalises it over the
        update."""

    def logits(self, model: torch.nn.Module, batch: dict[str, Any]) -> torch.Tensor:
        """Returns the network's logits, without those at padding: two networks that agree on these are the same."""

    def forward(self, model: torch.nn.Module, batch: dict[str, Any]) -> torch.Tensor:
        """Returns the outputs of the model that `decode` needs, one line per item: [items, ...]."""

    def decode(self, outputs: list[np.ndarray], encoded: EncodedDataset, rows: Rows, task: Task) -> list[Prediction]:
        """Returns one prediction for each row, with label names."""

    def metric_inputs(self, predictions: list[Prediction], rows: Rows, task: Task) -> dict[str, list[Any]]:
        """Returns the inputs of the metrics: {"predictions": [...], "references": [...]}."""

    def confidences(self, predictions: list[Prediction], rows: Rows, task: Task) -> Confidences | None:
        """Returns the confidence of each prediction and whether it is correct; None if there are no probabilities."""

    def majority_baseline(self, train: Rows, rows: Rows, task: Task) -> list[Prediction] | None:
        """Returns the predictions of the majority baseline, which always predicts the most frequent label of `train`;
        None if there is no such baseline."""


@dataclass(frozen=True)
class Task:
    """A task: its data, labels, head and metrics.

    Args:
        name: short name, also the name of the output folder.
        head: the kind of prediction, a module of `tlnlp.heads`.
        labels: label names in the order of the data set's integers; `MultiLabel`, `Regression` or None, see `Labels`.
        metrics: modules of `tlnlp.evaluation.metrics`; the first one is the primary metric.
        positive: the label that F1 is of, where it is of one; if None, the rarer one of two labels that are found in
            the data, or the second of two that are declared.
        pair_is_symmetric: whether the order of the two texts of a pair does not matter (paraphrase, similarity).
        unanswerable: whether questions may have no answer in their context (SQuAD 2.0).
        language: the language of `data` (ISO 639 code), the source language unless `--train-language` is set.
        target_languages: {language: its data} of target languages, which are evaluated without being trained on
            (zero-shot cross-lingual transfer). They are used neither in training nor in model selection.
    """

    name: str
    data: Data
    columns: Columns
    head: Head
    labels: Labels = None
    metrics: tuple[Any, ...] = ()
    positive: str | None = None
    pair_is_symmetric: bool = False
    unanswerable: bool = False
    language: str = "en"
    target_languages: Mapping[str, Data] = field(default_factory=dict)

    def with_several(self, found: MultiLabel | None) -> Task:
        """Returns the task with several labels in a row, if they were found in the data."""
        return self if found is None else replace(self, labels=found)
