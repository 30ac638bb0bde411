"""Gradient checkpointing (Chen et al. 2016): a layer's activations are computed again in the backward pass instead of
being kept. The same gradients with far less memory, for about a third more time."""

from __future__ import annotations

from typing import Any

import transformers

from tlnlp.errors import InputError


def check_gradient_checkpointing(config: Any, auto_class: str, model: str) -> None:
    """Raises an error if transformers cannot do it for this network. No weights are loaded.

    Raises:
        InputError: the network does not support it.
    """
    kind = getattr(transformers, auto_class)._model_mapping[type(config)]
    if not kind.supports_gradient_checkpointing:
        raise InputError(
            expected="a network whose transformers class supports --gradient-checkpointing",
            found=f"{model}, a {config.model_type}, whose class {kind.__name__} does not",
            change="omit --gradient-checkpointing; a lower --max-tokens needs less memory, too",
        )


def enable_gradient_checkpointing(network: Any) -> None:
    """Has the layers that learn run again in the backward pass; dropout draws the same masks again."""
    # transformers 5.24 renamed it.
    enable = getattr(network, "activation_checkpointing_enable", None) or network.gradient_checkpointing_enable
    enable({"use_reentrant": False})
    # Only reentrant checkpointing needs inputs with a gradient, for which frozen layers would keep activations.
    network.disable_input_require_grads()
