"""The places of a split: a file, its shards, a folder of files or of texts, or a data set that was saved."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from tlnlp.data.arrow_files import STATE, saved_files
from tlnlp.data.brat import holds_annotations, read_annotations
from tlnlp.data.bytes_to_text import FileFormat, decode, read_bytes, split_suffixes
from tlnlp.data.encodings import in_utf8
from tlnlp.data.files import FORMATS, read_file
from tlnlp.data.table import Table
from tlnlp.data.text_files import starts_with_label
from tlnlp.display.formatting import name_some
from tlnlp.errors import InputError

# train-00000-of-00002.parquet
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})$")
# Prefixes and suffixes of split names in published files: SQuAD's version (train-v2.0.json), the treebank
# (en_ewt-ud-train.conllu), the corpus (msr_paraphrase_train.txt).
_AROUND_NAME = re.compile(r"-v\d\.\d$|^.+-ud-(?=[a-z]+$)|^msr_paraphrase_")
# Texts without a label beside those with one, in aclImdb and data sets like it.
UNLABELLED = ("unsup", "unsupervised", "unlabeled", "unlabelled")


@dataclass(frozen=True)
class Source:
    """Where the rows of a split are.

    Args:
        paths: a file, or its shards in order; or a folder.
        origin: its name in messages.
    """

    paths: tuple[Path, ...]
    origin: str


def find_sources(folder: Path, form: FileFormat) -> dict[Path, Source]:
    """Returns {path: source} of everything in a folder that has rows: a file, shards (by the first), a folder."""
    sources: dict[Path, Source] = {}
    shards: dict[tuple[str, str, str], list[Path]] = {}
    for path in visible(folder):
        name, ending, shard = _parts(path, form)
        if path.is_dir():
            if holds_rows(path):
                sources[path] = Source((path,), f"{folder.name}/{path.name}")
        elif shard:
            shards.setdefault((name, ending, shard), []).append(path)
        elif ending:
            sources[path] = Source((path,), f"{folder.name}/{path.name}")
    for (name, ending, count), paths in shards.items():
        if len(paths) != int(count):
            raise InputError(
                expected=f"all {int(count)} files of {name}-*-of-{count}{ending}",
                found=f"{folder}: {len(paths)} of them, {', '.join(path.name for path in paths[:5])}",
                change="download the missing files (git lfs pull, or hf download)",
            )
        origin = paths[0].name if len(paths) == 1 else f"{name}-*-of-{count}{ending}"
        sources[paths[0]] = Source(tuple(paths), f"{folder.name}/{origin}")
    return sources


def visible(folder: Path) -> list[Path]:
    """Returns what is in a folder, sorted, without hidden files."""
    return [path for path in sorted(folder.iterdir()) if not path.name.startswith((".", "__"))]


def split_name(path: Path, form: FileFormat) -> str | None:
    """Returns a name without suffixes and publishers' additions; None if it is not that of a data file or a folder."""
    name, ending, _ = _parts(path, form)
    return name if ending or path.is_dir() else None


def _parts(path: Path, form: FileFormat) -> tuple[str, str, str]:
    """Returns ("train", ".parquet", "00002") for train-00000-of-00002.parquet. The second is "" if the suffix is not
    that of a data file, the third if the file is not one of several."""
    if path.is_dir():
        return path.name.lower(), "", ""
    ending, compression = split_suffixes(path)
    if ending == ".zip":  # train.zip, or train.csv.zip
        inner = Path(path.stem)
        return (inner.stem if inner.suffix.lower() in FORMATS else inner.name).lower(), ending, ""
    if ending in FORMATS:
        name = path.name[: len(path.name) - len(ending + compression)].lower()
        shard = _SHARD.search(name)
        return _AROUND_NAME.sub("", _SHARD.sub("", name)), ending, shard[2] if shard else ""
    if not compression and starts_with_label(path):  # fastText's reviews.train and reviews.valid
        return ending[1:], ".txt", ""
    if form.words:  # eng.train, or just train
        name = ending[1:] or path.name[: len(path.name) - len(compression)].lower()
        return name, ending or ".conll", ""
    return path.name.lower(), "", ""


def holds_rows(folder: Path) -> bool:
    """Returns whether a folder is itself a table: a saved data set, data files, or a folder of texts for each label."""
    return (folder / STATE).is_file() or bool(_data_files(folder)) or bool(text_folders(folder))


def _data_files(folder: Path) -> list[Path]:
    return [path for path in visible(folder) if path.is_file() and split_suffixes(path)[0] in FORMATS]


def text_folders(folder: Path) -> list[Path]:
    """Returns the folders of texts, one for each label, if a folder has these and no data files. A folder of texts has
    files of texts only; their names have the suffix .txt, or none that says something else."""
    inside = [path for path in visible(folder) if path.is_dir()]
    kept = [path for path in inside if path.name.lower() not in UNLABELLED]
    if len(kept) < 2 or not all(map(_has_texts, kept)) or [path for path in _data_files(folder) if not _is_text(path)]:
        return []
    return kept


def _has_texts(folder: Path) -> bool:
    there = visible(folder)
    return bool(there) and all(path.is_file() and _is_text(path) for path in there)


