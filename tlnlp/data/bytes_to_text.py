"""Decompresses and decodes files, and detects files whose content does not match their name."""

from __future__ import annotations

import gzip
import io
import lzma
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tlnlp.data.limits import (
    ALWAYS_DECOMPRESSED_BYTES,
    DECOMPRESSED_SHARE_OF_MEMORY,
    LIFT,
    MOST_COMPRESSION,
    limits_hold,
)
from tlnlp.errors import InputError

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
_PIECE_BYTES = 16 << 20
_WEB_PAGE = (b"<!doctype html", b"<html", b"<?xml")


@dataclass(frozen=True)
class FileFormat:
    """What a task declares about the format of its files.

    Args:
        words: a text file, or a file without a known suffix, has words and tags in columns (CoNLL).
        original_columns: {column of the originally published files: its name on the Hub}.
        original_header: column names of originally published files without a header line.
    """

    words: bool = False
    original_columns: Mapping[str, str] = field(default_factory=dict)
    original_header: tuple[str, ...] = ()


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


def _decompress(file: io.BufferedIOBase, compressed: int, origin: str) -> bytes:
    """Returns the content of a compressed file, read a piece at a time: a few bytes can become more than the memory."""
    most, found = _most_bytes(compressed), io.BytesIO()
    while piece := file.read(_PIECE_BYTES):
        found.write(piece)
        if found.tell() > most:
            raise InputError(
                expected=f"{origin}: at most {most:,} bytes, by its {compressed:,} compressed ones and the free memory",
                found="more",
                change=f"the file, which is no compressed text, or unpack it; {LIFT}",
            )
    return found.getvalue()


def _most_bytes(compressed: int) -> float:
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
    own = {".gz": "a gzip file", ".xz": "an xz file", ".parquet": "a parquet file"}[ending]
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
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            expected="text in UTF-8",
            found=f"{origin}, line {line}: byte 0x{data[error.start]:02x}",
            change="save it as UTF-8 (for Latin-1: iconv -f latin1 -t utf-8)",
        ) from error


def split_lines(text: str) -> list[str]:
    """Splits the text into lines, as an editor counts them, without line endings."""
    # Not splitlines(): it also splits at U+2028, U+0085 and form feeds, which occur inside real texts.
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
