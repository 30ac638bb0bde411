"""Comma- and tab-separated files to tables."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

import numpy as np

from tlnlp.data.bytes_to_text import FileFormat, decode
from tlnlp.data.table import SHOWN_ROWS, Table, show
from tlnlp.errors import InputError

# A cell may be a whole article; the csv module's own limit is 131,072 characters. (A C long: 32 bits on Windows.)
csv.field_size_limit(2**31 - 1)
# Said of a tsv file of GLUE's kind.
PLAIN_QUOTES = "its quotes are not balanced, so they are read as ordinary characters and every line is a row"


def read_csv(data: bytes, origin: str, form: FileFormat) -> Table:
    """Reads comma-separated fields, quoted if necessary, with a header line."""
    text = decode(data, origin, ".csv")
    return _table_of_records(_records(text, ",", origin, quoting=csv.QUOTE_MINIMAL), origin)


def read_tsv(data: bytes, origin: str, form: FileFormat) -> Table:
    """Reads either kind of tsv file: quoted like csv, or like GLUE's, where quotes are ordinary characters and each
    line is a row. A file is of GLUE's kind if every line has all fields, and interpreting quotes would break or merge
    rows."""
    text = decode(data, origin, ".tsv")
    try:
        quoted: list[list[str]] | None = _records(text, "\t", origin, quoting=csv.QUOTE_MINIMAL)
    except InputError:
        quoted = None
    try:
        plain: list[list[str]] | None = _records(text, "\t", origin, quoting=csv.QUOTE_NONE)
    except InputError:
        if quoted is None:
            raise
        plain = None
    if quoted is not None and (plain is None or len(plain) == len(quoted)):
        return _table_of_records(_with_header(quoted, form), origin)
    assert plain is not None
    note = f"{origin}: {PLAIN_QUOTES}"
    return _table_of_records(_with_header(plain, form), origin, notes=(note,))


def _with_header(records: list[list[str]], form: FileFormat) -> list[list[str]]:
    """Adds the task's column names if the file has no header line (CoLA)."""
    return [list(form.original_header), *records] if is_bare(records, form) else records


def is_bare(records: list[list[str]], form: FileFormat) -> bool:
    """Returns whether the task knows the column names and the first record is not they."""
    header = form.original_header
    return bool(records) and len(records[0]) == len(header) and not set(records[0]) & set(header)


def _records(text: str, delimiter: str, origin: str, quoting: Any) -> list[list[str]]:
    """Returns the header and the rows, all of the same length. Blank lines are skipped."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    records: list[list[str]] = []
    broken: list[tuple[int, list[str]]] = []
    line = 1  # where the record starts
    try:
        for record in reader:
            if record and records and len(record) != len(records[0]):
                broken.append((line, record))
            elif record:
                records.append(record)
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            expected="fields with balanced quotes",
            found=f"{origin}, line {line}: {error}",
            change='the quotes: a field that contains a quote is written "so: ""quoted"" in it"',
        ) from error
    if broken:
        raise _broken(records[0], broken, delimiter, origin)
    return records


def _broken(first: Sequence[str], broken: list[tuple[int, list[str]]], delimiter: str, origin: str) -> InputError:
    shown = [f"line {line}: {len(record)} fields, {show(delimiter.join(record))}" for line, record in broken]
    total = f" ({len(broken):,} such lines in all)" if len(broken) > 1 else ""
    return InputError(
        expected=f"{len(first)} fields in every line, as in the first: {', '.join(map(_short, first))}",
        found=f"{origin}, " + "; ".join(shown[:SHOWN_ROWS]) + total,
        change="these lines; put a field that contains a separator, a quote or a newline in quotes",
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
            found=f"{origin}: {', '.join(repeated)} more than once",
            change="rename the columns",
        )
    rows = records[1:]
    columns: dict[str, Any] = {name: [row[position] for row in rows] for position, name in enumerate(header)}
    return Table(columns, origin, np.arange(1, len(rows) + 1), notes=notes)
