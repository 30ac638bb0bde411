"""Decompresses and decodes files, and detects files whose content does not match their name."""

from __future__ import annotations

import gzip
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import psutil

from tlnlp.data.encodings import check_encoding, no_utf8
from tlnlp.data.limits import (
    ALWAYS_DECOMPRESSED_BYTES,
    DECOMPRESSED_SHARE_OF_MEMORY,
    LIFT,
    MOST_COMPRESSION,
    limits_hold,
)
from tlnlp.data.separators import check_separator
from tlnlp.display.formatting import name_some
from tlnlp.errors import InputError

if TYPE_CHECKING:
    from tlnlp.settings import Settings
    from tlnlp.task import Data, Task

# The first bytes of file types that often have a wrong suffix.
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
_HIDDEN = re.compile(r"/(__MACOSX/|\.)")
_PIECE_BYTES = 16 << 20
_WEB_PAGE = (b"<!doctype html", b"<html", b"<?xml")


@dataclass(frozen=True)
class FileFormat:
    """What a task declares about the format of its files.

    Args:
        words: a text file, or a file without a known suffix, has words and tags in columns (CoNLL).
        original_columns: {column of the originally published files: its name on the Hub}.
        original_header: column names of originally published files without a header line.
        separator: what separates the fields of a table (`--separator`); None: it is found.
        encoding: the encoding of texts (`--encoding`); None: UTF-8, or what their first bytes say.
        header: whether the first line of a table has the names of its columns (not with `--no-header`).
    """

    words: bool = False
    original_columns: Mapping[str, str] = field(default_factory=dict)
    original_header: tuple[str, ...] = ()
    separator: str | None = None
    encoding: str | None = None
    header: bool = True

    @classmethod
    def of(cls, settings: Settings, task: Task | None = None, data: Data | None = None) -> FileFormat:
        """Returns the format of files, as the settings and a task declare it.

        Args:
            data: the data of a language; the task's if None.

        Raises:
            InputError: `--separator` or `--encoding` is none.
        """
        declared = data or (task.data if task is not None else None)
        return cls(
            words=task is not None and task.columns.words is not None,
            original_columns={} if declared is None else declared.original_columns,
            original_header=() if declared is None else declared.original_header,
            separator=check_separator(settings.separator),
            encoding=check_encoding(settings.encoding),
            header=not settings.no_header,
        )


def split_suffixes(path: Path) -> tuple[str, str]:
    """Returns ('.csv', '.gz') for reviews.csv.gz, and ('.csv', '') for reviews.csv."""
    suffixes = [""] + [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1] in (".gz", ".xz"):
        return suffixes[-2], suffixes[-1]
    return suffixes[-1], ""


def read_bytes(path: Path, compression: str, origin: str) -> bytes:
    """Returns the decompressed content of the file.

    Raises:
        InputError: the file cannot be read, or does not match `compression` (".gz", ".xz" or "").
    """
    try:
        data = path.read_bytes()
        # lzma.decompress accepts a truncated stream if another stream comes before it; files do not.
        if compression == ".gz":
            with gzip.open(io.BytesIO(data)) as file:
                return _decompress(file, len(data), origin)
        if compression == ".xz":
            with lzma.open(io.BytesIO(data)) as file:
                return _decompress(file, len(data), origin)
        return data
    except (EOFError, zlib.error, gzip.BadGzipFile, lzma.LZMAError) as error:
        raise InputError(
            expected=f"a complete {compression} file",
            found=f"{origin}: {other_kind(data, compression) or f'damaged or incomplete ({error})'}",
            change="download or compress it again, or give it the suffix that fits its content",
        ) from error
    except OSError as error:
        raise InputError(expected="a readable file", found=f"{origin}: {error.strerror}", change="the file") from error


def read_zipped(path: Path, origin: str, is_table: Callable[[str], bool]) -> tuple[str, bytes]:
    """Returns the name and the content of the only file with rows in a zip archive.

    Args:
        is_table: whether a file by its name has rows.

    Raises:
        InputError: the archive is damaged or encrypted, or has no such file or several.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            # macOS adds files of its own.
            inside = [
                each for each in archive.infolist() if not each.is_dir() and not _HIDDEN.search(f"/{each.filename}")
            ]
            tables = [each for each in inside if is_table(each.filename)]
            if len(tables) != 1:
                names = [each.filename for each in tables or inside]
                raise InputError(
                    expected="a zip archive with one file of rows in it",
                    found=f"{origin}: {name_some(names, 10) or 'nothing'}",
                    change="unpack it: --data FOLDER, or --train-file FILE --dev-file FILE",
                )
            with archive.open(tables[0]) as file:
                return tables[0].filename, _decompress(cast(io.BufferedIOBase, file), tables[0].compress_size, origin)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError) as error:
        raise InputError(
            expected="a complete zip archive", found=f"{origin}: {error}", change="download or compress it again"
        ) from error
    except OSError as error:
        raise InputError(expected="a readable file", found=f"{origin}: {error.strerror}", change="the file") from error


def _decompress(file: io.BufferedIOBase, compressed: int, origin: str) -> bytes:
    """Returns the content of a compressed file, read a piece at a time: a few bytes can become more than the memory."""
    most, found = most_bytes(compressed), io.BytesIO()
    while piece := file.read(_PIECE_BYTES):
        found.write(piece)
        if found.tell() > most:
            raise InputError(
                expected=f"{origin}: at most {most:,} bytes, by its {compressed:,} compressed ones and the free memory",
                found="more",
                change=f"the file, which is no compressed text, or unpack it; {LIFT}",
            )
    return found.getvalue()


def most_bytes(compressed: int) -> float:
    """Returns how many bytes so many compressed ones may become."""
    if not limits_hold():
        return float("inf")
    memory = psutil.virtual_memory().available * DECOMPRESSED_SHARE_OF_MEMORY
    return int(max(ALWAYS_DECOMPRESSED_BYTES, min(MOST_COMPRESSION * compressed, memory)))


def other_kind_of_text(start: bytes) -> str | None:
    """Returns what a file is, by its first 8,192 bytes, if it is not text."""
    return _kind(start)


def _kind(data: bytes) -> str | None:
    for magic, kind in _MAGIC.items():
        if data.startswith(magic):
            return kind
    start = data[:8192].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(_WEB_PAGE):
        return "a web page (HTML or XML)"
    return "binary data" if b"\0" in data[:8192] else None


def other_kind(data: bytes, ending: str) -> str | None:
    """Returns the detected file type if it does not match the suffix, otherwise None."""
    own = {
        ".gz": "a gzip file",
        ".xz": "an xz file",
        ".parquet": "a parquet file",
        ".arrow": "an Arrow file",
    }[ending]
    kind = _kind(data)
    return None if kind == own else kind


def decode(data: bytes, origin: str, ending: str) -> str:
    """Decodes the data, after checking that they are text in UTF-8."""
    if kind := _kind(data):
        raise InputError(
            expected=f"{ending}, as the file's suffix says",
            found=f"{origin}: {kind}",
            change="unpack or convert it, or give it the suffix that fits its content",
        )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise no_utf8(data, origin, error) from error


def split_lines(text: str) -> list[str]:
    """Splits the text into lines, as an editor counts them, without line endings."""
    # Not splitlines(): it also splits at U+2028, U+0085 and form feeds, which occur inside real texts.
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
