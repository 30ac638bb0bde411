"""Reads the splits of a file or folder."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from tlnlp.data.bytes_to_text import FileFormat, split_suffixes
from tlnlp.data.files import ANY_FORM, FORMATS, read_file
from tlnlp.data.rows import DEV, TEST, TRAIN, SplitKey
from tlnlp.data.table import Table
from tlnlp.errors import InputError, did_you_mean

# Usual names of the dev split; in data sets with two of them: validation_matched.
DEV_NAMES = ("validation", "dev", "valid", "val")
# eng.testa and eng.testb in CoNLL-2003.
CONLL_DEV, CONLL_TEST = "testa", "testb"
# Prefixes and suffixes of split names in published files: a single shard (train-00000-of-00001.parquet), SQuAD's
# version (train-v2.0.json), the treebank (en_ewt-ud-train.conllu), the corpus (msr_paraphrase_train.txt).
_AROUND_NAME = re.compile(r"-00000-of-00001$|-v\d\.\d$|^.+-ud-(?=[a-z]+$)|^msr_paraphrase_")


def read_path(
    path: Path,
    train: str,
    dev: str,
    more: Mapping[SplitKey, str] | None = None,
    form: FileFormat = ANY_FORM,
    *,
    need: Literal["train", "dev", "either"] = "train",
    keep: bool = True,
) -> dict[SplitKey, Table]:
    """Returns {TRAIN: table, DEV: table, ...} with the splits that exist.

    Args:
        path: a file of train rows, or a folder with one file per split.
        train, dev: the task's split names; the usual names are tried as well.
        more: {key: the task's split name} of further splits.
        form: what the task declares about its files.
        need: the split that must exist, and that a single file is taken for. If it is "dev", a test split will do; if
            it is "either" and there are no train rows, the dev rows are returned as train, to be split later.
        keep: whether large files, once read, may be kept in the cache.

    Raises:
        InputError: the path does not exist, a folder lacks the needed split or has two files for one split, or a file
            is invalid.
    """
    path = path.expanduser()
    if path.is_file():
        return {DEV if need == "dev" else TRAIN: read_file(path, form=form, keep=keep)}
    if not path.is_dir():
        raise _nothing_there(path)
    wanted = {TRAIN: [train, "train"], DEV: [*_dev_names(dev), *DEV_NAMES, CONLL_DEV]}
    if need == "dev":
        wanted[DEV] += ["test", CONLL_TEST]
    for key, name in (more or {}).items():
        wanted[key] = [name, "test", CONLL_TEST] if key == TEST else _dev_names(name)
    found = {split: file for split, names in wanted.items() if (file := _find(path, names, form))}
    if need == "either" and TRAIN not in found and DEV in found:
        found[TRAIN] = found.pop(DEV)
    needed, name, use = (DEV, dev, "answer") if need == "dev" else (TRAIN, train, "learn from")
    if needed not in found:
        there = sorted(each.name for each in path.iterdir())
        raise InputError(
            expected=f"{name}.jsonl (or {', '.join(list(FORMATS)[1:])}) in the folder",
            found=f"{path}: {_listed(there) or 'an empty folder'}",
            change=f"rename the file with the rows to {use} to {name}.*, or pass that file: --data FILE",
        )
    return {split: read_file(file, f"{path.name}/{file.name}", form, keep=keep) for split, file in found.items()}


def _dev_names(dev: str) -> list[str]:
    """Returns the names to try, the task's own first; for validation_matched also dev_matched and so on."""
    first, _, rest = dev.partition("_")
    variants = [f"{name}_{rest}" for name in DEV_NAMES] if rest and first in DEV_NAMES else []
    return [dev, *variants]


def _find(folder: Path, names: Sequence[str], form: FileFormat) -> Path | None:
    """Returns the file of the first of `names` for which there is one."""
    files = {file: _split_name(file, form) for file in sorted(folder.iterdir()) if file.is_file()}
    for name in names:
        fitting = [file for file, split in files.items() if split == name.lower()]
        if len(fitting) > 1:
            raise InputError(
                expected=f"one file for the split {name}",
                found=f"{folder}: {_listed([file.name for file in fitting])}",
                change="keep only one of them, or pass a file: --data FILE",
            )
        if fitting:
            return fitting[0]
    return None


def _split_name(file: Path, form: FileFormat) -> str | None:
    """Returns the name without suffixes and publishers' additions; None if the suffix is not that of a data file."""
    ending, compression = split_suffixes(file)
    if ending in FORMATS:
        return _AROUND_NAME.sub("", file.name[: len(file.name) - len(ending + compression)].lower())
    if form.words:  # eng.train, or just train
        return ending[1:] or file.name[: len(file.name) - len(compression)].lower()
    return None


def _nothing_there(path: Path) -> InputError:
    near = path.parent
    there = sorted(each.name for each in near.iterdir()) if near.is_dir() else []
    listed = f"; in {near}: {_listed(there)}" if there else f"; there is no folder {near}"
    return InputError(
        expected="--data sample, --data hub, or the path of a file or folder",
        found=f"nothing at {path}{did_you_mean(path.name, [*there, 'sample', 'hub'])}{listed}",
        change="the path; for the recipe's data set on the Hub: --data hub",
    )


def _listed(names: Sequence[str], most: int = 10) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
