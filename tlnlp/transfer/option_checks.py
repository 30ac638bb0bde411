"""Checks of the options of strategies."""

from __future__ import annotations

from tlnlp.errors import InputError
from tlnlp.transfer.phases import Hyperparameters


def raised(strategy: str, option: str, settings: Hyperparameters, factor: float) -> float:
    """Returns `--learning-rate` times `factor`."""
    above_zero(strategy, option, factor)
    return settings.learning_rate * factor


def above_zero(strategy: str, option: str, value: float) -> None:
    if not value > 0:
        raise InputError(
            expected=f"--strategy {strategy}:{option}=F with F above 0",
            found=f"{strategy}:{option}={value:g}",
            change=option,
        )


def at_least(strategy: str, option: str, value: float | None, least: float) -> None:
    if value is not None and value < least:
        raise InputError(
            expected=f"--strategy {strategy}:{option}=N with N at least {least:g}",
            found=f"{strategy}:{option}={value:g}",
            change=option,
        )
