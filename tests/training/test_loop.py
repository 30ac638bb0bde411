"""The loop against plain PyTorch; what is frozen; what a phase begins with; what training must not depend on."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch import nn

from tests.recipe_runs import begin
from tlnlp.heads import masked_lm as word
from tlnlp.models import checkpoint, loading
from tlnlp.runs.setup import PreparedRun
from tlnlp.training.loop import Step, TrainingState, train
from tlnlp.training.plan import plan_updates
from tlnlp.transfer.phases import Phase


def without_dropout(model: nn.Module) -> None:
    """Every dropout, in a module or in an attention's own number, set to none."""
    for module in model.modules():
        for name, value in vars(module).items():
            if "dropout" in name and isinstance(value, float):
                setattr(module, name, 0.0)
        if isinstance(module, nn.Dropout):
            module.p = 0.0


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def same_bits(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def largest_difference(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    assert one.keys() == other.keys()
    return max((one[name] - other[name]).abs().max().item() for name in one)


def two_phases(work: PreparedRun, reinitialize: Sequence[str] = ()) -> list[Phase]:
    """First the new head alone, then all layers, the lower ones more slowly."""
    names = [group.name for group in work.groups]
    learning_rates = {name: 1e-3 / 2 ** (len(names) - place) for place, name in enumerate(names)}
    return [Phase("head", 1, {names[-1]: 2e-3}), Phase("all", 2, learning_rates, reinitialize)]


# --- the oracle: whole batches, the loss of Hugging Face's own heads, torch's clipping, transformers' schedule


def whole_sentence_batch(work: PreparedRun, items: np.ndarray) -> dict[str, torch.Tensor]:
    texts, labels = work.train_rows.columns["text"], work.train_rows.columns["label"]
    batch = work.training.tokenizer(
        [texts[item] for item in items], padding=True, truncation=True, max_length=32, return_tensors="pt"
    )
    return {**batch, "labels": torch.tensor([labels[item] for item in items])}


def load_plainly(work: PreparedRun, folder: Path) -> Any:
    """The network before its first update, as transformers made it: nothing cut, packed or hooked; no dropout."""
    training = work.training
    config = checkpoint.read_config(str(folder), str(folder))
    model = loading.load_model(
        checkpoint.Checkpoint("", str(folder), config, work.labels, ""), training.task, training.tokenizer, seed=0
    )
    without_dropout(model)
    return model


def difference_from_plain(work: PreparedRun, plain: nn.Module) -> float:
    """The largest one of any weight. The piece table may be cut to the pieces that occur while the network learns."""
    found, expected = weights(work.training.model), weights(plain)
    if work.compact is not None:
        expected[work.compact.parameter] = work.compact.take(expected[work.compact.parameter])
    return largest_difference(found, expected)


def train_plainly(
    work: PreparedRun, model: nn.Module, make_batch: Callable[[Any], dict[str, torch.Tensor]]
) -> list[float]:
    """Trains `model` in plain PyTorch on the same plan; the losses of the updates."""
    settings, updates = work.training.settings, work.training.updates
    tables = [module.weight for module in model.modules() if isinstance(module, nn.Embedding)]
    matrices = {p for p in model.parameters() if p.dim() == 2} - set(tables)
    kinds = [[p for p in model.parameters() if (p in matrices) is matrix] for matrix in (True, False)]
    optimizer = torch.optim.AdamW(
        [
            {"params": kinds[0], "weight_decay": settings.weight_decay},
            {"params": kinds[1], "weight_decay": 0.0},
        ],
        lr=settings.learning_rate,
        fused=False,
    )
    warmup = int(updates * settings.warmup_fraction)
    schedule = transformers.get_linear_schedule_with_warmup(optimizer, warmup + 1, updates + 1)
    losses = []
    plan = plan_updates(
        work.training.encoded.lengths, 0, updates, seed=settings.seed, batch_size=settings.batch_size, max_tokens=10**9
    )
    model.train()
    for update in plan:
        schedule.step()
        loss = model(**make_batch(update)).loss
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), settings.max_grad_norm)
        optimizer.step()
        losses.append(loss.item())
    return losses


HOW = {"learning_rate": 1e-2, "weight_decay": 0.1, "warmup_fraction": 0.4, "max_grad_norm": 0.5}


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.usefixtures("full_precision")
def test_training_a_sentence_head_is_plain_pytorch_on_whole_batches(
    any_checkpoint: Path, reviews: Path, tmp_path: Path
) -> None:
    work = begin("sst2", tmp_path, model=str(any_checkpoint), data=str(reviews), max_tokens=220, **HOW)
    without_dropout(work.training.model.double())
    plain = load_plainly(work, any_checkpoint).double()
    expected = train_plainly(work, plain, lambda update: whole_sentence_batch(work, update.items))
    steps = list(train(work.training))
    assert len(steps) == 6
    sizes = [[len(items) for items in step.update.micro_batches] for step in steps]
    assert sum(len(set(each)) > 1 for each in sizes) >= 4, "micro-batches of one size would hide a mean of means"
    assert {len(step.update.items) for step in steps} == {16, 9}
    assert [float(step.loss) for step in steps] == pytest.approx(expected, rel=1e-6)
    assert difference_from_plain(work, plain) < 1e-10


