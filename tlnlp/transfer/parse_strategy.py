"""Parses `--strategy name:option=value,option=value` into the strategy and its options, with the declared types."""

from __future__ import annotations

import inspect
import math
import types
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tlnlp.errors import InputError, did_you_mean
from tlnlp.lazy import find_object
from tlnlp.transfer.groups import Group
from tlnlp.transfer.phases import Hyperparameters, Phase
from tlnlp.transfer.strategies import STRATEGIES, Strategy, from_scratch


@dataclass(frozen=True)
class StrategyChoice:
    """A strategy and its options.

    Args:
        text: the value of `--strategy`.
        name: the part of it before the options.
        function: from layer groups and settings to phases.
        options: those in `text`, with the types that the function declares.
    """

    text: str
    name: str
    function: Strategy
    options: dict[str, Any] = field(hash=False)  # given by `text`

    @property
    def is_from_scratch(self) -> bool:
        """Whether only the architecture of the checkpoint is used: the baseline without transfer."""
        return self.function is from_scratch

    @property
    def all_options(self) -> dict[str, Any]:
        """All options, with defaults for those that were not given."""
        return {name: each.default for name, each in options_of(self.function).items()} | self.options

    def plan(self, groups: Sequence[Group], settings: Hyperparameters) -> list[Phase]:
        """Returns the phases for this network.

        Raises:
            InputError: options that do not fit this network or these settings.
        """
        phases = self.function(groups, settings, **self.options)
        if "." in self.name:
            _check_phases(self.name, phases, [group.name for group in groups])
        return phases


def find_strategy(text: str) -> StrategyChoice:
    """Returns the strategy that `text` names, with its options.

    Raises:
        InputError: an unknown strategy or option, or a value of the wrong type.
    """
    name = text.partition(":")[0]
    if "." in name:
        return _read_options(text, _import_strategy(name))
    if name not in STRATEGIES:
        raise InputError(
            expected=f"--strategy {' | '.join(STRATEGIES)}",
            found=f"{name}{did_you_mean(name, STRATEGIES)}",
            change="the name of the strategy",
        )
    return _read_options(text, STRATEGIES[name])


def _check_phases(path: str, phases: Any, groups: Sequence[str]) -> None:
    """Raises an error if a custom strategy returns anything but phases for these groups."""
    found = ""
    if not isinstance(phases, list) or not phases or not all(isinstance(phase, Phase) for phase in phases):
        found = f"{phases!r}"[:80]
    elif unknown := [name for phase in phases for name in phase.learning_rates if name not in groups]:
        found = f"a phase for {unknown[0]}{did_you_mean(unknown[0], groups)}"
    if found:
        raise InputError(
            expected=f"a list of phases for the layer groups {', '.join(groups)}",
            found=f"{path} returned {found}",
            change="the function",
        )


def _import_strategy(path: str) -> Strategy:
    """Returns a custom strategy by its import path: a function from groups and settings to phases."""
    try:
        strategy = find_object(path)
    except ImportError as error:
        raise InputError(
            expected="--strategy: a known name, or the import path of a function, e.g. my_module.my_strategy",
            found=f"{path}: {error}",
            change="the path; the module must be importable from here",
        ) from error
    if not callable(strategy):
        raise InputError(
            expected="a function from layer groups and settings to a list of phases",
            found=f"{path}: {type(strategy).__name__}",
            change="--strategy",
        )
    return strategy


def _read_options(text: str, strategy: Strategy) -> StrategyChoice:
    name, _, rest = text.partition(":")
    known = options_of(strategy)
    options: dict[str, Any] = {}
    for each in filter(None, rest.split(",")):
        option, equals, value = each.partition("=")
        if option not in known or not equals:
            like = ", ".join(f"{other}={parameter.default}" for other, parameter in known.items())
            raise InputError(
                expected=f"--strategy {name}" + (f" with any of {like}" if known else ", which has no options"),
                found=f"{each}{did_you_mean(option, known)}",
                change=f"what stands after {name}:",
            )
        options[option] = _read(name, option, value, known[option].annotation)
    return StrategyChoice(text, name, strategy, options)


def options_of(strategy: Strategy) -> dict[str, inspect.Parameter]:
    """Returns the options of `strategy`: its keyword-only arguments, with type and default."""
    hints = typing.get_type_hints(strategy)
    return {
        name: parameter.replace(annotation=hints[name])
        for name, parameter in inspect.signature(strategy).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }


def _read(strategy: str, option: str, value: str, kind: Any) -> Any:
    """Converts `value` to the type that the option declares: a number, one of several words, or either; None cannot be
    given."""
    kinds = typing.get_args(kind) if typing.get_origin(kind) in (types.UnionType, typing.Union) else (kind,)
    choices = [
        choice for each in kinds if typing.get_origin(each) is typing.Literal for choice in typing.get_args(each)
    ]
    if value in choices:
        return value
    wanted, hint = " or ".join(choices), did_you_mean(value, choices)
    for number in (each for each in kinds if each in (int, float)):
        try:
            read = number(value)
            if not isinstance(read, float) or math.isfinite(read):
                return read
        except ValueError:
            pass
        wanted = {int: "a whole number", float: "a number"}[number] + (f" or {wanted}" if wanted else "")
    raise InputError(
        expected=f"--strategy {strategy}:{option}={wanted}",
        found=f"{option}={value}{hint}",
        change=f"the value of {option}",
    )
