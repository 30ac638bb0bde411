"""A recipe: a task, its default settings, and the command line of the recipe file. This module must not import
torch."""

from __future__ import annotations

import contextlib
import runpy
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import tyro
import yaml

from tlnlp.errors import InputError, did_you_mean
from tlnlp.lazy import lazy_module
from tlnlp.settings import HOW_DATA_ARE_READ, NOT_OF_THE_RUN, SMALL_DATA, Settings, UncheckedSettings, changed_settings
from tlnlp.task import Task


@dataclass(frozen=True)
class Default:
    """A default value and its source: a section of a paper, or the command that measured it."""

    value: Any
    source: str


@dataclass(frozen=True)
class Published:
    """The published run that `--full` reproduces.

    Args:
        model: Hub id.
        score: {metric: value} on the dev rows, on the metric's own scale (accuracy: 0 to 1).
        settings: hyperparameters of that run, by the names of `Settings`.
        source: where model, score and settings are published.
    """

    model: str
    score: Mapping[str, float]
    settings: Mapping[str, Any]
    source: str


# `--model new`: the network that the recipe declares, with random weights and a vocabulary trained on the rows.
NEW = "new"


@dataclass(frozen=True)
class NewModel:
    """A network to be pre-trained: its architecture and vocabulary.

    Args:
        architecture: a model type of transformers, such as "modernbert".
        config: keyword arguments of the architecture's configuration class.
        vocab_size: size of the sentencepiece vocabulary.
        lowercase: whether to lowercase before tokenising.
        vocab_size_is_maximum: whether a smaller vocabulary is allowed, if the rows do not have enough distinct pieces.
        coverage: fraction of the characters in the rows that the vocabulary covers; the rarest are unknown tokens.
            Several scripts need a higher value.
        character_map: {character: replacement}, applied before all else, for scripts in which a letter has two code
            points.
    """

    architecture: str
    config: Mapping[str, Any]
    vocab_size: int
    lowercase: bool = False
    vocab_size_is_maximum: bool = False
    coverage: float = 0.9995
    character_map: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """A runnable task: `Recipe.main()` is the command line of the recipe file."""

    task: Task
    defaults: Mapping[str, Default] = field(default_factory=dict)
    published: Published | None = None
    new_model: NewModel | None = None

    def settings(self, **changes: Any) -> Settings:
        """Returns this recipe's settings with `changes`; with `full=True`, those of the published run; with
        `small_data=True`, those for few rows.

        Raises:
            InputError: `full` without a published run, or invalid settings.
        """
        defaults = {name: default.value for name, default in self.defaults.items()}
        if changes.get("full"):
            if self.published is None:
                raise InputError(
                    expected="a recipe with a published run",
                    found=f"--full, but {self.task.name} has none",
                    change="leave --full out",
                )
            defaults |= {"model": self.published.model, "data": "hub", **self.published.settings}
        if changes.get("small_data"):
            defaults |= SMALL_DATA
        return Settings(**(defaults | changes))

    def changed(self, settings: Settings) -> dict[str, Any]:
        """Returns the settings that differ from this recipe's defaults (including those of the presets in use)."""
        return changed_settings(settings, self.settings(full=settings.full, small_data=settings.small_data))

    def default_folder(self, settings: Settings) -> Path:
        """Returns runs/TASK/NAME, where NAME contains the model, the data, the strategy and every flag that differs
        from the recipe's defaults."""
        changed = self.changed(settings)
        for known in ("model", "data", "strategy", "columns", *HOW_DATA_ARE_READ):
            changed.pop(known, None)
        words = [Path(settings.model).name, settings.data_name, settings.strategy.replace(":", "-")]
        words += [f"{name}={value}" for name, value in changed.items()]
        return Path("runs") / self.task.name / "-".join(words)

    def parse(self, arguments: Sequence[str], description: str = "") -> Settings:
        """Parses a command line on top of this recipe's defaults (with --full: the published run's settings).

        Raises:
            InputError: an invalid value, or two flags that contradict each other.
            SystemExit: `--help`, or an unknown flag (status 2).
        """
        file = _value_of("--config", arguments)
        told = {} if file is None else read_config(Path(file).expanduser(), self.task.name)
        presets = {"full": "--full" in arguments, "small_data": "--small-data" in arguments}
        asked = self.settings(**told | {name: on or told.get(name, False) for name, on in presets.items()})
        # If the file turns a flag on, tyro only offers --no-FLAG: the repeated flag is dropped.
        on = {f"--{name.replace('_', '-')}" for name in told.keys() - presets.keys() if getattr(asked, name) is True}
        # These two presets are off in the defaults, which contain their settings already.
        read = tyro.cli(
            UncheckedSettings,
            args=[each for each in arguments if each not in on],
            default=UncheckedSettings(**vars(replace(asked, full=False, small_data=False))),
            description=description,
            config=(tyro.conf.FlagCreatePairsOff,),
        )
        return Settings(**vars(read))

    def main(self, arguments: list[str] | None = None, description: str | None = None) -> None:
        """Parses the command line (`arguments`, or that of the process) and runs the recipe. Exit status 0, 2 if the
        input is invalid, 130 if the run was stopped and can be resumed, 141 if the reader of standard output closed it.

        Args:
            description: the start of `--help`; the docstring of the calling file if None.
        """
        arguments = sys.argv[1:] if arguments is None else arguments
        said = description or sys._getframe(1).f_globals.get("__doc__") or self.task.name
        sys.exit(lazy_module("tlnlp.commands.recipe_file").main(self, arguments, self._describe(said)))

    def _describe(self, said: str) -> str:
        """Returns the recipe file's docstring, followed by the recipe's defaults and their sources."""
        lines = [said.strip(), ""]
        for name, default in self.defaults.items():
            lines.append(f"--{name.replace('_', '-')} {default.value}: {default.source}")
        if self.published is not None:
            lines.append(f"--full: {self.published.model} on {self.task.data.hub}; {self.published.source}")
        return "\n".join(lines)

    @property
    def file(self) -> str:
        """The path of the script that started the recipe, for the commands that a run prints."""
        return Path(sys.argv[0]).as_posix()


