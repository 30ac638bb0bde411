"""Large files in Arrow: read piece by piece, once, into a file of the cache that is then mapped into memory.

The same parsers read the same records as for small files. Whatever is unusual (a record of another length, a line that
is not JSON, a column with values of several types) is left to the careful reader, which says what is wrong.
"""

from __future__ import annotations

import csv
import json
import mmap
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np

from tlnlp.data.bytes_to_text import FileFormat, other_kind_of_text
from tlnlp.data.cache_folder import CacheFolder, digest_of_file, key_of
from tlnlp.data.class_names import class_names
from tlnlp.data.csv_files import PLAIN_QUOTES, are_quoted, header_of, of_csv, with_header
from tlnlp.data.separators import CANDIDATES, fitting, named, said_by_excel
from tlnlp.data.table import Table

if TYPE_CHECKING:
    import pyarrow

# Smaller files are read at once, in less than a second.
LEAST_BYTES = 8_000_000
# Records of a piece.
PIECE_ROWS = 50_000
# Longer lines are left to the careful reader.
LONGEST_LINE = 1_000_000
# Changes with what is written.
FORM_OF_ENTRY = 2
ARROW, SAID = "rows.arrow", "notes.json"


class _UnusualError(Exception):
    """Something for the careful reader."""


def read_large_file(path: Path, format_name: str, origin: str, form: FileFormat, *, keep: bool) -> Table | None:
    """Returns the table of a file; None if it is small, or for the careful reader.

    Args:
        format_name: its suffix.
        keep: whether it may be kept in the cache; otherwise it is read into memory, in Arrow.
    """
    try:
        if format_name not in READERS or path.stat().st_size < LEAST_BYTES or form.encoding is not None:
            return None
        # Takes a quarter of a second to import.
        import pyarrow  # noqa: PLC0415
    except OSError:
        return None
    unusual = (ValueError, TypeError, OverflowError, RecursionError, csv.Error, pyarrow.ArrowException, OSError)
    try:
        read = READERS[format_name]
        folder = _find_or_write(path, format_name, origin, form, read) if keep else None
        if folder is not None:
            return _open(folder, origin)
        notes, batches = read(path, form)
        return _table(pyarrow.Table.from_batches(list(batches)), notes, origin)
    except (_UnusualError, *unusual):
        return None


def _find_or_write(path: Path, format_name: str, origin: str, form: FileFormat, read: Reader) -> Path | None:
    import pyarrow  # noqa: PLC0415 - imported already

    def write(folder: Path) -> None:
        notes, batches = read(path, form)
        if (first := next(batches, None)) is None:
            raise _UnusualError
        with pyarrow.OSFile(str(folder / ARROW), "wb") as file, pyarrow.ipc.new_file(file, first.schema) as writer:
            for batch in chain([first], batches):
                writer.write_batch(batch)
                about["rows"] += batch.num_rows
        (folder / SAID).write_text(json.dumps(notes))

    about = {"origin": origin, "rows": 0}
    declared = [dict(form.original_columns), form.original_header, form.separator, form.header]
    key = key_of(FORM_OF_ENTRY, digest_of_file(path), format_name, declared, pyarrow.__version__)
    return CacheFolder().find_or_make("rows", key, about, write)


def _open(folder: Path, origin: str) -> Table:
    import pyarrow  # noqa: PLC0415 - imported already

    with (folder / ARROW).open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    table = pyarrow.ipc.open_file(pyarrow.py_buffer(mapped)).read_all()
    return _table(table, json.loads((folder / SAID).read_text()), origin, mapped)


def _table(table: pyarrow.Table, notes: list[str], origin: str, mapped: mmap.mmap | None = None) -> Table:
    columns = {name: table.column(name) for name in table.column_names}
    said = tuple(f"{origin}: {note}" for note in notes)
    numbers = np.arange(1, table.num_rows + 1)
    return Table(columns, origin, numbers, class_names(table.schema.metadata), said, mapped)


def _read_csv(path: Path, form: FileFormat, own: str = ",") -> Batches:
    separator = form.separator or _find_separator(path, own)
    notes = [f"separator {named(separator)}"] if form.separator is None and separator != own else []
    return notes, _batches_of_records(_records(path, separator, csv.QUOTE_MINIMAL), of_csv(form))


def _find_separator(path: Path, own: str) -> str:
    """Finds the separator as `csv_files` does, in the first records. What fits all of the file also fits these, and
    whether the only one that does fits all of it is found as it is read."""
    first = _first_line(path)
    if not any(each in first for each in CANDIDATES if each != own):
        return own

    def fields_of(separator: str) -> list[int] | None:
        with _open_text(path, newline="") as file:
            reader = csv.reader(_short_lines(file), delimiter=separator, strict=True)
            try:
                numbers = list(dict.fromkeys(len(record) for record in islice(reader, PIECE_ROWS) if record))
            except csv.Error:
                return None
        if len(numbers) == 2 and numbers[0] + 1 == numbers[1]:
            raise _UnusualError  # rows may have a field more than the header
        return numbers

    found = fitting(fields_of, own, first)
    if len(found) != 1:
        raise _UnusualError
    return found[0]


