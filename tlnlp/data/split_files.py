"""Reads the splits of a file or folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from tlnlp.data.arrow_files import SAVED_SPLITS, STATE
from tlnlp.data.brat import holds_annotations
from tlnlp.data.bytes_to_text import FileFormat
from tlnlp.data.files import ANY_FORM, FORMATS, read_file
from tlnlp.data.rows import DEV, TEST, TRAIN, SplitKey
from tlnlp.data.sources import (
    Source,
    find_sources,
    read_source,
    source_of,
    split_name,
    text_folders,
    visible,
    with_notes,
)
from tlnlp.data.table import Table
from tlnlp.display.formatting import name_some
from tlnlp.errors import InputError, did_you_mean

# Usual names of the dev split; in data sets with two of them: validation_matched.
DEV_NAMES = ("validation", "dev", "valid", "val", "eval", "devel", "development")
# eng.testa and eng.testb in CoNLL-2003.
CONLL_DEV, CONLL_TEST = "testa", "testb"


def read_path(
    path: Path,
    train: str,
    dev: str,
    more: Mapping[SplitKey, str] | None = None,
    form: FileFormat = ANY_FORM,
    *,
    need: Literal["train", "dev", "either"] = "train",
    keep: bool = True,
    alone: bool = True,
) -> dict[SplitKey, Table]:
    """Returns {TRAIN: table, DEV: table, ...} with the splits that exist. What is in the folder and not used is noted.

    Args:
        path: a file of train rows, or a folder with a file, shards or a folder for each split.
        train, dev: the task's split names; the usual names are tried as well.
        more: {key: the task's split name} of further splits. If TEST is not among them, it is returned nevertheless
            where there is no dev split.
        form: what the task declares about its files.
        need: the split that must exist, and that a single file is taken for. If it is "dev", a test split will do; if
            it is "either" and there are no train rows, the dev rows are returned as train, to be split later.
        keep: whether large files, once read, may be kept in the cache.
        alone: whether nothing else is read from the folder, so that what is not used here is not used at all.

    Raises:
        InputError: the path does not exist, a folder lacks the needed split or has two files for one split, or a file
            is invalid.
    """
    path = path.expanduser()
    single = DEV if need == "dev" else TRAIN
    if path.is_file():
        return {single: read_file(path, form=form, keep=keep)}
    if not path.is_dir():
        raise nothing_there(path)
    if (path / STATE).is_file():
        return {single: read_source(source_of(path), form, keep=keep)}
    wanted = _names_of(train, dev, more or {}, need)
    folder = _inner_folder(path, wanted[TRAIN], form) if alone and need != "dev" else path
    found = _find_splits(folder, wanted, form)
    if alone and need != "dev" and DEV not in found:
        found |= _find_splits(folder, {TEST: ["test", CONLL_TEST]}, form)
    if need == "either" and TRAIN not in found and DEV in found:
        found[TRAIN] = found.pop(DEV)
    if not found and alone and (text_folders(folder) or (form.words and holds_annotations(folder))):
        return {single: read_source(source_of(folder), form, keep=keep)}
    needed, name, use = (DEV, dev, "answer") if need == "dev" else (TRAIN, train, "learn from")
    if needed not in found:
        raise _no_split(path, name, use)
    tables = {split: read_source(source, form, keep=keep) for split, source in found.items()}
    if alone:
        usual = {dev, *([data] if (data := (more or {}).get(TEST)) else [])}
        tables[needed] = with_notes(tables[needed], *_say_what_is_used(path, folder, found, usual, form))
    return tables


def _names_of(train: str, dev: str, more: Mapping[SplitKey, str], need: str) -> dict[SplitKey, list[str]]:
    """Returns the names to try for each split, in this order."""
    wanted = {TRAIN: [train, "train"], DEV: [*_dev_names(dev), *DEV_NAMES, CONLL_DEV]}
    if need == "dev":
        wanted[DEV] += ["test", CONLL_TEST]
    for key, name in more.items():
        wanted[key] = [name, "test", CONLL_TEST] if key == TEST else _dev_names(name)
    return wanted


def _no_split(path: Path, name: str, use: str) -> InputError:
    return InputError(
        expected=f"{name}.jsonl (or {', '.join(list(FORMATS)[1:])}) in the folder",
        found=f"{path}: {name_some([each.name for each in visible(path)]) or 'an empty folder'}",
        change=f"rename the file with the rows to {use} to {name}.*, or pass it: --data FILE, or --train-file FILE"
        " --dev-file FILE",
    )


def _inner_folder(path: Path, names: Sequence[str], form: FileFormat) -> Path:
    """Returns the folder with the train split: `path` itself or, as in a clone of a Hub repository, the only folder in
    it that has one (data/, plain_text/).

    Raises:
        InputError: there are several.
    """
    if _has_split(path, names, form):
        return path
    inner = [each for each in visible(path) if each.is_dir() and _has_split(each, names, form)]
    if len(inner) > 1:
        raise InputError(
            expected=f"one folder with a file {names[0]}.* in it",
            found=f"{path}: {name_some([each.name for each in inner])}",
            change=f"choose one of them: --data {inner[0]}",
        )
    return inner[0] if inner else path


def _has_split(folder: Path, names: Sequence[str], form: FileFormat) -> bool:
    return any(split_name(each, form) in names for each in visible(folder))


def _say_what_is_used(
    path: Path, folder: Path, found: Mapping[SplitKey, Source], usual: set[str], form: FileFormat
) -> list[str]:
    """Returns notes on splits that are not named as expected, and on what is not used."""
    notes = []
    if folder != path:
        notes.append(f"rows from {path.name}/{folder.name}")
    if DEV in found and split_name(found[DEV].paths[0], form) not in usual:
        notes.append(f"dev rows from {found[DEV].origin}")
    used = {file for source in found.values() for file in source.paths} | {folder, path / SAVED_SPLITS}
    there = [*visible(folder), *(visible(path) if folder != path else [])]
    if unused := [each for each in there if each not in used]:
        how = " (--keep best, or --test-file, reports on it)" if any(map(_is_test, unused)) else ""
        notes.append(f"not used: {name_some([each.name for each in unused])}{how}")
    return notes


def _is_test(path: Path) -> bool:
    return path.name.partition(".")[0].lower() == "test"


def _dev_names(dev: str) -> list[str]:
    """Returns the names to try, the task's own first; for validation_matched also dev_matched and so on."""
    first, _, rest = dev.partition("_")
    variants = [f"{name}_{rest}" for name in DEV_NAMES] if rest and first in DEV_NAMES else []
    return [dev, *variants]


def _find_splits(folder: Path, wanted: Mapping[SplitKey, Sequence[str]], form: FileFormat) -> dict[SplitKey, Source]:
    """Returns the source of the first name of each split for which there is one."""
    sources = {source: split_name(path, form) for path, source in find_sources(folder, form).items()}
    found = {}
    for split, names in wanted.items():
        for name in names:
            fitting = [source for source, each in sources.items() if each == name.lower()]
            if len(fitting) > 1:
                raise InputError(
                    expected=f"one file for the split {name}",
                    found=f"{folder}: {name_some([source.paths[0].name for source in fitting])}",
                    change="keep only one of them, or pass a file: --data FILE",
                )
            if fitting:
                found[split] = fitting[0]
                break
    return found


def nothing_there(path: Path) -> InputError:
    """Returns the refusal of a path at which there is nothing."""
    near = path.parent
    there = sorted(each.name for each in near.iterdir()) if near.is_dir() else []
    beside = f"; in {near}: {name_some(there)}" if there else f"; there is no folder {near}"
    return InputError(
        expected="--data sample, --data hub, or the path of a file or folder",
        found=f"nothing at {path}{did_you_mean(path.name, [*there, 'sample', 'hub'])}{beside}",
        change="the path; for the recipe's data set on the Hub: --data hub",
    )
