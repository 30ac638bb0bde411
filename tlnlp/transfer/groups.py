"""Splits a network into ordered layer groups: embeddings, layer 1 ... layer n, head. Detected from its structure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tlnlp.lazy import lazy_module

if TYPE_CHECKING:
    import torch
    from torch import nn
else:  # a strategy's name is checked before torch is imported
    torch, nn = lazy_module("torch"), lazy_module("torch.nn")


@dataclass(frozen=True)
class Group:
    """Parameters that are trained together.

    Args:
        name: "embeddings", "layer 3", "head".
        parameters: names in `model.named_parameters()`; a parameter shared by two modules is in the group of the first.
        size: number of weights.
        biases: those of `parameters` that are the bias of a linear layer or a norm.
        bias_size: number of weights in `biases`.
    """

    name: str
    parameters: tuple[str, ...]
    size: int
    biases: tuple[str, ...] = ()
    bias_size: int = 0


# The group of the weights that an adapter adds.
ADAPTER = "adapter"


def layer_groups(
    model: nn.Module, ask: Callable[[nn.Module], object] | None = None, *, added: Set[str] = frozenset()
) -> list[Group]:
    """Returns the groups of `model` from input to output.

    Args:
        ask: runs the network once; if None, it is run on one row of two tokens.
        added: names of the parameters of an adapter: a group of their own before the head, wherever they are.

    The layers are the longest ModuleList. What runs after the last of them is the head, including a pooler and a final
    norm, which serve the output; the rest are embeddings. This is detected by running the network: names and order of
    declaration differ between architectures.
    """
    stack = layer_stack(model)
    groups: dict[str, list[str]] = {"embeddings": []}
    groups |= {f"layer {number}": [] for number in range(1, len(stack) + 1)}
    groups |= {ADAPTER: [], "head": []}
    layer_of = {p: f"layer {i}" for i, layer in enumerate(stack, start=1) for p in layer.parameters()}
    after = _parameters_after(model, stack, ask or _run_on_two_tokens)
    bias_parameters = {module._parameters.get("bias") for module in model.modules()}
    named = dict(model.named_parameters())
    for name, parameter in named.items():
        where = layer_of.get(parameter) or ("head" if parameter in after else "embeddings")
        groups[ADAPTER if name in added else where].append(name)
    return [_group(name, members, named, bias_parameters) for name, members in groups.items() if members]


def _group(name: str, members: Sequence[str], named: Mapping[str, nn.Parameter], bias_parameters: Set[Any]) -> Group:
    biases = tuple(member for member in members if named[member] in bias_parameters)
    size, bias_size = (sum(named[member].numel() for member in some) for some in (members, biases))
    return Group(name, tuple(members), size, biases, bias_size)


def layer_stack(model: nn.Module) -> nn.ModuleList:
    """Returns the longest ModuleList of the network."""
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    if not lists:
        raise ValueError(f"{type(model).__name__} has no list of layers")
    return max(lists, key=len)


def _run_on_two_tokens(model: nn.Module) -> None:
    device = next(model.parameters()).device
    ids = torch.zeros(1, 2, dtype=torch.long, device=device)
    # ModernBERT's multiple-choice class needs the mask; GPT-2 does not accept one on the meta device.
    masked = {"attention_mask": torch.ones_like(ids)} if "MultipleChoice" in type(model).__name__ else {}
    model(input_ids=ids, **masked)


def _parameters_after(model: nn.Module, stack: nn.ModuleList, ask: Callable[[nn.Module], object]) -> set[nn.Parameter]:
    """Returns the parameters of the modules that are called after the last layer, but not before it."""
    before: set[nn.Parameter] = set()
    after: set[nn.Parameter] = set()
    state = {"last layer answered": False}

    def note(module: nn.Module, arguments: object) -> None:
        (after if state["last layer answered"] else before).update(module.parameters(recurse=False))

    def answered(module: nn.Module, arguments: object, output: object) -> None:
        state["last layer answered"] = True

    hooks = [module.register_forward_pre_hook(note) for module in model.modules()]
    hooks.append(stack[-1].register_forward_hook(answered))
    training = model.training
    try:
        with torch.no_grad():
            ask(model.eval())
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    return after - before
