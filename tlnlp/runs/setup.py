"""Prepares a run: loads checkpoint and tokenizer, encodes the rows, and builds layer groups, phases and optimiser."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from tlnlp.acceleration.activation_cache import ActivationCache, HeadCalls, frozen_layers
from tlnlp.acceleration.compiled_layers import compile_layers
from tlnlp.acceleration.embedding_pruning import PrunedEmbedding, pieces_used
from tlnlp.acceleration.fast_dropout import FastDropout
from tlnlp.acceleration.padding_free import PaddingFree
from tlnlp.acceleration.varlen_attention import feed_of
from tlnlp.data.rows import Rows
from tlnlp.heads.encoded import EncodedDataset, model_inputs
from tlnlp.models import loading
from tlnlp.models.adapter_files import AdapterFiles
from tlnlp.models.base_weights import QUANTISED, keep_in_fp32
from tlnlp.models.checkpoint import Checkpoint, vocabulary_size
from tlnlp.models.feature_classifier import with_feature_classifier
from tlnlp.models.gradient_checkpointing import enable_gradient_checkpointing
from tlnlp.models.score_output import start_at_scores
from tlnlp.models.vocabulary import train_vocabulary
from tlnlp.recipe import NEW, Recipe
from tlnlp.runs.checks import CheckedRun
from tlnlp.runs.encoded_splits import EncodedSplits
from tlnlp.runs.folder import FROZEN
from tlnlp.runs.kept_profile import profile
from tlnlp.runs.network_trials import (
    ignores_padding,
    logits_on,
    note_on_padding,
    pack_on_device,
    run_as_trained,
    run_in_precision,
    try_strategy,
)
from tlnlp.runs.request import Request
from tlnlp.settings import Settings
from tlnlp.task import Regression, Task
from tlnlp.training.broadcast import main_files
from tlnlp.training.distributed import run_on_main
from tlnlp.training.files import room_wanted, written_whole
from tlnlp.training.loop import TrainingState
from tlnlp.training.optimizer import build_optimizer
from tlnlp.training.plan import padded_places, updates_per_epoch
from tlnlp.training.sharding import ShardedNetwork, is_requested
from tlnlp.transfer import adapters
from tlnlp.transfer.groups import Group, layer_groups
from tlnlp.transfer.phases import AdapterSpec, Hyperparameters, Phase


@dataclass(frozen=True)
class PreparedRun:
    """A run that is ready to train.

    Args:
        encoded_dev: encoded dev rows: evaluated after each epoch, and used for model selection.
        encoded_eval: the rows to report on: dev, or test if dev was used for model selection.
        extra_splits: encoded rows and rows of the extra splits, by name.
        target_languages: the same for other languages, by language; used neither for training nor for model selection.
        language: the language of all other rows.
        compact: the embedding table pruned to the tokens that occur, to be restored before saving; None if it is not
            pruned.
        adapted: the adapter in the network, if there is one, and how it is saved.
        packing: runs the layers without padding; None if they run with padding.
        facts: the profile of the rows (`describe_data`); None for plain text.
    """

    run: CheckedRun
    training: TrainingState
    groups: list[Group]
    train_rows: Rows
    encoded_dev: EncodedDataset
    dev_rows: Rows
    encoded_eval: EncodedDataset
    eval_rows: Rows
    extra_splits: dict[str, tuple[EncodedDataset, Rows]]
    target_languages: dict[str, tuple[EncodedDataset, Rows]]
    language: str | None
    labels: tuple[str, ...]
    notes: list[str]
    compact: PrunedEmbedding | None
    adapted: AdapterFiles | None
    packing: PaddingFree | None
    facts: dict[str, Any] | None


def prepare(run: CheckedRun, accelerator: Accelerator) -> PreparedRun:
    """Loads the tokenizer and the weights, encodes the rows, splits the network into layer groups, and plans the
    phases."""
    request, splits, source = run.request, run.splits, run.checkpoint
    settings, strategy, folder = request.settings, request.strategy, request.folder
    task, place, left_out = request.recipe.task, source.place, list[str]()
    with ExitStack() as held:
        if place == NEW:
            new = folder / "tokenizer"
            run_on_main(accelerator, lambda: make_vocabulary(request.recipe, splits.train, new))
            place = str(held.enter_context(main_files(accelerator, new)))
        tokenizer = loading.load_tokenizer(place, settings.model, **task.head.tokenizer_options)
    encoded = EncodedSplits.of(splits, task, tokenizer, settings)
    special = [*tokenizer.all_special_ids, *([tokenizer.pad_token_id] if tokenizer.pad_token_id is not None else [])]
    pieces = vocabulary_size(source.config)
    network = _load_network(source, task, tokenizer, request, splits.train, accelerator)
    initialized = {parameter for name, parameter in network.named_parameters() if name in source.initialized}
    run_once = run_as_trained(logits_on(encoded.train, np.arange(1), task, tokenizer), settings, accelerator)
    if not ignores_padding(network, encoded.train, task, tokenizer, settings, accelerator):
        left_out.append(note_on_padding(encoded.train, task, settings))
        encoded = encoded.without_padding()
    groups = layer_groups(network, run_once)
    # Few rows make few updates: more epochs, to reach `--least-updates`.
    epochs = math.ceil((settings.least_updates or 0) / updates_per_epoch(len(encoded.train), settings.batch_size))
    phases = strategy.plan(groups, Hyperparameters(max(settings.epochs, epochs), settings.learning_rate))
    adapted = None
    if (adapter := phases[0].adapter) is not None:
        # Before everything that runs the network: embedding pruning, packing.
        resized = pieces is not None and len(tokenizer) > pieces
        adapted = _install_adapter(network, adapter, groups, settings, source, resized=resized)
        try_strategy(network, run_once, strategy.text)
        groups = _groups_with_adapter(network, adapted, run_once)
    if phases[0].fit is not None:
        network, groups = with_feature_classifier(network, groups, phases[0].fit, task)
        try_strategy(network, run_once, strategy.text)
    # By the names that an adapter has given them.
    not_in_base = [name for name, parameter in network.named_parameters() if parameter in initialized]
    used = pieces_used(*(each.features["input_ids"].flat for each in encoded.own), always=special)
    # The embedding table of a causal network is also its output layer; a frozen one costs nothing. The pruned table has
    # no tokens that occur in the target languages only, or training would depend on them; --show-oracle, which
    # evaluates these during training, needs the full table.
    whole = task.head.causal or phases[0].fit is not None or settings.show_oracle
    # Other languages are predicted with the full table, which a sharded network cannot get back before it is gathered.
    whole = whole or (is_requested() and bool(splits.target_languages))
    compact = None if whole else PrunedEmbedding.install(network, used, run_once)
    packing = _place(network, encoded.train, task, tokenizer, settings, accelerator, left_out)
    if settings.compile:
        _compile(network, logits_on(encoded.train, np.arange(1), task, tokenizer), accelerator, left_out)
    sharded = ShardedNetwork.of(network, accelerator) if is_requested() else None

    def begin_phase(phase: Phase) -> None:
        redrawn = [name for group in groups if group.name in phase.reinitialize for name in group.parameters]
        if redrawn:
            loading.reinitialize(network, redrawn, task.head.auto_class, settings.seed, compact)

    def freeze(phase: Phase) -> ActivationCache | None:
        return _freeze(phase, work, folder)

    training = TrainingState(
        task=task,
        head=task.head,
        model=network,
        optimizer=build_optimizer(
            network,
            groups,
            weight_decay=settings.weight_decay,
            biases_apart=any(phase.only_biases for phase in phases),
        ),
        encoded=encoded.train,
        tokenizer=tokenizer,
        phases=phases,
        settings=settings,
        accelerator=accelerator,
        begin_phase=begin_phase,
        feed=feed_of(packing, accelerator.device),
        freeze=freeze,
        initialized=not_in_base,
        slots=packing.places if packing else padded_places,
        sharded=sharded,
    )
    # Plain text almost certainly has duplicates, and no score that they could distort.
    is_answered = not {"label", "tags", "answers"}.isdisjoint(splits.train.columns)
    facts = profile(splits, tokenizer, settings) if is_answered else None
    found = facts["findings"] if facts else []
    work = PreparedRun(
        run=run,
        training=training,
        groups=groups,
        train_rows=splits.train,
        encoded_dev=encoded.dev,
        dev_rows=splits.dev,
        encoded_eval=encoded.eval,
        eval_rows=splits.test or splits.dev,
        extra_splits=encoded.extra_splits,
        target_languages=encoded.target_languages,
        language=splits.language,
        labels=source.labels,
        compact=compact,
        adapted=adapted,
        packing=packing,
        notes=list(dict.fromkeys([*source.notes, *splits.notes, *encoded.notes, *found, *left_out])),
        facts=facts,
    )
    return work


def _load_network(
    source: Checkpoint, task: Task, tokenizer: Any, request: Request, train: Rows, accelerator: Accelerator
) -> Any:
    """Loads the network, and brings a new output of scores into their unit, if these have no range (as STS-B's have,
    which are small numbers)."""
    settings = request.settings
    network = loading.load_model(
        source, task, tokenizer, seed=settings.seed, new_head=settings.new_head,
        new_weights=request.strategy.is_from_scratch, load_in=settings.load_in, device=accelerator.device,
    )  # fmt: skip
    if isinstance(task.labels, Regression) and not task.labels.has_range:
        start_at_scores(network, train.columns["label"], source.initialized)
    return network


def _groups_with_adapter(network: Any, adapted: AdapterFiles, run_once: Callable[[Any], Any]) -> list[Group]:
    """Returns the layer groups, with one of the adapter's weights. These and the head are kept in fp32."""
    groups = layer_groups(network, run_once, added=set(adapted.installed.parameters))
    if adapted.load_in != "fp32":
        keep_in_fp32(network, [*adapted.installed.parameters, *groups[-1].parameters])
    return groups


