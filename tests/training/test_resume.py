"""Stop at any moment and go on: the same bits as the run that was never stopped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.pairwise import pairwise
from tests.recipe_runs import begin, load_recipe
from tests.training.test_loop import same_bits, two_phases, weights
from tlnlp.runs.setup import PreparedRun
from tlnlp.training.checkpoint import restore, save_checkpoint
from tlnlp.training.loop import train
from tlnlp.transfer.adapter_strategies import ADAPTERS
from tlnlp.transfer.strategies import STRATEGIES as TRANSFER_STRATEGIES

# --- in this process: every update of every kind of run


Rows = dict[str, Any]


def _begin(recipe: str, strategy: str, model: Path, rows: Rows, folder: Path) -> PreparedRun:
    named = strategy if not strategy.startswith("two phases") else "full"
    work = begin(recipe, folder, model=str(model), **rows, strategy=named, learning_rate=1e-3, micro_batches=2, seed=7)
    if strategy != named:
        work.training.phases = two_phases(work, reinitialize=["layer 2"] if strategy.endswith("redraw") else [])
    return work


STRATEGIES = [
    "full", "head_only", "from_scratch", "two phases", "two phases with a redraw", "head_then_full", "top_layers:k=1",
    "gradual_unfreezing:phase_epochs=2", "layer_decay", "bias_only", "reinit_top", *ADAPTERS,
]  # fmt: skip
NETWORKS = [
    ("sst2", "bert"), ("sst2", "modernbert"), ("sst2", "gpt2"), ("pretrain", "bert"), ("pretrain", "modernbert"),
    ("pretrain_gpt", "gpt2"), ("copa", "bert"), ("conll2003", "bert"), ("conll2003", "gpt2"), ("squad", "bert"),
    ("squad_v2", "gpt2"), ("gpt_sst2", "gpt2"), ("gpt_copa", "gpt2"),
]  # fmt: skip
# ModernBERT has no biases to learn and takes no prefix; GPT-2 has no class that answers by masked words.
IMPOSSIBLE = {("modernbert", "bias_only"), ("modernbert", "prefix")}
CASES = [
    (*each, strategy) for strategy in STRATEGIES for each in NETWORKS if (each[1], strategy) not in IMPOSSIBLE
]  # fmt: skip
# Each head with each kind of network, each strategy, and adapters and other strategies with each kind of network. All
# together in the long tests, and there phases that begin with what the one before has learnt, too.
WITH_KIND = [(*case, case[2] in ADAPTERS) for case in CASES if case[2] != "two phases"]
ALWAYS = [case[:3] for case in pairwise(WITH_KIND, [(0, 1), (1, 3), (2, 2)])]


def test_every_strategy_and_every_head_is_stopped_and_gone_on_with() -> None:
    named = {strategy.partition(":")[0] for *_, strategy in ALWAYS}
    assert named - {"two phases with a redraw"} == set(TRANSFER_STRATEGIES) - {"shallow"}
    heads = {load_recipe(recipe).task.head.__name__.rpartition(".")[2] for recipe, *_ in ALWAYS}
    assert heads == {"sentence", "choice", "tag", "span", "masked_lm", "causal_lm", "gpt"}


def turning_points(work: PreparedRun) -> list[int]:
    """After which updates a run is stopped in `make test`: where a phase ends, and in the middle of the last one."""
    updates = work.training.updates
    ends = sorted({work.training.end_of_phase(done) for done in range(1, updates + 1)} - {updates})
    return [*ends[:1], (max(ends, default=0) + updates) // 2]


@pytest.mark.parametrize(
    ("recipe", "architecture", "strategy", "everywhere"),
    [(*case, False) for case in ALWAYS] + [pytest.param(*case, True, marks=pytest.mark.long) for case in CASES],
)
def test_a_run_stopped_after_any_update_ends_with_the_same_bits(
    recipe: str,
    architecture: str,
    strategy: str,
    everywhere: bool,
    rows_for: Callable[[str], dict[str, Any]],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    goes_on_with_the_same_bits(
        recipe, strategy, request.getfixturevalue(architecture), rows_for(recipe), tmp_path, everywhere
    )


# Settings under which an update is computed in another way, and with what.
OTHER_WAYS: dict[str, tuple[str, str, str, Rows]] = {
    "a row in windows": ("sst2", "bert", "full", {"max_length": 12, "windows": "mean", "window_overlap": 4}),
    "activations computed again": ("sst2", "gpt2", "full", {"gradient_checkpointing": True}),
    "a base in bf16": ("sst2", "bert", "lora", {"load_in": "bf16", "precision": "bf16"}),
    "a pair in windows": ("gpt_rte", "gpt2", "lora", {"max_length": 24, "windows": "mean", "window_overlap": 4}),
}


@pytest.mark.parametrize("way", OTHER_WAYS)
def test_a_stopped_run_ends_with_the_same_bits_in_each_way_of_computing(
    way: str, rows_for: Callable[[str], Rows], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    recipe, architecture, strategy, more = OTHER_WAYS[way]
    model = request.getfixturevalue(architecture)
    goes_on_with_the_same_bits(recipe, strategy, model, rows_for(recipe) | more, tmp_path, everywhere=False)


def goes_on_with_the_same_bits(
    recipe: str, strategy: str, model: Path, rows: Rows, tmp_path: Path, everywhere: bool
) -> None:
    work = _begin(recipe, strategy, model, rows, tmp_path)
    places = range(1, work.training.updates + 1) if everywhere else turning_points(work)
    losses, checkpoints = [], {}
    for step in train(work.training):
        losses.append(step.loss.item())
        if (done := step.updates_done) in places:
            state = {"identity": "mine", "updates_done": done}
            training = work.training
            checkpoints[done] = save_checkpoint(
                tmp_path / str(done), training.model, training.optimizer, state, training.stored_parameters
            )
    expected = weights(work.training.model)
    assert len(losses) == work.training.updates >= 4
    assert list(checkpoints) == list(places)
    for done, checkpoint in checkpoints.items():
        again = _begin(recipe, strategy, model, rows, tmp_path)
        restore(checkpoint, again.training.model, again.training.optimizer, again.training.stored_parameters)
        assert [step.loss.item() for step in train(again.training, done)] == losses[done:]
        assert same_bits(weights(again.training.model), expected), f"gone on with after update {done}"
