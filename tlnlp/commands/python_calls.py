"""The front door from Python: `tlnlp.train`, `tlnlp.load` and `tlnlp.compare` do what the commands of that name do."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tlnlp.commands import compare as compare_command
from tlnlp.data.bytes_to_text import FileFormat
from tlnlp.data.memory import fingerprint_of, tables_of
from tlnlp.display.console import RunConsole
from tlnlp.display.quiet import quiet_libraries
from tlnlp.errors import InputError, Interrupted, did_you_mean
from tlnlp.evaluation.predictions import Prediction
from tlnlp.inference.predictor import Predictor
from tlnlp.lazy import path_of
from tlnlp.recipe import Recipe, load_recipe
from tlnlp.reporting.page import save_page
from tlnlp.run import run_seeds
from tlnlp.runs import folder as folders
from tlnlp.runs.request import Request
from tlnlp.runs.result import RunResult, read_result
from tlnlp.settings import Precision, Settings
from tlnlp.task import Task
from tlnlp.training.distributed import start_accelerator
from tlnlp.training.files import write_text

# Exit status of a command that was stopped.
STOPPED = 130


@dataclass(frozen=True)
class Run:
    """A finished run and what it left in its folder.

    Args:
        folder: holds `model/`, `predictions.jsonl`, `result.json` and `report.html`.
        result: what `result.json` holds; docs/result.md says what each field is.
    """

    folder: Path
    result: RunResult

    @property
    def metrics(self) -> dict[str, float]:
        """{metric: value} on the dev rows (on test where dev was used to choose); of several seeds the mean."""
        return dict(self.result.metrics)

    @cached_property
    def model(self) -> Predictor:
        """The trained model, ready to predict; of several seeds that of the first."""
        return Predictor(self.result.model_folder)

    @cached_property
    def predictions(self) -> list[Prediction]:
        """A prediction for each of the rows that the metrics are about; of several seeds those of the first."""
        file = self.result.model_folder.parent / folders.PREDICTIONS
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        return [Prediction.of(line) for line in lines]

    def report(self) -> Path:
        """Writes the page about the run and returns its file."""
        save_page([self.folder], self.folder / folders.REPORT)
        return self.folder / folders.REPORT

    def __repr__(self) -> str:
        scores = ", ".join(f"{name} {value:.4f}" for name, value in self.metrics.items())
        return f"Run({self.result.task}: {scores}; {self.folder})"


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
    """See `tlnlp.train`."""
    began = time.time()
    quiet_libraries()
    declared = recipe_of(recipe)
    asked, tables = ask(declared, data, columns, model, output_dir, resume=resume, **settings)
    call = call_text(declared, asked, tables is not None)
    request = replace(Request.of(declared, asked, call, began), tables=tables)
    folder = request.folder
    accelerator = start_accelerator(asked.precision, asked.tracker, folder / "tracker")
    screen = RunConsole(speaks=accelerator.is_main_process and not quiet, quiet=quiet)
    try:
        result = run_seeds(request, accelerator, screen)
    except Interrupted as stop:
        raise Interrupted(stop.done, stop.whole, stop.unit, "the same call with resume=True goes on") from None
    if not asked.no_report and accelerator.is_main_process:
        save_page([folder], folder / folders.REPORT)
    return Run(folder, result)


def recipe_of(recipe: str | Recipe | Task) -> Recipe:
    """The recipe that is meant: by its name, as it is, or one around a task."""
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
    """The settings of a call, and the tables of rows that are in memory.

    Raises:
        InputError: a setting that there is not, or a value that cannot be.
    """
    known = {each.name for each in fields(Settings)}
    if unknown := [name for name in settings if name not in known]:
        raise InputError(
            expected="settings by the names of the flags, with underscores (epochs, learning_rate, strategy, ...)",
            found=f"{unknown[0]}={settings[unknown[0]]!r}{did_you_mean(unknown[0], known)}",
            change="the name",
        )
    told = {name: tuple(value) if isinstance(value, list) else value for name, value in settings.items()}
    if callable(told.get("strategy")):
        told["strategy"] = path_of(told["strategy"])
    told["columns"] = tuple(f"{role}={column}" for role, column in (columns or {}).items())
    told |= {"model": str(model)} if model is not None else {}
    told |= {"output_dir": Path(output_dir)} if output_dir is not None else {}
    if data is None or isinstance(data, str | Path):
        told |= {} if data is None else {"data": str(data)}
        return recipe.settings(**told), None
    form = FileFormat(recipe.task.columns.words is not None, recipe.task.data.original_columns)
    tables = tables_of(data, form)
    return recipe.settings(**told, data=f"rows-{fingerprint_of(tables)}"), tables


def call_text(recipe: Recipe, settings: Settings, in_memory: bool) -> str:
    """The Python call that repeats a run."""
    changed = {**recipe.changed(settings)}
    columns = dict(each.split("=", 1) for each in changed.pop("columns", ()))
    data = "data" if in_memory else repr(changed.get("data", settings.data))
    changed.pop("data", None)
    words = [repr(recipe.task.name), f"data={data}", *([f"columns={columns!r}"] if columns else [])]
    words += [f"{name}={value!r}" for name, value in changed.items()]
    return f"tlnlp.train({', '.join(words)})"


def load(folder: str | Path, *, precision: Precision = "fp32", max_tokens: int = 4096) -> Predictor:
    """See `tlnlp.load`."""
    quiet_libraries()
    place = Path(folder).expanduser()
    if (place / folders.RESULT).is_file():
        place = read_result(place).model_folder
    return Predictor(place, precision=precision, max_tokens=max_tokens)


@dataclass(frozen=True)
class Comparison:
    """A finished grid of runs and what it says.

    Args:
        folder: holds `compare.json`, `compare.md`, the picture and the runs.
        result: the content of `compare.json`.
    """

    folder: Path
    result: Mapping[str, Any]

    @property
    def table(self) -> list[dict[str, Any]]:
        """One dict for each strategy, checkpoint and number of rows: its scores' mean, interval and seeds."""
        return [
            {"strategy": curve["strategy"], "model": curve["model"], **point}
            for curve in self.result["curves"]
            for point in curve["points"]
        ]

    @property
    def verdicts(self) -> list[str]:
        """What the runs can tell, in sentences."""
        return [sentence for part in self.result["verdicts"].values() for sentence in part]


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
    **settings: Any,
) -> Comparison:
    """See `tlnlp.compare`."""
    declared = load_recipe(recipe)
    asked, tables = ask(declared, data, columns, None, None, **settings)
    default = Path("runs") / "compare" / f"{declared.task.name}-{Path(asked.data).stem}"
    folder = default if output_dir is None else Path(output_dir)
    if tables is not None:  # the runs have processes of their own
        asked = replace(asked, data=str(write_tables(tables, folder / "rows")))
    flags = [str(recipe), "--output-dir", str(folder), *flags_of(declared, asked)]
    for name, values in (("strategies", strategies), ("models", models), ("rows", rows), ("fractions", fractions)):
        flags += [f"--{name}", *map(str, values)] if values else []
    flags += ["--seeds", *map(str, [seeds] if isinstance(seeds, int) else seeds)]
    status = compare_command.main(flags)
    if status == STOPPED:
        raise KeyboardInterrupt("the same call goes on")
    if not (folder / "compare.json").is_file():
        raise InputError(
            expected="runs that end with a result", found="none of them did (see above)", change="the call"
        )
    return Comparison(folder, json.loads((folder / "compare.json").read_text(encoding="utf-8")))


def write_tables(tables: Mapping[str, Any], folder: Path) -> Path:
    """Rows in memory as files, for processes that do not share it."""
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
    """The settings that differ from the recipe's own, as a command line has them."""
    flags: list[str] = []
    for name, value in recipe.changed(settings).items():
        flag = "--" + name.replace("_", "-")
        if isinstance(value, bool):
            flags += [flag] if value else []
        else:
            flags += [flag, *map(str, value if isinstance(value, tuple) else (value,))]
    return flags
