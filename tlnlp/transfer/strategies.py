"""What learns, for how long, and how fast: each strategy is a function from layer groups to phases.

A new strategy is a new function in `STRATEGIES`; it knows neither model nor task, and can be tested without either.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tlnlp.errors import InputError, did_you_mean
from tlnlp.settings import Settings
from tlnlp.transfer.groups import Group


@dataclass(frozen=True)
class Phase:
    """A stretch of training in which the same groups learn.

    Args:
        name: for the table and the progress bar.
        epochs: passes over the train rows.
        rates: group name to peak learning rate. A group that is not named stays as it is, in evaluation mode.
        redraw: groups whose weights are drawn at random before the phase begins.
    """

    name: str
    epochs: int
    rates: Mapping[str, float]
    redraw: Sequence[str] = field(default=())


Strategy = Callable[[Sequence[Group], Settings], list[Phase]]


def full(groups: Sequence[Group], settings: Settings) -> list[Phase]:
    """Fine-tuning: all groups learn, at one rate (Devlin et al. 2019, section 3.2). The default where rows abound."""
    return [Phase("all layers", settings.epochs, {group.name: settings.learning_rate for group in groups})]


def head_only(groups: Sequence[Group], settings: Settings) -> list[Phase]:
    """Feature extraction: the pre-trained layers stay as they are, a new head learns to read them (Peters et al. 2019,
    "To tune or not to tune?"). Cheap; best where the task is near the pre-training. Wants a higher rate than `full`."""
    return [Phase("head", settings.epochs, {groups[-1].name: settings.learning_rate})]


def from_scratch(groups: Sequence[Group], settings: Settings) -> list[Phase]:
    """The control: the same network, random weights. What transfer adds is the distance to this."""
    (phase,) = full(groups, settings)
    return [Phase("all layers, from random weights", phase.epochs, phase.rates, [group.name for group in groups])]


STRATEGIES: dict[str, Strategy] = {strategy.__name__: strategy for strategy in (full, head_only, from_scratch)}


def find_strategy(name: str) -> Strategy:
    """The strategy called `name`.

    Raises:
        InputError: there is none of that name.
    """
    if name not in STRATEGIES:
        raise InputError(
            expected=f"--strategy {' | '.join(STRATEGIES)}",
            found=f"{name}{did_you_mean(name, STRATEGIES)}",
            change="the name of the strategy",
        )
    return STRATEGIES[name]
