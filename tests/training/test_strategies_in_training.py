"""Strategies at work: what must not move has not moved by one bit, what must has; patience; enough updates."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch

from tests.pairwise import long_but_for, pairwise
from tests.recipe_runs import begin, run_recipe
from tests.training.test_loop import weights
from tlnlp.runs.setup import PreparedRun
from tlnlp.training.loop import train
from tlnlp.transfer.adapter_strategies import ADAPTERS
from tlnlp.transfer.phases import Phase
from tlnlp.transfer.strategies import STRATEGIES

# Those whose phases say all that learns by layer groups of the checkpoint itself.
OF_GROUPS = [
    "full", "head_only", "from_scratch", "top_layers:k=1", "head_then_full", "gradual_unfreezing", "layer_decay",
    "bias_only", "reinit_top",
]  # fmt: skip


def learning(work: PreparedRun, phase: Phase) -> set[str]:
    """Names of the parameters that `phase` lets learn."""
    return {
        name
        for group in work.groups
        if group.name in phase.learning_rates
        for name in (group.biases if group.name in phase.only_biases else group.parameters)
    }


def test_all_strategies_of_groups_are_here() -> None:
    """What the others add, and that nothing else moves, has tests of its own."""
    assert {each.partition(":")[0] for each in OF_GROUPS} == set(STRATEGIES) - {*ADAPTERS, "shallow"}


CASES = list(itertools.product(OF_GROUPS, ("bert", "gpt2")))


@pytest.mark.parametrize(("strategy", "architecture"), long_but_for(pairwise(CASES, [(0, 0), (1, 1)]), CASES))
def test_in_each_phase_all_that_learns_moves_and_nothing_else_by_a_bit(
    strategy: str, architecture: str, reviews: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    model = str(request.getfixturevalue(architecture))
    work = begin("sst2", tmp_path, model=model, data=str(reviews), strategy=strategy, learning_rate=1e-2, epochs=2)
    before, seen = weights(work.training.model), 0
    ends = {work.training.end_of_phase(done) for done in range(1, work.training.updates + 1)}
    for step in train(work.training):
        if step.updates_done not in ends:
            continue
        after, names = weights(work.training.model), {name for name, _ in work.training.model.named_parameters()}
        moved = {name for name in names if not torch.equal(before[name], after[name])}
        assert moved == learning(work, step.phase), step.phase.name
        assert {name for name, p in work.training.model.named_parameters() if p.requires_grad} == moved
        before, seen = after, seen + 1
    assert seen == len(work.training.phases)


def test_moments_survive_a_change_of_phase(bert: Path, reviews: Path, tmp_path: Path) -> None:
    work = begin("sst2", tmp_path, model=str(bert), data=str(reviews), strategy="head_then_full", epochs=2)
    head = [p for name, p in work.training.model.named_parameters() if name in work.groups[-1].parameters]
    counts = []
    for _ in train(work.training):
        counts.append({int(work.training.optimizer.state[p]["step"]) for p in head})
    assert counts == [{done} for done in range(1, work.training.updates + 1)]


def test_layers_learn_at_their_own_rates(bert: Path, reviews: Path, tmp_path: Path) -> None:
    work = begin("sst2", tmp_path, model=str(bert), data=str(reviews), strategy="layer_decay:decay=0.5")
    step = next(train(work.training))
    learning_rates = {each["group"]: each["lr"] for each in work.training.optimizer.param_groups}
    assert learning_rates == pytest.approx(
        {name: step.rate * factor for name, factor in zip(learning_rates, (1 / 8, 1 / 4, 1 / 2, 1), strict=True)}
    )


@pytest.mark.parametrize(("least", "epochs"), [(None, 2), (5, 2), (6, 2), (7, 3), (100, 34)])
def test_few_rows_get_as_many_epochs_as_the_least_updates_ask_for(
    least: int | None, epochs: int, bert: Path, reviews: Path, tmp_path: Path
) -> None:
    work = begin("sst2", tmp_path, model=str(bert), data=str(reviews), least_updates=least)
    assert work.training.updates_per_epoch == 3
    assert [phase.epochs for phase in work.training.phases] == [epochs]


def test_patience_ends_a_phase_whose_dev_score_no_longer_rises_and_keeps_the_best_weights(
    bert: Path, reviews: Path, tmp_path: Path
) -> None:
    flags = [
        "--model", bert, "--data", reviews, "--max-length", 32, "--batch-size", 16, "--epochs", 9, "--learning-rate",
        1e-9, "--strategy", "head_then_full:head_epochs=6", "--patience", 2,
    ]  # fmt: skip
    ended = run_recipe("sst2", *flags, folder=tmp_path / "run")
    assert ended.status == 0, ended.output
    result = ended.result
    # Nothing moves at such a rate: the first epoch of a phase is its best, and two more are waited for.
    assert [entry["epoch"] for entry in result["history"]] == [1, 2, 3, 7, 8, 9]
    assert result["best"]["epoch"] == 1
    updates = result["history"][0]["updates"]
    assert result["updates"] == 6 * updates
    assert "head: no better dev score for 2 epochs, 3 left out" in ended.output
    assert "all layers: no better dev score for 2 epochs, 6 left out" in ended.output
    assert any("weights are chosen on" in note for note in result["notes"]), "and reported on other rows"
