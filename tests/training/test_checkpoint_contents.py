"""A checkpoint holds what can change in its run, and nothing that the base checkpoint has already."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file
from torch import nn

from tests.recipe_runs import CHECKPOINTS, begin, run_recipe, start_recipe
from tests.training.test_loop import weights
from tlnlp.runs.setup import PreparedRun
from tlnlp.training.checkpoint import checkpoints_in, load_weights, save_checkpoint, save_weights
from tlnlp.training.loop import train
from tlnlp.transfer.adapter_strategies import ADAPTERS
from tlnlp.transfer.phases import Phase
from tlnlp.transfer.strategies import STRATEGIES

WITH_OPTIONS = {"top_layers": "top_layers:k=1", "gradual_unfreezing": "gradual_unfreezing:phase_epochs=1"}
EACH = [WITH_OPTIONS.get(name, name) for name in STRATEGIES if name != "shallow"]


def written(work: PreparedRun, folder: Path) -> dict[str, torch.Tensor]:
    """The weights in a checkpoint of the run at this moment."""
    training = work.training
    state = {"identity": "mine", "updates_done": 1}
    path = save_checkpoint(folder, training.model, training.optimizer, state, training.stored_parameters)
    return load_file(path / "model.safetensors")


@pytest.mark.parametrize("strategy", EACH)
def test_what_moves_in_any_phase_is_written_from_the_start_and_nothing_else(
    strategy: str, bert: Path, reviews: Path, tmp_path: Path
) -> None:
    work = begin("sst2", tmp_path, model=str(bert), data=str(reviews), strategy=strategy, learning_rate=1e-2)
    before, model = weights(work.training.model), work.training.model
    first = written(work, tmp_path / "first")
    for _ in train(work.training):
        pass
    after = weights(model)
    moved = {name for name, _ in model.named_parameters() if not torch.equal(before[name], after[name])}
    assert first.keys() == written(work, tmp_path / "last").keys() == moved
    everything = {name for name, _ in model.named_parameters()}
    freezes = {*ADAPTERS, "head_only", "top_layers", "bias_only"}
    assert (moved < everything) == (strategy.partition(":")[0] in freezes)


class Normalised(nn.Module):
    """Counts what it sees in buffers: some are saved with it, some are not."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 3)
        self.norm = nn.BatchNorm1d(3)
        self.register_buffer("frequencies", torch.arange(3.0), persistent=False)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return self.norm(self.inner(states)) * self.frequencies


def test_buffers_that_change_come_back_where_all_parameters_are_frozen(tmp_path: Path) -> None:
    model = Normalised()
    model(torch.randn(5, 3))
    save_weights(tmp_path / "best", model, {}, parameters=())
    assert load_file(tmp_path / "best" / "model.safetensors").keys() == {
        "norm.running_mean", "norm.running_var", "norm.num_batches_tracked",
    }  # fmt: skip
    other = Normalised()
    before = {name: parameter.clone() for name, parameter in other.named_parameters()}
    load_weights(tmp_path / "best", other, parameters=())
    assert torch.equal(other.norm.running_mean, model.norm.running_mean)
    assert int(other.norm.num_batches_tracked) == 1
    assert all(torch.equal(before[name], parameter) for name, parameter in other.named_parameters())


def test_a_checkpoint_that_lacks_a_weight_is_not_read_in_silence(tmp_path: Path) -> None:
    model = Normalised()
    save_weights(tmp_path / "best", model, {}, parameters=["inner.weight"])
    load_weights(tmp_path / "best", Normalised(), parameters=["inner.weight"])
    with pytest.raises(KeyError, match=r"inner\.bias"):
        load_weights(tmp_path / "best", Normalised(), parameters=["inner.weight", "inner.bias"])


def test_a_checkpoint_with_all_weights_is_read_by_a_run_that_needs_few(tmp_path: Path) -> None:
    model = Normalised()
    save_weights(tmp_path / "best", model, {})
    other = Normalised()
    load_weights(tmp_path / "best", other, parameters=["inner.weight"])
    assert torch.equal(other.inner.weight, model.inner.weight)


# --- what is in no base checkpoint


