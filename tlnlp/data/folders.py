"""A path to the tables of its splits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from tlnlp.data.files import list_files, read_file, split_suffixes
from tlnlp.data.table import Table
from tlnlp.errors import InputError, did_you_mean

# What people call the split that a run is reported on.
DEV_NAMES = ("validation", "dev", "valid", "val")


def read_path(path: Path, train: str, dev: str, test: str | None, *, with_test: bool) -> dict[str, Table]:
    """{'train': table, 'dev': table, 'test': table}; the latter two where they are there.

    Args:
        path: a file of train rows, or a folder with one file for each split.
        train, dev, test: the task's own split names; the usual ones are looked for as well.
        with_test: whether test rows are wanted at all.

    Raises:
        InputError: nothing there, a folder without train rows, two files for one split, or a file that is refused.
    """
    path = path.expanduser()
    if path.is_file():
        return {"train": read_file(path)}
    if not path.is_dir():
        raise _nothing_there(path)
    wanted = {"train": [train, "train"], "dev": [dev, *DEV_NAMES]}
    if with_test:
        wanted["test"] = [*([test] if test else []), "test"]
    found = {split: file for split, names in wanted.items() if (file := _find(path, names))}
    if "train" not in found:
        there = sorted(each.name for each in path.iterdir())
        raise InputError(
            expected=f"{train}.jsonl (or .csv, .tsv, .json, .parquet, .txt) in the folder",
            found=f"{path}: {_listed(there) or 'an empty folder'}",
            change=f"name the file with the rows to learn from {train}.*, or give that file itself: --data FILE",
        )
    return {split: read_file(file, f"{path.name}/{file.name}") for split, file in found.items()}


def _find(folder: Path, names: Sequence[str]) -> Path | None:
    """The file of the first of `names` that has one."""
    files = list_files(folder)
    for name in names:
        fitting = [file for file in files if _stem(file) == name.lower()]
        if len(fitting) > 1:
            raise InputError(
                expected=f"one file for the split {name}",
                found=f"{folder}: {_listed([file.name for file in fitting])}",
                change="leave one of them, or give a file: --data FILE",
            )
        if fitting:
            return fitting[0]
    return None


def _stem(file: Path) -> str:
    """The name without its endings, and without the mark of an only shard (train-00000-of-00001.parquet)."""
    stem = file.name[: len(file.name) - len("".join(split_suffixes(file)))].lower()
    return re.sub(r"-00000-of-00001$", "", stem)


def _nothing_there(path: Path) -> InputError:
    near = path.parent
    there = sorted(each.name for each in near.iterdir()) if near.is_dir() else []
    listed = f"; in {near}: {_listed(there)}" if there else f"; there is no folder {near}"
    return InputError(
        expected="--data sample, --data hub, or the path of a file or folder",
        found=f"nothing at {path}{did_you_mean(path.name, [*there, 'sample', 'hub'])}{listed}",
        change="the path; a data set of the Hub comes with its recipe: --data hub",
    )


def _listed(names: Sequence[str], most: int = 10) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
