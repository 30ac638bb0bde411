"""Finds the checkpoint of a run and checks it against the task and the flags, before its weights are loaded."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
import transformers

from tlnlp.data.rows import Rows, Splits
from tlnlp.errors import InputError, did_you_mean
from tlnlp.models import checkpoint
from tlnlp.models.feature_classifier import check_pooling, check_shallow
from tlnlp.recipe import NEW, Recipe
from tlnlp.settings import Settings
from tlnlp.task import Task
from tlnlp.transfer import adapters
from tlnlp.transfer.adapter_strategies import ADAPTERS, MERGEABLE
from tlnlp.transfer.groups import layer_groups
from tlnlp.transfer.parse_strategy import find_strategy


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that has been found and checked, but not loaded.

    Args:
        place: folder or Hub id; NEW for a network that is created by the run.
        labels: label names in the order of the run.
        fingerprint: digest of its files, or the revision on the Hub.
    """

    place: str
    config: Any
    labels: tuple[str, ...]
    fingerprint: str


def find_source(recipe: Recipe, settings: Settings, splits: Splits) -> Checkpoint:
    """Returns the checkpoint that the settings name, checked against the task's labels; its weights are not loaded."""
    labels = splits.train.labels or ()
    _refuse_merge(settings)
    _refuse_unused_flags(recipe.task, settings, splits.train)
    check_shallow(recipe.task, settings)
    if recipe.new_model is not None and settings.model == NEW:
        new = recipe.new_model
        _refuse_adapter_of_new(settings)
        config = transformers.AutoConfig.for_model(new.architecture, **new.config, vocab_size=new.vocab_size)
        return Checkpoint(NEW, config, labels, repr(new))
    place = checkpoint.find_checkpoint(settings.model, weights_needed=settings.strategy != "from_scratch")
    config = checkpoint.read_config(place, settings.model)
    checkpoint.check_architecture(config, recipe.task.head, settings)
    checkpoint.check_length(config, settings)
    _check_strategy(config, recipe.task, settings)
    labels = checkpoint.match_labels(config, recipe.task.head, labels, settings)
    return Checkpoint(place, config, labels, checkpoint.fingerprint(place, config))


def _refuse_unused_flags(task: Task, settings: Settings, rows: Rows) -> None:
    """Raises an error for flags that this task would ignore."""
    cut = [role for role in ("text", "text_pair", "endings") if role in rows.columns and "label" in rows.columns]
    for role in settings.truncation_by_role():
        if role not in cut:
            raise InputError(
                expected=f"--truncate of {', '.join(cut)}" if cut else "no --truncate: this task never truncates rows",
                found=f"--truncate {role}={settings.truncation_by_role()[role]}{did_you_mean(role, cut)}",
                change="the name before the equals sign" if cut else "omit --truncate",
            )
    if settings.class_weights != "none" and ("label" not in rows.columns or "endings" in rows.columns):
        raise InputError(
            expected="--class-weights for tasks with one label per row",
            found=f"--class-weights {settings.class_weights} for {task.name}",
            change="omit --class-weights",
        )


def _refuse_merge(settings: Settings) -> None:
    if settings.merge and find_strategy(settings.strategy).name not in MERGEABLE:
        raise InputError(
            expected=f"--merge with --strategy {' or '.join(MERGEABLE)}, whose weights can be added to the base model",
            found=f"--merge with --strategy {settings.strategy}",
            change="omit --merge",
        )


def _refuse_adapter_of_new(settings: Settings) -> None:
    """Raises an error for an adapter on a new network: adapters are saved without the base model, which must exist."""
    if find_strategy(settings.strategy).name in ADAPTERS:
        raise InputError(
            expected=f"--strategy {settings.strategy} with a pre-trained checkpoint",
            found=f"--model {NEW}, whose weights are random",
            change="--strategy full, or --model with a checkpoint",
        )


def _check_strategy(config: Any, task: Task, settings: Settings) -> None:
    """Checks that the strategy supports this network, without loading its weights."""
    with torch.device("meta"):
        network = getattr(transformers, task.head.auto_class).from_config(config)
        try:
            groups = layer_groups(network)
        except RuntimeError:  # torch's, if the network depends on values: checked after loading
            return
    phases = find_strategy(settings.strategy).plan(groups, settings)
    if (adapter := phases[0].adapter) is not None:
        adapters.check(network, adapter)
        checkpoint.check_length(config, settings, added=adapters.tokens_added(adapter))
    if phases[0].fit is not None:
        check_pooling(config, phases[0].fit)


def follow_labels(splits: Splits, labels: tuple[str, ...]) -> Splits:
    """Returns the splits with label indices in the order of `labels`, which a checkpoint may have set."""
    if labels == (splits.train.labels or ()):
        return splits
    note = f"labels in the checkpoint's order: {', '.join(labels)}"
    return replace(
        splits,
        train=_follow(splits.train, labels),
        dev=_follow(splits.dev, labels),
        test=splits.test and _follow(splits.test, labels),
        extra_splits={name: _follow(rows, labels) for name, rows in splits.extra_splits.items()},
        target_languages={name: _follow(rows, labels) for name, rows in splits.target_languages.items()},
        notes=[*splits.notes, note],
    )


def _follow(rows: Rows, labels: tuple[str, ...]) -> Rows:
    new = [labels.index(name) for name in rows.labels or ()]
    role = "tags" if "tags" in rows.columns else "label"
    values = [type(v)(new[i] for i in v) if isinstance(v, tuple | list) else new[v] for v in rows.columns[role]]
    return replace(rows, columns={**rows.columns, role: values}, labels=labels)
