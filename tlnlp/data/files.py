"""Files to tables: jsonl, json, csv, tsv, parquet, txt; plain, .gz or .xz."""

from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from tlnlp.data.table import Table, show
from tlnlp.errors import InputError, did_you_mean

# A cell may be a whole article; the csv module's own limit is 131,072 characters. (A C long: 32 bits on Windows.)
csv.field_size_limit(2**31 - 1)

# The first bytes of what is often found under a wrong name.
_MAGIC = {
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "a gzip file",
    b"\xfd7zXZ\x00": "an xz file",
    b"BZh": "a bzip2 file",
    b"\x28\xb5\x2f\xfd": "a zstandard file",
    b"PAR1": "a parquet file",
    b"ARROW1": "an Arrow file",
    b"SQLite format 3": "an SQLite database",
    b"%PDF": "a PDF",
    b"\xd0\xcf\x11\xe0": "an old Excel or Word file",
    b"\xff\xfe": "text in UTF-16",
    b"\xfe\xff": "text in UTF-16",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself",
}
_WEB_PAGE = (b"<!doctype html", b"<html", b"<?xml")


def read_file(path: Path, origin: str | None = None) -> Table:
    """The table in a file, its format told by its name.

    Args:
        path: a file ending in one of `FORMATS`, perhaps with .gz or .xz behind it.
        origin: what messages call it; the file's name if unset.

    Raises:
        InputError: an unknown format, a file that is not what its name says, not UTF-8, broken or empty.
    """
    origin = origin or path.name
    format_name, compression = split_suffixes(path)
    if format_name not in FORMATS:
        raise InputError(
            expected=f"a file ending in {', '.join(FORMATS)} (or with .gz or .xz behind it)",
            found=f"{origin}{did_you_mean(format_name, FORMATS)}",
            change="convert the file, or give it the ending that fits what is in it",
        )
    data = _read_bytes(path, compression, origin)
    if not data.strip():
        raise InputError(expected="rows", found=f"{origin}: the file is empty", change="give a file with rows in it")
    table = FORMATS[format_name](data, origin)
    if not len(table):
        raise InputError(expected="rows", found=f"{origin}: no rows", change="give a file with rows in it")
    return table


def split_suffixes(path: Path) -> tuple[str, str]:
    """('.csv', '.gz') of reviews.csv.gz; ('.csv', '') of reviews.csv."""
    suffixes = [""] + [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1] in (".gz", ".xz"):
        return suffixes[-2], suffixes[-1]
    return suffixes[-1], ""


def _read_bytes(path: Path, compression: str, origin: str) -> bytes:
    try:
        data = path.read_bytes()
        if compression == ".gz":
            return gzip.decompress(data)
        if compression == ".xz":
            return _decompress_xz(data)
        return data
    except (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError) as error:
        raise InputError(
            expected=f"a whole {compression} file",
            found=f"{origin}: {_other_kind(data, compression) or f'broken or cut short ({error})'}",
            change="download or compress it again, or give it the ending that fits what is in it",
        ) from error
    except OSError as error:
        raise InputError(expected="a readable file", found=f"{origin}: {error.strerror}", change="the file") from error


def _decompress_xz(data: bytes) -> bytes:
    # lzma.decompress takes a stream without its end for a whole one when another stream came before it.
    with lzma.open(io.BytesIO(data)) as file:
        return file.read()


def _kind(data: bytes) -> str | None:
    for magic, kind in _MAGIC.items():
        if data.startswith(magic):
            return kind
    start = data[:8192].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(_WEB_PAGE):
        return "a web page (HTML or XML)"
    return "binary data" if b"\0" in data[:8192] else None


def _other_kind(data: bytes, ending: str) -> str | None:
    """What the data are, where that is known and not what the ending says."""
    own = {".gz": "a gzip file", ".xz": "an xz file", ".parquet": "a parquet file"}[ending]
    kind = _kind(data)
    return None if kind == own else kind


def _decode(data: bytes, origin: str, ending: str) -> str:
    """The text, after the check that it is text, and in UTF-8."""
    if kind := _kind(data):
        raise InputError(
            expected=f"{ending} as the file's name says",
            found=f"{origin}: {kind}",
            change="unpack or convert it, or give it the ending that fits what is in it",
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            expected="text in UTF-8",
            found=f"{origin}, line {line}: byte 0x{data[error.start]:02x}",
            change="save it as UTF-8 (iconv -f latin1 -t utf-8, where it is Latin-1)",
        ) from error


def _lines(text: str) -> list[str]:
    # Not splitlines(): that also cuts at U+2028, U+0085 and form feeds, which stand inside real texts.
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _read_txt(data: bytes, origin: str) -> Table:
    lines = _lines(_decode(data, origin, ".txt"))
    numbers = [number for number, line in enumerate(lines, 1) if line and not line.isspace()]
    return Table({"text": [lines[number - 1] for number in numbers]}, origin, np.array(numbers, dtype=np.int64))


