"""From settings to all that the loop needs: checkpoint, tokenizer, encoded rows, network, groups, optimiser."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import transformers
from accelerate import Accelerator

from tlnlp import model as models
from tlnlp.compact import CompactVocabulary, pieces_used
from tlnlp.data.rows import Rows, Splits
from tlnlp.data.vocabulary import train_vocabulary
from tlnlp.dropout import CheapDropout
from tlnlp.heads.encoded import Encoded
from tlnlp.packing import Packing
from tlnlp.recipe import Recipe, Task
from tlnlp.settings import Settings
from tlnlp.training.loop import Training
from tlnlp.training.optimizer import build_optimizer
from tlnlp.training.processes import on_main
from tlnlp.transfer.groups import Group, layer_groups
from tlnlp.transfer.strategies import Phase, find_strategy

# `--model new`: the network that the recipe declares, with a vocabulary of its own.
NEW = "new"


@dataclass(frozen=True)
class Source:
    """A checkpoint that has been found and checked, and not yet loaded.

    Args:
        place: folder or Hub id; NEW for a network that is made here.
        labels: label names in the order to work in.
        fingerprint: digest of its files, or the Hub's revision.
    """

    place: str
    config: Any
    labels: tuple[str, ...]
    fingerprint: str


@dataclass(frozen=True)
class Work:
    """All that a run has in hand once it is prepared.

    Args:
        watched: encoded dev rows: scored after each epoch, and what weights are chosen on.
        reported: what the result is about: dev, or test where dev was used to choose.
        compact: the piece table cut to the pieces that occur; to be restored before saving. None: it is whole.
    """

    recipe: Recipe
    training: Training
    groups: list[Group]
    train_rows: Rows
    watched: Encoded
    watched_rows: Rows
    reported: Encoded
    reported_rows: Rows
    labels: tuple[str, ...]
    notes: list[str]
    compact: CompactVocabulary | None


def find_source(recipe: Recipe, settings: Settings, splits: Splits) -> Source:
    """The checkpoint that the settings name, checked against the task's labels; its weights are not read yet."""
    labels = splits.train.labels or ()
    if recipe.new_model is not None and settings.model == NEW:
        new = recipe.new_model
        config = transformers.AutoConfig.for_model(new.architecture, **new.config, vocab_size=new.pieces)
        return Source(NEW, config, labels, repr(new))
    place = models.find_checkpoint(settings.model, weights_needed=settings.strategy != "from_scratch")
    config = models.read_config(place, settings.model)
    models.check_length(config, settings)
    labels = models.match_labels(config, recipe.task.head, labels, settings)
    return Source(place, config, labels, models.fingerprint(place, config))


def follow_labels(splits: Splits, labels: tuple[str, ...]) -> Splits:
    """The splits with their label numbers in the order of `labels`, which a checkpoint may have set."""
    if labels == (splits.train.labels or ()):
        return splits
    note = f"labels in the checkpoint's order: {', '.join(labels)}"
    return replace(
        splits,
        train=_follow(splits.train, labels),
        dev=_follow(splits.dev, labels),
        test=splits.test and _follow(splits.test, labels),
        notes=[*splits.notes, note],
    )


def _follow(rows: Rows, labels: tuple[str, ...]) -> Rows:
    new = [labels.index(name) for name in rows.labels or ()]
    values = [tuple(new[i] for i in v) if isinstance(v, tuple) else new[v] for v in rows.columns["label"]]
    return replace(rows, columns={**rows.columns, "label": values}, labels=labels)


def prepare(
    recipe: Recipe, settings: Settings, splits: Splits, source: Source, folder: Path, accelerator: Accelerator
) -> Work:
    """Reads the tokenizer and the weights, encodes the rows, cuts the network into groups, plans the phases."""
    task, place = recipe.task, source.place
    if place == NEW:
        place = str(folder / "tokenizer")
        on_main(accelerator, lambda: _make_vocabulary(recipe, splits.train, Path(place)))
    tokenizer = models.load_tokenizer(place, settings.model)
    encoded = task.head.encode(splits.train, task, tokenizer, settings)
    watched = task.head.encode(splits.dev, task, tokenizer, settings)
    reported = watched if splits.test is None else task.head.encode(splits.test, task, tokenizer, settings)
    special = [*tokenizer.all_special_ids, tokenizer.pad_token_id]
    network = models.load_model(place, source.config, task, settings, source.labels, tokenizer)
    groups = layer_groups(network)
    used = pieces_used(*(each.features["input_ids"].flat for each in (encoded, watched, reported)), always=special)
    compact = CompactVocabulary.install(network, used)
    network.to(accelerator.device)
    packing = None
    if accelerator.device.type == "cpu":
        CheapDropout.install(network)
        packing = _pack(network, encoded, task, tokenizer)

    def begin_phase(phase: Phase) -> None:
        redrawn = [group for group in groups if group.name in phase.redraw]
        if redrawn:
            models.redraw(network, redrawn, task.head.auto_class, settings.seed, compact)

    training = Training(
        task=task,
        head=task.head,
        model=network,
        optimizer=build_optimizer(network, groups, settings),
        encoded=encoded,
        tokenizer=tokenizer,
        phases=find_strategy(settings.strategy)(groups, settings),
        settings=settings,
        accelerator=accelerator,
        begin_phase=begin_phase,
        packed=packing is not None,
    )
    return Work(
        recipe=recipe,
        training=training,
        groups=groups,
        train_rows=splits.train,
        watched=watched,
        watched_rows=splits.dev,
        reported=reported,
        reported_rows=splits.test or splits.dev,
        labels=source.labels,
        compact=compact,
        notes=[*splits.notes, *encoded.notes, *watched.notes, *([] if reported is watched else reported.notes)],
    )


def _pack(network: Any, encoded: Encoded, task: Task, tokenizer: Any) -> Packing | None:
    """Padding-free layers where the rows differ in length and the network allows it, seen on some of them."""
    items = np.argsort(encoded.lengths, kind="stable")[:: max(1, len(encoded) // 8)]
    if encoded.lengths[items].min() == encoded.lengths[items].max():
        return None
    batch = task.head.collate(encoded, items, tokenizer, np.random.default_rng(0))
    return Packing.install(network, {name: value for name, value in batch.items() if name != "labels"})


def _make_vocabulary(recipe: Recipe, rows: Rows, folder: Path) -> None:
    new = recipe.new_model
    if new is not None and not (folder / "tokenizer.json").exists():
        train_vocabulary(rows.columns["text"], folder, pieces=new.pieces, lowercase=new.lowercase)


def sample_batch(work: Work) -> dict[str, Any]:
    """A few rows as the network reads them: what a saved model is compared on."""
    training = work.training
    items = np.arange(min(8, len(work.reported)))
    return training.head.collate(work.reported, items, training.tokenizer, np.random.default_rng(0))