def _place(
    network: Any,
    encoded: EncodedDataset,
    task: Task,
    tokenizer: Any,
    settings: Settings,
    accelerator: Accelerator,
    left_out: list[str],
) -> PaddingFree | None:
    """Moves the network to the device, and prepares its layers there. Returns the padding-free layers, if there are
    any; notes on what is left out are added to `left_out`."""
    if settings.gradient_checkpointing:
        enable_gradient_checkpointing(network)
    # Quantised ones are there since they were loaded; sharding moves each process's share only.
    if settings.load_in not in QUANTISED and not is_requested():
        network.to(accelerator.device)
    if accelerator.device.type == "cpu":
        FastDropout.install(network)
    if is_requested():
        left_out.append("FSDP: padding-free layers and the cache of frozen layers are left out")
        return None
    if settings.compute_padding:
        return None
    # A layer that is computed again in the backward pass does not know any more how its batch was packed; and in bf16
    # the outputs differ by more than the comparison of packed with padded ones allows.
    flags = {
        "--gradient-checkpointing": settings.gradient_checkpointing,
        f"--load-in {settings.load_in}": settings.load_in != "fp32",
    }
    without = [flag for flag, is_given in flags.items() if is_given]
    if without:
        left_out.append(f"padding is computed: padding-free layers are left out with {' and '.join(without)}")
        return None
    return pack_on_device(
        network, encoded, task, tokenizer, accelerator, lambda why: left_out.append(f"padding is computed: {why}")
    )


