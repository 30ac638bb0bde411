"""Configurations with absurd sizes are refused before a network is made."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import psutil
from torch import nn

from tlnlp.data.limits import LIFT, MOST_LAYERS, limits_hold
from tlnlp.errors import InputError
from tlnlp.models.checkpoint_files import CONFIG

# Numbers of modules, by their names in transformers' configurations: num_hidden_layers, n_layer, encoder_layers,
# num_local_experts, num_hidden_groups (ALBERT).
_COUNTS = re.compile(r"^(num|n)_.*(layer|block|expert|group|stage)s?$|layers$|depth$")


def check_counts(config: Mapping[str, Any], model: str) -> None:
    """Raises an InputError if a configuration has more layers than any network.

    Args:
        config: its values, those of its parts (encoder, decoder) among them.
        model: the value of `--model`.
    """
    for name, value in _counts(config) if limits_hold() else ():
        if value > MOST_LAYERS:
            raise InputError(
                expected=f"--model with at most {MOST_LAYERS:,} layers or experts",
                found=f"{model}: {name} {value:,} in {CONFIG}",
                change=f"{CONFIG}, which is damaged or was made wrongly; {LIFT}",
            )


def _counts(config: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    for name, value in config.items():
        if isinstance(value, Mapping):
            yield from _counts(value)
        elif isinstance(value, int) and not isinstance(value, bool) and _COUNTS.search(str(name)):
            yield name, value


def check_size(network: nn.Module, model: str, *, bytes_per_weight: float) -> None:
    """Raises an InputError if the weights of a network would not fit the memory of this machine.

    Args:
        network: on the meta device, where it takes no memory.
        model: the value of `--model`.
    """
    weights = sum(parameter.numel() for parameter in network.parameters())
    wanted, there = weights * bytes_per_weight, psutil.virtual_memory().total + psutil.swap_memory().total
    if wanted > there and limits_hold():
        sizes = ("vocab_size", "hidden_size", "num_hidden_layers")
        values = [f"{name} {value:,}" for name in sizes if isinstance(value := getattr(network.config, name, 0), int)]
        raise InputError(
            expected=f"--model with weights that fit the {there / 2**30:,.0f} GiB of memory of this machine",
            found=f"{model}: {weights:,} weights, {wanted / 2**30:,.0f} GiB ({', '.join(values)})",
            change=f"another --model, or {CONFIG} if it is damaged; {LIFT}",
        )
