"""Finds the layers of a network, from input to output, by its structure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import MethodType
from typing import TYPE_CHECKING, Any

from tlnlp.lazy import lazy_module

if TYPE_CHECKING:
    from torch import nn
else:  # a strategy's name is checked before torch is imported
    nn = lazy_module("torch.nn")


@dataclass(frozen=True)
class Layer:
    """One layer.

    Args:
        parts: the module that it is; several, in order of declaration, if the network keeps its parts in parallel lists
            (XLM: attentions, norms, feed-forward blocks). Then no module has the layer's input and output.
    """

    parts: tuple[nn.Module, ...]

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yields the layer's weights."""
        for part in self.parts:
            yield from part.parameters()


def find_layers(model: nn.Module) -> list[Layer]:
    """Returns the layers of all stacks, in the order of declaration: the encoder's, then the decoder's.

    A stack is a ModuleList that is not inside a layer; a list of lists counts as one (Funnel's blocks). Lists of equal
    length in one module are the parts of the same layers. A list whose elements have fewer than two matrices is not a
    stack (a list of projections), unless there is no other.

    Raises:
        ValueError: there is none.
    """
    found = list(_stacks(model))
    if not found:
        raise ValueError(f"{type(model).__name__} has no list of layers")
    stacks = [each for each in found if sum(parameter.dim() > 1 for parameter in each[0].parameters()) > 1]
    return [layer for stack in stacks or found for layer in stack]


def layer_modules(model: nn.Module) -> list[nn.Module]:
    """Returns the module of each layer, for those who need its input and output.

    Raises:
        ValueError: there are no layers, or no module is a whole layer.
    """
    layers = find_layers(model)
    if any(len(layer.parts) > 1 for layer in layers):
        raise ValueError(f"the layers of {type(model).__name__} are not modules, but parts in parallel lists")
    return [layer.parts[0] for layer in layers]


def _stacks(module: nn.Module) -> Iterator[list[Layer]]:
    lists = [list(_elements(child)) for child in module.children() if isinstance(child, nn.ModuleList)]
    if lists:
        longest = max(map(len, lists))
        parallel = [each for each in lists if len(each) == longest]
        if layers := [Layer(parts) for parts in zip(*parallel, strict=True)]:
            yield layers
    for child in module.children():
        if not isinstance(child, nn.ModuleList):
            yield from _stacks(child)


def _elements(modules: nn.ModuleList) -> Iterator[nn.Module]:
    for each in modules:
        if isinstance(each, nn.ModuleList):
            yield from _elements(each)
        else:
            yield each


def token_table(model: Any) -> nn.Embedding | None:
    """Returns the table of a network's tokens; None if it has none (CANINE hashes characters)."""
    try:
        table = model.get_input_embeddings()
    except NotImplementedError:  # transformers' way to say so
        return None
    return table if isinstance(table, nn.Embedding) else None


def call_hooks_of(layer: nn.Module) -> None:
    """Makes `layer.forward(...)` run the layer's hooks, for a network that calls its layers so (SqueezeBERT)."""
    layer.forward = MethodType(_call_once, layer)


def _call_once(layer: Any, *arguments: Any, **named: Any) -> Any:
    """Calls the layer, and its class's `forward` where that is what the call is for."""
    if vars(layer).get("_is_called"):
        return type(layer).forward(layer, *arguments, **named)
    layer._is_called = True
    try:
        return layer(*arguments, **named)
    finally:
        layer._is_called = False
