"""The training loop, short enough to read and change. It yields after each update; there are no callbacks."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs, DistributedType
from torch import nn

from tlnlp.heads.encoded import EncodedDataset
from tlnlp.settings import Settings
from tlnlp.task import Head, Task
from tlnlp.training.device_feed import DeviceFeed
from tlnlp.training.layer_cache import LayerCache, use_cache
from tlnlp.training.optimizer import changing_parameters, is_trained, schedule_factor, set_rates
from tlnlp.training.plan import Update, padded_places, plan_updates, shard_micro_batches, updates_per_epoch
from tlnlp.training.sharding import ShardedNetwork, is_requested, is_sharded
from tlnlp.transfer.phases import Phase

# Distributed types for which the backward pass is simply `loss.backward()`.
PLAIN = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)


@dataclass(frozen=True)
class Step:
    """The result of one update.

    Args:
        updates_done: number of updates so far, including this one.
        updates: number of updates of the run.
        phase: the phase of the strategy.
        epoch: counts from 0 over the whole run.
        ends_epoch: whether it is the last update of its epoch.
        loss: mean over the rows (or scored tokens) of the update, in nats. A scalar on the device, so that only those
            who read it wait for it.
        rate: the highest learning rate of any group.
        update: the rows of the update.
    """

    updates_done: int
    updates: int
    phase: Phase
    epoch: int
    ends_epoch: bool
    loss: torch.Tensor
    rate: float
    update: Update


@dataclass(frozen=True)
class MicroBatch:
    """A micro-batch of this process.

    Args:
        number: its place among all of the update, over all processes.
        items: its items.
        weight: 1, or 0 if the process only participates, since the update has fewer micro-batches than processes.
        batch: what the head has collated, staged for the device.
    """

    number: int
    items: np.ndarray
    weight: float
    batch: dict[str, Any]


@dataclass
class TrainingState:
    """The state of the training loop; the model and the optimizer change during training.

    Args:
        begin_phase: called before the first update of a phase (re-initialises weights).
        freeze: returns the cache for the frozen layers of a phase; None: they run in every epoch.
        feed: brings the batches to the device.
        initialized: names of the parameters that the base checkpoint lacks.
        slots: number of positions that the layers compute for sequences of these lengths, padding included.
        sharded: the network, if it is divided among the processes.
        frozen: the cache of the current phase.
        say: called with messages about slow steps.
        note: called with what the reader of the run should know.
        phase: the current phase.
        learning: the parameters trained in it.
        stop_phase: set by the caller to continue with the next phase after this update.
    """

    task: Task
    head: Head
    model: nn.Module
    optimizer: torch.optim.Optimizer
    encoded: EncodedDataset
    tokenizer: Any
    phases: Sequence[Phase]
    settings: Settings
    accelerator: Accelerator
    begin_phase: Callable[[Phase], None]
    feed: DeviceFeed
    freeze: Callable[[Phase], LayerCache | None] = lambda phase: None
    initialized: Collection[str] = ()
    slots: Callable[[np.ndarray], int] = padded_places
    sharded: ShardedNetwork | None = None
    frozen: LayerCache | None = None
    say: Callable[[str], None] = lambda text: None
    note: Callable[[str], None] = lambda text: None
    phase: Phase | None = None
    learning: Sequence[nn.Parameter] = ()
    stop_phase: bool = False

    def set_trainable(self) -> None:
        """Puts the network into the training mode of the current phase, also after an evaluation."""
        if self.phase is not None:
            set_trainable(self.model, self.optimizer, self.phase)
            self.learning = [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    @property
    def stored_parameters(self) -> Collection[str]:
        """Names of the parameters that checkpoints hold: what can change in this run, and what the base lacks."""
        return changing_parameters(self.model, self.optimizer, self.phases, self.initialized)

    @property
    def updates_per_epoch(self) -> int:
        """Number of updates per epoch."""
        return updates_per_epoch(len(self.encoded), self.settings.batch_size)

    def end_of_phase(self, updates_done: int) -> int:
        """Returns the number of updates done at the end of the phase that contains update number `updates_done`."""
        ends = itertools.accumulate(phase.epochs * self.updates_per_epoch for phase in self.phases)
        return next(end for end in ends if end >= updates_done)

    @property
    def updates(self) -> int:
        """Number of updates of the run."""
        return sum(phase.epochs for phase in self.phases) * self.updates_per_epoch


def train(training: TrainingState, updates_done: int = 0) -> Iterator[Step]:
    """Trains to the end and yields a `Step` after each update; the first `updates_done` updates are skipped
    (resume)."""
    settings, accelerator = training.settings, training.accelerator
    optimizer: Any = training.optimizer
    if not _is_plain(accelerator):
        optimizer = accelerator.prepare_optimizer(optimizer)
    last = 0
    for phase in training.phases:
        first, last = last, last + phase.epochs * training.updates_per_epoch
        if last <= updates_done:
            continue
        if updates_done <= first:
            training.begin_phase(phase)
        training.phase = phase
        training.set_trainable()
        if training.frozen is not None:
            training.frozen.remove()
        training.frozen = training.freeze(phase)
        training.set_trainable()  # the caller may have evaluated in the meantime
        model = _shared(training)
        updates = plan_updates(
            training.encoded.lengths,
            max(first, updates_done),
            last,
            seed=settings.seed,
            batch_size=settings.batch_size,
            max_tokens=settings.max_tokens,
            micro_batches=settings.micro_batches or 1,
            can_pad=training.encoded.can_pad,
        )
        for update, batches in training.feed.iterate((each, collate(training, each)) for each in updates):
            factor = schedule_factor(settings.schedule, update.number - first, last - first, settings.warmup_fraction)
            set_rates(training.optimizer, phase.learning_rates, factor)
            loss = optimizer_step(training, model, optimizer, update, batches)
            done = update.number + 1
            rate = max(phase.learning_rates.values()) * factor
            ends_epoch = done % training.updates_per_epoch == 0
            yield Step(done, training.updates, phase, update.epoch, ends_epoch, loss, rate, update)
            if training.stop_phase:
                training.stop_phase = False
                break


def collate(training: TrainingState, update: Update) -> list[MicroBatch]:
    """Returns the micro-batches of `update` for this process. All processes have the same number of them."""
    accelerator, settings = training.accelerator, training.settings
    mine = shard_micro_batches(update.micro_batches, accelerator.process_index, accelerator.num_processes)
    batches = []
    for number, items in mine:
        used = update.micro_batches[0] if items is None else items
        # The same for each micro-batch, so that masking does not depend on the cut: see `Head.collate`.
        draw = np.random.default_rng([settings.seed, update.number])
        batch = training.feed.stage(training.head.collate(training.encoded, used, training.tokenizer, draw))
        batches.append(MicroBatch(number, used, float(items is not None), batch))
    return batches


def optimizer_step(
    training: TrainingState, model: nn.Module, optimizer: Any, update: Update, batches: Sequence[MicroBatch]
) -> torch.Tensor:
    """Takes one optimizer step over the whole update and returns its loss.

    Args:
        batches: those of `collate`.
    """
    accelerator, settings = training.accelerator, training.settings
    processes = accelerator.num_processes
    # Gradients are averaged over processes: with this scale, the average is the mean over all items of the update.
    scale = processes / float(training.encoded.counts[update.items].sum())
    total = torch.zeros((), device=accelerator.device)
    for turn, each in enumerate(batches):
        _seed_dropout(accelerator, _dropout_seed(settings.seed, update.number, each.number))
        batch = training.feed.move(each.batch)
        apart = nullcontext() if turn == len(batches) - 1 else accelerator.no_sync(model)
        with accelerator.autocast(), apart, use_cache(training.frozen, training.encoded, each.items, batch) as batch:
            loss = training.head.loss(model, batch, training.task) * (scale * each.weight)
            _backward(accelerator, loss)
        total += loss.detach()
    accelerator.clip_grad_norm_(training.learning, settings.max_grad_norm)
    optimizer.step()
    optimizer.zero_grad()
    return accelerator.reduce(total, "mean") if processes > 1 else total


def set_trainable(model: nn.Module, optimizer: torch.optim.Optimizer, phase: Phase) -> None:
    """Makes the groups of `phase` trainable and freezes the others: no gradient, and no dropout."""
    for each in optimizer.param_groups:
        learns = is_trained(each, phase)
        for parameter in each["params"]:
            parameter.requires_grad_(learns)
            parameter.grad = None
    model.train()
    for module in model.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()
        _rest_with_what_follows(module)


def _rest_with_what_follows(module: nn.Module) -> None:
    """Freezes a module without weights (GPT-2's embedding dropout) together with the module declared after it."""
    frozen = False
    for child in reversed(list(module.children())):
        first = next(child.parameters(), None)
        if first is not None:
            frozen = not first.requires_grad
        elif frozen:
            child.eval()


def _shared(training: TrainingState) -> nn.Module:
    """Returns the network wrapped for sharing gradients. Mixed precision is applied in `optimizer_step`: the network
    itself remains unchanged, so that it can be wrapped again in each phase, compared and saved."""
    accelerator, model = training.accelerator, training.model
    if is_sharded(model):
        return model
    if is_requested():
        raise RuntimeError("FSDP was asked for, and the network is not sharded")
    if accelerator.num_processes == 1:
        return model
    accelerator.ddp_handler = DistributedDataParallelKwargs(find_unused_parameters=_has_unused(training))
    shared = accelerator.prepare_model(model)
    model.__dict__.pop("forward", None)  # accelerate's wrapper for mixed precision
    return shared


def _has_unused(training: TrainingState) -> bool:
    """Returns whether a row leaves weights without a gradient (BigBird's pooler, an expert without tokens), as tried on
    one. Processes would wait for these gradients; looking for them in each update takes time."""
    items = np.arange(1)
    batch = training.head.collate(training.encoded, items, training.tokenizer, np.random.default_rng(0))
    batch = training.feed.move(training.feed.stage(batch))
    with training.accelerator.autocast(), use_cache(training.frozen, training.encoded, items, batch) as batch:
        training.head.loss(training.model, batch, training.task).backward()
    unused = torch.tensor(
        float(any(each.grad is None for each in training.learning)), device=training.accelerator.device
    )
    training.optimizer.zero_grad()
    # The same on all processes, although their arithmetic may differ.
    return bool(training.accelerator.reduce(unused, "sum") > 0)


def _seed_dropout(accelerator: Accelerator, seed: int) -> None:
    """Seeds the random generators that dropout uses on this device."""
    if accelerator.device.type == "cpu":
        # torch.manual_seed also records the call with a traceback, in case a GPU is used later, which costs a
        # millisecond and some memory per micro-batch.
        torch.default_generator.manual_seed(seed)
    else:
        torch.manual_seed(seed)


def _backward(accelerator: Accelerator, loss: torch.Tensor) -> None:
    if _is_plain(accelerator):
        loss.backward()
    else:
        accelerator.backward(loss)


def _is_plain(accelerator: Accelerator) -> bool:
    """Returns whether torch's own backward pass and optimizer are all there is to do. Those of accelerate do the same,
    but search the disk for packages in each update, for one to two milliseconds."""
    return accelerator.scaler is None and accelerator.distributed_type in PLAIN


def _dropout_seed(seed: int, update: int, micro_batch: int) -> int:
    return int(np.random.SeedSequence([seed, update, micro_batch]).generate_state(1)[0])
