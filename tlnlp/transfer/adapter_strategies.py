"""Strategies that add weights to a network that stays as it is, and learn these and the head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from tlnlp.errors import InputError
from tlnlp.settings import Settings
from tlnlp.transfer.groups import ADAPTER, Group
from tlnlp.transfer.option_checks import above_zero, at_least, raised
from tlnlp.transfer.phases import AdapterSpec, Phase

# Their names.
ADAPTERS = ("lora", "ia3", "prefix", "prompt", "adapter")
# Those whose weights can be added to the network's own (`--merge`).
MERGEABLE = ("lora", "ia3")


def lora(
    groups: Sequence[Group],
    settings: Settings,
    *,
    r: int = 8,
    alpha: float = 16.0,
    dropout: float = 0.1,
    targets: Literal["all", "attention"] = "all",
    factor: float = 10.0,
    head_factor: float = 10.0,
) -> list[Phase]:
    """LoRA: each matrix of the layers gets a product of two thin ones beside it, which learns in its place (Hu et al.
    2022, where it equals `full` with a hundredth of the weights; small networks lose by it). It can be merged.

    Args:
        r: rank of the product.
        alpha: the product is scaled by alpha / r.
        dropout: share of the product's inputs that are left out.
        targets: all linear parts of the layers (Dettmers et al. 2023, QLoRA, section 4), or those of attention alone.
        factor: the product's rate over `--learning-rate` (Hu et al.: 5e-4 where `full` takes 2e-5).
        head_factor: the head's rate over `--learning-rate`.
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


def ia3(groups: Sequence[Group], settings: Settings, *, factor: float = 50.0, head_factor: float = 10.0) -> list[Phase]:
    """IA3: keys, values and the inside of the feed-forward part are scaled, each by a vector that learns (Liu et al.
    2022, section 3.3). The fewest weights that can be merged; for few rows, and many tasks on one network.

    Args:
        factor: the vectors' rate over `--learning-rate` (Liu et al.: 3e-3).
        head_factor: the head's rate over `--learning-rate`.
    """
    return [_adapted("ia3", {}, groups, settings, factor, head_factor)]


def prefix(
    groups: Sequence[Group],
    settings: Settings,
    *,
    tokens: int = 16,
    factor: float = 50.0,
    head_factor: float = 10.0,
) -> list[Phase]:
    """Prefix tuning: in each layer attention also sees keys and values that learn and belong to no token (Li and Liang
    2021; without their reparametrisation, as Liu et al. 2022, P-tuning v2). For networks that stay whole on a server.

    Args:
        tokens: length of the prefix; taken off the positions that rows may have.
        factor: the prefix's rate over `--learning-rate` (P-tuning v2: 5e-3 to 1e-2).
        head_factor: the head's rate over `--learning-rate`.
    """
    at_least("prefix", "tokens", tokens, 1)
    return [_adapted("prefix", {"tokens": tokens}, groups, settings, factor, head_factor)]


def prompt(
    groups: Sequence[Group],
    settings: Settings,
    *,
    tokens: int = 20,
    factor: float = 50.0,
    head_factor: float = 10.0,
) -> list[Phase]:
    """Prompt tuning: pieces that learn stand before each row's own (Lester et al. 2021). The fewest weights of all;
    far behind the others below some billions of weights, by that paper's own figure 1.

    Args:
        tokens: length of the prompt; taken off the positions that rows may have (20 to 100 in section 3.2).
        factor: the prompt's rate over `--learning-rate` (Lester et al.: 0.3 with Adafactor).
        head_factor: the head's rate over `--learning-rate`.
    """
    at_least("prompt", "tokens", tokens, 1)
    return [_adapted("prompt", {"tokens": tokens}, groups, settings, factor, head_factor)]


def adapter(
    groups: Sequence[Group],
    settings: Settings,
    *,
    size: int = 64,
    factor: float = 10.0,
    head_factor: float = 10.0,
) -> list[Phase]:
    """Bottleneck adapters: behind each layer a narrow network of two matrices, added to what goes through (Houlsby et
    al. 2019; one for each layer, as Pfeiffer et al. 2021). Steady; slower than LoRA at prediction, and not merged.

    Args:
        size: width of the bottleneck (8 to 256 in Houlsby et al., section 3.2; 48 in Pfeiffer et al.).
        factor: their rate over `--learning-rate` (Pfeiffer et al.: 1e-4 where `full` takes 2e-5).
        head_factor: the head's rate over `--learning-rate`.
    """
    at_least("adapter", "size", size, 1)
    return [_adapted("adapter", {"size": size}, groups, settings, factor, head_factor)]


def _adapted(
    kind: str,
    options: Mapping[str, Any],
    groups: Sequence[Group],
    settings: Settings,
    factor: float,
    head_factor: float,
) -> Phase:
    """The one phase in which an adapter and the head learn."""
    learning_rates = {
        ADAPTER: raised(kind, "factor", settings, factor),
        groups[-1].name: raised(kind, "head_factor", settings, head_factor),
    }
    return Phase(f"{kind} and head", settings.epochs, learning_rates, adapter=AdapterSpec(kind, options))
