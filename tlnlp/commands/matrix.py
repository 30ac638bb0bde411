"""`tlnlp matrix`: how well does a model transfer from each language to each other?"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console

from tlnlp.commands.arguments import MatrixArguments
from tlnlp.data import load_splits
from tlnlp.display.quiet import quiet_libraries
from tlnlp.errors import InputError
from tlnlp.experiments import matrix_table as showing
from tlnlp.experiments.arguments import SET_BY_ANY_GRID, part, refuse_flags
from tlnlp.experiments.grid import checkpoint_fingerprint, default_folder, keep_one_kind, name_sources
from tlnlp.experiments.heat_map import draw
from tlnlp.experiments.progress import Progress
from tlnlp.experiments.workers import (
    CRASHED,
    REFUSED,
    Outcome,
    Stopped,
    find_diverged,
    find_places,
    is_finished,
    make_runs,
    start_server,
)
from tlnlp.recipe import Recipe, load_recipe
from tlnlp.runs.languages import is_above_chance, join_languages, score_of
from tlnlp.runs.result import read_result
from tlnlp.runs.versions import versions_of
from tlnlp.settings import NOT_OF_THE_RUN, Settings
from tlnlp.training.files import locked, room_wanted, write_json, write_text

NAME = "matrix"
# Settings in which the runs of a matrix may differ.
VARIED = ("model", "seed", "train_language", *NOT_OF_THE_RUN)
SET_BY_THE_GRID = {
    "train-language": "--train-languages, each of which is trained on separately",
    **SET_BY_ANY_GRID,
}


@dataclass(frozen=True)
class Run:
    """One run: a checkpoint trained on one language."""

    model: str
    source: str  # the checkpoint's short name
    language: str
    seed: int
    rows: int
    folder: Path

    @property
    def name(self) -> str:
        """Its name in the progress bar and in messages."""
        return f"{self.source}, trained on {self.language}, seed {self.seed}"

    def flags(self, passed: Sequence[str]) -> list[str]:
        """Returns its command line after the recipe's name."""
        model = [] if "--model" in {word.partition("=")[0] for word in passed} else ["--model", self.model]
        own = ["--train-language", self.language, "--seed", str(self.seed)]
        return [*passed, *model, *own, "--output-dir", str(self.folder), "--resume"]


def main(arguments: list[str]) -> int:
    """The command line of `tlnlp matrix`. Exit status 0 if all runs have a result (or were refused with a message), 1
    if one crashed, 2 if all were refused, 130 if it was stopped."""
    own, passed = part(arguments, MatrixArguments, "tlnlp matrix")
    asked = tyro.cli(MatrixArguments, args=own, prog="tlnlp matrix", config=(tyro.conf.FlagCreatePairsOff,))
    given = refuse_flags(passed, SET_BY_THE_GRID)
    _refuse_contradictions(asked, given)
    recipe = load_recipe(asked.recipe)
    settings = recipe.parse(passed, f"The flags of {asked.recipe}.")
    quiet_libraries()
    start_server()
    console = Console(highlight=False)
    command = shlex.join(["tlnlp", NAME, *arguments])
    folder = asked.output_dir or default_folder(recipe, settings, NAME, VARIED)
    runs = plan_runs(asked, recipe, settings, folder)
    with locked(folder):
        missing = [run for run in runs if not is_finished(run)]
        there = f", {len(runs) - len(missing)} of them already finished" if len(missing) < len(runs) else ""
        console.print(f"{folder}: {len(runs)} runs{there}", markup=False, soft_wrap=True)
        places = find_places(asked.workers)
        try:
            with Progress(missing, len(places), console) as progress:
                outcomes = make_runs(missing, asked.recipe, passed, places, progress.begins, progress.ends)
        except Stopped:
            done = sum(map(is_finished, runs))
            said = f"Stopped: {done} of {len(runs)} runs are done. To continue:\n  {command}"
            console.print(said, markup=False, soft_wrap=True)
            return 130
        failures = {run: each for run, each in outcomes.items() if each.kind in (REFUSED, CRASHED)}
        failures |= find_diverged([run for run in runs if is_finished(run)])
        finished = [run for run in runs if is_finished(run) and run not in failures]
        for run, each in failures.items():
            console.print(f"{run.name}: {each.kind}:\n{each.words}", markup=False, soft_wrap=True)
        if finished:
            _report(finished, failures, asked, recipe, folder, console, command)
    return int(any(each.kind == CRASHED for each in failures.values())) or (0 if finished else 2)


