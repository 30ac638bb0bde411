"""Weights that are NaN or infinite: refused where they are loaded, and said where training makes them."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tests.recipe_runs import Ended, begin, run_recipe
from tlnlp.errors import InputError
from tlnlp.inference.masked_words import MaskFiller
from tlnlp.models.finite import not_finite
from tlnlp.reporting.page import save_page
from tlnlp.runs.result import read_result
from tlnlp.runs.trainer import Trainer
from tlnlp.runs.training_log import TrainingLog


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_one_value_among_many_is_found(value: float, dtype: torch.dtype) -> None:
    network = nn.Sequential(nn.Linear(50, 50), nn.Linear(50, 50)).to(dtype)
    assert not_finite(network) == []
    with torch.no_grad():
        network[1].weight[17, 3] = value
    assert not_finite(network) == ["1.weight"]
    with torch.no_grad():
        network[1].weight[18, 3] = -value
    assert not_finite(network) == ["1.weight"], "infinities of both signs do not cancel out"


def _damage(bert: Path, folder: Path, tensor: str, value: float) -> Path:
    """The checkpoint with one other value."""
    shutil.copytree(bert, folder)
    weights = load_file(folder / "model.safetensors")
    name = next(name for name in weights if name.endswith(tensor))
    weights[name].view(-1)[3] = value
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture
def damaged(bert: Path, tmp_path: Path) -> Path:
    """A checkpoint with one NaN."""
    return _damage(bert, tmp_path / "damaged", "layer.1.output.dense.weight", math.nan)


@pytest.fixture
def exploding(bert: Path, tmp_path: Path) -> Path:
    """A checkpoint with one weight so large that the outputs are NaN, and with them all weights after an update."""
    return _damage(bert, tmp_path / "exploding", "embeddings.LayerNorm.weight", 3e38)


def test_a_checkpoint_with_a_nan_is_refused_before_training(damaged: Path, reviews: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"layer\.1\.output\.dense\.weight"):
        begin("sst2", tmp_path / "run", model=str(damaged), data=str(reviews))
    begin("sst2", tmp_path / "scratch", model=str(damaged), data=str(reviews), strategy="from_scratch")


def test_and_before_it_answers_with_words(damaged: Path) -> None:
    with pytest.raises(InputError, match="NaN or infinite"):
        MaskFiller.load(str(damaged))


DIVERGING: dict[str, list[Any]] = {
    "sst2": [],
    "stsb": [],
    "conll2003": [],
    "squad_v2": ["--batch-size", 4],
    "pretrain": ["--strategy", "full"],
}


def diverge(recipe: str, model: Path, data: object, folder: Path, *more: object) -> Ended:
    return run_recipe(
        recipe, "--model", model, "--data", data, "--max-length", 62, "--window-overlap", 8, "--batch-size", 16,
        "--epochs", 4, *DIVERGING[recipe], *more, folder=folder,
    )  # fmt: skip


IN_SHORT_TESTS = ("sst2", "squad_v2")


@pytest.mark.parametrize(
    "recipe",
    [
        *IN_SHORT_TESTS,
        *(pytest.param(each, marks=pytest.mark.long) for each in DIVERGING if each not in IN_SHORT_TESTS),
    ],
)
def test_a_run_that_diverges_ends_there_and_says_so(
    recipe: str, exploding: Path, rows_for: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    ended = diverge(recipe, exploding, rows_for(recipe)["data"], tmp_path / "run")
    assert ended.status == 0, ended.output
    assert "diverged: after update" in ended.output
    result = read_result(tmp_path / "run")
    assert result.diverged is not None
    assert result.diverged == result.updates < 8, "at the latest at the end of the first epochs"
    save_page([tmp_path / "run"], tmp_path / "report.html")
    assert "Diverged: weights NaN or infinite" in (tmp_path / "report.html").read_text()
    assert "Its training diverged" in (tmp_path / "run" / "model" / "README.md").read_text()


def test_a_diverged_run_is_chosen_for_nothing(exploding: Path, reviews: Path, tmp_path: Path) -> None:
    ended = diverge("sst2", exploding, reviews, tmp_path / "run", "--keep", "best", "--resume")
    assert ended.status == 0, ended.output
    result = read_result(tmp_path / "run")
    assert (result.best, result.diverged is None) == (None, False)


def test_a_loss_that_is_infinite_once_is_no_divergence() -> None:
    """As under fp16, where such updates are left out: it is the weights that say."""
    said: list[str] = []
    trainer = Trainer.__new__(Trainer)
    trainer.record = TrainingLog(updates_done=3, curve=[[3, math.inf]], history=[{"loss": math.nan}])
    trainer.training = SimpleNamespace(model=nn.Linear(2, 2))  # type: ignore[assignment]
    trainer.screen = SimpleNamespace(note=said.append)  # type: ignore[assignment]
    assert not trainer._has_diverged()
    assert not said
    with torch.no_grad():
        trainer.training.model.bias[0] = math.nan  # type: ignore[operator]
    assert trainer._has_diverged()
    assert trainer._has_diverged()
    assert (trainer.record.diverged, len(said)) == (3, 1)