@pytest.mark.filterwarnings("ignore:Detected call of")
@pytest.mark.usefixtures("full_precision")
@pytest.mark.parametrize("architecture", ["bert", "modernbert"])
def test_training_a_word_head_is_plain_pytorch_on_whole_batches(
    architecture: str, corpus: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(architecture)
    work = begin("pretrain", tmp_path, model=str(folder), data=str(corpus), max_tokens=1000, **HOW)
    without_dropout(work.training.model.double())
    plain = load_plainly(work, folder).double()
    # One micro-batch an update: what it held is what the whole batch of the oracle holds.
    seen: list[dict[str, torch.Tensor]] = []

    class Watched:
        def __getattr__(self, name: str) -> Any:
            return getattr(word, name)

        def collate(self, *arguments: Any) -> dict[str, torch.Tensor]:
            seen.append(word.collate(*arguments))
            return seen[-1]

    work.training.head = Watched()  # type: ignore[assignment]
    steps = list(train(work.training))
    batches = iter(seen)
    expected = train_plainly(work, plain, lambda update: next(batches))
    assert len(steps) == len(seen) == work.training.updates > 2
    assert [float(step.loss) for step in steps] == pytest.approx(expected, rel=1e-6)
    assert difference_from_plain(work, plain) < 1e-10


@pytest.mark.filterwarnings("ignore:Detected call of")
def test_in_fp32_too_the_losses_are_those_of_plain_pytorch(bert: Path, reviews: Path, tmp_path: Path) -> None:
    work = begin("sst2", tmp_path, model=str(bert), data=str(reviews), micro_batches=3)
    without_dropout(work.training.model)
    plain = load_plainly(work, bert)
    expected = train_plainly(work, plain, lambda update: whole_sentence_batch(work, update.items))
    assert [float(step.loss) for step in train(work.training)] == pytest.approx(expected, rel=1e-5)


# --- what is frozen


@pytest.mark.parametrize("recipe", ["sst2", "pretrain"])
def test_frozen_groups_do_not_move_by_a_bit_and_all_others_do(
    recipe: str, bert: Path, reviews: Path, corpus: Path, tmp_path: Path
) -> None:
    data = reviews if recipe == "sst2" else corpus
    work = begin(recipe, tmp_path, model=str(bert), data=str(data), strategy="head_only", learning_rate=1e-2)
    before = weights(work.training.model)
    assert len(list(train(work.training))) == work.training.updates
    after = weights(work.training.model)
    head = set(work.groups[-1].parameters)
    assert head
    learnt = {name for name, _ in work.training.model.named_parameters() if not torch.equal(before[name], after[name])}
    assert learnt == head
    # Not by a rate of zero: what is frozen has no gradient, which clipping would count, and no moments.
    assert {name for name, p in work.training.model.named_parameters() if p.requires_grad} == head
    assert {name for name, p in work.training.model.named_parameters() if p in work.training.optimizer.state} == head


@pytest.mark.parametrize("learning", [["head"], ["layer 2", "head"]])
def test_the_frozen_part_answers_the_same_each_time_while_the_rest_has_dropout(
    learning: list[str], any_checkpoint: Path, reviews: Path, tmp_path: Path
) -> None:
    work = begin("sst2", tmp_path, model=str(any_checkpoint), data=str(reviews))
    training, model = work.training, work.training.model
    for module in model.modules():  # ModernBERT's and GPT-2's own heads have none
        if isinstance(module, nn.Dropout):
            module.p = 0.5
    training.phase = Phase("some", 1, dict.fromkeys(learning, 1e-3))
    training.set_trainable()
    frozen = model.get_submodule(_last_frozen_layer(work, learning))
    answers: list[torch.Tensor] = []
    frozen.register_forward_hook(lambda module, arguments, output: answers.append(_first(output).detach().clone()))
    batch = training.head.collate(training.encoded, np.arange(8), training.tokenizer, np.random.default_rng(0))
    for seed in (0, 1):
        torch.manual_seed(seed)
        training.head.forward(model, batch)
    assert torch.equal(answers[0], answers[1])


def _first(output: Any) -> torch.Tensor:
    return output[0] if isinstance(output, tuple) else output


def _last_frozen_layer(work: PreparedRun, learning: list[str]) -> str:
    """The module that holds the layer before the first group that learns."""
    names = [group.name for group in work.groups]
    last = work.groups[names.index(learning[0]) - 1]
    stack = next(
        name
        for name, module in work.training.model.named_modules()
        if isinstance(module, nn.ModuleList) and last.parameters[0].startswith(name + ".")
    )
    return f"{stack}.{int(last.name.split()[1]) - 1}"


def test_a_learning_network_has_dropout(any_checkpoint: Path, reviews: Path, tmp_path: Path) -> None:
    work = begin("sst2", tmp_path, model=str(any_checkpoint), data=str(reviews))
    training = work.training
    training.phase = training.phases[0]
    training.set_trainable()
    assert all(module.training for module in training.model.modules())
    batch = training.head.collate(training.encoded, np.arange(8), training.tokenizer, np.random.default_rng(0))
    answers = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        answers.append(training.head.forward(training.model, batch))
    assert not torch.equal(answers[0], answers[1])


# --- phases


def test_from_scratch_does_not_depend_on_the_weights_of_the_checkpoint(
    bert: Path, reviews: Path, tmp_path: Path
) -> None:
    other = shutil.copytree(bert, tmp_path / "other")
    model = transformers.AutoModelForMaskedLM.from_pretrained(other)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1)
    model.save_pretrained(other)
    found = []
    for strategy in ("from_scratch", "full"):
        for folder in (bert, other):
            work = begin("sst2", tmp_path / "run", model=str(folder), data=str(reviews), strategy=strategy, epochs=1)
            list(train(work.training))
            found.append(weights(work.training.model))
    assert same_bits(found[0], found[1])
    assert not same_bits(found[2], found[3]), "the two checkpoints must differ for this test to say anything"


