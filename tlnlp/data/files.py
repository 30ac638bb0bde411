"""Reads files into tables: jsonl, json, csv, tsv, parquet, Arrow, Excel, txt and CoNLL; plain, .gz, .xz or .zip."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tlnlp.data.arrow_files import read_arrow, read_parquet
from tlnlp.data.bytes_to_text import FileFormat, read_bytes, read_zipped, split_suffixes
from tlnlp.data.conll import read_conll, read_conllu
from tlnlp.data.csv_files import read_csv, read_tsv
from tlnlp.data.encodings import in_utf8
from tlnlp.data.excel_files import read_excel
from tlnlp.data.json_files import read_json, read_jsonl
from tlnlp.data.large_files import read_large_file
from tlnlp.data.table import Table
from tlnlp.data.text_files import read_text, starts_with_label
from tlnlp.data.word_lines import has_word_lines
from tlnlp.errors import InputError, did_you_mean

ANY_FORM = FileFormat()


def read_file(path: Path, origin: str | None = None, form: FileFormat = ANY_FORM, *, keep: bool = True) -> Table:
    """Reads the table in a file. The format follows from the suffix.

    Args:
        path: a file with one of the suffixes in `FORMATS`, optionally followed by .gz or .xz; or a zip archive of one.
        origin: its name in messages; the file name if unset.
        form: what the task declares about its files.
        keep: whether a large file, once read, may be kept in the cache.

    Raises:
        InputError: the format is unknown, or the file does not match its suffix, is in another encoding, broken or
            empty.
    """
    origin = origin or path.name
    format_name, compression = _format_of(path, form)
    if path.suffix.lower() == ".zip":
        name, data = read_zipped(path, origin, lambda inner: _format_of(Path(inner), form)[0] in FORMATS)
        origin, (format_name, compression) = f"{origin}/{name}", _format_of(Path(name), form)
        return _read(data, origin, format_name, form)
    if format_name not in FORMATS:
        raise InputError(
            expected=f"a file with one of the suffixes {', '.join(FORMATS)} (and optionally .gz, .xz or .zip)",
            found=f"{origin}{did_you_mean(format_name, FORMATS)}",
            change="convert the file, or give it the suffix that fits its content; for a table: --separator",
        )
    large = None if compression else read_large_file(path, format_name, origin, form, keep=keep)
    if large is not None and len(large):
        return large
    return _read(read_bytes(path, compression, origin), origin, format_name, form)


def _format_of(path: Path, form: FileFormat) -> tuple[str, str]:
    """Returns the suffix of the format that a file is read in, and that of its compression."""
    format_name, compression = split_suffixes(path)
    if form.words and format_name in (".tsv", ".txt"):
        if has_word_lines(path, format_name) if not compression else format_name == ".txt":
            return ".conll", compression
    elif form.words and format_name not in FORMATS:
        return ".conll", compression
    if form.separator is not None and (format_name == ".txt" or format_name not in FORMATS):
        return ".csv", compression
    if format_name not in FORMATS and not compression and starts_with_label(path):
        return ".txt", compression
    return format_name, compression


def _read(data: bytes, origin: str, format_name: str, form: FileFormat) -> Table:
    if not data.strip():
        raise InputError(expected="rows", found=f"{origin}: the file is empty", change="use a file with rows")
    said = None
    if format_name not in BINARY:
        data, said = in_utf8(data, origin, form.encoding)
    table = FORMATS[format_name](data, origin, form)
    if not len(table):
        raise InputError(expected="rows", found=f"{origin}: no rows", change="use a file with rows")
    return replace(table, notes=(said, *table.notes)) if said else table


FORMATS: dict[str, Callable[[bytes, str, FileFormat], Table]] = {
    ".jsonl": read_jsonl,
    ".json": read_json,
    ".csv": read_csv,
    ".tsv": read_tsv,
    ".parquet": read_parquet,
    ".arrow": read_arrow,
    ".feather": read_arrow,
    ".xlsx": read_excel,
    ".txt": read_text,
    ".conll": read_conll,
    ".conllu": read_conllu,
    ".bio": read_conll,
    ".iob": read_conll,
    ".iob2": read_conll,
}
# Formats that are not text.
BINARY = (".parquet", ".arrow", ".feather", ".xlsx")
