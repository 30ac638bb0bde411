"""Checkpoints of a network that is divided among processes: each one writes its share (torch.distributed.checkpoint, as
safetensors), and any number of processes can read them, also one that has the whole network.

The names of tensors are those of other checkpoints, and so are state, digests and the way they are written: under a
temporary name, synced and renamed. The folder must be shared by all processes.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from torch import nn

from tlnlp.errors import InputError
from tlnlp.lazy import lazy_module
from tlnlp.training import checkpoint
from tlnlp.training.broadcast import broadcast_training, broadcast_weights
from tlnlp.training.distributed import run_on_main
from tlnlp.training.files import room_wanted
from tlnlp.training.sharding import is_sharded

dcp: Any = lazy_module("torch.distributed.checkpoint")
hf_storage: Any = lazy_module("torch.distributed.checkpoint.hf_storage")

STEP = "step"


def save_checkpoint(
    accelerator: Accelerator,
    folder: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: dict[str, Any],
    parameters: Collection[str] | None = None,
) -> None:
    """Same as `checkpoint.save_checkpoint`. All processes must call it; those that have what the main process has do
    nothing."""
    if not is_sharded(model):
        if accelerator.is_main_process:
            checkpoint.save_checkpoint(folder, model, optimizer, state, parameters)
        return
    tensors = checkpoint.stored_tensors(model, parameters) | _moments(model, optimizer)
    _write(accelerator, folder / f"{state['updates_done']:09d}", tensors, state)
    run_on_main(accelerator, lambda: checkpoint.remove_old(folder))


def save_weights(
    accelerator: Accelerator,
    place: Path,
    model: nn.Module,
    state: dict[str, Any],
    parameters: Collection[str] | None = None,
) -> None:
    """Same as `checkpoint.save_weights`. All processes must call it."""
    if is_sharded(model):
        _write(accelerator, place, checkpoint.stored_tensors(model, parameters), state)
    elif accelerator.is_main_process:
        checkpoint.save_weights(place, model, state, parameters)


def restore(
    accelerator: Accelerator,
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    parameters: Collection[str] | None = None,
) -> None:
    """Same as `checkpoint.restore`, from a checkpoint of any number of processes. All processes must call it; unless
    the network is divided, the main process reads and sends what it has read, since the others need not see its
    folder."""
    if is_sharded(model):
        _restore(path, model, optimizer, parameters)
        return
    run_on_main(accelerator, lambda: _restore(path, model, optimizer, parameters))
    broadcast_training(accelerator, model, optimizer)


def load_weights(
    accelerator: Accelerator, path: Path, model: nn.Module, parameters: Collection[str] | None = None
) -> None:
    """Same as `checkpoint.load_weights`, from those of any number of processes; who reads is as in `restore`."""
    if is_sharded(model):
        _load_weights(path, model, parameters)
        return
    run_on_main(accelerator, lambda: _load_weights(path, model, parameters))
    broadcast_weights(accelerator, model)


def _restore(
    path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, parameters: Collection[str] | None
) -> None:
    if not _is_divided(path, model):
        checkpoint.restore(path, model, optimizer, parameters)
        return
    own = dict(model.named_parameters())
    moments: dict[str, torch.Tensor] = {}
    for key, stored in _reader(path).read_metadata().state_dict_metadata.items():
        _, colon, name = key.partition(":")
        if colon and stored.size:
            moments[key] = torch.zeros_like(own[name].detach(), dtype=stored.properties.dtype)
        elif colon:
            moments[key] = torch.zeros((), dtype=stored.properties.dtype)
    _read(path, model, checkpoint.stored_tensors(model, parameters) | moments)
    checkpoint.set_moments(model, optimizer, moments)


def _load_weights(path: Path, model: nn.Module, parameters: Collection[str] | None) -> None:
    if _is_divided(path, model):
        _read(path, model, checkpoint.stored_tensors(model, parameters))
    else:
        checkpoint.load_weights(path, model, parameters)


def _is_divided(path: Path, model: nn.Module) -> bool:
    """Returns whether shares are to be read, or to be taken from whole tensors."""
    return is_sharded(model) or not (path / checkpoint.WEIGHTS).is_file()


def _reader(path: Path) -> Any:
    return hf_storage.HuggingFaceStorageReader(str(path))


def _read(path: Path, model: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    """Reads into `tensors`, each process what it holds of them."""
    with torch.no_grad():
        dcp.load(tensors, storage_reader=_reader(path), no_dist=not is_sharded(model))


def _moments(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    names: dict[torch.Tensor, str] = {parameter: name for name, parameter in model.named_parameters()}
    return {
        f"{kind}:{names[parameter]}": value.detach()
        for parameter, moments in optimizer.state.items()
        for kind, value in moments.items()
    }


def _write(accelerator: Accelerator, place: Path, tensors: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
    aside = place.with_name(f".writing-{place.name}")

    def begin() -> None:
        with room_wanted(place.parent):
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)

    def finish() -> None:
        with room_wanted(place.parent):
            (aside / checkpoint.STATE).write_text(json.dumps(state))
            digests = dict(digested) | {checkpoint.STATE: checkpoint.sync_and_digest(aside / checkpoint.STATE)}
            (aside / checkpoint.DIGESTS).write_text(json.dumps(digests))
            checkpoint.move_into_place(aside, place)

    run_on_main(accelerator, begin)
    if not aside.is_dir():
        raise RuntimeError(f"{place.parent} is not shared by all processes: with FSDP each one writes its share there")
    failed = ""
    try:
        writer = hf_storage.HuggingFaceStorageWriter(str(aside), save_distributed=True)
        dcp.save(tensors, storage_writer=writer)
    except dcp.CheckpointException as error:  # on all processes, if one of them could not write
        failed = str(next(iter(error.failures.values()))[0])
    if failed:
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            shutil.rmtree(aside, ignore_errors=True)
        raise InputError(
            expected=f"free disk space in {place.parent}",
            found=failed,
            change="free some space, then continue with --resume; existing files are intact",
        )
    accelerator.wait_for_everyone()
    # The files are divided among the processes, too.
    mine = sorted(path.name for path in aside.iterdir())[accelerator.process_index :: accelerator.num_processes]
    digested = gather_object([(name, checkpoint.sync_and_digest(aside / name)) for name in mine])
    run_on_main(accelerator, finish)