def test_a_phase_begins_at_its_boundary_and_nowhere_else(bert: Path, reviews: Path, tmp_path: Path) -> None:
    for done, expected in {0: [0, 3], 1: [3], 2: [3], 3: [3], 4: [], 8: [], 9: []}.items():
        work = begin("sst2", tmp_path, model=str(bert), data=str(reviews))
        work.training.phases = two_phases(work)
        begun: list[int] = []
        updates: list[int] = []
        start = {"head": 0, "all": 3}

        def note(phase: Phase, begun: list[int] = begun, start: dict[str, int] = start) -> None:
            begun.append(start[phase.name])

        work.training.begin_phase = note
        for step in train(work.training, done):
            updates.append(step.updates_done)
            assert step.phase.name == ("head" if step.updates_done <= 3 else "all")
            assert step.epoch == (step.updates_done - 1) // 3
            assert step.ends_epoch == (step.updates_done % 3 == 0)
            assert len(begun) == sum(boundary < step.updates_done for boundary in expected)
        assert (begun, updates) == (expected, list(range(done + 1, 10)))


def test_groups_that_a_phase_redraws_are_new_and_the_others_stay(bert: Path, reviews: Path, tmp_path: Path) -> None:
    work = begin("sst2", tmp_path, model=str(bert), data=str(reviews))
    before = weights(work.training.model)
    work.training.begin_phase(Phase("all", 1, {}, reinitialize=["layer 2"]))
    after = weights(work.training.model)
    (redrawn,) = (group for group in work.groups if group.name == "layer 2")
    matrices = {name for name in redrawn.parameters if before[name].dim() == 2}
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert matrices <= changed <= set(redrawn.parameters)


def test_each_phase_has_a_schedule_of_its_own(bert: Path, reviews: Path, tmp_path: Path) -> None:
    work = begin("sst2", tmp_path, model=str(bert), data=str(reviews), warmup_fraction=0.0)
    work.training.phases = two_phases(work)
    learning_rates = [step.rate for step in train(work.training)]
    peak = max(work.training.phases[1].learning_rates.values())
    assert learning_rates[:3] == pytest.approx([2e-3 * factor for factor in (1, 2 / 3, 1 / 3)])
    assert learning_rates[3:] == pytest.approx([peak * factor / 6 for factor in (6, 5, 4, 3, 2, 1)])


# --- what training must not depend on


def _trained(work: PreparedRun, between: Callable[[TrainingState, Step], None]) -> dict[str, torch.Tensor]:
    for step in train(work.training):
        between(work.training, step)
    return weights(work.training.model)


def test_what_happens_between_updates_does_not_change_training(bert: Path, reviews: Path, tmp_path: Path) -> None:
    def nothing(training: TrainingState, step: Step) -> None:
        pass

    def evaluate_and_draw(training: TrainingState, step: Step) -> None:
        torch.manual_seed(step.updates_done)
        torch.rand(7)
        np.random.seed(step.updates_done)
        training.model.eval()
        training.set_trainable()

    found = [
        _trained(begin("sst2", tmp_path, model=str(bert), data=str(reviews), strategy=strategy), between)
        for strategy in ("full", "head_only")
        for between in (nothing, evaluate_and_draw)
    ]
    assert same_bits(found[0], found[1])
    assert same_bits(found[2], found[3])


def test_another_seed_is_another_run(bert: Path, reviews: Path, tmp_path: Path) -> None:
    first, again, other = (
        _trained(begin("sst2", tmp_path, model=str(bert), data=str(reviews), seed=seed), lambda training, step: None)
        for seed in (0, 0, 1)
    )
    assert same_bits(first, again)
    assert not same_bits(first, other)
