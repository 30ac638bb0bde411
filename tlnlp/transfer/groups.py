"""Splits a network into ordered layer groups: embeddings, layer 1 ... layer n, head. Detected from its structure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tlnlp.lazy import lazy_module
from tlnlp.transfer.layers import Layer, call_hooks_of, find_layers

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

    The layers are those of `find_layers`: those of an encoder and then those of a decoder. A module between two layers
    (a decoder's embeddings, a last norm of the encoder) belongs to the layer that follows. What runs after the last
    layer is the head, including a pooler and a final norm, which serve the output; the rest are embeddings. This is
    detected by running the network: names and order of declaration differ between architectures.
    """
    layers = find_layers(model)
    names = ["embeddings", *(f"layer {number}" for number in range(1, len(layers) + 1)), "head"]
    groups: dict[str, list[str]] = {name: [] for name in (*names[:-1], ADAPTER, names[-1])}
    place_of = _places_in_order(model, layers, ask or _run_on_two_tokens)
    place_of |= {p: number for number, layer in enumerate(layers, start=1) for p in layer.parameters()}
    for name, parameter in model.named_parameters():
        groups[ADAPTER if name in added else names[place_of.get(parameter, 0)]].append(name)
    return _as_groups(model, groups)


def groups_by_name(model: Any) -> list[Group]:
    """Returns the groups of a network that cannot be run: what is outside the layers is the head if it is outside the
    body. `layer_groups` is more exact."""
    layers = find_layers(model)
    layer_of = {p: f"layer {number}" for number, layer in enumerate(layers, start=1) for p in layer.parameters()}
    body = set(model.base_model.parameters())
    groups: dict[str, list[str]] = {name: [] for name in ("embeddings", *dict.fromkeys(layer_of.values()), "head")}
    for name, parameter in model.named_parameters():
        groups[layer_of.get(parameter) or ("embeddings" if parameter in body else "head")].append(name)
    return _as_groups(model, groups)


def _as_groups(model: nn.Module, members_of: Mapping[str, Sequence[str]]) -> list[Group]:
    """Returns the groups that have members, in order."""
    bias_parameters = {module._parameters.get("bias") for module in model.modules()}
    named = dict(model.named_parameters())
    return [_group(name, members, named, bias_parameters) for name, members in members_of.items() if members]


def _group(name: str, members: Sequence[str], named: Mapping[str, nn.Parameter], bias_parameters: Set[Any]) -> Group:
    biases = tuple(member for member in members if named[member] in bias_parameters)
    size, bias_size = (sum(named[member].numel() for member in some) for some in (members, biases))
    return Group(name, tuple(members), size, biases, bias_size)


def _run_on_two_tokens(model: nn.Module) -> None:
    device = next(model.parameters()).device
    ids = torch.zeros(1, 2, dtype=torch.long, device=device)
    # ModernBERT's multiple-choice class needs the mask; GPT-2 does not accept one on the meta device.
    masked = {"attention_mask": torch.ones_like(ids)} if "MultipleChoice" in type(model).__name__ else {}
    model(input_ids=ids, **masked)


def _places_in_order(
    model: nn.Module, layers: Sequence[Layer], ask: Callable[[nn.Module], object]
) -> dict[nn.Parameter, int]:
    """Returns for each parameter that is outside the layers where its module is called first: 0 before the first layer,
    k between layer k - 1 and layer k, the number of layers + 1 after the last."""
    parts = {part: number for number, layer in enumerate(layers, start=1) for part in layer.parts}
    inside = {parameter for layer in layers for parameter in layer.parameters()}
    first_called: dict[nn.Parameter, int] = {}
    entered: set[int] = set()
    late: set[nn.Parameter] = set()  # called first since a part of a layer answered last

    def note(module: nn.Module, arguments: object) -> None:
        if module in parts:
            entered.add(parts[module])
        for parameter in module.parameters(recurse=False):
            if parameter not in first_called and parameter not in inside:
                first_called[parameter] = len(entered) + 1 if entered else 0
                late.add(parameter)

    def answered(module: nn.Module, arguments: object, output: object) -> None:
        late.clear()

    hooks = [module.register_forward_pre_hook(note) for module in model.modules()]
    hooks += [part.register_forward_hook(answered) for part in parts]
    training = model.training
    try:
        with torch.no_grad():
            ask(model.eval())
    finally:
        model.train(training)
        for hook in hooks:
            hook.remove()
    if not entered:  # the network calls `layer.forward`
        if any("forward" in vars(part) for part in parts):
            raise ValueError(f"{type(model).__name__} does not run its layers")
        for part in parts:
            call_hooks_of(part)
        return _places_in_order(model, layers, ask)
    # Between two calls of the last layer, which is called several times (ALBERT): a part of it.
    return {p: len(layers) + 1 if p in late else min(place, len(layers)) for p, place in first_called.items()}
