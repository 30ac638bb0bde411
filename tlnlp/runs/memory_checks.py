"""Checks of the flags that save memory: whether network, strategy and machine allow them. No weights are loaded."""

from __future__ import annotations

from typing import Any

from tlnlp.errors import InputError
from tlnlp.models.base_weights import QUANTISED, check_quantised
from tlnlp.models.gradient_checkpointing import check_gradient_checkpointing
from tlnlp.settings import Settings
from tlnlp.task import Head
from tlnlp.training.sharding import is_requested
from tlnlp.transfer.adapter_strategies import ADAPTERS
from tlnlp.transfer.parse_strategy import StrategyChoice
from tlnlp.transfer.strategies import shallow


def check_memory_flags(config: Any, head: Head, settings: Settings, strategy: StrategyChoice) -> None:
    """Raises an error if `--gradient-checkpointing` or `--load-in` cannot be used.

    Raises:
        InputError: what does not fit.
    """
    if settings.load_in != "fp32":
        _check_load_in(settings, strategy)
    if is_requested():
        _check_sharding(settings, strategy)
    if not settings.gradient_checkpointing:
        return
    if strategy.name == "prefix" or strategy.function is shallow:
        why = "it makes no updates" if strategy.function is shallow else "transformers leaves its keys and values out"
        raise InputError(
            expected=f"--strategy {strategy.name} without --gradient-checkpointing, where {why}",
            found="--gradient-checkpointing",
            change="omit it, or another --strategy",
        )
    check_gradient_checkpointing(config, head.auto_class, settings.model)


def _check_sharding(settings: Settings, strategy: StrategyChoice) -> None:
    if settings.load_in in QUANTISED:
        raise InputError(
            expected=f"--load-in {settings.load_in} on one GPU, or on several that each hold the network",
            found="FSDP, which cannot divide quantised weights",
            change="--load-in bf16, or start it without FSDP",
        )
    if strategy.function is shallow:
        raise InputError(
            expected=f"--strategy {strategy.name} without FSDP: it makes no updates",
            found="FSDP",
            change="another --strategy (head_only is the most similar), or start it without FSDP",
        )


def _check_load_in(settings: Settings, strategy: StrategyChoice) -> None:
    flag, fitting = f"--load-in {settings.load_in}", ("lora",) if settings.load_in in QUANTISED else ADAPTERS
    if strategy.name not in fitting:
        raise InputError(
            expected=f"{flag} with --strategy {' or '.join(fitting)}, where the base stays frozen",
            found=f"--strategy {settings.strategy}, whose updates of such weights would be rounded away"
            if strategy.name not in ADAPTERS
            else f"--strategy {settings.strategy}",
            change="--strategy lora, or omit --load-in (--precision bf16 computes in bf16, with weights in fp32)",
        )
    if settings.precision != "bf16":
        raise InputError(
            expected=f"--precision bf16 with {flag}: the arithmetic cannot be finer than the weights",
            found=f"--precision {settings.precision}",
            change="add --precision bf16",
        )
    if settings.merge:
        raise InputError(
            expected=f"{flag} without --merge: what the adapter adds would be rounded to the base's few bits",
            found="--merge",
            change="omit --merge; peft merges the saved adapter into the base in fp32 (merge_and_unload)",
        )
    check_quantised(settings.load_in)
