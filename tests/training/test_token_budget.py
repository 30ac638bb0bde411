"""The token budget is for memory only: whatever it is, an update has the same gradients."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.pairwise import long_but_for
from tests.recipe_runs import begin, load_recipe
from tests.training.test_loop import without_dropout
from tlnlp.evaluation.predict import predict
from tlnlp.training.loop import train
from tlnlp.transfer.adapter_strategies import ADAPTERS
from tlnlp.transfer.strategies import STRATEGIES

# (--max-tokens, --micro-batches): everything at once, a few rows at a time, one row at a time, and so many pieces.
BUDGETS = [(10_000, 1), (200, 1), (33, 1), (10_000, 3), (150, 5)]
A_FEW = [BUDGETS[0], BUDGETS[4]]


def gradients_of_each_update(
    recipe: str, model: Path, rows: dict[str, Any], folder: Path, max_tokens: int, micro_batches: int
) -> tuple[list[dict[str, torch.Tensor]], list[float], list[int]]:
    """What the optimiser was given at each update, the losses, and how many micro-batches there were."""
    work = begin(
        recipe, folder, model=str(model), **rows, epochs=1, max_tokens=max(max_tokens, rows.get("max_length", 0)),
        micro_batches=micro_batches,
        learning_rate=1e-30, weight_decay=0.0, max_grad_norm=1e9,
    )  # fmt: skip
    network = work.training.model.double()
    without_dropout(network)
    found: list[dict[str, torch.Tensor]] = []

    def keep(*_: object) -> None:
        found.append({name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None})

    work.training.optimizer.register_step_pre_hook(keep)
    steps = list(train(work.training))
    return found, [float(step.loss) for step in steps], [len(step.update.micro_batches) for step in steps]


ALL_HEADS = [
    ("sst2", "bert"),
    ("sst2", "modernbert"),
    ("sst2", "gpt2"),
    ("pretrain", "bert"),
    ("pretrain", "modernbert"),
    ("pretrain_gpt", "gpt2"),
    ("stsb", "bert"),
    ("copa", "bert"),
    ("copa", "modernbert"),
    ("conll2003", "bert"),
    ("conll2003", "gpt2"),
    ("squad", "bert"),
    ("squad_v2", "gpt2"),
    ("gpt_sst2", "gpt2"),
    ("gpt_rte", "gpt2"),
    ("gpt_copa", "gpt2"),
]
# One of each kind of adapter, in the order of ADAPTERS.
ADAPTED = [("sst2", "bert"), ("sst2", "gpt2"), ("squad_v2", "gpt2"), ("sst2", "modernbert"), ("conll2003", "bert")]
CASES = [(*each, strategy) for each, strategy in zip(ADAPTED, ADAPTERS, strict=True)]
CASES += [(*each, "full") for each in ALL_HEADS]
# The strategies of layer groups, each with a head.
CASES += zip(
    ("sst2", "sst2", "conll2003", "copa", "gpt_copa", "gpt_sst2", "squad", "pretrain"),
    ("bert", "modernbert", "gpt2", "bert", "gpt2", "gpt2", "bert", "bert"),
    ("head_only", "from_scratch", "top_layers:k=1", "head_then_full", "gradual_unfreezing", "layer_decay", "bias_only",
     "reinit_top"),
    strict=True,
)  # fmt: skip
# Each head and each strategy with one kind of network; the others in `make test-all`.
ALWAYS = [case for case in CASES if case[2] != "full" or case[0] in ("stsb", "pretrain_gpt", "copa", "squad_v2")]


def test_every_strategy_and_every_head_has_budgets() -> None:
    named = {strategy.partition(":")[0] for *_, strategy in ALWAYS}
    assert named == set(STRATEGIES) - {"shallow"}, "features are read in any budget: see the feature classifier's tests"
    heads = {load_recipe(recipe).task.head.__name__.rpartition(".")[2] for recipe, *_ in ALWAYS}
    assert heads == {"sentence", "choice", "tag", "span", "masked_lm", "causal_lm", "gpt"}


@pytest.mark.usefixtures("full_precision")
@pytest.mark.parametrize(
    ("recipe", "architecture", "strategy", "budgets"),
    [(*case, A_FEW) for case in ALWAYS] + [pytest.param(*case, BUDGETS, marks=pytest.mark.long) for case in CASES],
)
def test_any_budget_gives_the_same_gradients(
    recipe: str,
    architecture: str,
    strategy: str,
    budgets: list[tuple[int, int]],
    rows_for: Callable[[str], Any],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    model, rows = request.getfixturevalue(architecture), rows_for(recipe) | {"strategy": strategy}
    same_gradients(recipe, model, rows, budgets, tmp_path)


# Most rows are several sequences of one item, of which some have more tokens than the smaller budgets.
IN_WINDOWS = {"max_length": 12, "windows": "mean", "window_overlap": 4}


@pytest.mark.usefixtures("full_precision")
@pytest.mark.parametrize(
    ("recipe", "architecture", "strategy"),
    [("sst2", "bert", "full"), ("stsb", "modernbert", "lora"), ("gpt_rte", "gpt2", "full")],
)
def test_the_windows_of_a_row_have_the_same_gradients_in_any_budget(
    recipe: str,
    architecture: str,
    strategy: str,
    rows_for: Callable[[str], Any],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    model, rows = request.getfixturevalue(architecture), rows_for(recipe) | IN_WINDOWS | {"strategy": strategy}
    same_gradients(recipe, model, rows, [BUDGETS[0], (33, 1), BUDGETS[4]], tmp_path)


@pytest.mark.usefixtures("full_precision")
@pytest.mark.parametrize(("recipe", "architecture"), [("sst2", "bert"), ("conll2003", "bert")])
def test_weighted_labels_and_focal_loss_have_the_same_gradients_in_any_budget(
    recipe: str, architecture: str, rows_for: Callable[[str], Any], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    more = {"loss": "focal", "class_weights": "balanced"}
    same_gradients(recipe, request.getfixturevalue(architecture), rows_for(recipe) | more, A_FEW, tmp_path)


def same_gradients(
    recipe: str, model: Path, rows: dict[str, Any], budgets: list[tuple[int, int]], tmp_path: Path
) -> None:
    expected, losses, counts = gradients_of_each_update(recipe, model, rows, tmp_path, *budgets[0])
    assert len(expected) >= 2
    assert set(counts) == {1}
    for budget in budgets[1:]:
        found, found_losses, counts = gradients_of_each_update(recipe, model, rows, tmp_path, *budget)
        assert max(counts) > 1
        assert found_losses == pytest.approx(losses, rel=1e-6)
        for update, (one, other) in enumerate(zip(expected, found, strict=True)):
            scale = max(tensor.abs().max() for tensor in one.values())
            assert one.keys() == other.keys()
            for name in one:
                difference = (one[name] - other[name]).abs().max() / scale
                assert difference < 1e-9, f"update {update}, {name}: {difference:.1e} at {budget}"


ANSWERED = [
    ("sst2", "bert"), ("sst2", "gpt2"), ("pretrain", "bert"), ("pretrain_gpt", "gpt2"), ("copa", "bert"),
    ("conll2003", "modernbert"), ("squad", "bert"), ("squad_v2", "gpt2"), ("gpt_copa", "gpt2"),
]  # fmt: skip


ANSWERED_IN_WINDOWS = [("sst2", "modernbert", True), ("gpt_rte", "gpt2", True)]


@pytest.mark.parametrize(
    ("recipe", "architecture", "in_windows"),
    [
        *long_but_for([(*each, False) for each in ANSWERED[2:6] + ANSWERED[7:]], [(*each, False) for each in ANSWERED]),
        *ANSWERED_IN_WINDOWS,
    ],
)
def test_any_budget_gives_the_same_answers(
    recipe: str,
    architecture: str,
    in_windows: bool,
    rows_for: Callable[[str], Any],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    model, rows = request.getfixturevalue(architecture), rows_for(recipe) | (IN_WINDOWS if in_windows else {})
    answers = []
    for max_tokens in (33, 200, 10_000):
        work = begin(recipe, tmp_path, model=str(model), **rows, max_tokens=max(max_tokens, rows.get("max_length", 0)))
        training = work.training
        answers.append(
            predict(
                training.model, work.encoded_eval, work.eval_rows, training.task, training.tokenizer,
                training.settings.max_tokens, training.accelerator,
            )
        )  # fmt: skip
    for others in answers[1:]:
        assert [each.prediction for each in others] == [each.prediction for each in answers[0]]
        assert [each.score for each in others] == pytest.approx([each.score for each in answers[0]], rel=1e-5)
