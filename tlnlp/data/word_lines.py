"""Whether a file holds a word in each line, whatever its suffix: by its first lines."""

from __future__ import annotations

import re
from collections import Counter
from itertools import groupby
from pathlib import Path

from tlnlp.data.bytes_to_text import split_lines

_LOOKED_AT_BYTES = 1 << 16
_TAG = re.compile(r"O|[BIESLUM]-\S+|\S+-[BIESLU]")
_UPPERCASE = re.compile(r"[A-Z][A-Z0-9$]*|_")
# So many lines of words without a blank one among them are enough to know tags by their capitals.
_MANY_LINES = 10


def has_word_lines(path: Path, suffix: str) -> bool:
    """Returns whether a .tsv or .txt file of a tagging task has words in its lines, and not rows or sentences. (.txt
    files have, unless they are plain sentences; .tsv files have if blank lines are between others.)"""
    try:
        with path.open("rb") as file:
            start = file.read(_LOOKED_AT_BYTES)
    except OSError:
        return suffix == ".txt"
    text = start.decode("utf-8", errors="replace").lstrip("\ufeff")
    lines = split_lines(text)[: -1 if len(start) == _LOOKED_AT_BYTES else None]
    return _rows_of_words(lines) if suffix == ".tsv" else not _are_sentences(lines)


def _groups(lines: list[str]) -> list[list[str]]:
    """Returns the lines between blank ones, without comments and marks of documents."""
    parts = (list(group) for full, group in groupby(lines, key=lambda line: bool(line.strip(" \t"))) if full)
    words = ([line for line in part if not line.startswith(("#", "-DOCSTART-"))] for part in parts)
    return [part for part in words if part]


def _rows_of_words(lines: list[str]) -> bool:
    groups = _groups(lines)
    full = [line for group in groups for line in group]
    if len(groups) < 2 or len(groups) == len(full):
        return False
    return all("\t" in line and " " not in line.rstrip(" \t").rsplit("\t", 1)[-1] for line in full)


def _are_sentences(lines: list[str]) -> bool:
    groups = _groups(lines)
    fields = [line.split() for group in groups for line in group]
    if not fields or any("\t" in line.strip("\t") for group in groups for line in group):
        return False
    widths = Counter(map(len, fields))
    width, count = widths.most_common(1)[0]
    between_blanks = len(groups) > 1 and any(len(group) > 1 for group in groups)
    if width == 1 and count == len(fields):
        return len(fields) == 1
    lasts = [words[-1] for words in fields if len(words) > 1]
    if 2 * sum(bool(_TAG.fullmatch(last)) for last in lasts) > len(fields):
        return False
    many = between_blanks or len(fields) >= _MANY_LINES
    if many and 2 * sum(bool(_UPPERCASE.fullmatch(last)) for last in lasts) > len(fields):
        return False
    return not (between_blanks and count == len(fields))