def _first_line(path: Path) -> str:
    """Returns the first line that is not blank; lines before the header are left to the careful reader."""
    with _open_text(path, newline=None) as file:
        first = next((line for line in _short_lines(file) if line.strip("\n")), "").rstrip("\n")
    if first.startswith("#") or first.count('"') % 2 or said_by_excel(f"{first}\n"):
        raise _UnusualError
    return first


def _read_tsv(path: Path, form: FileFormat) -> Batches:
    """The kind of file is found as by `csv_files.read_tsv`: by the number of records that each reading gives."""
    if (form.separator or "\t") != "\t" or (form.separator is None and "\t" not in _first_line(path)):
        return _read_csv(path, form, "\t")
    counts = []
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE):
        try:
            counts.append(sum(map(len, _records(path, "\t", quoting))))
        except (_UnusualError, csv.Error):
            counts.append(-1)
    quoted, plain = counts
    if quoted == plain == -1:
        raise _UnusualError
    if quoted > 0 and plain in (-1, quoted):
        return [], _batches_of_records(_records(path, "\t", csv.QUOTE_MINIMAL), form)
    if any(are_quoted(records) for records in _records(path, "\t", csv.QUOTE_NONE)):
        raise _UnusualError
    return [PLAIN_QUOTES], _batches_of_records(_records(path, "\t", csv.QUOTE_NONE), form)


def _records(path: Path, delimiter: str, quoting: Any) -> Iterator[list[list[str]]]:
    """Yields the records of a file in pieces, as `csv_files` reads them. All have the fields of the first."""
    with _open_text(path, newline="") as file:
        reader = csv.reader(_short_lines(file), delimiter=delimiter, quoting=quoting, strict=True)
        fields = None
        while piece := list(islice(reader, PIECE_ROWS)):
            records = [record for record in piece if record]
            fields = fields or (len(records[0]) if records else None)
            if any(len(record) != fields for record in records):
                raise _UnusualError
            yield records


def _batches_of_records(pieces: Iterator[list[list[str]]], form: FileFormat) -> Iterator[pyarrow.RecordBatch]:
    if not (first := next(pieces, None)):
        raise _UnusualError
    header, *records = with_header(first, form)
    names = header_of(header)
    if len(set(names)) < len(names):
        raise _UnusualError
    for piece in chain([records], pieces):
        if piece:
            yield _batch({name: [record[i] for record in piece] for i, name in enumerate(names)})


def _read_jsonl(path: Path, form: FileFormat) -> Batches:
    def batches() -> Iterator[pyarrow.RecordBatch]:
        with _open_text(path, newline=None) as file:
            lines = _short_lines(file)
            while piece := list(islice(lines, PIECE_ROWS)):
                rows = [json.loads(line) for line in piece]
                if not all(isinstance(row, dict) for row in rows):
                    raise _UnusualError
                names = dict.fromkeys(name for row in rows for name in row)
                yield _batch({name: [row.get(name) for row in rows] for name in names})

    return [], _of_one_form(batches())


def _read_parquet(path: Path, form: FileFormat) -> Batches:
    import pyarrow.parquet  # noqa: PLC0415 - for parquet files only

    def batches() -> Iterator[pyarrow.RecordBatch]:
        with pyarrow.parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
            for batch in file.iter_batches(batch_size=PIECE_ROWS):
                batch.validate(full=True)  # a writer may have left texts that are not UTF-8
                yield batch.replace_schema_metadata(schema.metadata)

    return [], batches()


def _of_one_form(batches: Iterable[pyarrow.RecordBatch]) -> Iterator[pyarrow.RecordBatch]:
    schema = None
    for batch in batches:
        schema = schema or batch.schema
        if batch.schema != schema:
            raise _UnusualError
        yield batch


def _batch(columns: dict[str, list[Any]]) -> pyarrow.RecordBatch:
    """Returns columns in Arrow, of which the same Python values can be read again."""
    import pyarrow  # noqa: PLC0415 - imported already

    arrays = []
    for values in columns.values():
        kinds = set(map(type, values)) - {type(None)}
        (kind,) = kinds if len(kinds) == 1 else (None,)
        if kind is list:
            inner = {type(each) for value in values if value is not None for each in value}
            (kind,) = inner if len(inner) == 1 else (None,)
            arrays.append(pyarrow.array(values, pyarrow.list_(_type_of(kind))))
        else:
            arrays.append(pyarrow.array(values, _type_of(kind)))
    return pyarrow.record_batch(arrays, names=list(columns))


def _type_of(kind: type | None) -> pyarrow.DataType:
    import pyarrow  # noqa: PLC0415 - imported already

    known = {str: pyarrow.string(), int: pyarrow.int64(), float: pyarrow.float64(), bool: pyarrow.bool_()}
    if kind not in known:
        raise _UnusualError
    return known[kind]


def _open_text(path: Path, newline: str | None) -> TextIO:
    with path.open("rb") as file:
        if other_kind_of_text(file.read(8192)):
            raise _UnusualError
    return path.open(encoding="utf-8-sig", newline=newline)


def _short_lines(file: TextIO) -> Iterator[str]:
    """Yields the lines of a file as they are, as long as they are short and have something in them."""
    while line := file.readline(LONGEST_LINE):
        if len(line) == LONGEST_LINE:
            raise _UnusualError
        yield line


Batches = tuple[list[str], Iterator["pyarrow.RecordBatch"]]
Reader = Callable[[Path, FileFormat], Batches]
READERS: dict[str, Reader] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}
