"""The files of `--train-file`, `--dev-file` and `--test-file`, by whatever names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tlnlp.data.bytes_to_text import FileFormat
from tlnlp.data.rows import DEV, TEST, TRAIN, SplitKey
from tlnlp.data.sources import read_place, split_name, visible, with_notes
from tlnlp.data.split_files import DEV_NAMES, nothing_there
from tlnlp.data.table import Table
from tlnlp.display.formatting import name_some
from tlnlp.errors import InputError

if TYPE_CHECKING:
    from tlnlp.settings import Settings


def named_files(settings: Settings) -> dict[SplitKey, str]:
    """Returns {split: file} of the flags that are set.

    Raises:
        InputError: there are no train rows with them, or these twice.
    """
    files = {TRAIN: settings.train_file, DEV: settings.dev_file, TEST: settings.test_file}
    named = {key: file for key, file in files.items() if file is not None}
    has_data = settings.data != "sample"
    if named and has_data == (TRAIN in named):
        raise InputError(
            expected="rows to learn from: --train-file FILE or --data PATH, one of them",
            found=f"--train-file {named[TRAIN]} and --data {settings.data}" if has_data else "neither",
            change="leave one of them out" if has_data else "--train-file FILE",
        )
    return named


def refuse_named(settings: Settings, where: str, change: str) -> None:
    """Raises InputError if one of the flags is set."""
    if named := named_files(settings):
        names = ", ".join(f"--{key.kind}-file {file}" for key, file in named.items())
        raise InputError(expected=f"{where} without files for its splits", found=names, change=change)


def _refuse_several_splits(path: Path, form: FileFormat) -> None:
    """Raises an error if a folder has files of several splits: all of them would be read as one."""
    splits = {"train", "test", *DEV_NAMES}
    there = [each for each in visible(path) if split_name(each, form) in splits] if path.is_dir() else []
    if len({split_name(each, form) for each in there}) > 1:
        raise InputError(
            expected="a file, or a folder with the rows of one split",
            found=f"{path}: {name_some([each.name for each in there])}",
            change=f"name the file, such as {there[0]}",
        )


def add_named(
    tables: dict[SplitKey, Table], named: dict[SplitKey, str], settings: Settings, form: FileFormat
) -> dict[SplitKey, Table]:
    """Returns the tables with those of the files in place of their own. Test rows that choose nothing are reported on
    beside dev, if there are dev rows.

    Raises:
        InputError: there is no such file, or it is invalid.
    """
    paths = {key: Path(file).expanduser() for key, file in named.items()}
    for path in paths.values():
        if not path.exists():
            raise nothing_there(path)
        _refuse_several_splits(path, form)
    replaced = [tables[key].origin for key in named if key in tables]
    both = tables | {key: read_place(path, form, keep=not settings.no_cache) for key, path in paths.items()}
    if replaced:
        both[TRAIN] = with_notes(both[TRAIN], f"not used: {', '.join(replaced)}")
    if DEV in both and TEST in both and not settings.chooses_on_dev:
        test = both.pop(TEST)
        if TEST in named:
            both[SplitKey("extra", "test")] = test
    return both
