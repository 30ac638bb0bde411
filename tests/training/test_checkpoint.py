"""Checkpoints: there whole or not at all, put back to the bit, and never read when damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tlnlp.errors import InputError
from tlnlp.training.checkpoint import (
    check_weights,
    checkpoints_in,
    load_newest,
    load_weights,
    restore,
    save_checkpoint,
    save_weights,
)


class Tied(nn.Module):
    """Reads and writes with one matrix, as masked-word networks do."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.read = nn.Embedding(7, 3)
        self.inner = nn.Linear(3, 3)
        self.write = nn.Linear(3, 7, bias=False)
        self.write.weight = self.read.weight
        self.register_buffer("seen", torch.zeros(2))

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.write(torch.tanh(self.inner(self.read(ids))))


def make(seed: int = 0) -> tuple[Tied, torch.optim.AdamW]:
    model = Tied(seed)
    groups = [
        {"params": [model.read.weight, model.inner.weight], "weight_decay": 0.01, "group": "matrices"},
        {"params": [model.inner.bias], "weight_decay": 0.0, "group": "vectors"},
    ]
    return model, torch.optim.AdamW(groups, lr=0.1, fused=True)


def learn(model: Tied, optimizer: torch.optim.Optimizer, updates: int) -> None:
    for _ in range(updates):
        nn.functional.cross_entropy(model(torch.arange(7)), torch.arange(7).flip(0)).backward()
        optimizer.step()
        optimizer.zero_grad()


