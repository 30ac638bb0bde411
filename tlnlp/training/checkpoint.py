"""Checkpoints: written under a temporary name, synced and renamed; loaded only if complete. No pickle: safetensors and
JSON."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tlnlp.errors import InputError
from tlnlp.training.files import room_wanted, written_whole

STATE, WEIGHTS, OPTIMIZER = "state.json", "model.safetensors", "optimizer.safetensors"
# Written last: the digest of each file.
DIGESTS = "digests.json"
# The previous checkpoint is kept as well, in case the newest is damaged.
KEPT = 2


def save_checkpoint(
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
    parameters: Collection[str] | None = None,
) -> Path:
    """Writes `folder/<updates done>` atomically, then removes old checkpoints.

    Args:
        state: JSON values, with at least `updates_done` and `identity` (the digest that identifies the run).
        parameters: names of those that are written; all if unset. Others are those of the base checkpoint, which the
            resumed run has loaded, too. Buffers are always written: they are small, and may change.

    Raises:
        InputError: the disk is full or fails; earlier checkpoints are unchanged.
    """
    place = folder / f"{state['updates_done']:09d}"
    contents = {WEIGHTS: _tensors_of(model, parameters), OPTIMIZER: _optimizer_tensors(model, optimizer)}
    _write(place, contents, state)
    remove_old(folder)
    return place


def remove_old(folder: Path) -> None:
    """Removes all checkpoints but the newest ones."""
    for old in checkpoints_in(folder)[:-KEPT]:
        shutil.rmtree(old)


def save_weights(
    place: Path, model: nn.Module, state: dict[str, Any], parameters: Collection[str] | None = None
) -> None:
    """Writes only the weights (of the best epoch), as atomically as a checkpoint."""
    _write(place, {WEIGHTS: _tensors_of(model, parameters)}, state)


def _write(place: Path, contents: dict[str, dict[str, torch.Tensor]], state: dict[str, Any]) -> None:
    with room_wanted(place.parent):
        with written_whole(place) as aside:
            for name, tensors in contents.items():
                save_file(tensors, aside / name)
            (aside / STATE).write_text(json.dumps(state))
            digests = {name: sync_and_digest(aside / name) for name in (*contents, STATE)}
            (aside / DIGESTS).write_text(json.dumps(digests))
            sync_and_digest(aside / DIGESTS)
        _sync_folder(place.parent)


def move_into_place(aside: Path, place: Path) -> None:
    """Renames a checkpoint whose files have been synced, but for its digests."""
    sync_and_digest(aside / DIGESTS)
    shutil.rmtree(place, ignore_errors=True)
    aside.rename(place)
    _sync_folder(place.parent)


def checkpoints_in(folder: Path) -> list[Path]:
    """Returns the checkpoints of a run, oldest first, damaged or not."""
    return sorted(path for path in folder.glob("[0-9]*") if path.is_dir())


def load_newest(
    folder: Path, identity: str, note: Callable[[str], None] = lambda text: None
) -> tuple[Path, dict[str, Any]] | None:
    """Returns the newest undamaged checkpoint and its state; None if none was written.

    Args:
        note: called with what is damaged and passed over.

    Raises:
        InputError: the checkpoint belongs to another run, or all are damaged: training would begin anew, unasked.
    """
    damaged: list[str] = []
    for path in reversed(checkpoints_in(folder)):
        state, damage = _read_whole(path)
        if state is None:
            damaged.append(f"{path}: {damage}")
            continue
        for each in damaged:
            note(f"a damaged checkpoint is passed over for the one before: {each}")
        if state["identity"] != identity:
            raise InputError(
                expected="a checkpoint of this run: the same recipe, settings, data and model",
                found=f"{path} of another run",
                change="the flags, to those of the first start, or use another --output-dir",
            )
        return path, state
    if damaged:
        raise InputError(
            expected=f"a complete checkpoint in {folder}",
            found="; ".join(damaged),
            change="restore the files, or --overwrite to begin anew",
        )
    return None


def restore(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, parameters: Collection[str] | None = None
) -> None:
    """Restores weights and optimizer moments from an undamaged checkpoint, bit for bit."""
    load_weights(path, model, parameters)
    set_moments(model, optimizer, load_file(path / OPTIMIZER))


def set_moments(model: nn.Module, optimizer: torch.optim.Optimizer, stored: Mapping[str, torch.Tensor]) -> None:
    """Gives the optimizer its state, by the names in a checkpoint: "exp_avg:<parameter name>"."""
    parameters = dict(model.named_parameters())
    members = [parameter for each in optimizer.param_groups for parameter in each["params"]]
    number_of = {parameter: number for number, parameter in enumerate(members)}
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in stored.items():
        kind, name = key.split(":", 1)
        moments.setdefault(number_of[parameters[name]], {})[kind] = tensor
    # load_state_dict moves each tensor to the right device: a fused optimizer needs even the step counts on the GPU.
    optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})


def load_weights(path: Path, model: nn.Module, parameters: Collection[str] | None = None) -> None:
    """Restores the weights of a checkpoint, bit for bit.

    Args:
        parameters: those that must be in it; all if unset.
    """
    tensors = load_file(path / WEIGHTS)
    for name, tensor in stored_tensors(model, parameters).items():
        tensor.copy_(tensors[name])


def check_weights(place: Path) -> None:
    """Raises an InputError if what `save_weights` wrote is damaged."""
    state, damage = _read_whole(place)
    if state is None:
        raise InputError(
            expected=f"complete weights in {place}",
            found=damage,
            change="restore the files, or --overwrite to begin anew",
        )


def _read_whole(path: Path) -> tuple[dict[str, Any] | None, str]:
    """Returns the state of a checkpoint; None, and what is damaged, if it is not what was written."""
    name = DIGESTS
    try:
        digests = json.loads((path / DIGESTS).read_text())
        for name, digest in digests.items():
            if _digest(path / name) != digest:
                return None, f"{name} is not what was written"
        name = STATE
        return json.loads((path / STATE).read_text()), ""
    except OSError as error:
        return None, f"{name}: {error.strerror}"
    except (ValueError, AttributeError):
        return None, f"{name} is not what was written"


def _optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """Returns {"exp_avg:<parameter name>": tensor}, by name, so that the order of groups does not matter."""
    names: dict[torch.Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{kind}:{names[parameter]}": value.detach().cpu().contiguous()
        for parameter, moments in optimizer.state.items()
        for kind, value in moments.items()
    }


def stored_tensors(model: nn.Module, parameters: Collection[str] | None) -> dict[str, torch.Tensor]:
    """Returns what a checkpoint holds of the network, by name. A tensor with several names (tied embeddings) is there
    once, since safetensors does not support shared tensors."""
    own = model.state_dict()
    named = {name: own[name] for name, _ in model.named_parameters() if parameters is None or name in parameters}
    # Not those that are never saved: they are made with the network (rotary frequencies).
    return named | {name: own[name] for name, _ in model.named_buffers() if name in own}


def _tensors_of(model: nn.Module, parameters: Collection[str] | None) -> dict[str, torch.Tensor]:
    return {name: each.detach().cpu().contiguous() for name, each in stored_tensors(model, parameters).items()}


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sync_and_digest(path: Path) -> str:
    """Writes a file through to the disk and returns its digest."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return _digest(path)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
