"""Activations that are computed again: the same gradients, whatever else the run does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from tests.recipe_runs import begin
from tests.training.test_token_budget import gradients_of_each_update
from tlnlp.errors import InputError
from tlnlp.models.gradient_checkpointing import check_gradient_checkpointing
from tlnlp.runs.setup import PreparedRun
from tlnlp.training.loop import train
from tlnlp.transfer.layers import layer_modules

Rows = dict[str, Any]


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], tolerance: float) -> bool:
    assert one.keys() == other.keys()
    scale = max(tensor.abs().max() for tensor in one.values())
    return all((one[name] - other[name]).abs().max() <= tolerance * scale for name in one)


@pytest.mark.usefixtures("full_precision")
@pytest.mark.parametrize(
    ("recipe", "architecture", "strategy"),
    [
        ("sst2", "bert", "full"), ("sst2", "modernbert", "lora"), ("sst2", "gpt2", "prompt"), ("copa", "bert", "full"),
        ("conll2003", "gpt2", "adapter"), ("gpt_sst2", "gpt2", "full"), ("pretrain", "bert", "full"),
        ("sst2", "bert", "gradual_unfreezing:phase_epochs=1"), ("sst2", "gpt2", "ia3"), ("sst2", "bert", "head_only"),
    ],
)  # fmt: skip
def test_the_gradients_are_those_without_it(
    recipe: str,
    architecture: str,
    strategy: str,
    rows_for: Callable[[str], Rows],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    model, rows = request.getfixturevalue(architecture), rows_for(recipe) | {"strategy": strategy}
    expected, losses, _ = gradients_of_each_update(recipe, model, rows, tmp_path, 10_000, 1)
    with_it = rows | {"gradient_checkpointing": True}
    found, found_losses, _ = gradients_of_each_update(recipe, model, with_it, tmp_path, 10_000, 1)
    assert found_losses == pytest.approx(losses, rel=1e-9)
    assert len(found) == len(expected) >= 2
    assert all(same(one, other, 1e-9) for one, other in zip(expected, found, strict=True))


def gradients_and_calls(work: PreparedRun) -> tuple[list[dict[str, torch.Tensor]], int]:
    """Of all updates; and how often the last layer's first module ran."""
    network, found, calls = work.training.model, [], [0]
    first = next(layer_modules(network)[-1].children())
    first.register_forward_hook(lambda *_: calls.__setitem__(0, calls[0] + 1))

    def keep(*_: object) -> None:
        found.append({name: p.grad.clone() for name, p in network.named_parameters() if p.grad is not None})

    work.training.optimizer.register_step_pre_hook(keep)
    list(train(work.training))
    return found, calls[0]


@pytest.mark.parametrize("architecture", ["bert", "gpt2"])
def test_dropout_draws_the_same_masks_again_and_layers_run_twice(
    architecture: str, rows_for: Callable[[str], Rows], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    settings = {"model": str(request.getfixturevalue(architecture)), "gradient_checkpointing": True, "epochs": 1}
    again = begin("sst2", tmp_path, **settings, **rows_for("sst2"))
    kept = begin("sst2", tmp_path, **settings, **rows_for("sst2"))
    kept.training.model.gradient_checkpointing_disable()
    (expected, once), (found, twice) = gradients_and_calls(kept), gradients_and_calls(again)
    assert twice == 2 * once > 0
    assert all(same(one, other, 1e-7) for one, other in zip(expected, found, strict=True))
    plain = begin("sst2", tmp_path, **settings | {"gradient_checkpointing": False}, **rows_for("sst2"))
    assert plain.packing is not None
    assert again.packing is None
    assert any("padding-free layers are left out with --gradient-checkpointing" in note for note in again.notes)


@pytest.mark.parametrize("strategy", ["top_layers:k=1", "head_only"])
def test_it_starts_from_the_outputs_of_frozen_layers_that_are_kept(
    strategy: str, bert: Path, rows_for: Callable[[str], Rows], tmp_path: Path
) -> None:
    settings = {"model": str(bert), "gradient_checkpointing": True, "strategy": strategy, "epochs": 2}
    recomputed = begin("sst2", tmp_path / "a", **settings, recompute_frozen=True, **rows_for("sst2"))
    kept = begin("sst2", tmp_path / "b", **settings, **rows_for("sst2"))
    (expected, _), (found, _) = gradients_and_calls(recomputed), gradients_and_calls(kept)
    assert kept.training.frozen is not None
    assert recomputed.training.frozen is None
    assert same(expected[0], found[0], 1e-4)


def test_a_network_without_it_is_refused_in_words() -> None:
    auto_class = "AutoModelForSequenceClassification"
    check_gradient_checkpointing(transformers.LlamaConfig(), auto_class, "mine")
    with pytest.raises(InputError, match="mine, a albert, whose class AlbertForSequenceClassification does not"):
        check_gradient_checkpointing(transformers.AlbertConfig(), auto_class, "mine")
