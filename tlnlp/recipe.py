"""A recipe: a task, the settings that it starts from, and the command line of its file. No torch in here."""

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
from tlnlp.settings import NOT_OF_THE_RUN, SMALL_DATA, Settings, UncheckedSettings, changed_settings
from tlnlp.task import Task


@dataclass(frozen=True)
class Default:
    """A default and the place it comes from: a paper's section, or the command that measured it."""

    value: Any
    source: str


@dataclass(frozen=True)
class Published:
    """The published run that `--full` repeats.

    Args:
        model: Hub id.
        score: {metric: value} on the dev rows, on the metric's own scale (accuracy 0 to 1).
        settings: hyperparameters of that run, by the names of `Settings`.
        source: where model, score and settings stand.
    """

    model: str
    score: Mapping[str, float]
    settings: Mapping[str, Any]
    source: str


# `--model new`: the network that the recipe declares, with random weights and a vocabulary learnt from the rows.
NEW = "new"


@dataclass(frozen=True)
class NewModel:
    """A network to be pre-trained here: its architecture, and the vocabulary trained for it.

    Args:
        architecture: a model type that transformers knows ("modernbert").
        config: keyword arguments of that architecture's configuration class.
        vocab_size: size of the sentencepiece vocabulary.
        lowercase: fold case before cutting into pieces.
        vocab_size_is_maximum: fewer pieces will do, where the rows hold no more that can be learnt.
        coverage: share of all characters in the rows that have pieces; the rarest are unknown. Many scripts want more.
        character_map: {character: another one} before all else, where a script is typed in two ways.
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
    """A task that can be run: `Recipe.main()` is the command line of the file that declares it."""

    task: Task
    defaults: Mapping[str, Default] = field(default_factory=dict)
    published: Published | None = None
    new_model: NewModel | None = None

    def settings(self, **changes: Any) -> Settings:
        """This recipe's settings with `changes`; with `full=True` those of the published run, with `small_data=True`
        what few rows want.

        Raises:
            InputError: `full` where nothing is published, or settings that cannot be.
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
        """The settings that differ from this recipe's own, the presets among them counted as its own."""
        return changed_settings(settings, self.settings(full=settings.full, small_data=settings.small_data))

    def parse(self, arguments: Sequence[str], description: str = "") -> Settings:
        """The settings that a command line asks for, on top of this recipe's own (with --full: the published run's).

        Raises:
            InputError: a value that cannot be, or two flags that contradict each other.
            SystemExit: `--help`, or a flag that does not exist (status 2).
        """
        file = _value_of("--config", arguments)
        told = {} if file is None else read_config(Path(file).expanduser(), self.task.name)
        presets = {"full": "--full" in arguments, "small_data": "--small-data" in arguments}
        asked = self.settings(**told | {name: on or told.get(name, False) for name, on in presets.items()})
        # What a file has switched on, tyro spells --no-new-head: saying it again changes nothing.
        on = {f"--{name.replace('_', '-')}" for name in told.keys() - presets.keys() if getattr(asked, name) is True}
        # These two are off in the defaults: the settings that they stand for are there already.
        read = tyro.cli(
            UncheckedSettings,
            args=[each for each in arguments if each not in on],
            default=UncheckedSettings(**vars(replace(asked, full=False, small_data=False))),
            description=description,
            config=(tyro.conf.FlagCreatePairsOff,),
        )
        return Settings(**vars(read))

    def main(self, arguments: list[str] | None = None, description: str | None = None) -> None:
        """Reads the command line (`arguments`, or that of the process) and runs. Exit status 0, 2 for bad input,
        130 where the run was stopped and can be resumed, 141 where nobody reads what it says.

        Args:
            description: what `--help` begins with; the docstring of the calling file if None.
        """
        arguments = sys.argv[1:] if arguments is None else arguments
        said = description or sys._getframe(1).f_globals.get("__doc__") or self.task.name
        sys.exit(lazy_module("tlnlp.commands.recipe_file").main(self, arguments, self._describe(said)))

    def _describe(self, said: str) -> str:
        """The recipe file's docstring, then what its own defaults are and where they come from."""
        lines = [said.strip(), ""]
        for name, default in self.defaults.items():
            lines.append(f"--{name.replace('_', '-')} {default.value}: {default.source}")
        if self.published is not None:
            lines.append(f"--full: {self.published.model} on {self.task.data.hub}; {self.published.source}")
        return "\n".join(lines)

    @property
    def file(self) -> str:
        """How the recipe was started, for the commands that a run prints."""
        return Path(sys.argv[0]).as_posix()


def _value_of(flag: str, arguments: Sequence[str]) -> str | None:
    """What stands behind a flag, `--config FILE` or `--config=FILE`; the last one counts."""
    found = None
    for each, after in zip(arguments, [*arguments[1:], ""], strict=False):
        found = after if each == flag else each.removeprefix(f"{flag}=") if each.startswith(f"{flag}=") else found
    return found


def read_config(file: Path, task: str) -> dict[str, Any]:
    """The settings that a YAML or JSON file names as the flags do; a run's result.json is such a file.

    Args:
        task: whose settings are wanted: a result of another task is refused.

    Raises:
        InputError: no such file, no mapping in it, or a name that no flag has.
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
    return {name: _as_declared(file, name, value) for name, value in settings.items()}


def _as_declared(file: Path, name: str, value: Any) -> Any:
    """The value in the type that `Settings` declares. What a file cannot say in YAML (paths, tuples, 2e-5, which YAML
    reads as a text) is made of what it says."""
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
    """{name: file} of the recipes that come with the package; in a checkout those of its folder `recipes`."""
    own = Path(__file__).parent / "recipes"
    folder = own if own.is_dir() else Path(__file__).parents[1] / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.py"))}


def load_recipe(name: str | Path) -> Recipe:
    """The recipe of that name, or the one that a file declares.

    Raises:
        InputError: there is no such recipe or file, or no recipe in it.
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
        sys.path.append(folder)  # for what a recipe imports from beside it; last, so that it shadows no library
    try:
        declared = runpy.run_path(str(path), run_name="recipe")
    except Exception as error:  # whatever a file that is no recipe may raise
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
