"""Comma- and tab-separated files to tables."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from tlnlp.data.bytes_to_text import FileFormat, decode
from tlnlp.data.separators import (
    CANDIDATES,
    first_fields,
    fitting,
    named,
    said_by_excel,
    several_fit,
    without_comments,
)
from tlnlp.data.table import SHOWN_ROWS, Table, show
from tlnlp.errors import InputError

# A cell may be a whole article; the csv module's own limit is 131,072 characters. (A C long: 32 bits on Windows.)
csv.field_size_limit(2**31 - 1)
# Beyond so many characters a quote in the first line is an ordinary character.
LONGEST_HEADER = 100_000
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_LINE_END = re.compile(r"[\r\n]")
# Said of a tsv file of GLUE's kind.
PLAIN_QUOTES = "its quotes are not balanced, so they are read as ordinary characters and every line is a row"


@dataclass(frozen=True)
class TableLines:
    """A table's text and how it is to be read.

    Args:
        text: without the lines before the header.
        first_line: the number of its first line in the file.
        separator: if it is known.
        notes: what to say about it.
    """

    text: str
    origin: str
    first_line: int = 1
    separator: str | None = None
    notes: tuple[str, ...] = ()

    def records(self, separator: str, quoting: Any = csv.QUOTE_MINIMAL) -> list[list[str]]:
        """Returns the records, all of the same length."""
        return _records(self, separator, quoting)

    @cached_property
    def first(self) -> str:
        """The first record, in which every separator of the file occurs: a line, or several if there are quotes."""
        text = self.text.lstrip("\r\n")
        for found in _LINE_END.finditer(text, 0, LONGEST_HEADER):
            if text.count('"', 0, found.start()) % 2 == 0:
                return text[: found.start()]
        found_end = _LINE_END.search(text)
        return text[: found_end.start()] if found_end else text


def read_csv(data: bytes, origin: str, form: FileFormat) -> Table:
    """Reads comma-separated fields, quoted if necessary, with a header line. Another separator is found and said."""
    lines = table_lines(decode(data, origin, ".csv"), ",", origin, form)
    return read_separated(lines, ",", form)


def read_tsv(data: bytes, origin: str, form: FileFormat) -> Table:
    """Reads either kind of tsv file: quoted like csv, or like GLUE's, where quotes are ordinary characters and each
    line is a row. A file is of GLUE's kind if every line has all fields, and interpreting quotes would break or merge
    rows, but not if most quotes are csv's: then a few of them are damaged."""
    lines = table_lines(decode(data, origin, ".tsv"), "\t", origin, form)
    if (lines.separator or "\t") != "\t" or (lines.separator is None and "\t" not in lines.first):
        return read_separated(lines, "\t", form)
    try:
        quoted: list[list[str]] | None = lines.records("\t")
    except InputError:
        quoted = None
    try:
        plain: list[list[str]] | None = lines.records("\t", csv.QUOTE_NONE)
    except InputError:
        if quoted is None:
            raise
        plain = None
    if quoted is not None and (plain is None or len(plain) == len(quoted)):
        return _table_of_records(with_header(quoted, form), origin, lines.notes)
    assert plain is not None
    if are_quoted(plain):
        return _table_of_records(with_header(lines.records("\t"), form), origin, lines.notes)
    notes = (*lines.notes, f"{origin}: {PLAIN_QUOTES}")
    return _table_of_records(with_header(plain, form), origin, notes)


def are_quoted(records: list[list[str]]) -> bool:
    """Returns whether quotes that were read as ordinary characters are mostly those of csv: around a whole field, with
    doubled ones in it."""
    cells = [cell for record in records for cell in record if '"' in cell]
    whole = [cell for cell in cells if _QUOTED.fullmatch(cell)]
    return sum('""' in cell[1:-1] for cell in whole) > len(cells) - len(whole)


def table_lines(text: str, own: str, origin: str, form: FileFormat) -> TableLines:
    """Takes off the lines before the header: Excel's separator, and comments."""
    excel = said_by_excel(text)
    separator = form.separator or (excel[0] if excel else None)
    notes = [f"{origin}: separator {named(excel[0])}, by its first line"] if excel and separator != own else []
    rest, skipped = without_comments(excel[1] if excel else text, [separator] if separator else CANDIDATES)
    if skipped:
        notes.append(f"{origin}: {skipped} comment line{'s' * (skipped > 1)} before the header, skipped")
    return TableLines(rest, origin, 1 + skipped + bool(excel), separator, tuple(notes))


def read_separated(lines: TableLines, own: str, form: FileFormat) -> Table:
    """Reads fields with any separator; `own` is that of the file's suffix, of which nothing is said.

    Raises:
        InputError: with none, or with several separators, all lines have the same number of fields.
    """
    separator = lines.separator or _find_separator(lines, own)
    records = lines.records(separator)
    is_said = lines.separator is None and separator != own
    notes = (*lines.notes, f"{lines.origin}: separator {named(separator)}") if is_said else lines.notes
    return _table_of_records(with_header(records, of_csv(form)), lines.origin, notes)