def _read_jsonl(data: bytes, origin: str) -> Table:
    rows, numbers = [], []
    for number, line in enumerate(_lines(_decode(data, origin, ".jsonl")), 1):
        if not line or line.isspace():
            continue
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError(
                expected='one JSON object a line, e.g. {"text": "..."}',
                found=f"{origin}, line {number}: {error} in {show(line)}",
                change="the line",
            ) from error
        if not isinstance(row, dict):
            raise InputError(
                expected='one JSON object a line, e.g. {"text": "..."}',
                found=f"{origin}, line {number}: {show(row)}",
                change="write objects with named columns; a list of objects belongs in a .json file",
            )
        rows.append(row)
        numbers.append(number)
    return _table_of_objects(rows, origin, np.array(numbers, dtype=np.int64))


def _read_json(data: bytes, origin: str) -> Table:
    text = _decode(data, origin, ".json")
    if not text.lstrip().startswith("["):
        return _read_jsonl(data, origin)  # much that is called .json has one object a line
    try:
        rows = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise InputError(expected="JSON, a list of objects", found=f"{origin}: {error}", change="the file") from error
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise InputError(
                expected="JSON, a list of objects", found=f"{origin}, row {number}: {show(row)}", change="the row"
            )
    return _table_of_objects(rows, origin, np.arange(1, len(rows) + 1))


def _table_of_objects(rows: list[dict[str, Any]], origin: str, numbers: np.ndarray) -> Table:
    names = dict.fromkeys(name for row in rows for name in row)
    return Table({name: [row.get(name) for row in rows] for name in names}, origin, numbers)


def _read_csv(data: bytes, origin: str) -> Table:
    text = _decode(data, origin, ".csv")
    return _table_of_records(_records(text, ",", origin, quoting=csv.QUOTE_MINIMAL), origin)


def _read_tsv(data: bytes, origin: str) -> Table:
    """Two kinds of tsv are about: quoted like csv, and GLUE's, where a quote is a letter like any other and a line is a
    row. It is GLUE's where every line has all its fields, yet reading quotes as quotes breaks or swallows rows."""
    text = _decode(data, origin, ".tsv")
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
        return _table_of_records(quoted, origin)
    assert plain is not None
    note = f"{origin}: its quotes do not pair up, so they are kept as letters and every line is a row"
    return _table_of_records(plain, origin, notes=(note,))


def _records(text: str, delimiter: str, origin: str, quoting: Any) -> list[list[str]]:
    """Header and rows, all of the same length. Blank lines are skipped."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    records: list[list[str]] = []
    line = 1  # where the record starts
    try:
        for record in reader:
            if record:
                if records and len(record) != len(records[0]):
                    raise InputError(
                        expected=f"{len(records[0])} fields in every line, as in the header: {', '.join(records[0])}",
                        found=f"{origin}, line {line}: {len(record)} fields, {show(delimiter.join(record))}",
                        change="the line; a field with a separator, a quote or a newline in it belongs in quotes",
                    )
                records.append(record)
            line = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            expected="fields whose quotes pair up",
            found=f"{origin}, line {line}: {error}",
            change='the quotes: a field with a quote in it is written "so: ""quoted"" in it"',
        ) from error
    return records


def _table_of_records(records: list[list[str]], origin: str, notes: tuple[str, ...] = ()) -> Table:
    # pandas writes its index as a first column without a name.
    header = [name.strip() or f"column {position}" for position, name in enumerate(records[0], 1)]
    if repeated := sorted({name for name in header if header.count(name) > 1}):
        raise InputError(
            expected="a header in which every column has its own name",
            found=f"{origin}: {', '.join(repeated)} more than once",
            change="rename the columns",
        )
    rows = records[1:]
    columns: dict[str, Any] = {name: [row[position] for row in rows] for position, name in enumerate(header)}
    return Table(columns, origin, np.arange(1, len(rows) + 1), notes=notes)


def _read_parquet(data: bytes, origin: str) -> Table:
    # pyarrow takes a quarter of a second to import: only who has parquet files waits for it.
    import pyarrow  # noqa: PLC0415
    import pyarrow.parquet  # noqa: PLC0415

    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(data))
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(
            expected="a parquet file",
            found=f"{origin}: {_other_kind(data, '.parquet') or f'broken or cut short ({str(error)[:120]})'}",
            change="download or write it again, or give it the ending that fits what is in it",
        ) from error
    columns = {name: table.column(name) for name in table.column_names}
    return Table(columns, origin, np.arange(1, table.num_rows + 1), _class_names(table.schema.metadata))


def _class_names(metadata: dict[bytes, bytes] | None) -> dict[str, tuple[str, ...]]:
    """The label names that the `datasets` library writes into its parquet files."""
    features = json.loads((metadata or {}).get(b"huggingface", b"{}")).get("info", {}).get("features", {})
    return {
        column: tuple(feature["names"])
        for column, feature in features.items()
        if isinstance(feature, dict) and feature.get("_type") == "ClassLabel"
    }


FORMATS: dict[str, Callable[[bytes, str], Table]] = {
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".parquet": _read_parquet,
    ".txt": _read_txt,
}


def list_files(folder: Path) -> Iterable[Path]:
    """The files of a folder whose names end like data, in order."""
    return sorted(path for path in folder.iterdir() if path.is_file() and split_suffixes(path)[0] in FORMATS)
