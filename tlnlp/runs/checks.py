"""Checks before any weights are loaded: flags, checkpoint or strategy that do not fit the task, the rows or the
network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
import transformers

from tlnlp.data.rows import Rows, Splits
from tlnlp.display.formatting import name_some
from tlnlp.errors import InputError, did_you_mean
from tlnlp.evaluation.metric_names import choose_metrics, find_metrics
from tlnlp.evaluation.scoring import check_metrics, try_metrics
from tlnlp.models import checkpoint
from tlnlp.models.base_weights import LEAST_BYTES_PER_WEIGHT
from tlnlp.models.checkpoint import Checkpoint
from tlnlp.models.config_limits import check_size
from tlnlp.models.feature_classifier import OF_ROWS, OF_WORDS, head_name
from tlnlp.models.label_names import match_labels
from tlnlp.models.positions import count_positions
from tlnlp.recipe import NEW, Recipe
from tlnlp.runs.folder import identity_of
from tlnlp.runs.memory_checks import check_memory_flags
from tlnlp.runs.request import Request
from tlnlp.settings import Settings
from tlnlp.task import Head, MultiLabel, Regression, Task
from tlnlp.transfer import adapters
from tlnlp.transfer.adapter_strategies import ADAPTERS, MERGEABLE
from tlnlp.transfer.groups import groups_by_name, layer_groups
from tlnlp.transfer.layers import find_layers
from tlnlp.transfer.parse_strategy import StrategyChoice
from tlnlp.transfer.phases import FeatureClassifierConfig, Hyperparameters
from tlnlp.transfer.strategies import shallow

# Bidirectional, although transformers lists them among causal language models: their order of prediction is permuted.
PERMUTED = ("xlnet",)
# What transformers changes in a saved network when it loads it, although its heads depend on it.
NOT_RESTORED = {("funnel", "AutoModelForMaskedLM"): "whose padding row is set to zero at each loading"}


@dataclass(frozen=True)
class CheckedRun:
    """A run that has passed all checks. No weights have been loaded.

    Args:
        splits: its rows, with labels in the checkpoint's order.
    """

    request: Request
    splits: Splits
    checkpoint: Checkpoint

    @cached_property
    def identity(self) -> str:
        """Digest of everything that determines the result: runs with the same identity produce the same weights."""
        request = self.request
        return identity_of(
            request.recipe.task.name, request.settings, self.splits.fingerprint, self.checkpoint.fingerprint
        )


def check_run(request: Request) -> CheckedRun:
    """Reads the rows, if they have not been read, and the checkpoint's configuration, and checks that they fit.

    Raises:
        InputError: the rows, the flags or the checkpoint are invalid or do not fit each other.
    """
    find_metrics(request.settings.metrics, request.recipe.task)  # before the rows, which may be many
    splits = request.read_rows()
    request, splits = _with_metrics(request.with_labels(splits), splits)
    task = request.recipe.task
    check_metrics(task)
    try_metrics(task, splits.train, splits.dev)
    found = check_checkpoint(request.recipe, request.settings, request.strategy, splits.train)
    return CheckedRun(request, follow_labels(splits, found.labels), found)


def _with_metrics(request: Request, splits: Splits) -> tuple[Request, Splits]:
    """Returns the request with the metrics and the positive label in use, and the splits with notes on them."""
    task, notes = choose_metrics(request.recipe.task, request.settings, splits.train)
    settings = replace(request.settings, positive=task.positive)
    request = replace(request, recipe=replace(request.recipe, task=task), settings=settings)
    return request, replace(splits, notes=[*splits.notes, *notes])


def check_checkpoint(recipe: Recipe, settings: Settings, strategy: StrategyChoice, train: Rows) -> Checkpoint:
    """Returns the checkpoint for `--model`, after all checks that need no weights.

    Args:
        train: the train rows, whose roles and labels the flags and the checkpoint must fit.

    Raises:
        InputError: the checkpoint, the flags or the strategy do not fit the task.
    """
    task, head, labels = recipe.task, recipe.task.head, train.labels or ()
    _refuse_unused_flags(task, settings, train)
    if settings.merge and strategy.name not in MERGEABLE:
        raise InputError(
            expected=f"--merge with --strategy {' or '.join(MERGEABLE)}, whose weights can be added to the base model",
            found=f"--merge with --strategy {settings.strategy}",
            change="omit --merge",
        )
    if strategy.function is shallow:
        _check_shallow(task, settings, strategy)
    if recipe.new_model is not None and settings.model == NEW:
        new = recipe.new_model
        _refuse_adapter_of_new(strategy)
        config = transformers.AutoConfig.for_model(new.architecture, **new.config, vocab_size=new.vocab_size)
        check_memory_flags(config, head, settings, strategy)
        return Checkpoint(NEW, NEW, config, labels, repr(new))
    place = checkpoint.find_checkpoint(settings.model, weights_needed=not strategy.is_from_scratch)
    config = checkpoint.read_config(place, settings.model)
    _check_architecture(config, head, settings)
    with torch.device("meta"), checkpoint.errors_in_words(settings.model):
        network = getattr(transformers, head.auto_class).from_config(config)
    check_size(network, settings.model, bytes_per_weight=LEAST_BYTES_PER_WEIGHT[settings.load_in])
    positions = count_positions(network)
    check_length(positions, settings.max_length, settings.model)
    check_memory_flags(config, head, settings, strategy)
    _check_strategy(network, settings, strategy, positions)
    notes = [] if strategy.is_from_scratch else _notes_on_adapter(place, settings.model)
    if not settings.new_head and not strategy.is_from_scratch:
        labels, notes_on_labels = _match_labels(config, head, labels, settings.model)
        notes += notes_on_labels
    digest = checkpoint.fingerprint(place, config)
    return Checkpoint(settings.model, place, config, labels, digest, settings.resize_embeddings, notes)


def _notes_on_adapter(place: str, model: str) -> list[str]:
    base = checkpoint.base_of_adapter(place)
    if base is None:
        return []
    return [f"{model} is a peft adapter ({base.kind}): its weights are merged into {base.name}, and learn from there"]


def _refuse_unused_flags(task: Task, settings: Settings, rows: Rows) -> None:
    """Raises an error for flags that this task would ignore."""
    cut = [role for role in ("text", "text_pair", "endings") if role in rows.columns and "label" in rows.columns]
    for role, side in settings.truncation_by_role().items():
        if role not in cut:
            raise InputError(
                expected=f"--truncate of {', '.join(cut)}" if cut else "no --truncate: this task never truncates rows",
                found=f"--truncate {role}={side}{did_you_mean(role, cut)}",
                change="the name before the equals sign" if cut else "omit --truncate",
            )
    if settings.windows != "none" and (not getattr(task.head, "takes_windows", False) or "endings" in rows.columns):
        own = {"words", "context"} & set(rows.columns)
        raise InputError(
            expected="--windows for tasks with one answer for a text or a pair (heads sentence and gpt)",
            found=f"--windows {settings.windows} for {task.name}"
            + (", whose long rows are always read in windows" if own else ""),
            change="omit --windows",
        )
    if settings.loss != "focal" and settings.focal_gamma != Settings.focal_gamma:
        raise InputError(
            expected="--focal-gamma with --loss focal",
            found=f"--focal-gamma {settings.focal_gamma:g} and --loss {settings.loss}",
            change="add --loss focal, or omit --focal-gamma",
        )
    has_labels = ("label" in rows.columns and "endings" not in rows.columns) or "tags" in rows.columns
    weighs, is_focal = settings.class_weights != "none", settings.loss == "focal"
    for flag in ([f"--class-weights {settings.class_weights}"] * weighs) + (["--loss focal"] * is_focal):
        if not has_labels or isinstance(task.labels, Regression):
            raise InputError(
                expected=f"{flag.split()[0]} for tasks with labels or tags",
                found=f"{flag} for {task.name}",
                change=f"omit {flag.split()[0]}",
            )


def _refuse_adapter_of_new(strategy: StrategyChoice) -> None:
    """Raises an error for an adapter on a new network: adapters are saved without the base model, which must exist."""
    if strategy.name in ADAPTERS:
        raise InputError(
            expected=f"--strategy {strategy.text} with a pre-trained checkpoint",
            found=f"--model {NEW}, whose weights are random",
            change="--strategy full, or --model with a checkpoint",
        )


def _check_shallow(task: Task, settings: Settings, strategy: StrategyChoice) -> None:
    """Raises an error for `--strategy shallow` on tasks without such a classifier, or with flags that it would
    ignore."""
    options = strategy.all_options
    if head_name(task) not in (*OF_ROWS, *OF_WORDS) or "endings" in task.columns.by_role():
        raise InputError(
            expected="--strategy shallow for rows with one label, several labels or a number, or for tags",
            found=f"{task.name}, which has no labels (head {head_name(task)})",
            change="another --strategy; head_only is the most similar",
        )
    if isinstance(task.labels, Regression) and options["classifier"] != "logistic_regression":
        raise InputError(
            expected="no classifier option: numbers are predicted by ridge regression",
            found=f"classifier={options['classifier']} for {task.name}",
            change="omit classifier",
        )
    if isinstance(task.labels, MultiLabel) and settings.class_weights != "none" and options["layer"] == "mix":
        raise InputError(
            expected="--class-weights of several labels with one layer",
            found=f"--class-weights {settings.class_weights} and layer=mix for {task.name}",
            change="omit layer=mix or --class-weights",
        )
    if head_name(task) in OF_WORDS and options["pooling"] != "mean":
        raise InputError(
            expected="no pooling option: the feature of a word is that of its first token",
            found=f"pooling={options['pooling']} for {task.name}",
            change="omit pooling",
        )
    ignored = {
        "--keep best": settings.keep == "best",
        "--patience": settings.patience is not None,
        "--least-updates": settings.least_updates is not None,
        "--small-data": settings.small_data,
        "--loss focal": settings.loss == "focal",
    }
    for flag in (flag for flag, is_given in ignored.items() if is_given):
        raise InputError(
            expected="--strategy shallow without flags for updates: it makes no updates, and has one result",
            found=flag,
            change=f"omit {flag.split()[0]}, or use another --strategy",
        )


def _check_architecture(config: Any, head: Head, settings: Settings) -> None:
    """Raises an error for a network that has no such head, or that is bidirectional although the head needs a causal
    one."""
    if type(config) not in getattr(transformers, head.auto_class)._model_mapping:
        raise InputError(
            expected=f"a checkpoint that {head.auto_class} supports",
            found=f"{settings.model}, a {config.model_type}",
            change="another --model, or a recipe with another head (for GPT checkpoints: gpt_*)",
        )
    if (config.model_type, head.auto_class) in NOT_RESTORED:
        raise InputError(
            expected="a network that transformers restores as it was saved",
            found=f"{settings.model}, a {config.model_type}, {NOT_RESTORED[config.model_type, head.auto_class]}",
            change="another --model",
        )
    if not head.causal:
        return
    if not is_causal(config):
        raise InputError(
            expected="a causal checkpoint (such as GPT-2)",
            found=f"{settings.model}, a {config.model_type}, which {_direction(config)}",
            change="another --model, or a recipe with another head",
        )
    own_output = head.auto_class.endswith("CausalLM")
    if settings.lm_weight > 0 and not own_output and not getattr(config, "tie_word_embeddings", False):
        raise InputError(
            expected="a checkpoint with tied input and output embeddings (GPT-2), for the language-model loss",
            found=f"{settings.model}: tie_word_embeddings is false",
            change="--lm-weight 0, or another --model",
        )


def is_causal(config: Any) -> bool:
    """Returns whether each token attends only to those before it, in a network of one stack."""
    kind = type(config)
    known = transformers.AutoModelForCausalLM._model_mapping
    both_ways = kind in transformers.AutoModelForMaskedLM._model_mapping or config.model_type in PERMUTED
    return kind in known and not both_ways and not getattr(config, "is_encoder_decoder", False)


def _direction(config: Any) -> str:
    if getattr(config, "is_encoder_decoder", False):
        return "has an encoder before its decoder"
    return "is bidirectional"


def check_length(positions: int | None, max_length: int, model: str, *, added: int = 0, strategy: str = "") -> None:
    """Raises an error if rows may be longer than the network has positions for.

    Args:
        positions: see `count_positions`.
        max_length: in tokens.
        model: the value of `--model`.
        added: positions that a prompt or a prefix of `strategy` takes.

    Raises:
        InputError: `--max-length` is above what the checkpoint supports.
    """
    if positions is None:
        return
    room = positions - added
    if max_length > room:
        without = f" without the {added} of --strategy {strategy}" if added else ""
        raise InputError(
            expected=f"--max-length of at most {room}, the positions of {model}{without}",
            found=f"--max-length {max_length}",
            change=f"--max-length {room}, or a checkpoint with more positions",
        )


def _check_strategy(network: Any, settings: Settings, strategy: StrategyChoice, positions: int | None) -> None:
    """Raises an error if the strategy cannot be used with this network, which is on the meta device."""
    try:
        groups = layer_groups(network)
    # Some networks need real values to run (the end token of each row, for example): for these checks it is enough to
    # know the names of the groups.
    except Exception:
        groups = groups_by_name(network)
    first = strategy.plan(groups, Hyperparameters(settings.epochs, settings.learning_rate))[0]
    if first.adapter is not None:
        adapters.check(network, first.adapter)
        added = adapters.tokens_added(first.adapter)
        check_length(positions, settings.max_length, settings.model, added=added, strategy=strategy.text)
    if first.fit is not None:
        _check_features(network, first.fit)
        _check_pooling(network.config, first.fit)


def _check_features(network: Any, fit: FeatureClassifierConfig) -> None:
    """Raises an error for a network whose states cannot be read as one sequence, or not between its layers."""
    if getattr(network.config, "is_encoder_decoder", False):
        raise InputError(
            expected="--strategy shallow on a network of one stack (BERT, GPT-2)",
            found=f"a {network.config.model_type}, an encoder and a decoder",
            change="--strategy head_only, or another --model",
        )
    layers = find_layers(network)
    if any(len(layer.parts) > 1 for layer in layers) and fit.layers != (len(layers),):
        raise InputError(
            expected=f"--strategy shallow on the last layer of a {network.config.model_type}, the only one it shows",
            found=f"layers {', '.join(map(str, fit.layers))}",
            change="leave layer out",
        )


def _check_pooling(config: Any, fit: FeatureClassifierConfig) -> None:
    """Raises an error for pooling the first token of a causal network, where it attends to no other token."""
    if fit.pooling == "first" and is_causal(config):
        raise InputError(
            expected="pooling=last or mean for a causal network, whose first token attends to no other",
            found=f"shallow:pooling=first on a {config.model_type}",
            change="pooling",
        )


def _match_labels(config: Any, head: Head, labels: Sequence[str], model: str) -> tuple[tuple[str, ...], list[str]]:
    """Returns the labels in the order to use, and notes on them: the checkpoint's own order if it was fine-tuned with
    such a head, whose label names must then include the rows' (`match_labels`); otherwise the head would predict the
    wrong names."""
    trained = any(kind.endswith(head.auto_class.removeprefix("AutoModel")) for kind in config.architectures or [])
    if not trained or not labels:
        return tuple(labels), []
    return match_labels(tuple(config.id2label[i] for i in sorted(config.id2label)), labels, model)


def follow_labels(splits: Splits, labels: tuple[str, ...]) -> Splits:
    """Returns the splits with their label indices in the order of `labels`, which the checkpoint may determine."""
    if labels == (splits.train.labels or ()):
        return splits
    note = f"labels in the checkpoint's order: {name_some(labels)}"
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
