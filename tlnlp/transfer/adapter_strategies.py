"""Strategies that add weights to a frozen network, and train these and the head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tlnlp.errors import InputError
from tlnlp.transfer.groups import ADAPTER, Group
from tlnlp.transfer.option_checks import above_zero, at_least, raised
from tlnlp.transfer.phases import AdapterSpec, Hyperparameters, Phase

# The names of these strategies.
ADAPTERS = ("lora", "ia3", "prefix", "prompt", "adapter")
# Those whose weights can be merged into the network's own (`--merge`).
MERGEABLE = ("lora", "ia3")


def lora(
    groups: Sequence[Group],
    settings: Hyperparameters,
    *,
    r: int = 8,
    alpha: float = 16.0,
    dropout: float = 0.1,
    targets: Literal["all", "attention"] = "all",
    factor: float = 10.0,
    head_factor: float = 10.0,
) -> list[Phase]:
    """LoRA: trains a low-rank update of each matrix of the layers, which itself stays frozen (Hu et al. 2022, where it
    equals `full` with a hundredth of the weights; small networks lose accuracy). It can be merged.

    Args:
        r: rank of the update.
        alpha: the update is scaled by alpha / r.
        dropout: dropout probability of the update's inputs.
        targets: all linear layers of the layers (Dettmers et al. 2023, QLoRA, section 4), or those of attention only.
        factor: learning rate of the update, as a multiple of `--learning-rate` (Hu et al.: 5e-4 where `full` uses
            2e-5).
        head_factor: learning rate of the head, as a multiple of `--learning-rate`.
    """
    at_least("lora", "r", r, 1)
    above_zero("lora", "alpha", alpha)
    if not 0 <= dropout < 1:
        raise InputError(
            expected="--strategy lora:dropout=P with P at least 0 and below 1",
            found=f"lora:dropout={dropout:g}",
            change="dropout",
        )
    options = {"r": r, "alpha": alpha, "dropout": dropout, "targets": targets}
    return [_adapted("lora", options, groups, settings, factor, head_factor)]


def ia3(
    groups: Sequence[Group], settings: Hyperparameters, *, factor: float = 50.0, head_factor: float = 10.0
) -> list[Phase]:
    """IA3: trains vectors that scale the keys, the values and the intermediate states of the feed-forward block (Liu et
    al. 2022, section 3.3). The fewest weights that can be merged; for few rows, and for many tasks on one network.

    Args:
        factor: learning rate of the vectors, as a multiple of `--learning-rate` (Liu et al.: 3e-3).
        head_factor: learning rate of the head, as a multiple of `--learning-rate`.
    """
    return [_adapted("ia3", {}, groups, settings, factor, head_factor)]


def prefix(
    groups: Sequence[Group],
    settings: Hyperparameters,
    *,
    tokens: int = 16,
    factor: float = 50.0,
    head_factor: float = 10.0,
) -> list[Phase]:
    """Prefix tuning: trains keys and values that are put before those of each row, in each layer (Li and Liang 2021;
    without their reparametrisation, as in Liu et al. 2022, P-tuning v2). For networks that are served unchanged.

    Args:
        tokens: length of the prefix; it reduces the number of positions for rows.
        factor: learning rate of the prefix, as a multiple of `--learning-rate` (P-tuning v2: 5e-3 to 1e-2).
        head_factor: learning rate of the head, as a multiple of `--learning-rate`.
    """
    at_least("prefix", "tokens", tokens, 1)
    return [_adapted("prefix", {"tokens": tokens}, groups, settings, factor, head_factor)]


def prompt(
    groups: Sequence[Group],
    settings: Hyperparameters,
    *,
    tokens: int = 20,
    factor: float = 50.0,
    head_factor: float = 10.0,
) -> list[Phase]:
    """Prompt tuning: trains embeddings that are put before those of each row (Lester et al. 2021). The fewest weights
    of all; far worse than the others below some billions of weights, according to figure 1 of that paper.

    Args:
        tokens: length of the prompt; it reduces the number of positions for rows (20 to 100 in section 3.2).
        factor: learning rate of the prompt, as a multiple of `--learning-rate` (Lester et al.: 0.3 with Adafactor).
        head_factor: learning rate of the head, as a multiple of `--learning-rate`.
    """
    at_least("prompt", "tokens", tokens, 1)
    return [_adapted("prompt", {"tokens": tokens}, groups, settings, factor, head_factor)]


def adapter(
    groups: Sequence[Group],
    settings: Hyperparameters,
    *,
    size: int = 64,
    factor: float = 10.0,
    head_factor: float = 10.0,
) -> list[Phase]:
    """Bottleneck adapters: trains a narrow network of two matrices after each layer, with a residual connection
    (Houlsby et al. 2019; one per layer, as in Pfeiffer et al. 2021). Stable; slower than LoRA at prediction, and cannot
    be merged.

    Args:
        size: width of the bottleneck (8 to 256 in Houlsby et al., section 3.2; 48 in Pfeiffer et al.).
        factor: learning rate of the adapters, as a multiple of `--learning-rate` (Pfeiffer et al.: 1e-4 where `full`
            uses 2e-5).
        head_factor: learning rate of the head, as a multiple of `--learning-rate`.
    """
    at_least("adapter", "size", size, 1)
    return [_adapted("adapter", {"size": size}, groups, settings, factor, head_factor)]


def _adapted(
    kind: str,
    options: Mapping[str, Any],
    groups: Sequence[Group],
    settings: Hyperparameters,
    factor: float,
    head_factor: float,
) -> Phase:
    """Returns the single phase, in which an adapter and the head are trained."""
    learning_rates = {
        ADAPTER: raised(kind, "factor", settings, factor),
        groups[-1].name: raised(kind, "head_factor", settings, head_factor),
    }
    return Phase(f"{kind} and head", settings.epochs, learning_rates, adapter=AdapterSpec(kind, options))
