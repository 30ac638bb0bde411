"""Writes predictions, with the columns of their rows, as jsonl, csv, tsv, parquet, txt or CoNLL. A file gets its name
when it is complete: a command that was stopped leaves none, and an older file as it was."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal, Protocol

from tlnlp.data.table import Table
from tlnlp.display.json_numbers import name_numbers
from tlnlp.errors import InputError, did_you_mean
from tlnlp.inference.answers import AnswerLines, as_json_text, refuse_other_columns
from tlnlp.inference.parquet_output import ParquetWriter
from tlnlp.task import Task
from tlnlp.training.files import file_written_whole, room_wanted

Format = Literal["jsonl", "csv", "tsv", "parquet", "txt", "conll"]
FORMATS: tuple[Format, ...] = ("jsonl", "csv", "tsv", "parquet", "txt", "conll")
# Of input columns with the name of one of the answer's.
OTHER_NAME = "input_"
# The columns of answers, as far as they do not depend on what a head reports in addition.
ANSWER_COLUMNS = (
    "row", "file", "prediction", "score", "scores", "calibrated", "prediction_set", "abstained", "entities", "ending",
    "n_best", "null_odds",
)  # fmt: skip


class Writer(Protocol):
    """Writes answers, a part of a table at a time."""

    def write(self, lines: AnswerLines) -> None:
        """Writes one row for each answer."""

    def close(self) -> None:
        """Ends the file."""


def format_of(output: Path | None, asked: Format | None, task: Task) -> Format:
    """Returns the format of the output: the one asked for, or that of the file's ending; jsonl on standard output.

    Raises:
        InputError: the ending is unknown, the format is not for this task, or the file's folder is not there.
    """
    if output is not None and (output.is_dir() or not output.parent.is_dir()):
        found_there = f"{output}: a folder" if output.is_dir() else f"{output.parent}: no such folder"
        raise InputError(
            expected="--output: a file in a folder that is there", found=found_there, change="--output, or mkdir"
        )
    found: str = asked or "jsonl"
    if output is not None and asked is None:
        suffixes = [suffix.lower() for suffix in output.suffixes if suffix.lower() != ".gz"]
        found = suffixes[-1][1:] if suffixes else ""
        if found not in FORMATS:
            raise InputError(
                expected=f"--output with one of the endings {', '.join('.' + each for each in FORMATS)}",
                found=f"{output.name}{did_you_mean(found, FORMATS)}",
                change="the ending, or add --format",
            )
    if found == "parquet" and (output is None or output.suffix.lower() == ".gz"):
        where = "standard output" if output is None else output.name
        raise InputError(expected="--output FILE.parquet, for parquet", found=where, change="--output or --format")
    if found == "conll" and task.columns.words is None:
        raise InputError(expected="a task with a tag for each word, for CoNLL", found=task.name, change="--format")
    return next(each for each in FORMATS if each == found)


@contextmanager
def open_writer(output: Path | None, form: Format, task: Task, columns: Sequence[str]) -> Iterator[Writer]:
    """Opens a file, or standard output, for answers in a format.

    Args:
        columns: those of the answers that there are for certain, for a format with a header.
    """
    if output is None:
        yield _writer(sys.stdout, form, columns)
        return
    with room_wanted(output.parent, "predict again"), file_written_whole(output) as aside:
        if form == "parquet":
            writer: Writer = ParquetWriter(aside, task, columns)
            yield writer
            writer.close()
            return
        with aside.open("wb") as plain, _compressed(plain, output) as raw:
            text = io.TextIOWrapper(raw, encoding="utf-8", newline="")
            writer = _writer(text, form, columns)
            yield writer
            writer.close()
            text.flush()
            text.detach()
            raw.flush()
            if stat.S_ISREG(os.fstat(plain.fileno()).st_mode):  # a pipe cannot be synced
                os.fsync(plain.fileno())


def _compressed(file: Any, output: Path) -> Any:
    return gzip.GzipFile(fileobj=file, mode="wb", mtime=0) if output.suffix.lower() == ".gz" else file


def _writer(file: IO[str], form: Format, columns: Sequence[str]) -> Writer:
    if form in ("csv", "tsv"):
        return _CsvWriter(file, "," if form == "csv" else "\t", columns)
    if form == "conll":
        return _ConllWriter(file)
    return _TextWriter(file) if form == "txt" else _JsonWriter(file)


def columns_carried(table: Table, carry: Sequence[str], origin: str) -> dict[str, str]:
    """Returns {column of the table: its name in the output} for the columns that are carried along.

    Args:
        carry: names of columns, ("all",) or ("none",).

    Raises:
        InputError: the table has no such column.
    """
    chosen = [name for name in carry if name not in ("all", "none")]
    if unknown := [name for name in chosen if name not in table.columns]:
        raise InputError(
            expected=f"--carry with columns of {origin}: {', '.join(table.columns)}",
            found=f"{unknown[0]}{did_you_mean(unknown[0], table.columns)}",
            change="--carry",
        )
    names = list(table.columns) if "all" in carry else chosen
    found: dict[str, str] = {}
    for name in names:
        new = name
        while new in ANSWER_COLUMNS or (new != name and new in table.columns):
            new = OTHER_NAME + new
        found[name] = new
    return found


class _JsonWriter:
    """One object per line."""

    def __init__(self, file: IO[str]) -> None:
        self.file = file

    def write(self, lines: AnswerLines) -> None:
        for row in lines.rows():
            self.file.write(json.dumps(name_numbers(row), ensure_ascii=False, default=str) + "\n")
        self.file.flush()

    def close(self) -> None:
        pass


class _CsvWriter:
    """Separated fields, quoted where necessary. What is no text or number is written as JSON; null is empty."""

    def __init__(self, file: IO[str], separator: str, columns: Sequence[str]) -> None:
        self.file, self.columns = file, columns
        self.writer = csv.writer(file, delimiter=separator, lineterminator="\n")
        self.header: list[str] = []

    def write(self, lines: AnswerLines) -> None:
        names = lines.names(self.columns)
        if not self.header:
            self.header = names
            self.writer.writerow(names)
        refuse_other_columns(names, self.header, lines.carried.origin)
        self.writer.writerows([_cell(row.get(name)) for name in self.header] for row in lines.rows())
        self.file.flush()

    def close(self) -> None:
        pass


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return name_numbers(value)
    return as_json_text(value)


class _TextWriter:
    """The predictions alone, one a line; several (tags, labels) are separated by spaces, null is an empty line."""

    def __init__(self, file: IO[str]) -> None:
        self.file = file

    def write(self, lines: AnswerLines) -> None:
        for answer in lines.answers:
            found = answer["prediction"]
            several = found if isinstance(found, list) else [found]
            line = " ".join("" if each is None else str(each) for each in several)
            self.file.write(" ".join(line.splitlines()) + "\n")
        self.file.flush()

    def close(self) -> None:
        pass


class _ConllWriter:
    """A word and its tag per line, a blank line after each sentence. A word for which the model abstained has `_`."""

    def __init__(self, file: IO[str]) -> None:
        self.file = file

    def write(self, lines: AnswerLines) -> None:
        for words, answer in zip(lines.words, lines.answers, strict=True):
            tagged = zip(words, answer["prediction"] or [], strict=True)
            self.file.write("".join(f"{word}\t{tag if tag is not None else '_'}\n" for word, tag in tagged) + "\n")
        self.file.flush()

    def close(self) -> None:
        pass
