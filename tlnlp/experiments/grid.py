"""The grid: the runs of a comparison, their folders, and the check that a folder has runs of one kind only."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tlnlp.data import Rows, load_splits
from tlnlp.errors import InputError
from tlnlp.evaluation.metric_names import choose_metrics
from tlnlp.experiments.arguments import CONTROL, CompareArguments
from tlnlp.recipe import Recipe
from tlnlp.runs.checks import check_checkpoint
from tlnlp.runs.folder import plain
from tlnlp.settings import HOW_DATA_ARE_READ, NOT_OF_THE_RUN, Settings
from tlnlp.task import Task
from tlnlp.training.files import room_wanted, write_json
from tlnlp.transfer.parse_strategy import StrategyChoice, find_strategy
from tlnlp.transfer.strategies import shallow

FRACTIONS = (0.1, 0.3, 1.0)
GRID = "grid.json"  # in the folder of the comparison: what all its runs share
# Flags that determine the number of updates.
OF_UPDATES = ("--least-updates", "--small-data")
# Settings in which the runs of a comparison may differ.
VARIED = ("model", "strategy", "train_rows", "seed", *NOT_OF_THE_RUN)


@dataclass(frozen=True)
class Arm:
    """One arm of a comparison: a checkpoint with a strategy.

    Args:
        label: its name in tables and messages.
        source: the checkpoint's short name, which is unique.
    """

    model: str
    strategy: StrategyChoice
    source: str
    label: str

    @property
    def is_control(self) -> bool:
        """Whether it uses only the architecture of the checkpoint, not its weights."""
        return self.strategy.is_from_scratch


@dataclass(frozen=True)
class Run:
    """One run of the grid."""

    arm: Arm
    rows: int
    seed: int
    folder: Path

    @property
    def name(self) -> str:
        """Its name in the progress bar and in messages."""
        return f"{self.arm.label}, {self.rows:,} rows, seed {self.seed}"

    def flags(self, passed: Sequence[str]) -> list[str]:
        """Returns its command line after the recipe's name."""
        passed = _heeded_by(self.arm.strategy, passed)
        model = [] if "--model" in {word.partition("=")[0] for word in passed} else ["--model", self.arm.model]
        own = ["--strategy", self.arm.strategy.text, "--train-rows", str(self.rows), "--seed", str(self.seed)]
        return [*passed, *model, *own, "--output-dir", str(self.folder), "--resume"]


def _heeded_by(strategy: StrategyChoice, passed: Sequence[str]) -> list[str]:
    """The flags without those that say how many updates there are, where a strategy makes none: by itself it refuses
    them, beside others they are for these."""
    if strategy.function is not shallow:
        return list(passed)
    heeded, is_heeded = [], True
    for word in passed:
        if word.startswith("--"):
            is_heeded = word.partition("=")[0].replace("_", "-") not in OF_UPDATES
        if is_heeded:
            heeded.append(word)
    return heeded


@dataclass(frozen=True)
class Grid:
    """All runs of a comparison.

    Args:
        sizes: numbers of train rows, ascending.
        seeds: number of seeds at each size.
        task: the task, with its metrics and its positive label.
        all_rows: total number of train rows.
        dev: the evaluation rows of each seed; a single entry if they are the same for all.
        runs: in the order of execution: seed by seed, so that an interrupted grid is balanced.
        task: the recipe's, with several labels if these were found in the rows.
    """

    folder: Path
    arms: tuple[Arm, ...]
    sizes: tuple[int, ...]
    seeds: tuple[int, ...]
    all_rows: int
    dev: tuple[Rows, ...]
    runs: tuple[Run, ...]
    task: Task

    @property
    def shares_dev(self) -> bool:
        """Whether all runs are evaluated on the same rows."""
        return len(self.dev) == 1

    def dev_of(self, seed: int) -> Rows:
        """Returns the evaluation rows of the runs with this seed."""
        return self.dev[0 if self.shares_dev else seed]


def plan_grid(asked: CompareArguments, recipe: Recipe, settings: Settings) -> Grid:
    """Reads the rows, checks the checkpoints without loading weights, and plans the runs.

    Raises:
        InputError: a strategy is unknown, a checkpoint, the rows or a size cannot be used, or the folder has runs of
            another kind.
    """
    strategies = [find_strategy(text) for text in asked.strategies]
    # Every seed's rows: where the source has no dev split, each seed cuts its own from train.
    splits = [load_splits(recipe.task, replace(settings, seed=0))]
    for seed in range(1, max(asked.seeds)):
        splits.append(load_splits(recipe.task, replace(settings, seed=seed)))
        if splits[-1].fingerprint == splits[0].fingerprint:
            splits = splits[:1]
            break
    dev = [each.test or each.dev for each in splits]
    if all(each.columns == dev[0].columns for each in dev):  # rows held out for selection change only train
        dev = dev[:1]
    recipe = replace(recipe, task=recipe.task.with_several(splits[0].several))
    models = asked.models or (settings.model,)
    fingerprints = {model: checkpoint_fingerprint(recipe, settings, model, splits[0].train) for model in models}
    all_rows = min(len(each.train) for each in splits)
    sizes = _find_sizes(asked, all_rows, splits[0].train)
    seeds = _seeds_at(sizes, asked)
    folder = asked.output_dir or default_folder(recipe, settings, "compare", VARIED)
    arms = _name_arms(models, strategies)
    runs = tuple(
        Run(arm, rows, seed, place_of(folder, arm, rows, seed))
        for seed in range(max(seeds))
        for rows, count in zip(sizes, seeds, strict=True)
        if seed < count
        for arm in arms
    )
    checkpoints = {arm.source: fingerprints[arm.model] for arm in arms}
    keep_one_kind(folder, recipe, settings, VARIED, data=splits[0].fingerprint, models=checkpoints)
    task, _ = choose_metrics(recipe.task, settings, splits[0].train)
    return Grid(folder, arms, sizes, seeds, all_rows, tuple(dev), runs, task)


