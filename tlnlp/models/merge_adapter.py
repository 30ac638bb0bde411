"""Merges an adapter that was saved in peft's format into the weights of its base checkpoint, to go on from there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from tlnlp.errors import InputError
from tlnlp.lazy import lazy_module
from tlnlp.models.checkpoint import errors_in_words
from tlnlp.models.checkpoint_files import ADAPTER_FILE

# Takes most of a second to import.
peft: Any = lazy_module("peft")

# Before every name in peft's files.
PREFIX = "base_model.model."
# peft's name for a single adapter, which its files leave out.
NAME = "default"


@dataclass(frozen=True)
class MergedAdapter:
    """What an adapter has brought into a network.

    Args:
        missing: names of the parameters that are still random.
        head: modules of the head that the adapter's file contained and the network has.
    """

    missing: tuple[str, ...]
    head: tuple[str, ...]


def merge_adapter(network: Any, folder: Path, missing: Iterable[str], *, with_head: bool) -> MergedAdapter:
    """Adds the adapter's weights to those of `network`, and replaces the modules that it has saved completely (the
    head, or embeddings that were resized).

    Args:
        folder: with peft's configuration and weights.
        missing: names of the network's parameters that the base checkpoint lacked.
        with_head: whether the adapter's head is taken if the network has such a head.

    Raises:
        InputError: the adapter has weights for which the network has no place, or lacks some.
    """
    with errors_in_words(str(folder)):
        config = peft.PeftConfig.from_pretrained(folder)
        tensors = load_file(folder / ADAPTER_FILE)
    whole_modules = tuple(config.modules_to_save or ())
    config.modules_to_save, config.task_type = None, None
    stored = _by_name_in(network, tensors)
    _resize_embeddings(network, stored)
    body = {f"{network.base_model_prefix}.{name}" for name, _ in network.base_model.named_parameters()}
    own = dict(network.named_parameters())
    learnt = {name: parameter.requires_grad for name, parameter in own.items()}
    with errors_in_words(str(folder)):
        tuner = {"LORA": peft.LoraModel, "IA3": peft.IA3Model}[config.peft_type.value](network, config, NAME)
    # The tuner calls the network "model", and moves its weights into layers of its own.
    known = set(map(id, own.values()))
    new = {_name_in_files(name): value for name, value in tuner.model.named_parameters() if id(value) not in known}
    lacking = [name for name in new if name not in stored]
    foreign = [name for name in stored if name not in new and name not in own and not _is_in(name, whole_modules)]
    if lacking or foreign:
        raise InputError(
            expected=f"an adapter for a {type(network).__name__} in {folder / ADAPTER_FILE}",
            found=f"{len(lacking)} weights missing, {len(foreign)} without a place, such as {(lacking + foreign)[0]}",
            change="--model, to an adapter of this network; or load it with peft, and save it merged",
        )
    taken = [name for name in own if name in stored and (with_head or name in body)]
    with torch.no_grad():
        for name in new:
            _copy(new[name], stored[name], name, folder)
        for name in taken:
            _copy(own[name], stored[name], name, folder)
    with errors_in_words(str(folder)):
        tuner.merge_and_unload()
    for name, parameter in own.items():
        parameter.requires_grad_(learnt[name])  # the tuner has frozen them all
    head = dict.fromkeys(name.rpartition(".")[0] for name in taken if name not in body)
    return MergedAdapter(tuple(name for name in missing if name not in taken), tuple(head))


def _by_name_in(network: Any, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns the tensors by the names that the network would give them. The adapter may have been trained on the
    network without a head, whose names have no prefix, or the network may be such a one."""
    stored = {name.removeprefix(PREFIX).replace(".base_layer.", "."): tensor for name, tensor in tensors.items()}
    prefix = f"{network.base_model_prefix}."
    modules = {name for name, _ in network.named_modules()}
    return {
        name if _owner(name, modules) else f"{prefix}{name}" if _owner(f"{prefix}{name}", modules) else name: tensor
        for name, tensor in stored.items()
    }


def _owner(name: str, modules: set[str]) -> bool:
    """Returns whether a weight, or one that an adapter adds, has its module in the network."""
    for part in (".lora_", ".ia3_"):
        name = name.partition(part)[0] + ".weight" if part in name else name
    return name.rpartition(".")[0] in modules


def _resize_embeddings(network: Any, stored: Mapping[str, torch.Tensor]) -> None:
    """Gives the embedding table as many rows as the adapter has saved, if it was resized."""
    table = network.get_input_embeddings()
    name = next(name for name, module in network.named_modules() if module is table)
    saved = stored.get(f"{name}.weight")
    if saved is not None and len(saved) != table.num_embeddings:
        network.resize_token_embeddings(len(saved), mean_resizing=False)


def _name_in_files(name: str) -> str:
    """Returns a parameter's name as in peft's files: "a.lora_A.default.weight" is "a.lora_A.weight" there, and the
    magnitude of DoRA has no last part."""
    parts = [part for part in name.split(".") if part != NAME]
    return ".".join(parts[:-1] if parts[-2:-1] == ["lora_magnitude_vector"] else parts)


def _is_in(name: str, modules: Iterable[str]) -> bool:
    """Returns whether the weight `name` belongs to one of the modules, named in full or by their last part."""
    return any(f".{module}." in f".{name}" for module in modules)


def _copy(target: torch.Tensor, source: torch.Tensor, name: str, folder: Path) -> None:
    if target.shape != source.shape:
        raise InputError(
            expected=f"{name} of shape {tuple(target.shape)} in {folder / ADAPTER_FILE}",
            found=f"shape {tuple(source.shape)}",
            change="--new-head if it is the head of another task; otherwise --model",
        )
    target.copy_(source)