def save(folder: Path, updates_done: int, model: Tied, optimizer: torch.optim.Optimizer) -> Path:
    return save_checkpoint(folder, model, optimizer, {"identity": "mine", "updates_done": updates_done})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Checkpoints of the updates 1 and 2."""
    model, optimizer = make()
    for updates_done in (1, 2):
        learn(model, optimizer, 1)
        save(tmp_path / "checkpoints", updates_done, model, optimizer)
    return tmp_path / "checkpoints"


def bits(model: nn.Module) -> dict[str, bytes]:
    return {name: tensor.numpy().tobytes() for name, tensor in model.state_dict().items()}


def test_weights_and_moments_come_back_to_the_bit(tmp_path: Path) -> None:
    model, optimizer = make()
    learn(model, optimizer, 3)
    place = save(tmp_path, 3, model, optimizer)
    other, other_optimizer = make(seed=1)
    restore(place, other, other_optimizer)
    assert bits(other) == bits(model)
    assert other.write.weight is other.read.weight
    moments, same = optimizer.state_dict()["state"], other_optimizer.state_dict()["state"]
    assert moments.keys() == same.keys() == {0, 1, 2}
    for number, each in moments.items():
        assert each.keys() == same[number].keys() == {"step", "exp_avg", "exp_avg_sq"}
        assert all(torch.equal(tensor, same[number][kind]) for kind, tensor in each.items())
        assert all(tensor.dtype == same[number][kind].dtype for kind, tensor in each.items())
    learn(model, optimizer, 3)
    learn(other, other_optimizer, 3)
    assert bits(other) == bits(model)


def test_moments_find_their_parameters_by_name_in_another_order_of_groups(tmp_path: Path) -> None:
    model, optimizer = make()
    learn(model, optimizer, 3)
    place = save(tmp_path, 3, model, optimizer)
    other, _ = make(seed=1)
    turned = torch.optim.AdamW(
        [
            {"params": [other.inner.bias], "weight_decay": 0.0},
            {"params": [other.inner.weight, other.read.weight], "weight_decay": 0.01},
        ],
        lr=0.1,
        fused=True,
    )
    restore(place, other, turned)
    learn(model, optimizer, 2)
    learn(other, turned, 2)
    assert bits(other) == bits(model)


def test_parameters_that_never_learnt_have_no_moments_before_or_after(tmp_path: Path) -> None:
    model, optimizer = make()
    model.inner.requires_grad_(False)
    learn(model, optimizer, 2)
    place = save(tmp_path, 2, model, optimizer)
    other, other_optimizer = make(seed=1)
    restore(place, other, other_optimizer)
    assert set(other_optimizer.state) == {other.read.weight}


def test_the_best_weights_are_put_back_alone(tmp_path: Path) -> None:
    model, optimizer = make()
    save_weights(tmp_path / "best", model, {"score": 0.5})
    kept = bits(model)
    learn(model, optimizer, 2)
    load_weights(tmp_path / "best", model)
    assert bits(model) == kept
    assert not checkpoints_in(tmp_path)


def test_the_newest_two_are_kept(tmp_path: Path) -> None:
    model, optimizer = make()
    for updates_done in (2, 10, 100):
        save(tmp_path, updates_done, model, optimizer)
    assert [int(path.name) for path in checkpoints_in(tmp_path)] == [10, 100]


def test_the_newest_whole_one_is_read(folder: Path) -> None:
    path, state = load_newest(folder, "mine") or (None, {})
    assert (path, state["updates_done"]) == (folder / "000000002", 2)


def test_none_is_read_where_none_was_written(tmp_path: Path) -> None:
    assert load_newest(tmp_path / "never", "mine") is None


def _truncate(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[-4] ^= 1
    file.write_bytes(content)


def _lengthen(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"\0")


FILES = ("model.safetensors", "optimizer.safetensors", "state.json", "digests.json")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [_truncate, _empty, _flip, _lengthen, Path.unlink])
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    folder: Path, name: str, damage: Callable[[Path], Any]
) -> None:
    damage(folder / "000000002" / name)
    path, state = load_newest(folder, "mine") or (None, {})
    assert (path, state["updates_done"]) == (folder / "000000001", 1)


def test_every_flipped_bit_of_the_state_is_found(folder: Path) -> None:
    file = folder / "000000002" / "state.json"
    content = file.read_bytes()
    for place in range(len(content)):
        file.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        path, _ = load_newest(folder, "mine") or (None, {})
        assert path == folder / "000000001"


def test_what_is_passed_over_is_said(folder: Path) -> None:
    _flip(folder / "000000002" / "optimizer.safetensors")
    said: list[str] = []
    assert load_newest(folder, "mine", said.append) is not None
    assert len(said) == 1
    assert "000000002: optimizer.safetensors" in said[0]


@pytest.mark.parametrize("damage", [_truncate, _flip, Path.unlink])
def test_where_all_are_damaged_nothing_begins_anew_unasked(folder: Path, damage: Callable[[Path], Any]) -> None:
    for path in checkpoints_in(folder):
        damage(path / "model.safetensors")
    with pytest.raises(InputError) as refused:
        load_newest(folder, "mine")
    assert all(f"{path}: model.safetensors" in refused.value.found for path in checkpoints_in(folder))
    assert "--overwrite" in refused.value.change


@pytest.mark.parametrize("damage", [_truncate, _flip, Path.unlink])
def test_damaged_best_weights_are_refused(tmp_path: Path, damage: Callable[[Path], Any]) -> None:
    model, _ = make()
    save_weights(tmp_path / "best", model, {"score": 0.5})
    check_weights(tmp_path / "best")
    damage(tmp_path / "best" / "model.safetensors")
    with pytest.raises(InputError, match=r"model\.safetensors"):
        check_weights(tmp_path / "best")


def test_what_a_killed_process_was_writing_is_no_checkpoint_and_is_written_anew(folder: Path) -> None:
    shutil.copytree(folder / "000000002", folder / ".writing-000000003")
    assert [path.name for path in checkpoints_in(folder)] == ["000000001", "000000002"]
    model, optimizer = make()
    learn(model, optimizer, 3)
    save(folder, 3, model, optimizer)
    assert not list(folder.glob(".writing-*"))
    path, _ = load_newest(folder, "mine") or (None, {})
    assert path == folder / "000000003"


def test_a_checkpoint_of_another_run_is_refused(folder: Path) -> None:
    with pytest.raises(InputError, match="another run"):
        load_newest(folder, "other")


def test_a_checkpoint_needs_no_pickle(folder: Path) -> None:
    assert {path.name for path in (folder / "000000002").iterdir()} == set(FILES)
    assert json.loads((folder / "000000002" / "state.json").read_text())["updates_done"] == 2


def test_a_checkpoint_over_one_of_the_same_update_replaces_it(folder: Path) -> None:
    model, optimizer = make(seed=5)
    learn(model, optimizer, 2)
    place = save(folder, 2, model, optimizer)
    other, other_optimizer = make(seed=6)
    restore(place, other, other_optimizer)
    assert bits(other) == bits(model)