def _compile(network: Any, ask: Callable[[Any], Any], accelerator: Accelerator, left_out: list[str]) -> None:
    """Compiles the layers, or notes in `left_out` why not."""
    if is_requested():
        left_out.append("FSDP: layers are not compiled")
        return
    compile_layers(
        network, run_in_precision(ask, accelerator), lambda why: left_out.append(f"layers are not compiled: {why}")
    )


def _freeze(phase: Phase, work: PreparedRun, folder: Path) -> ActivationCache | None:
    """Returns the cache that runs the layers frozen in `phase` only once; None if they run each time: no layers are
    frozen, the phase has one epoch, or the inputs differ between epochs."""
    training, compact = work.training, work.compact
    settings, task, tokenizer, encoded = training.settings, training.task, training.tokenizer, training.encoded
    count = frozen_layers([group.name for group in work.groups], phase.learning_rates)
    if (
        training.sharded is not None
        or settings.recompute_frozen
        or phase.epochs == 1
        or count == 0
        or _is_random(encoded, task, tokenizer)
    ):
        return None
    return ActivationCache.install(
        training.model,
        count,
        encoded,
        folder=settings.frozen_dir or folder / FROZEN,
        packing=work.packing,
        head=HeadCalls(
            collate=lambda encoded, items: task.head.collate(encoded, items, tokenizer, np.random.default_rng(0)),
            loss=lambda batch: task.head.loss(training.model, _to_device(batch, training.accelerator), task),
            logits=lambda batch: task.head.logits(training.model, _to_device(batch, training.accelerator)),
        ),
        accelerator=training.accelerator,
        max_tokens=settings.max_tokens,
        whole={} if compact is None else {compact.parameter: compact.whole},
        say=lambda text: training.say(text),
        left_out=lambda reason: _add_note(work, f"frozen layers run in every epoch: {reason}"),
    )


