"""Sends what the main process has read from its disk to all others, whose disks may lack it: folders of nodes need not
be shared."""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from torch import nn

from tlnlp.training.distributed import run_on_main

# A file server may show a new file to other machines a moment later.
PATIENCE_SECONDS = 1.0


def is_shared(accelerator: Accelerator, folder: Path) -> bool:
    """Returns whether all processes see the same `folder`: the main process writes a file that the others look for."""
    if accelerator.num_processes == 1:
        return True
    token = folder / run_on_main(accelerator, lambda: _write_token(folder))
    until = time.monotonic() + PATIENCE_SECONDS
    while not token.exists() and time.monotonic() < until:
        time.sleep(0.05)
    seen = all(gather_object([token.exists()]))
    if accelerator.is_main_process:
        token.unlink(missing_ok=True)
    return seen


def _write_token(folder: Path) -> str:
    # A name that starts like this is never taken for a file of the user.
    name = f".writing-shared-{uuid.uuid4().hex}"
    (folder / name).touch()
    return name


def broadcast_training(accelerator: Accelerator, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Gives all processes the weights and the optimizer's state of the main process, bit for bit."""
    if accelerator.num_processes == 1:
        return
    broadcast_weights(accelerator, model)
    state = optimizer.state_dict()
    described = [
        {
            number: {name: _described(value) for name, value in moments.items()}
            for number, moments in state["state"].items()
        }
    ]
    broadcast_object_list(described)
    own = state["state"] if accelerator.is_main_process else _empty_like(described[0], optimizer)
    _broadcast([own[number][name] for number, moments in described[0].items() for name in moments], accelerator.device)
    if not accelerator.is_main_process:
        optimizer.load_state_dict({"state": own, "param_groups": state["param_groups"]})


def broadcast_weights(accelerator: Accelerator, model: nn.Module) -> None:
    """Gives all processes the weights of the main process, bit for bit."""
    if accelerator.num_processes > 1:
        # A tensor with several names (tied embeddings) is sent once.
        tensors = {tensor.data_ptr(): tensor for tensor in model.state_dict().values()}
        _broadcast(list(tensors.values()), accelerator.device)


def _described(value: Any) -> Any:
    """Returns shape, type and device of a tensor, or the value itself."""
    return (tuple(value.shape), value.dtype, value.device.type) if isinstance(value, torch.Tensor) else value


def _empty_like(described: dict[int, dict[str, Any]], optimizer: torch.optim.Optimizer) -> dict[int, dict[str, Any]]:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]

    def empty(number: int, value: Any) -> Any:
        if not isinstance(value, tuple):
            return value
        shape, dtype, kind = value
        return torch.empty(shape, dtype=dtype, device="cpu" if kind == "cpu" else parameters[number].device)

    return {number: {name: empty(number, value) for name, value in each.items()} for number, each in described.items()}


def _broadcast(tensors: Sequence[Any], device: torch.device) -> None:
    """Overwrites tensors with those of the main process. They travel as bytes: a backend need not know their types."""
    for tensor in tensors:
        if isinstance(tensor, torch.Tensor) and tensor.numel():
            sent = tensor.detach().to(device).contiguous().reshape(-1).view(torch.uint8)
            torch.distributed.broadcast(sent, src=0)
            if torch.distributed.get_rank() != 0:
                with torch.no_grad():
                    tensor.copy_(sent.view(tensor.dtype).reshape(tensor.shape))


@contextmanager
def main_files(accelerator: Accelerator, folder: Path) -> Iterator[Path]:
    """Yields a folder with the files that are in `folder` of the main process: that folder itself there, a temporary
    copy on the others."""

    def read() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}

    files = run_on_main(accelerator, read) if accelerator.num_processes > 1 else {}
    if accelerator.is_main_process:
        yield folder
        return
    with tempfile.TemporaryDirectory() as copy:
        for name, content in files.items():
            (Path(copy) / name).write_bytes(content)
        yield Path(copy)
