"""The arguments of `tlnlp compare`: its own flags, and those that it passes to the recipe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated

import tyro

from tlnlp.errors import InputError, did_you_mean
from tlnlp.recipe import Recipe, load_recipe
from tlnlp.settings import Settings

CONTROL = "from_scratch"
# Flags of the recipe that the grid sets itself, and what to use instead.
SET_BY_ANY_GRID = {
    "seed": "--seeds N, for the seeds 0 to N-1",
    "resume": "nothing: unfinished runs are always resumed",
    "overwrite": "another --output-dir, or delete the folder",
    "push-to": "nothing: a comparison is not a model; push the best run",
    "quiet": "nothing",
    "no-report": "nothing: tlnlp report FOLDER writes the report of each run",
    "tracker": "nothing: a tracker cannot log several runs at a time",
}
SET_BY_THE_GRID = {
    "strategy": "--strategies",
    "train-rows": "--rows, the numbers of train rows to compare at",
    **SET_BY_ANY_GRID,
}


@dataclass(frozen=True)
class CompareArguments:
    """Does transfer help, which strategy is best, and from how many labelled rows on? Runs a grid of strategies (or
    checkpoints), numbers of train rows and seeds, and prints which differences are significant and which are not.

    tlnlp compare recipes/sst2.py --strategies from_scratch head_only full --fractions 0.1 0.3 1 --seeds 3

    tlnlp compare recipes/sst2.py --models mini my_bert/ --strategies from_scratch full --rows 64 256 --seeds 5

    All other flags are passed to the recipe, as in --data reviews.csv --columns text=review label=stars --epochs 3;
    `python RECIPE.py --help` lists them. Finished runs are not repeated: the same command continues an interrupted
    comparison, and a command with another strategy, size or seed runs only what is missing.
    """

    recipe: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RECIPE.py", help="The recipe of the task.")]
    strategies: Annotated[
        tuple[str, ...],
        tyro.conf.arg(
            metavar="NAME ...",
            help="Values of the recipe's --strategy; others are compared with from_scratch, the baseline.",
        ),
    ] = (CONTROL, "head_only", "full")
    models: Annotated[
        tuple[str, ...],
        tyro.conf.arg(metavar="MODEL ...", help="Checkpoints to compare; the recipe's --model if unset."),
    ] = ()
    fractions: Annotated[
        tuple[float, ...],
        tyro.conf.arg(metavar="FRACTION ...", help="Fractions of the train rows to train on; 0.1 0.3 1 if unset."),
    ] = ()
    rows: Annotated[
        tuple[int, ...], tyro.conf.arg(metavar="ROWS ...", help="Numbers of train rows; instead of --fractions.")
    ] = ()
    seeds: Annotated[
        tuple[int, ...],
        tyro.conf.arg(
            metavar="COUNT ...",
            help="Number of runs per cell, with seeds 0 to COUNT-1 (train rows, new head). One number, or one for each "
            "of --rows or --fractions.",
        ),
    ] = (5,)
    workers: Annotated[
        int | None,
        tyro.conf.arg(metavar="COUNT", help="Number of runs at a time; one per GPU, or one on a CPU if unset."),
    ] = None
    output_dir: Annotated[
        Path | None, tyro.conf.arg(metavar="FOLDER", help="Output folder; runs/compare/TASK-DATA if unset.")
    ] = None


def read_arguments(arguments: list[str]) -> tuple[CompareArguments, Recipe, Settings, list[str]]:
    """Returns the command's own arguments, the recipe, its settings, and the flags to pass to the recipe.

    Raises:
        InputError: a flag or a value is invalid, or the file is not a recipe.
        SystemExit: `--help` (0), or a value is not a number (2).
    """
    own, passed = part(arguments, CompareArguments, "tlnlp compare")
    asked = tyro.cli(CompareArguments, args=own, prog="tlnlp compare", config=(tyro.conf.FlagCreatePairsOff,))
    _refuse_contradictions(asked, passed)
    recipe = load_recipe(asked.recipe)
    return asked, recipe, recipe.parse(passed, f"The flags of {asked.recipe}."), passed


def part(arguments: list[str], flags_of: type, command: str) -> tuple[list[str], list[str]]:
    """Separates the arguments that are fields of `flags_of` from those for the recipe. All words up to the next flag
    belong to a flag.

    Raises:
        InputError: neither has such a flag.
    """
    ours = {each.name.replace("_", "-") for each in fields(flags_of)} - {"recipe"} | {"help"}
    theirs = {each.name.replace("_", "-") for each in fields(Settings)}
    own: list[str] = []
    passed: list[str] = []
    into = own
    for word in arguments:
        if word.startswith("--") or word == "-h":
            name = word[2:].partition("=")[0].replace("_", "-") if word != "-h" else "help"
            if name not in ours | theirs:
                flags = [f"--{each}" for each in sorted(ours | theirs)]
                raise InputError(
                    expected=f"flags of {command}, or of the recipe",
                    found=f"{word}{did_you_mean(f'--{name}', flags)}",
                    change=f"the flag; {command} --help and python RECIPE.py --help list them all",
                )
            into = own if name in ours else passed
        into.append(word)
    return own, passed


def refuse_flags(passed: Sequence[str], instead_of: Mapping[str, str]) -> set[str]:
    """Returns the names of the flags in `passed`, after checking that none is in `instead_of`.

    Raises:
        InputError: one of them is; the message says what to use instead.
    """
    given = {word[2:].partition("=")[0].replace("_", "-") for word in passed if word.startswith("--")}
    for name, instead in instead_of.items():
        if name in given:
            raise InputError(expected=f"instead of --{name}: {instead}", found=f"--{name}", change=f"omit --{name}")
    return given


def _refuse_contradictions(asked: CompareArguments, passed: list[str]) -> None:
    given = refuse_flags(passed, SET_BY_THE_GRID)
    if asked.models and "model" in given:
        raise InputError(
            expected="one of --model and --models", found="both", change="name all checkpoints after --models"
        )
    if asked.fractions and asked.rows:
        raise InputError(expected="one of --fractions and --rows", found="both", change="omit one of them")
    for fraction in asked.fractions:
        if not 0 < fraction <= 1:
            raise InputError(
                expected="--fractions above 0 and at most 1 (1: all train rows)",
                found=f"{fraction:g}",
                change="the value after --fractions" if fraction <= 1 else "--rows for numbers of rows",
            )
    for name, values in (("strategies", asked.strategies), ("models", asked.models), ("rows", asked.rows)):
        if twice := [each for each in dict.fromkeys(values) if values.count(each) > 1]:
            raise InputError(
                expected=f"each of --{name} once", found=f"{twice[0]} twice", change=f"remove one {twice[0]}"
            )
    for name, value in (
        ("seeds", min(asked.seeds, default=0)),
        ("workers", asked.workers),
        ("rows", min(asked.rows, default=1)),
    ):
        if value is not None and value < 1:
            raise InputError(expected=f"--{name}: at least 1", found=str(value), change=f"the value of --{name}")
    if not asked.strategies:
        raise InputError(expected="--strategies: at least one", found="none", change="name them after --strategies")
