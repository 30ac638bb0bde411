"""Adapters: few new weights in a frozen network. LoRA, IA3, prefix and prompt are peft's; the bottleneck is implemented
here, since peft has none.

They are inserted into the network in place: it keeps its transformers class, so that heads, packing and other hooks
work unchanged. Their targets are detected from the network's structure, not from a table of architectures.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from tlnlp.errors import InputError
from tlnlp.lazy import lazy_module
from tlnlp.transfer.groups import ADAPTER
from tlnlp.transfer.layers import find_layers, layer_modules, token_table
from tlnlp.transfer.phases import AdapterSpec
from tlnlp.transfer.prompts import Prefix, Prompt, takes_prefix

# Takes most of a second to import, and most strategies do not need it.
peft: Any = lazy_module("peft")

# peft's name for a single adapter.
PEFT_NAME = "default"


@dataclass(frozen=True)
class InstalledAdapter:
    """An adapter in a network.

    Args:
        adapter: its specification.
        parameters: names of the new weights in `network.named_parameters()`.
        config: its peft configuration; None if peft has no such adapter.
        tuner: peft's tuner, if it has replaced modules of the network.
    """

    adapter: AdapterSpec
    parameters: tuple[str, ...]
    config: Any | None
    tuner: Any | None = None

    def tensors(self, network: nn.Module) -> dict[str, torch.Tensor]:
        """Returns the new weights, by their names in peft's files."""
        own = dict(network.named_parameters())
        if self.adapter.kind in ("prompt", "prefix"):
            (name,) = self.parameters
            return {"prompt_embeddings": own[name]}
        return {self.key_of(_without_adapter_name(name)): own[name] for name in self.parameters}

    def key_of(self, name: str) -> str:
        """Returns the name of the network's parameter `name` in peft's files."""
        return f"base_model.{name}" if self.adapter.kind in ("prompt", "prefix") else f"base_model.model.{name}"

    def merge(self) -> None:
        """Adds the new weights to the network's own and removes the adapter. Only for `MERGEABLE` kinds."""
        if self.tuner is None:
            raise ValueError(f"{self.adapter.kind} has no place in the network's own weights")
        self.tuner.merge_and_unload()


def tokens_added(adapter: AdapterSpec) -> int:
    """Returns the number of positions that the adapter takes from the rows."""
    return int(adapter.options.get("tokens", 0))


def check(network: Any, adapter: AdapterSpec) -> None:
    """Raises an error for an adapter that the network does not support. Its weights are not needed.

    Raises:
        InputError: what is missing, and which strategies to use instead.
    """
    found = None
    if adapter.kind in ("prefix", "prompt") and getattr(network.config, "is_encoder_decoder", False):
        found = "one with an encoder and a decoder"
    elif adapter.kind == "prompt" and token_table(network) is None:
        found = "one without a table of tokens"
    elif adapter.kind == "adapter" and any(len(layer.parts) > 1 for layer in find_layers(network)):
        found = "one whose layers are not modules"
    elif adapter.kind == "prefix" and not takes_prefix(network.base_model):
        found = "one whose layers take no keys and values from elsewhere"
    elif adapter.kind == "lora" and not _lora_targets(network, adapter):
        found = "one whose layers have no linear parts"
    elif adapter.kind == "ia3" and not all(_ia3_targets(network)):
        found = "one whose keys, values or feed-forward part cannot be told apart"
    if found is not None:
        raise InputError(
            expected=f"--strategy {adapter.kind} on a network that has a place for it (BERT, GPT-2)",
            found=f"{found} ({network.config.model_type})",
            change="--strategy lora or adapter, or another --model" if adapter.kind != "lora" else "--strategy adapter",
        )


def install(network: Any, adapter: AdapterSpec, seed: int) -> InstalledAdapter:
    """Inserts the adapter into `network`, with weights initialised from `seed`. Its outputs do not change, except with
    a prompt or a prefix, which always affect them.

    Raises:
        InputError: see `check`.
    """
    check(network, adapter)
    before = set(network.parameters())
    torch.manual_seed(seed)
    config, tuner = _INSTALL[adapter.kind](network, adapter)
    added = tuple(name for name, parameter in network.named_parameters() if parameter not in before)
    network.train(network.training)  # the mode of the new modules, too
    return InstalledAdapter(adapter, added, config, tuner)


def _install_lora(network: Any, adapter: AdapterSpec) -> tuple[Any, Any]:
    targets = _lora_targets(network, adapter)
    config = peft.LoraConfig(
        r=adapter.options["r"],
        lora_alpha=adapter.options["alpha"],
        lora_dropout=adapter.options["dropout"],
        target_modules=targets,
        fan_in_fan_out=isinstance(network.get_submodule(targets[0]), Conv1D),
    )
    return config, peft.LoraModel(network, copy.deepcopy(config), PEFT_NAME)  # copied, since it is modified


