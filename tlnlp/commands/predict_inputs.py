"""What `tlnlp predict` is given: files, texts, or standard input."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tlnlp.data.bytes_to_text import FileFormat, read_bytes, split_suffixes
from tlnlp.data.files import FORMATS, read_file
from tlnlp.data.json_files import table_of_lines
from tlnlp.data.table import Table
from tlnlp.errors import InputError
from tlnlp.inference.input_parts import asked_roles
from tlnlp.task import Task

# Lines that are read from standard input, and answered, at once.
LINES_AT_ONCE = 1_000
STANDARD_INPUT = "standard input"


def is_about_texts(given: Sequence[str]) -> bool:
    """Returns whether the words of the command line are texts, and not names of files: none is a file or has the ending
    of one, and each has a space.

    Raises:
        InputError: some are, others are not; or a file is missing.
    """
    texts = [each for each in given if _is_text(each)]
    files = [each for each in given if not _is_text(each)]
    if texts and files:
        raise InputError(
            expected="files or texts", found=f"the text {texts[0]!r} and the file {files[0]}", change="the command"
        )
    if missing := [each for each in files if not Path(each).is_file()]:
        kind = "a folder" if Path(missing[0]).is_dir() else "no such file"
        raise InputError(
            expected="files to predict, or a text of several words",
            found=f"{missing[0]}: {kind}",
            change='the path; a text of one word goes through standard input: echo \'{"text": "..."}\' | ...',
        )
    return bool(texts)


def _is_text(given: str) -> bool:
    # A path may be too long to ask the system for it.
    looks_like_a_file = split_suffixes(Path(given))[0] in FORMATS or (len(given) < 256 and Path(given).exists())
    return bool(given.split()) and (" " in given.strip() or "\n" in given.strip()) and not looks_like_a_file


def tables_of_texts(texts: Sequence[str], task: Task) -> Table:
    """Returns a table of texts of the command line: as many as a row has make a row.

    Raises:
        InputError: a row is more than texts (endings), or a text is missing.
    """
    roles = asked_roles(task)
    if "endings" in roles or len(texts) % len(roles):
        example = ", ".join(f'"{task.columns.by_role()[role]}": ...' for role in roles)
        raise InputError(
            expected=f"for each row of {task.name} {', '.join(roles)}",
            found=f"{len(texts)} texts",
            change=f"the texts, or give the row as JSON: echo '{{{example}}}' | tlnlp predict ...",
        )
    columns = {task.columns.by_role()[role]: list(texts[place :: len(roles)]) for place, role in enumerate(roles)}
    return Table(columns, "the command line", np.arange(1, len(texts) // len(roles) + 1))


def tables_of_files(paths: Sequence[Path], form: str | None, kind: FileFormat) -> Iterator[Table]:
    """Yields the tables of files, each read when it is asked for.

    Args:
        form: the format of files whose ending is none that is known.
        kind: what is declared about the files.
    """
    for path in paths:
        suffix, compression = split_suffixes(path)
        if form is None or suffix in FORMATS:
            table = read_file(path, form=kind)
            # A blank line between lines of words ends a sentence; between sentences it is a row without a text.
            yield _with_blank_lines(table) if suffix == ".txt" and "text" in table.columns else table
        else:
            yield FORMATS[f".{form}"](read_bytes(path, compression, path.name), path.name, kind)


def _with_blank_lines(table: Table) -> Table:
    """Returns a table of lines with a row for each blank line between them, so that answers are beside their lines."""
    last = int(table.numbers[-1])
    if last == len(table):
        return table
    places = (table.numbers - 1).tolist()
    columns = {}
    for name in table.columns:
        columns[name] = [None] * last
        for place, value in zip(places, table.values(name), strict=True):
            columns[name][place] = value
    return replace(table, columns=columns, numbers=np.arange(1, last + 1))


def tables_of_stdin(form: str | None, kind: FileFormat, text: str) -> Iterator[Table]:
    """Yields standard input: JSON lines and plain texts some lines at a time, each answered before the next is read;
    other formats at once.

    Args:
        form: JSON lines if unset.
        kind: what is declared about the rows.
        text: the column of plain texts.
    """
    if form not in (None, "jsonl", "txt") or (form == "txt" and kind.words):
        data = sys.stdin.buffer.read()
        if not data.strip():
            raise InputError(expected="rows", found=f"{STANDARD_INPUT}: empty", change="pass the rows to it")
        yield FORMATS[f".{form}"](data, STANDARD_INPUT, kind)
        return
    first = 1
    for lines in _lines_of(sys.stdin):
        if form == "txt":
            texts = [line.rstrip("\r\n") for line in lines]
            yield Table({text: texts}, STANDARD_INPUT, np.arange(first, first + len(lines)))
        elif any(line.strip() for line in lines):
            yield table_of_lines("".join(lines), STANDARD_INPUT, first)
        first += len(lines)


def _lines_of(file: Iterable[str]) -> Iterator[list[str]]:
    lines: list[str] = []
    for line in file:
        lines.append(line)
        if len(lines) == LINES_AT_ONCE:
            yield lines
            lines = []
    if lines:
        yield lines
