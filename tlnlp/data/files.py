"""Reads files into tables: jsonl, json, csv, tsv, parquet, txt and CoNLL; plain, .gz or .xz."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from tlnlp.data.bytes_to_text import FileFormat, decode, other_kind, read_bytes, split_lines, split_suffixes
from tlnlp.data.class_names import class_names
from tlnlp.data.conll import read_conll, read_conllu
from tlnlp.data.csv_files import read_csv, read_tsv
from tlnlp.data.json_files import read_json, read_jsonl
from tlnlp.data.large_files import read_large_file
from tlnlp.data.table import Table
from tlnlp.errors import InputError, did_you_mean

ANY_FORM = FileFormat()


def read_file(path: Path, origin: str | None = None, form: FileFormat = ANY_FORM, *, keep: bool = True) -> Table:
    """Reads the table in a file. The format follows from the suffix.

    Args:
        path: a file with one of the suffixes in `FORMATS`, optionally followed by .gz or .xz.
        origin: its name in messages; the file name if unset.
        form: what the task declares about its files.
        keep: whether a large file, once read, may be kept in the cache.

    Raises:
        InputError: the format is unknown, or the file does not match its suffix, is not UTF-8, broken or empty.
    """
    origin = origin or path.name
    format_name, compression = split_suffixes(path)
    if form.words and (format_name == ".txt" or format_name not in FORMATS):
        format_name = ".conll"
    if format_name not in FORMATS:
        raise InputError(
            expected=f"a file with one of the suffixes {', '.join(FORMATS)} (and optionally .gz or .xz)",
            found=f"{origin}{did_you_mean(format_name, FORMATS)}",
            change="convert the file, or give it the suffix that fits its content",
        )
    large = None if compression else read_large_file(path, format_name, origin, form, keep=keep)
    if large is not None and len(large):
        return large
    data = read_bytes(path, compression, origin)
    if not data.strip():
        raise InputError(expected="rows", found=f"{origin}: the file is empty", change="use a file with rows")
    table = FORMATS[format_name](data, origin, form)
    if not len(table):
        raise InputError(expected="rows", found=f"{origin}: no rows", change="use a file with rows")
    return table


def _read_txt(data: bytes, origin: str, form: FileFormat) -> Table:
    text = decode(data, origin, ".txt")
    # Published tables may have the suffix .txt (MRPC): they are recognised by their header.
    if set(text.split("\n", 1)[0].rstrip("\r").split("\t")) & set(form.original_columns):
        return read_tsv(data, origin, form)
    lines = split_lines(text)
    numbers = [number for number, line in enumerate(lines, 1) if line and not line.isspace()]
    return Table({"text": [lines[number - 1] for number in numbers]}, origin, np.array(numbers, dtype=np.int64))


def _read_parquet(data: bytes, origin: str, form: FileFormat) -> Table:
    # Importing pyarrow takes a quarter of a second, so it is imported only for parquet files.
    import pyarrow  # noqa: PLC0415
    import pyarrow.parquet  # noqa: PLC0415

    try:
        table = pyarrow.parquet.read_table(pyarrow.BufferReader(data))
    except (pyarrow.ArrowException, OSError) as error:
        raise InputError(
            expected="a parquet file",
            found=f"{origin}: {other_kind(data, '.parquet') or f'damaged or incomplete ({str(error)[:120]})'}",
            change="download or write it again, or give it the suffix that fits its content",
        ) from error
    columns = {name: table.column(name) for name in table.column_names}
    return Table(columns, origin, np.arange(1, table.num_rows + 1), class_names(table.schema.metadata))


FORMATS: dict[str, Callable[[bytes, str, FileFormat], Table]] = {
    ".jsonl": read_jsonl,
    ".json": read_json,
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".parquet": _read_parquet,
    ".txt": _read_txt,
    ".conll": read_conll,
    ".conllu": read_conllu,
    ".bio": read_conll,
    ".iob": read_conll,
    ".iob2": read_conll,
}