def _value_of(flag: str, arguments: Sequence[str]) -> str | None:
    """Returns the value of a flag in `--config FILE` or `--config=FILE`; the last one wins."""
    found = None
    for each, after in zip(arguments, [*arguments[1:], ""], strict=False):
        found = after if each == flag else each.removeprefix(f"{flag}=") if each.startswith(f"{flag}=") else found
    return found


def read_config(file: Path, task: str) -> dict[str, Any]:
    """Returns the settings in a YAML or JSON file, named as the flags; a run's result.json is such a file.

    Args:
        task: the task of the recipe: a result of another task raises an error.

    Raises:
        InputError: the file does not exist, is not a mapping, or contains an unknown setting.
    """
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))  # JSON is YAML
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(
            expected="--config: a YAML or JSON file of settings",
            found=f"{file}: {' '.join(str(error).split())}",
            change="the file or its path",
        ) from error
    if isinstance(content, dict) and isinstance(content.get("settings"), dict) and "task" in content:
        if content["task"] != task:
            raise InputError(
                expected=f"--config: settings of {task}", found=f"{file}: a run of {content['task']}", change="the file"
            )
        content = {name: value for name, value in content["settings"].items() if name not in NOT_OF_THE_RUN}
    if not isinstance(content, dict):
        raise InputError(
            expected="--config: a mapping of settings, e.g. epochs: 3",
            found=f"{file}: {str(content)[:60]!r}",
            change="the file",
        )
    settings = {str(name).replace("-", "_"): value for name, value in content.items()}
    known = {each.name for each in fields(Settings)} - {"config"}
    if unknown := [name for name in settings if name not in known]:
        raise InputError(
            expected="--config: settings by the names of the flags",
            found=f"{file}: {unknown[0]}{did_you_mean(unknown[0], known)}",
            change="the name",
        )
    return {name: _convert(file, name, value) for name, value in settings.items()}


def _convert(file: Path, name: str, value: Any) -> Any:
    """Converts a value to the type that `Settings` declares. Types that YAML lacks (paths, tuples, and 2e-5, which YAML
    reads as a string) are converted from strings and lists."""
    kind = get_type_hints(Settings)[name]
    kinds = get_args(kind) if get_origin(kind) in (UnionType, Union) else (kind,)
    plain = tuple(tuple if get_origin(each) is tuple else each for each in kinds)
    choices = tuple(choice for each in kinds if get_origin(each) is Literal for choice in get_args(each))
    if value in choices or (type(value) in plain and not choices):
        return value
    if tuple in plain and isinstance(value, list):
        return tuple(str(each) for each in value)
    if Path in plain and isinstance(value, str):
        return Path(value)
    if float in plain and isinstance(value, int | str) and not isinstance(value, bool):
        with contextlib.suppress(ValueError):
            return float(value)
    wanted = choices or tuple(each.__name__ for each in plain if each is not type(None))
    raise InputError(
        expected=f"--config: {name} as {' or '.join(wanted)}", found=f"{file}: {name}: {value!r}", change="the value"
    )


def recipe_files() -> dict[str, Path]:
    """Returns {name: file} of the recipes in the package; in a checkout, of those in the folder `recipes`."""
    own = Path(__file__).parent / "recipes"
    folder = own if own.is_dir() else Path(__file__).parents[1] / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.py"))}


def load_recipe(name: str | Path) -> Recipe:
    """Returns the recipe with this name, or the one that a file declares.

    Raises:
        InputError: there is no such recipe or file, or the file does not contain exactly one recipe.
    """
    known = recipe_files()
    path = known.get(str(name)) or Path(name).expanduser()
    if not path.is_file():
        beside = [each.name for each in sorted(path.parent.glob("*.py"))] if path.parent.is_dir() else []
        hint = did_you_mean(path.name, [*known, *beside])
        raise InputError(
            expected="the name of a recipe (tlnlp recipes lists them), or the file of one, e.g. recipes/sst2.py",
            found=f"{path}, which is {'a folder' if path.is_dir() else 'not there'}{hint}",
            change="the name or the path",
        )
    if (folder := str(path.parent.resolve())) not in sys.path:
        sys.path.append(folder)  # for modules in the recipe's folder; last, so that they do not shadow libraries
    try:
        declared = runpy.run_path(str(path), run_name="recipe")
    except Exception as error:  # a file that is not a recipe can raise anything
        raise _no_recipe(path, f"{type(error).__name__}: {error}") from error
    recipes = {id(value): value for value in declared.values() if isinstance(value, Recipe)}
    if len(recipes) != 1:
        raise _no_recipe(path, f"{len(recipes)} recipes in it")
    return next(iter(recipes.values()))


def _no_recipe(path: Path, found: str) -> InputError:
    return InputError(
        expected="a file with one `recipe = Recipe(...)` in it",
        found=f"{path}: {found}",
        change="the path, or the file",
    )