def checkpoint_fingerprint(recipe: Recipe, settings: Settings, model: str, train: Rows) -> str:
    """Returns the fingerprint of a checkpoint, checked without weights: missing ones concern each run by itself."""
    return check_checkpoint(recipe, replace(settings, model=model), find_strategy(CONTROL), train).fingerprint


def place_of(folder: Path, arm: Arm, rows: int, seed: int) -> Path:
    """FOLDER/MODEL/STRATEGY/64-rows/seed0."""
    return folder / arm.source / arm.strategy.text.replace("/", "_") / f"{rows}-rows" / f"seed{seed}"


def default_folder(recipe: Recipe, settings: Settings, command: str, varied: Sequence[str]) -> Path:
    """Returns runs/COMMAND/TASK-DATA, with every flag that differs from the recipe's default. Varied settings are not
    in the name, so that a grid with another strategy or seed finds the existing runs."""
    changed = recipe.changed(settings)
    words = [recipe.task.name, settings.data_name]
    unnamed = (*varied, "data", "columns", *HOW_DATA_ARE_READ)
    words += [f"{name}={value}" for name, value in changed.items() if name not in unnamed]
    return Path("runs") / command / "-".join(words)


def _seeds_at(sizes: tuple[int, ...], asked: CompareArguments) -> tuple[int, ...]:
    """Returns the number of seeds for each of `sizes`."""
    if len(asked.seeds) == 1:
        return asked.seeds * len(sizes)
    given = asked.rows or asked.fractions or FRACTIONS
    if len(asked.seeds) != len(given) or len(given) != len(sizes):
        raise InputError(
            expected="--seeds: one number, or one for each size",
            found=f"{len(asked.seeds)} numbers for {len(sizes)} sizes ({', '.join(map(str, sizes))} train rows)",
            change="the numbers after --seeds",
        )
    return tuple(count for _, count in sorted(zip(given, asked.seeds, strict=True)))


def _find_sizes(asked: CompareArguments, all_rows: int, train: Rows) -> tuple[int, ...]:
    # A sample has each label at least once, so it needs at least as many rows as there are labels.
    least = max(2, len(train.labels or ()) if "label" in train.columns else 0)
    sizes = asked.rows or tuple(round(fraction * all_rows) for fraction in asked.fractions or FRACTIONS)
    flag = "--rows" if asked.rows else "--fractions"
    for size in sizes:
        if not least <= size <= all_rows:
            raise InputError(
                expected=f"{flag} that give {least:,} to {all_rows:,} train rows of {train.origin}",
                found=f"{size:,} rows",
                change=f"the value after {flag}, or use more rows (--data)",
            )
    return tuple(sorted(set(sizes)))


def name_sources(models: Sequence[str]) -> dict[str, str]:
    """Returns {checkpoint: short name}; folders with the same name are distinguished by a digest of their paths."""
    names = Counter(Path(model).name for model in models)
    return {
        model: Path(model).name
        + (f"-{hashlib.sha256(model.encode()).hexdigest()[:6]}" if names[Path(model).name] > 1 else "")
        for model in models
    }


def _name_arms(models: Sequence[str], strategies: Sequence[StrategyChoice]) -> tuple[Arm, ...]:
    sources = name_sources(models)
    return tuple(
        Arm(model, strategy, sources[model], f"{sources[model]} {strategy.text}" if len(models) > 1 else strategy.text)
        for model in models
        for strategy in strategies
    )


def differing_settings(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Returns the differences, as in '--epochs 3 there, 5 here'. Flags that an older version lacked had their
    defaults."""
    usual = plain(Settings())
    return [
        f"--{name.replace('_', '-')} {there.get(name, usual[name])} there, {value} here"
        for name, value in here.items()
        if there.get(name, usual[name]) != value
    ]


def keep_one_kind(
    folder: Path,
    recipe: Recipe,
    settings: Settings,
    varied: Sequence[str],
    *,
    data: str = "",
    models: Mapping[str, str],
    languages: Mapping[str, str] | None = None,
) -> None:
    """Records what all runs in `folder` share, and checks it against the runs that are there.

    Args:
        varied: settings in which the runs may differ.
        data: fingerprint of the rows; "" if runs have different rows, each those of its language.
        models, languages: fingerprints by name. The folder may have others, with other names.

    Raises:
        InputError: the runs there have other settings, rows or checkpoints.
    """
    # Each run of a grid is one process.
    settings = replace(settings, micro_batches=settings.micro_batches or 1)
    common = {name: value for name, value in plain(settings).items() if name not in varied}
    note: dict[str, Any] = {"task": recipe.task.name, "settings": common, "data": data}
    note |= {"models": dict(models), "languages": dict(languages or {})}
    path = folder / GRID
    if path.is_file():
        before = json.loads(path.read_text())
        differing = differing_settings(before["settings"], common)
        if before["task"] != recipe.task.name:
            differing.append(f"{before['task']} there, {recipe.task.name} here")
        differing += ["other rows"] if before["data"] != data and not differing else []
        for kind, what in (("models", "another checkpoint with the name"), ("languages", "other rows in")):
            there = before.get(kind, {})  # older versions had no languages
            differing += [f"{what} {name}" for name, print_ in note[kind].items() if there.get(name, print_) != print_]
            note[kind] = there | note[kind]
        if differing:
            raise InputError(
                expected=f"{folder} to be empty, or to have runs of the same kind",
                found="; ".join(differing[:3]),
                change="another --output-dir, or delete that folder",
            )
    with room_wanted(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_json(path, note)
