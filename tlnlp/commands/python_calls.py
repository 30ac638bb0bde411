"""The Python API: `tlnlp.train`, `compare`, `fill_mask` and `load`, the equivalents of the commands."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from tlnlp.commands import compare as compare_command
from tlnlp.commands.fill_mask import fill_texts
from tlnlp.commands.python_results import Comparison, Run
from tlnlp.data.bytes_to_text import FileFormat
from tlnlp.data.memory import fingerprint_of, tables_of
from tlnlp.display.console import RunConsole
from tlnlp.display.quiet import quiet_libraries
from tlnlp.errors import InputError, Interrupted, did_you_mean
from tlnlp.experiments.grid import VARIED, default_folder
from tlnlp.inference.masked_words import FilledMask
from tlnlp.inference.predictor import Predictor
from tlnlp.lazy import path_of
from tlnlp.recipe import Recipe, load_recipe
from tlnlp.reporting.page import save_page
from tlnlp.run import run_seeds
from tlnlp.runs import folder as folders
from tlnlp.runs.request import Request
from tlnlp.runs.result import read_result
from tlnlp.settings import Precision, Settings
from tlnlp.task import Task
from tlnlp.training.distributed import start_accelerator
from tlnlp.training.files import write_text


@contextmanager
def flags_as_arguments() -> Iterator[None]:
    """Rewrites error messages to name Python arguments instead of flags: `max_length`, `resume=True`."""
    try:
        yield
    except InputError as error:
        error.args = tuple(as_arguments(part) for part in error.args)
        error.expected, error.found, error.change = error.args
        raise


def as_arguments(text: str) -> str:
    """Replaces flags by arguments: "raise --max-length" becomes "raise max_length", "--strategy from_scratch" becomes
    'strategy="from_scratch"'."""
    switches = {each.name for each in fields(Settings) if isinstance(each.default, bool)}

    def spell(found: re.Match[str]) -> str:
        name = found[1].replace("-", "_")
        return f"{name}=True" if name in switches else name

    text = re.sub(r"--columns (\w+)=(\w+)", r'columns={"\1": "\2"}', text)
    # A word with a digit or an underscore is a value; any other may be part of the sentence.
    text = re.sub(r"--([a-z]+) ([a-z]+[\d_]\w*)", r'\1="\2"', text)
    return re.sub(r"(?<![\w-])--([a-z][a-z-]*)", spell, text)


@flags_as_arguments()
def train(
    recipe: str | Recipe | Task,
    data: Any = None,
    *,
    columns: Mapping[str, str] | None = None,
    model: str | Path | None = None,
    output_dir: str | Path | None = None,
    resume: bool = False,
    quiet: bool = False,
    **settings: Any,
) -> Run:
    """Runs a recipe: trains a model, evaluates it and saves it.

    Args:
        recipe: the name of a recipe (`tlnlp recipes` lists them), the path of a recipe file, a `Recipe` or a `Task`.
        data: "sample" (bundled, the default), "hub", a path, a list of dicts, a dict of columns, a pandas DataFrame, a
            `datasets.Dataset`, or a mapping from split ("train", "validation", "test") to any of these.
        columns: {role: column}, if the columns are not named as the task's roles.
        model: a bundled name, a folder, or a Hub id; the recipe's default if None.
        output_dir: the folder of the run; runs/TASK/NAME if None.
        resume: whether to resume a run that was stopped.
        quiet: whether to print nothing.
        settings: any other flag of the command line, with underscores: `strategy="lora:r=8"`, `epochs=3`,
            `learning_rate=2e-5`, `seeds=5`, `precision="bf16"`.

    Returns:
        The finished run: its metrics, predictions and model.

    Raises:
        InputError: a `ValueError` that says what was expected, what was found, and what to change.
        Interrupted: a `KeyboardInterrupt`; the run can be resumed.
    """
    began = time.time()
    quiet_libraries()
    declared = recipe_of(recipe)
    asked, given = ask(declared, data, columns, model, output_dir, resume=resume, **settings)
    request = replace(Request.of(declared, asked, call_text(declared, asked, given is not None), began), tables=given)
    folder = request.folder
    accelerator = start_accelerator(asked.precision, asked.tracker, folder / "tracker")
    screen = RunConsole(speaks=accelerator.is_main_process and not quiet, quiet=quiet, spell=as_arguments)
    try:
        result = run_seeds(request, accelerator, screen)
    except Interrupted as stop:
        raise Interrupted(stop.done, stop.whole, stop.unit, "the same call with resume=True goes on") from None
    if not asked.no_report and accelerator.is_main_process:
        save_page([folder], folder / folders.REPORT)
    return Run(folder, result)


def recipe_of(recipe: str | Recipe | Task) -> Recipe:
    """Returns a recipe from its name or path, itself, or a new one for a task."""
    if isinstance(recipe, Recipe):
        return recipe
    return Recipe(task=recipe) if isinstance(recipe, Task) else load_recipe(recipe)


def ask(
    recipe: Recipe,
    data: Any,
    columns: Mapping[str, str] | None,
    model: str | Path | None,
    output_dir: str | Path | None,
    **settings: Any,
) -> tuple[Settings, Any]:
    """Returns the settings for the arguments of a call, and the tables of rows in memory (None if `data` is not in
    memory).

    Raises:
        InputError: an unknown setting, or an invalid value.
    """
    known = {each.name for each in fields(Settings)}
    if unknown := [name for name in settings if name not in known]:
        raise InputError(
            expected="settings by the names of the flags, with underscores (epochs, learning_rate, strategy, ...)",
            found=f"{unknown[0]}={settings[unknown[0]]!r}{did_you_mean(unknown[0], known)}",
            change="the name",
        )
    told = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    told |= {name: str(told[name]) for name in ("train_file", "dev_file", "test_file") if told.get(name) is not None}
    if callable(told.get("strategy")):
        told["strategy"] = path_of(told["strategy"])
    told["columns"] = tuple(f"{role}={column}" for role, column in (columns or {}).items())
    told |= {"model": str(model)} if model is not None else {}
    told |= {"output_dir": Path(output_dir)} if output_dir is not None else {}
    if data is None or isinstance(data, str | Path):
        told |= {} if data is None else {"data": str(data)}
        return recipe.settings(**told), None
    tables = tables_of(data, FileFormat.of(recipe.settings(**told), recipe.task))
    return recipe.settings(**told, data=f"rows-{fingerprint_of(tables)}"), tables


def call_text(recipe: Recipe, settings: Settings, in_memory: bool) -> str:
    """Returns the Python call that repeats a run."""
    changed = {**recipe.changed(settings)}
    columns = dict(each.split("=", 1) for each in changed.pop("columns", ()))
    data = "data" if in_memory else repr(changed.get("data", settings.data))
    changed.pop("data", None)
    words = [repr(recipe.task.name), f"data={data}", *([f"columns={columns!r}"] if columns else [])]
    words += [f"{name}={value!r}" for name, value in changed.items()]
    return f"tlnlp.train({', '.join(words)})"


@flags_as_arguments()
def load(folder: str | Path, *, precision: Precision = "fp32", max_tokens: int = 4096) -> Predictor:
    """Loads a trained model for prediction.

    Args:
        folder: the folder of a run, or the folder `model` in it.
        precision: floating-point format of the network's computations.
        max_tokens: maximum number of tokens per batch. It limits memory and does not affect the predictions.

    Raises:
        InputError: there is no such model.
    """
    quiet_libraries()
    place = Path(folder).expanduser()
    if (place / folders.RESULT).is_file():
        place = read_result(place).model_folder
    return Predictor(place, precision=precision, max_tokens=max_tokens)


@flags_as_arguments()
def fill_mask(
    text: str, *, model: str | Path = "mini", top: int = 5, pieces: int = 2, words: Sequence[str] = ()
) -> list[FilledMask]:
    """Returns the most probable words for [MASK], with their probabilities.

    Args:
        text: a text with one or more [MASK], even if the checkpoint has another mask token.
        model: a bundled name, a folder, or a Hub id.
        top: number of results.
        pieces: maximum number of tokens per word.
        words: score only these words.

    Raises:
        InputError: the checkpoint has no masked-language-model head, or the text has no [MASK].
    """
    quiet_libraries()
    ((_, found),) = fill_texts([text], model=str(model), top=top, pieces=pieces, words=words)
    return found


@flags_as_arguments()
def compare(
    recipe: str,
    data: Any = None,
    *,
    strategies: Sequence[str] = (),
    models: Sequence[str | Path] = (),
    rows: Sequence[int] = (),
    fractions: Sequence[float] = (),
    seeds: int | Sequence[int] = 5,
    columns: Mapping[str, str] | None = None,
    output_dir: str | Path | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Comparison:
    """Trains a grid of strategies or checkpoints, numbers of train rows and seeds, and compares their scores.

    Args:
        recipe: the name of a recipe, or the path of a recipe file (not an object: each run is a separate process).
        data, columns, settings: as in `train`.
        strategies, models, rows, fractions, seeds: the axes of the grid, see `tlnlp compare --help`.
        output_dir: the folder of the comparison; runs/compare/TASK-DATA if None. Finished runs in it are not repeated.
        quiet: whether to print nothing.

    Returns:
        The comparison: a table of scores with confidence intervals, and verdicts.

    Raises:
        InputError: an argument or the data cannot be used (checked before the first run starts), or no run has a
            result.
        Interrupted: a `KeyboardInterrupt`; the same call resumes the comparison.
    """
    grid = {"strategies": strategies, "models": models, "rows": rows, "fractions": fractions}
    declared = load_recipe(recipe)
    asked, given = ask(declared, data, columns, None, None, **settings)
    folder = default_folder(declared, asked, "compare", VARIED) if output_dir is None else Path(output_dir)
    if given is not None:  # the runs are separate processes
        asked = replace(asked, data=str(write_tables(given, folder / "rows")))
    flags = [str(recipe), "--output-dir", str(folder), *flags_of(declared, asked)]
    for name, values in grid.items():
        flags += [f"--{name}", *map(str, values)] if values else []
    flags += ["--seeds", *map(str, [seeds] if isinstance(seeds, int) else seeds)]
    try:
        compare_command.run_comparison(flags, quiet=quiet)
    except Interrupted as stop:
        raise Interrupted(stop.done, stop.whole, stop.unit, "the same call goes on") from None
    if not (folder / "compare.json").is_file():
        raise InputError(
            expected="runs that end with a result", found="none of them did (see above)", change="the call"
        )
    return Comparison(folder, json.loads((folder / "compare.json").read_text(encoding="utf-8")))


def write_tables(tables: Mapping[str, Any], folder: Path) -> Path:
    """Writes rows in memory to files, for other processes. Returns the folder."""
    for split, table in tables.items():
        names = list(table.columns)
        lines = zip(*(table.values(name) for name in names), strict=True)
        named = {name: table.class_names.get(name) for name in names}
        folder.mkdir(parents=True, exist_ok=True)
        write_text(
            folder / f"{split}.jsonl", "".join(_line(dict(zip(names, line, strict=True)), named) for line in lines)
        )
    return folder


def _line(row: Mapping[str, Any], class_names: Mapping[str, Sequence[str] | None]) -> str:
    def named(value: Any, names: Sequence[str] | None) -> Any:
        return names[value] if names and isinstance(value, int) and value >= 0 else value

    return json.dumps({n: named(v, class_names[n]) for n, v in row.items()}, ensure_ascii=False, default=str) + "\n"


def flags_of(recipe: Recipe, settings: Settings) -> list[str]:
    """Returns the settings that differ from the recipe's defaults, as command-line arguments."""
    flags: list[str] = []
    for name, value in recipe.changed(settings).items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            flags += [flag] if value else []
        else:
            flags += [flag, *map(str, value if isinstance(value, tuple) else (value,))]
    return flags
