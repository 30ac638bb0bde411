"""Declarations: what a task is, where its rows are, and which settings a recipe starts from. No torch in here."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tlnlp.errors import InputError, say_error
from tlnlp.heads import Head
from tlnlp.lazy import lazy_module
from tlnlp.settings import SMALL_DATA, Settings, changed_settings, parse_settings


@dataclass(frozen=True)
class Data:
    """Where a task's rows are: its published data set on the Hub, and the sample that ships with the package.

    Args:
        sample: folder in `tlnlp/bundled/samples` (None: no sample).
        hub: data set id on the Hub, with `subset` its configuration (None: not on the Hub).
        train, dev, test: split names, the same for Hub, sample and folders of files; `test` only where it has labels.
        also: {name: split} of further rows to report on beside dev, where the source has them.
        original: {column of the originally published files: its name on the Hub}, where they differ.
        original_header: column names of originally published files that come without a header line.
        partly_labelled: rows without a label are no mistake: they are left out, and that is said.
    """

    sample: str | None = None
    hub: str | None = None
    subset: str | None = None
    train: str = "train"
    dev: str = "validation"
    test: str | None = None
    also: Mapping[str, str] = field(default_factory=dict)
    original: Mapping[str, str] = field(default_factory=dict)
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


class Several(tuple[str, ...]):
    """Labels of which any number may hold for one row (multi-label): `labels=Several(("joy", "anger"))`."""


@dataclass(frozen=True)
class Score:
    """A number instead of a label (regression), in the data's own unit: `labels=Score(0, 5)`."""

    low: float
    high: float


# One of several names; any of several names; a number; or None: the names are found in the data, and said.
Labels = tuple[str, ...] | Several | Score | None


@dataclass(frozen=True)
class Task:
    """What is asked and how an answer is judged.

    Args:
        name: short name, also the name of the output folder.
        head: the shape of the answer, a module of `tlnlp.heads`.
        labels: label names in the order of the data set's integers; `Several`, `Score` or None, see `Labels`.
        metrics: modules of `tlnlp.evaluation.metrics`; the first one is the task's headline.
        symmetric: the two texts of a pair may change places (paraphrase, similarity).
        unanswerable: questions without an answer in their context belong to the task (SQuAD 2.0).
        language: the language of `data` (ISO 639 code): what is learnt from unless `--train-language` says otherwise.
        transfer: {language: its data} of further languages, answered in without having been learnt from (zero-shot
            cross-lingual transfer). Neither the loop nor the choice of a checkpoint sees them.
    """

    name: str
    data: Data
    columns: Columns
    head: Head
    labels: Labels = None
    metrics: tuple[Any, ...] = ()
    symmetric: bool = False
    unanswerable: bool = False
    language: str = "en"
    transfer: Mapping[str, Data] = field(default_factory=dict)


@dataclass(frozen=True)
class Sourced:
    """A default and the place it comes from: a paper's section, or the command that measured it."""

    value: Any
    source: str


@dataclass(frozen=True)
class Published:
    """The published run that `--full` repeats.

    Args:
        model: Hub id.
        score: {metric: value} on the dev rows, on the metric's own scale (accuracy 0 to 1).
        settings: hyperparameters of that run, by the names of `Settings`.
        source: where model, score and settings stand.
    """

    model: str
    score: Mapping[str, float]
    settings: Mapping[str, Any]
    source: str


# `--model new`: the network that the recipe declares, with random weights and a vocabulary learnt from the rows.
NEW = "new"


@dataclass(frozen=True)
class NewModel:
    """A network to be pre-trained here: its architecture, and the vocabulary trained for it.

    Args:
        architecture: a model type that transformers knows ("modernbert").
        config: keyword arguments of that architecture's configuration class.
        pieces: size of the sentencepiece vocabulary.
        lowercase: fold case before cutting into pieces.
        at_most: fewer pieces will do, where the rows hold no more that can be learnt.
        coverage: share of all characters in the rows that have pieces; the rarest are unknown. Many scripts want more.
        replaced: {character: another one} before all else, where a script is typed in two ways.
    """

    architecture: str
    config: Mapping[str, Any]
    pieces: int
    lowercase: bool = False
    at_most: bool = False
    coverage: float = 0.9995
    replaced: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """A task that can be run: `Recipe.main()` is the command line of the file that declares it."""

    task: Task
    defaults: Mapping[str, Sourced] = field(default_factory=dict)
    published: Published | None = None
    new_model: NewModel | None = None

    def settings(self, **changes: Any) -> Settings:
        """This recipe's settings with `changes`; with `full=True` those of the published run, with `small_data=True`
        what few rows want.

        Raises:
            InputError: `full` where nothing is published, or settings that cannot be.
        """
        defaults = {name: default.value for name, default in self.defaults.items()}
        if changes.get("full"):
            if self.published is None:
                raise InputError(
                    expected="a recipe with a published run",
                    found=f"--full, but {self.task.name} has none",
                    change="leave --full out",
                )
            defaults |= {"model": self.published.model, "data": "hub", **self.published.settings}
        if changes.get("small_data"):
            defaults |= SMALL_DATA
        return Settings(**(defaults | changes))

    def changed(self, settings: Settings) -> dict[str, Any]:
        """The settings that differ from this recipe's own, the presets among them counted as its own."""
        return changed_settings(settings, self.settings(full=settings.full, small_data=settings.small_data))

    def main(self, arguments: list[str] | None = None) -> None:
        """Reads the command line (`arguments`, or that of the process) and runs. Exit status 0, 2 for bad input,
        130 where the run was stopped and can be resumed."""
        arguments = sys.argv[1:] if arguments is None else arguments
        try:
            settings = parse_settings(self, arguments, self._description())
        except InputError as error:
            say_error(error)
            sys.exit(2)
        # This brings torch and transformers: it waits until the command line is known to be right.
        sys.exit(lazy_module("tlnlp.run").run_command(self, settings))

    def _description(self) -> str:
        """The recipe file's docstring, then what its own defaults are and where they come from."""
        lines = [(sys._getframe(2).f_globals.get("__doc__") or self.task.name).strip(), ""]
        for name, default in self.defaults.items():
            lines.append(f"--{name.replace('_', '-')} {default.value}: {default.source}")
        if self.published is not None:
            lines.append(f"--full: {self.published.model} on {self.task.data.hub}; {self.published.source}")
        return "\n".join(lines)

    @property
    def file(self) -> str:
        """How the recipe was started, for the commands that a run prints."""
        return Path(sys.argv[0]).as_posix()