def _everything(work: PreparedRun) -> set[str]:
    return {name for name, _ in work.training.model.named_parameters()}


def test_what_a_phase_redraws_is_written_although_no_phase_trains_it(bert: Path, reviews: Path, tmp_path: Path) -> None:
    work = begin("sst2", tmp_path, model=str(bert), data=str(reviews), strategy="head_only")
    plain = written(work, tmp_path / "plain").keys()
    work.training.phases = [Phase("head", 2, {work.groups[-1].name: 1e-3}, reinitialize=["layer 2"])]
    redrawn = next(group for group in work.groups if group.name == "layer 2")
    assert written(work, tmp_path / "redrawn").keys() == plain | set(redrawn.parameters)


def test_frozen_layers_of_a_new_network_are_written(bert: Path, reviews: Path, tmp_path: Path) -> None:
    work = begin("sst2", tmp_path, model=str(bert), data=str(reviews), strategy="from_scratch")
    work.training.phases = [Phase("head", 2, {work.groups[-1].name: 1e-3})]
    assert written(work, tmp_path / "checkpoints").keys() == _everything(work)


def test_an_embedding_table_with_new_rows_is_written_although_it_is_frozen(
    bert: Path, reviews: Path, tmp_path: Path
) -> None:
    larger = tmp_path / "larger"
    shutil.copytree(bert, larger)
    tokenizer = transformers.AutoTokenizer.from_pretrained(bert)
    tokenizer.add_tokens([f"new{number}" for number in range(300)])
    tokenizer.save_pretrained(larger)
    flags: dict[str, Any] = {"data": str(reviews), "strategy": "lora"}
    plain = begin("sst2", tmp_path, model=str(bert), **flags)
    work = begin("sst2", tmp_path, model=str(larger), resize_embeddings=True, **flags)
    assert work.compact is not None, "the table is pruned as well"
    assert written(work, tmp_path / "larger run").keys() == {
        *written(plain, tmp_path / "plain run"), work.compact.parameter,
    }  # fmt: skip


def test_layers_with_a_merged_adapter_are_written_although_they_are_frozen(
    bert: Path, reviews: Path, tmp_path: Path
) -> None:
    trained = begin("sst2", tmp_path, model=str(bert), data=str(reviews), strategy="lora")
    adapter = tmp_path / "adapter"
    assert trained.adapted is not None
    trained.adapted.write(adapter, trained.training.model, trained.training.head.auto_class)
    trained.training.tokenizer.save_pretrained(adapter)
    work = begin("sst2", tmp_path, model=str(adapter), data=str(reviews), strategy="head_only")
    assert any("merged into" in note for note in work.notes)
    assert written(work, tmp_path / "checkpoints").keys() == _everything(work)


# --- whole runs


@pytest.mark.parametrize("strategy", ["lora", pytest.param("head_only", marks=pytest.mark.long)])
def test_the_best_weights_of_a_killed_run_with_a_frozen_base_are_the_same(
    strategy: str, bert: Path, reviews: Path, tmp_path: Path
) -> None:
    rows = tmp_path / "rows"
    shutil.copytree(reviews, rows)
    shutil.copy(rows / "validation.jsonl", rows / "test.jsonl")
    flags = [
        "--model", bert, "--data", rows, "--strategy", strategy, "--keep", "best", "--epochs", 6, "--max-length", 32,
        "--batch-size", 16, "--learning-rate", 1e-2, "--save-every", 2,
    ]  # fmt: skip
    whole = run_recipe("sst2", *flags, folder=tmp_path / "whole")
    assert whole.status == 0, whole.output
    running = start_recipe("sst2", *flags, folder=tmp_path / "run")
    running.wait_for_update(10)
    running.processes[0].kill()
    running.wait()
    newest = checkpoints_in(tmp_path / "run" / CHECKPOINTS)[-1]
    base = load_file(bert / "model.safetensors")
    assert sum(each.numel() for each in load_file(newest / "model.safetensors").values()) < sum(
        each.numel() for each in base.values()
    )
    ended = run_recipe("sst2", *flags, "--resume", folder=tmp_path / "run")
    assert ended.status == 0, ended.output
    assert ended.result["resumed"] == 1
    assert ended.weights == whole.weights