def plan_runs(asked: MatrixArguments, recipe: Recipe, settings: Settings, folder: Path) -> tuple[Run, ...]:
    """Reads the rows of each language and plans the runs, seed by seed.

    Raises:
        InputError: a language is missing, rows cannot be used, or the folder has other runs.
    """
    rows, fingerprints, models = {}, {}, {}
    sources = name_sources(asked.models or (settings.model,))
    for language in asked.train_languages:
        splits = load_splits(recipe.task, replace(settings, train_language=(language,)))
        if not splits.target_languages:
            raise InputError(
                expected="a task with several languages",
                found=f"{asked.recipe}: no language besides {language}",
                change="another recipe, --languages, or --transfer-data FOLDER with rows in other languages",
            )
        recipe = replace(recipe, task=recipe.task.with_several(splits.several))
        rows[language], fingerprints[language] = len(splits.train), splits.fingerprint
        models = {
            source: checkpoint_fingerprint(recipe, settings, model, splits.train) for model, source in sources.items()
        }
    keep_one_kind(folder, recipe, settings, VARIED, models=models, languages=fingerprints)
    return tuple(
        Run(model, source, language, seed, rows[language], folder / source / language / f"seed{seed}")
        for seed in range(asked.seeds)
        for model, source in sources.items()
        for language in asked.train_languages
    )


def _refuse_contradictions(asked: MatrixArguments, given: set[str]) -> None:
    if asked.models and "model" in given:
        raise InputError(
            expected="one of --model and --models", found="both", change="name all checkpoints after --models"
        )
    for name, values in (("train-languages", asked.train_languages), ("models", asked.models)):
        if twice := [each for each in dict.fromkeys(values) if values.count(each) > 1]:
            raise InputError(
                expected=f"each of --{name} once", found=f"{twice[0]} twice", change=f"remove one {twice[0]}"
            )
    for flag, value in (("seeds", asked.seeds), ("workers", asked.workers)):
        if value is not None and value < 1:
            raise InputError(expected=f"--{flag}: at least 1", found=str(value), change=f"the value of --{flag}")
    if not asked.train_languages:
        raise InputError(
            expected="--train-languages: at least one", found="none", change="name them after --train-languages"
        )


def _report(
    runs: Sequence[Run],
    failures: dict[Run, Outcome],
    asked: MatrixArguments,
    recipe: Recipe,
    folder: Path,
    console: Console,
    command: str,
) -> None:
    """Joins and prints the results, and writes matrix.json, matrix.md and the figure."""
    content = {
        **join_runs(runs),
        "task": recipe.task.name,
        "seeds": asked.seeds,
        "failures": [{"run": run.name, "kind": each.kind, "words": each.words} for run, each in failures.items()],
        "versions": versions_of("tlnlp", "numpy", "scipy"),
        "command": command,
    }
    console.print()
    console.print(showing.for_terminal(content), markup=False, soft_wrap=True)
    with room_wanted(folder):
        pictures = draw(content, showing.title(content), folder)
        write_text(folder / f"{NAME}.md", showing.for_page(content, pictures[0].name, command))
        write_json(folder / f"{NAME}.json", content)
    console.print(f"\n{folder}/{NAME}.json, .md, .svg, .png", markup=False, soft_wrap=True)


def join_runs(runs: Sequence[Run]) -> dict[str, Any]:
    """Returns {metric, models, sources, targets, cells}: a cell for each checkpoint, source language and target
    language, over its seeds."""
    cells, languages = [], []
    results = {run: read_result(run.folder).languages or {} for run in runs}
    metric = next(iter(results.values()))["metric"]
    models = list(dict.fromkeys(run.source for run in runs))
    sources = list(dict.fromkeys(run.language for run in runs))
    for model in models:
        for language in sources:
            found = [results[run] for run in runs if (run.source, run.language) == (model, language)]
            joined = join_languages(found) if found else {"targets": []}
            for target in [*([joined["source"]] if found else []), *joined["targets"]]:
                score = score_of(target)
                low, high = score.interval()
                languages.append(target["language"])
                cells.append(
                    {
                        "model": model,
                        "source": language,
                        "target": target["language"],
                        "mean": score.value,
                        "low": low,
                        "high": high,
                        "covers_seeds": score.covers_seeds,
                        "scores": target["scores"],
                        "rows": target["rows"],
                        "majority": target["majority"],
                        "is_above_chance": is_above_chance(target),
                    }
                )
    # Source languages first, in the same order, so that they form the diagonal.
    targets = list(dict.fromkeys([*(each for each in sources if each in languages), *languages]))
    return {"metric": metric, "models": models, "sources": sources, "targets": targets, "cells": cells}