def _install_ia3(network: Any, adapter: AdapterSpec) -> tuple[Any, Any]:
    attention, feed_forward = _ia3_targets(network)
    config = peft.IA3Config(
        target_modules=[*attention, *feed_forward],
        feedforward_modules=feed_forward,
        fan_in_fan_out=isinstance(network.get_submodule(feed_forward[0]), Conv1D),
    )
    return config, peft.IA3Model(network, copy.deepcopy(config), PEFT_NAME)


def _install_prompt(network: Any, adapter: AdapterSpec) -> tuple[Any, None]:
    prompt = Prompt(network, adapter.options["tokens"])
    network.add_module(ADAPTER, prompt)
    return prompt.config, None


def _install_prefix(network: Any, adapter: AdapterSpec) -> tuple[Any, None]:
    prefix = Prefix(network, adapter.options["tokens"])
    network.add_module(ADAPTER, prefix)
    return prefix.config, None


def _install_bottlenecks(network: Any, adapter: AdapterSpec) -> tuple[None, None]:
    for layer in layer_modules(network):
        bottleneck = Bottleneck(network.config.hidden_size, adapter.options["size"])
        layer.add_module(ADAPTER, bottleneck)  # as the last child: the first must remain the attention block
        layer.register_forward_hook(bottleneck.add_to)
    return None, None


_INSTALL: dict[str, Callable[[Any, AdapterSpec], tuple[Any, Any]]] = {
    "lora": _install_lora,
    "ia3": _install_ia3,
    "prompt": _install_prompt,
    "prefix": _install_prefix,
    "adapter": _install_bottlenecks,
}


class Bottleneck(nn.Module):
    """A projection to a narrow width and back, with a residual connection (Houlsby et al. 2019, section 2.1). It is
    applied to the output of the whole layer, including the last norm, so that it works for any architecture."""

    def __init__(self, width: int, size: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(width, size), nn.Linear(size, width)
        # Initialised near the identity in section 2.1; here to the identity.
        nn.init.normal_(self.down.weight, std=0.02)
        for start in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(start)

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        """[..., width] -> [..., width]"""
        added = self.up(nn.functional.gelu(self.down(states.to(self.down.weight.dtype))))
        return states + added.to(states.dtype)

    def add_to(self, layer: nn.Module, arguments: Any, output: Any) -> Any:
        """A forward hook for a layer: applies the bottleneck to its output, or to the first element of an output
        tuple."""
        return (self(output[0]), *output[1:]) if isinstance(output, tuple) else self(output)


# --- targets of adapters


def _linear_parts(network: nn.Module) -> Iterator[tuple[str, nn.Module, bool]]:
    """Yields the name, the module, and whether it belongs to attention, of each linear module of the layers, in
    order."""
    stack = {part for layer in find_layers(network) for part in layer.parts}
    for layer_name, layer in [(name, module) for name, module in network.named_modules() if module in stack]:
        # By class name, a convention of all of transformers: attention cannot be detected from the structure.
        blocks = [name for name, part in layer.named_modules() if "attention" in type(part).__name__.lower()]
        for name, part in layer.named_modules():
            if isinstance(part, nn.Linear | Conv1D):
                yield f"{layer_name}.{name}", part, any(name.startswith(f"{block}.") for block in blocks if block)


def _lora_targets(network: nn.Module, adapter: AdapterSpec) -> list[str]:
    everywhere = adapter.options["targets"] == "all"
    return [name for name, _, attends in _linear_parts(network) if everywhere or attends]


def _ia3_targets(network: Any) -> tuple[list[str], list[str]]:
    """Returns the names of the modules that compute keys and values, and of those that project back from the
    feed-forward width. If one module computes queries, keys and values (GPT-2, ModernBERT), all three are scaled, as in
    peft's own tables."""
    parts = list(_linear_parts(network))
    attention = [name for name, _, attends in parts if attends and name.rpartition(".")[2][0] in "kv"]
    if not attention:
        attention = [name for name, part, attends in parts if attends and _outputs(part) > _inputs(part)]
    width = network.config.hidden_size
    back = [n for n, part, attends in parts if not attends and _outputs(part) == width != _inputs(part)]
    return attention, back


def _inputs(part: Any) -> int:
    return part.weight.shape[0] if isinstance(part, Conv1D) else part.in_features


def _outputs(part: Any) -> int:
    return part.weight.shape[1] if isinstance(part, Conv1D) else part.out_features


def _without_adapter_name(name: str) -> str:
    """Returns `name` as in peft's files: "a.lora_A.default.weight" is "a.lora_A.weight" in a file."""
    return ".".join(part for part in name.split(".") if part != PEFT_NAME)


def modules_of(network: nn.Module, parameters: Sequence[str]) -> list[str]:
    """Returns the modules that contain `parameters`, without submodules of one another: those that peft saves
    completely."""
    owners = list(dict.fromkeys(name.rpartition(".")[0] for name in parameters))
    return [each for each in owners if not any(each.startswith(f"{other}.") for other in owners)]
