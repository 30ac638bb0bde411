"""A way around the lowest layers of a network: their answers are taken from elsewhere while some are at hand.

The network's own code, its heads and all that hooks into it stay as they are: the layers give what was kept.
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
from tlnlp.transfer.groups import layer_stack

# Which tokens of a row what follows depends on.
Reads = Literal["first", "last", "all"]


class _Reached(Exception):
    """The last frozen layer has answered: what follows need not run."""


class LayerSkip:
    """Around the embeddings and the lowest `count` layers of `network`."""

    def __init__(self, network: Any, count: int) -> None:
        self.network = network
        self.layers = list(layer_stack(network))
        self.skipped = self.layers[:count]
        self._states: torch.Tensor | None = None
        self._patched: list[nn.Module] = []

    def tokens_read_by_head(self, ask: Callable[[], torch.Tensor], lengths: np.ndarray) -> Reads:
        """Which tokens what follows the last layer reads: those on which the loss that `ask` gives depends.

        Args:
            lengths: [sequences] in tokens, of those that `ask` runs the network on.
        """
        leaf: list[torch.Tensor] = []

        def cut_off(layer: nn.Module, arguments: Any, output: Any) -> Any:
            states = output[0] if isinstance(output, tuple) else output
            leaf.append(states.detach().requires_grad_())
            return (leaf[0], *output[1:]) if isinstance(output, tuple) else leaf[0]

        # The last hook sees what the head sees, whatever ran packed below.
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
        """What the last of the skipped layers answers to a padded batch: [sequences, longest, width]."""
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
        """[sequences, longest] each."""
        device = next(self.network.parameters()).device
        return {name: value.to(device) for name, value in model_inputs(batch).items()}

    @contextlib.contextmanager
    def answering(self, states: torch.Tensor) -> Iterator[None]:
        """While it is open the skipped layers answer `states`, [sequences, longest, width], and nothing runs below."""
        self._states = states
        try:
            yield
        finally:
            self._states = None

    def open(self, batch: dict[str, Any]) -> None:
        """Lets the skipped layers, and what runs before them, answer without computing while states are at hand."""
        for module, size in self._kinds_of_output(batch).items():
            self._patch_one(module, size, gives=module is self.skipped[-1])

    def _patch_one(self, module: nn.Module, size: int, *, gives: bool) -> None:
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
        self._patched.append(module)

    def _kinds_of_output(self, batch: dict[str, Any]) -> dict[nn.Module, int]:
        """The modules to be patched, in order, and how many values each gives (0: no tuple): the skipped layers, and
        the module that makes the first one's input, where there is one that holds weights."""
        outputs: list[tuple[nn.Module, Any]] = []
        first: list[torch.Tensor] = []

        def note_input(layer: nn.Module, arguments: Any, named: dict[str, Any]) -> None:
            first.append(arguments[0] if arguments else named["hidden_states"])

        hooks = [
            module.register_forward_hook(lambda module, given, output: outputs.append((module, output)))
            for module in self.network.base_model.modules()
        ]
        # Before the packing's own hook, which was there first.
        hooks.append(self.skipped[0].register_forward_pre_hook(note_input, with_kwargs=True, prepend=True))
        try:
            with torch.no_grad():
                self.network.base_model(**self._inputs(batch))
        finally:
            for hook in hooks:
                hook.remove()
        makers = [module for module, output in outputs if output is first[0] and any(True for _ in module.parameters())]
        of_layers = {module: output for module, output in outputs if any(module is layer for layer in self.skipped)}
        kinds = {module: len(output) if isinstance(output, tuple) else 0 for module, output in of_layers.items()}
        return {**dict.fromkeys(makers[-1:], 0), **kinds}

    def close(self) -> None:
        """Gives the network its own layers back."""
        for module in self._patched:
            del module.forward
        self._patched = []