def _add_note(work: PreparedRun, note: str) -> None:
    """Adds a note to the result and says it."""
    if note not in work.notes:
        work.notes.append(note)
        work.training.note(note)


def _install_adapter(
    network: Any, adapter: AdapterSpec, groups: list[Group], settings: Settings, source: Checkpoint, *, resized: bool
) -> AdapterFiles:
    """Inserts `adapter` into the network.

    Args:
        resized: whether tokens were added to the embedding table, which is then saved with the head.
    """
    installed = adapters.install(network, adapter, settings.seed)
    modules = adapters.modules_of(network, groups[-1].parameters)
    if resized:
        table = network.get_input_embeddings()
        modules.append(next(name for name, module in network.named_modules() if module is table))
    place = str(Path(source.place).resolve()) if Path(source.place).is_dir() else source.place
    return AdapterFiles(installed, settings.model, place, source.fingerprint, tuple(modules), settings.load_in)


def _is_random(encoded: EncodedDataset, task: Task, tokenizer: Any) -> bool:
    """Returns whether the inputs of an item differ between epochs (masked words)."""
    some = np.arange(min(8, len(encoded)))
    one, other = (task.head.collate(encoded, some, tokenizer, np.random.default_rng(seed)) for seed in (0, 1))
    return not all(torch.equal(one[name], other[name]) for name in model_inputs(one))


def _to_device(batch: dict[str, Any], accelerator: Accelerator) -> dict[str, Any]:
    return {name: value.to(accelerator.device) for name, value in batch.items()}


def make_vocabulary(recipe: Recipe, rows: Rows, folder: Path) -> None:
    new = recipe.new_model
    if new is not None and not (folder / "tokenizer.json").exists():
        texts = [text for role in ("text", "text_pair", "endings") for text in rows.columns.get(role, [])]
        lines = [line for text in texts for line in ([text] if isinstance(text, str) else text)]
        with room_wanted(folder.parent), written_whole(folder) as aside:
            train_vocabulary(
                lines, aside, vocab_size=new.vocab_size, lowercase=new.lowercase,
                vocab_size_is_maximum=new.vocab_size_is_maximum, coverage=new.coverage, character_map=new.character_map,
            )  # fmt: skip


def sample_batch(work: PreparedRun) -> dict[str, Any]:
    """Returns a batch of a few rows, to compare the saved model with the one in memory."""
    training = work.training
    items = np.arange(min(8, len(work.encoded_eval)))
    return training.head.collate(work.encoded_eval, items, training.tokenizer, np.random.default_rng(0))