def of_csv(form: FileFormat) -> FileFormat:
    """Returns the format without the column names of the originally published files, none of which is a csv file."""
    return replace(form, original_header=())


def _find_separator(lines: TableLines, own: str) -> str:
    if not any(each in lines.first for each in CANDIDATES if each != own):
        return own

    def fields_of(separator: str) -> list[int] | None:
        try:
            return [len(lines.records(separator)[0])]
        except InputError:
            return None

    found = fitting(fields_of, own, lines.first)
    if len(found) > 1:
        raise several_fit(lines.origin, found)
    # If none fits, the refusal is about the likeliest.
    return found[0] if found else max((own, *CANDIDATES), key=lambda each: first_fields(lines.first, each))


def with_header(records: list[list[str]], form: FileFormat) -> list[list[str]]:
    """Adds column names if the file has no header line: the task's (CoLA), or, with `--no-header`, 1, 2, 3."""
    if _is_bare(records, form):
        return [list(form.original_header), *records]
    return records if form.header else [numbered(records[0]), *records]


def numbered(record: Sequence[str]) -> list[str]:
    """Returns the names of the columns in a file without a header: 1, 2, 3."""
    return [str(position) for position in range(1, len(record) + 1)]


def _is_bare(records: list[list[str]], form: FileFormat) -> bool:
    """Returns whether the task knows the column names and the first record is not they."""
    header = form.original_header
    return bool(records) and len(records[0]) == len(header) and not set(records[0]) & set(header)


def _records(lines: TableLines, delimiter: str, quoting: Any) -> list[list[str]]:
    """Returns the header and the rows, all of the same length. Blank lines are skipped."""
    reader = csv.reader(io.StringIO(lines.text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    records: list[list[str]] = []
    broken: list[tuple[int, list[str]]] = []
    line = lines.first_line  # where the record starts
    try:
        for record in reader:
            if record and records and len(record) != len(records[0]):
                broken.append((line, record))
            elif record:
                records.append(record)
            line = lines.first_line + reader.line_num
    except csv.Error as error:
        raise InputError(
            expected="fields with balanced quotes",
            found=f"{lines.origin}, line {line}: {error}",
            change='the quotes: a field that contains a quote is written "so: ""quoted"" in it"',
        ) from error
    if broken and len(records) == 1:
        records = _with_one_more(records[0], [record for _, record in broken])
        broken = [] if len(records) > 1 else broken
    if broken:
        raise _broken(records[0], broken, delimiter, lines.origin)
    return records


def _with_one_more(header: list[str], rows: list[list[str]]) -> list[list[str]]:
    """Returns the records of a file whose rows all have a field more than the header: their number or name, as R writes
    it (`write.table`), or nothing after a last separator. The header alone if it is neither."""
    if len(header) < 2 or any(len(row) != len(header) + 1 for row in rows):
        return [header]
    if not any(row[-1].strip() for row in rows):
        return [header, *(row[:-1] for row in rows)]
    if all(row[0].isdecimal() for row in rows) and len({row[0] for row in rows}) == len(rows):
        return [["", *header], *rows]
    return [header]


def _broken(first: Sequence[str], broken: list[tuple[int, list[str]]], delimiter: str, origin: str) -> InputError:
    shown = [f"line {line}: {len(record)} fields, {show(delimiter.join(record))}" for line, record in broken]
    total = f" ({len(broken):,} such lines in all)" if len(broken) > 1 else ""
    return InputError(
        expected=f"{len(first)} fields in every line, as in the first: {', '.join(map(_short, first))}",
        found=f"{origin}, " + "; ".join(shown[:SHOWN_ROWS]) + total,
        change="these lines; put a field that contains a separator, a quote or a newline in quotes; or --separator",
    )


def header_of(record: Sequence[str]) -> list[str]:
    """Returns the column names of a header."""
    # pandas writes its index as an unnamed first column.
    return [name.strip() or f"column {position}" for position, name in enumerate(record, 1)]


def _short(name: str) -> str:
    """Shortens a column name for messages: in a file without a header it may be a long text."""
    return name if len(name) <= 30 else name[:27] + "..."


def _table_of_records(records: list[list[str]], origin: str, notes: tuple[str, ...] = ()) -> Table:
    header = header_of(records[0])
    if repeated := sorted({name for name in header if header.count(name) > 1}):
        raise InputError(
            expected="a header with unique column names",
            found=f"{origin}: {', '.join(map(_short, repeated))} more than once",
            change="rename the columns; if the first line is a row: --no-header, and --columns text=2 label=1",
        )
    rows = records[1:]
    columns: dict[str, Any] = {name: [row[position] for row in rows] for position, name in enumerate(header)}
    return Table(columns, origin, np.arange(1, len(rows) + 1), notes=notes)
