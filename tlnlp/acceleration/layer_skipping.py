"""Skips the lowest layers of a network while cached outputs are available: the layers return the cached states.

The network's code, its heads and all hooks remain unchanged.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from tlnlp.acceleration.padding_free import packed, unpacked
from tlnlp.heads.encoded import model_inputs
from tlnlp.transfer.layers import layer_modules

# The tokens of a row on which everything after the last layer depends.
Reads = Literal["first", "last", "all"]


class _Reached(Exception):
    """Raised when the last frozen layer has run, to skip the layers after it."""


class CannotSkip(Exception):
    """The layers of this network cannot be skipped; the message says why."""


class LayerSkip:
    """Skips the embeddings and the lowest `count` layers of `network`.

    Raises:
        ValueError: its layers are not modules, see `layer_modules`.
    """

    def __init__(self, network: Any, count: int) -> None:
        self.network = network
        self.layers = layer_modules(network)
        self.skipped = self.layers[:count]
        self._states: torch.Tensor | None = None
        self._patched: list[tuple[nn.Module, Any]] = []  # and its own `forward`, if it was patched before

    def tokens_read_by_head(self, ask: Callable[[], torch.Tensor], lengths: np.ndarray) -> Reads:
        """Returns which tokens' states the head reads: those of the last layer on which the loss depends.

        Args:
            ask: runs the network on some sequences and returns the loss.
            lengths: [sequences] in tokens, of these sequences.
        """
        leaf: list[torch.Tensor] = []

        def cut_off(layer: nn.Module, arguments: Any, output: Any) -> Any:
            states = output[0] if isinstance(output, tuple) else output
            leaf.append(states.detach().requires_grad_())
            return (leaf[0], *output[1:]) if isinstance(output, tuple) else leaf[0]

        # A hook that is registered last sees the same states as the head, even if the layers run packed.
        hook = self.layers[-1].register_forward_hook(cut_off)
        try:
            with torch.enable_grad():
                (gradient,) = torch.autograd.grad(ask(), leaf, allow_unused=True)
        finally:
            hook.remove()
        if gradient is None or gradient.shape[1] == 1:
            return "all"
        read = (gradient != 0).any(-1)
        places = torch.arange(read.shape[1], device=read.device).expand_as(read)
        last = torch.from_numpy(lengths).to(read.device)[:, None] - 1
        if not (read & (places != 0)).any():
            return "first"
        return "last" if not (read & (places != last)).any() else "all"

    def answer(self, batch: dict[str, Any]) -> torch.Tensor:
        """Returns the output of the last skipped layer for a padded batch: [sequences, longest, width]."""
        layer, found = self.skipped[-1], []

        def reach(module: nn.Module, arguments: Any, output: Any) -> None:
            found.append(unpacked(output[0] if isinstance(output, tuple) else output))
            raise _Reached

        hook = layer.register_forward_hook(reach)
        training = self.network.training
        self.network.eval()
        try:
            with torch.no_grad(), contextlib.suppress(_Reached):
                self.network.base_model(**self._inputs(batch))
        finally:
            hook.remove()
            self.network.train(training)
        return found[0]

    def _inputs(self, batch: dict[str, Any]) -> dict[str, torch.Tensor]:
        """Returns the model inputs on the network's device, [sequences, longest] each."""
        device = next(self.network.parameters()).device
        return {name: value.to(device) for name, value in model_inputs(batch).items()}

    @contextlib.contextmanager
    def answering(self, states: torch.Tensor) -> Iterator[None]:
        """While it is open, the skipped layers return `states` [sequences, longest, width] without computing
        anything."""
        self._states = states
        try:
            yield
        finally:
            self._states = None

    def open(self, batch: dict[str, Any]) -> None:
        """Patches the skipped layers and the embeddings to compute nothing while states are available.

        Raises:
            CannotSkip: a layer is called several times, or not at all.
        """
        for module, size in self._kinds_of_output(batch).items():
            self._patch_one(module, size, gives=module is self.skipped[-1])

    def _patch_one(self, module: nn.Module, size: int, *, gives: bool) -> None:
        had_own = "forward" in vars(module)
        own, is_layer = module.forward, any(module is layer for layer in self.skipped)

        def forward(*arguments: Any, **named: Any) -> Any:
            if self._states is None:
                return own(*arguments, **named)
            states = self._states
            if gives:
                states = packed(states)
            elif is_layer:
                states = arguments[0] if arguments else named["hidden_states"]
            return states if size == 0 else (states, *[None] * (size - 1))

        module.forward = forward
        self._patched.append((module, own if had_own else None))

    def _kinds_of_output(self, batch: dict[str, Any]) -> dict[nn.Module, int]:
        """Returns the modules to patch, in order, and how many values each returns (0: not a tuple): the skipped
        layers, and the module with weights that computes the input of the first one, if there is one."""
        outputs: list[tuple[nn.Module, Any]] = []
        first: list[torch.Tensor] = []

        def note_input(layer: nn.Module, arguments: Any, named: dict[str, Any]) -> None:
            first.append(arguments[0] if arguments else named["hidden_states"])

        hooks = [
            module.register_forward_hook(lambda module, given, output: outputs.append((module, output)))
            for module in self.network.base_model.modules()
        ]
        # Runs before the hook of the padding-free layers, which was registered earlier.
        hooks.append(self.skipped[0].register_forward_pre_hook(note_input, with_kwargs=True, prepend=True))
        try:
            with torch.no_grad():
                self.network.base_model(**self._inputs(batch))
        finally:
            for hook in hooks:
                hook.remove()
        calls = [sum(module is layer for module, _ in outputs) for layer in self.skipped]
        if any(number != 1 for number in calls):
            raise CannotSkip(f"it calls a layer {max(calls)} times")
        makers = [module for module, output in outputs if output is first[0] and any(True for _ in module.parameters())]
        of_layers = {module: output for module, output in outputs if any(module is layer for layer in self.skipped)}
        kinds = {module: len(output) if isinstance(output, tuple) else 0 for module, output in of_layers.items()}
        return {**dict.fromkeys(makers[-1:], 0), **kinds}

    def close(self) -> None:
        """Restores the network's layers."""
        for module, own in reversed(self._patched):
            if own is None:
                del module.forward
            else:
                module.forward = own
        self._patched = []