def _is_text(path: Path) -> bool:
    suffix = path.suffix.lower()
    return suffix in ("", ".txt", ".text", ".md") or not suffix[1:].isalpha()


def read_source(source: Source, form: FileFormat, *, keep: bool = True) -> Table:
    """Reads the rows of a split.

    Raises:
        InputError: a file is invalid, or the files of a folder do not belong together.
    """
    (first, *_), origin = source.paths, source.origin
    if not first.is_dir():
        files, note = source.paths, f"{origin}: {len(source.paths)} files"
        paths = [(file, f"{origin.partition('/')[0]}/{file.name}") for file in files] if len(files) > 1 else []
        if not paths:
            return read_file(first, origin, form, keep=keep)
    elif (first / STATE).is_file():
        paths = [(file, f"{origin}/{file.name}") for file in saved_files(first)]
        note = f"{origin}: a data set as save_to_disk has written it"
    elif form.words and holds_annotations(first):
        return read_annotations(first, origin)
    elif folders := text_folders(first):
        return _read_texts(folders, first, origin, form)
    else:
        data = _data_files(first)
        if len({split_suffixes(path)[0] for path in data}) > 1:
            raise InputError(
                expected=f"files of one format in {first}",
                found=name_some([path.name for path in data]),
                change="keep those with the rows, or pass them: --train-file FILE",
            )
        paths, note = [(file, f"{origin}/{file.name}") for file in data], f"{origin}: {len(data)} files"
    tables = [read_file(file, name, form, keep=keep) for file, name in paths]
    return join_tables(tables, origin, note)


def join_tables(tables: Sequence[Table], origin: str, note: str) -> Table:
    """Returns the rows of several files as one table. Rows are numbered through.

    Raises:
        InputError: the files have different columns, or different names for the same labels.
    """
    first = tables[0]
    for other in tables[1:]:
        if set(other.columns) != set(first.columns) or other.class_names != first.class_names:
            raise InputError(
                expected=f"in all files of {origin} the same columns and label names",
                found=f"{first.origin}: {name_some([*first.columns])}; {other.origin}: {name_some([*other.columns])}",
                change="the files that do not belong to it",
            )
    columns = {name: _joined([table.columns[name] for table in tables]) for name in first.columns}
    said = dict.fromkeys([note, *(each for table in tables for each in table.notes)])
    numbers = np.arange(1, sum(map(len, tables)) + 1)
    mapped = first.mapped if len(tables) == 1 else None
    return Table(columns, origin, numbers, first.class_names, tuple(said), mapped)


def _joined(parts: Sequence[Any]) -> Any:
    """Returns columns one after another, in Arrow if all are of one type."""
    if len(parts) == 1:
        return parts[0]
    if not any(isinstance(part, list) for part in parts) and len({part.type for part in parts}) == 1:
        import pyarrow  # noqa: PLC0415 - it is there: the columns are of it

        return pyarrow.chunked_array([chunk for part in parts for chunk in part.chunks], type=parts[0].type)
    return [value for part in parts for value in (part if isinstance(part, list) else part.to_pylist())]


def _read_texts(folders: Sequence[Path], folder: Path, origin: str, form: FileFormat) -> Table:
    """Returns the columns "text", "label" (the folder's name) and "file"."""
    columns: Mapping[str, list[str]] = {"text": [], "label": [], "file": []}
    for each in folders:
        for path in sorted(visible(each), key=lambda path: [*map(_natural, re.split(r"(\d+)", path.name))]):
            name = f"{each.name}/{path.name}"
            data, _ = in_utf8(read_bytes(path, "", f"{origin}/{name}"), f"{origin}/{name}", form.encoding)
            text = decode(data, f"{origin}/{name}", ".txt").strip()
            if not text:
                raise InputError(expected="a text", found=f"{origin}/{name}: an empty file", change="remove the file")
            for column, value in zip(columns, (text, each.name, name), strict=True):
                columns[column].append(value)
    notes = [f"{origin}: a file for each text, a folder for each label: {name_some([each.name for each in folders])}"]
    used = {each.name for each in folders}
    if unused := [path.name for path in visible(folder) if path.name not in used]:
        notes.append(f"{origin}: not used: {name_some(unused)}")
    return Table(dict(columns), origin, np.arange(1, len(columns["text"]) + 1), notes=tuple(notes))


def _natural(part: str) -> tuple[int, str]:
    """Orders 2.txt before 10.txt."""
    return (int(part), "") if part.isdecimal() else (-1, part)


def source_of(path: Path) -> Source:
    """Returns a file, or a folder that is a table, as a source."""
    return Source((path,), path.name)


def read_place(path: Path, form: FileFormat, *, keep: bool = True) -> Table:
    """Reads one split from a file, or from a folder that is a table.

    Raises:
        InputError: it is neither, or invalid.
    """
    if path.is_dir() and not holds_rows(path):
        raise InputError(
            expected="a file, or a folder with the rows of one split",
            found=f"{path}: {name_some([each.name for each in visible(path)]) or 'an empty folder'}",
            change="the path",
        )
    return read_source(source_of(path), form, keep=keep)


def with_notes(table: Table, *notes: str) -> Table:
    """Returns the table with further notes on how it was read."""
    return replace(table, notes=(*table.notes, *notes))
