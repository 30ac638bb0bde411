"""Text files: one text a line, fastText's lines with labels in front, or a table with tabs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from tlnlp.data.bytes_to_text import FileFormat, decode, split_lines
from tlnlp.data.csv_files import read_tsv
from tlnlp.data.split_words import split_words
from tlnlp.data.table import Table, point_at, show
from tlnlp.errors import InputError

# https://fasttext.cc/docs/en/supervised-tutorial.html
LABEL = "__label__"
_LABELS = re.compile(rf"(?:[ \t]*{LABEL}[^ \t]*)*")


def read_text(data: bytes, origin: str, form: FileFormat) -> Table:
    """Reads one text a line, or a table if its lines are one."""
    text = decode(data, origin, ".txt")
    # Published tables may have the suffix .txt (MRPC): they are recognised by their header.
    if set(text.split("\n", 1)[0].rstrip("\r").split("\t")) & set(form.original_columns):
        return read_tsv(data, origin, form)
    lines = split_lines(text)
    if form.words:
        return _read_sentences(lines, origin)
    numbers = np.array([number for number, line in enumerate(lines, 1) if line and not line.isspace()], dtype=np.int64)
    there = [lines[number - 1] for number in numbers.tolist()]
    if there and there[0].startswith(LABEL):
        return _read_fasttext(there, origin, numbers)
    # Excel's "Unicode text", and data sets as they are published (SMSSpamCollection.txt).
    if len(there) > 1 and len(tabs := {line.count("\t") for line in there}) == 1 and tabs != {0}:
        table = read_tsv(data, origin, form)
        return Table(table.columns, origin, table.numbers, notes=(*table.notes, f"{origin}: a table, separator tab"))
    return Table({"text": there}, origin, numbers)


def _read_sentences(lines: list[str], origin: str) -> Table:
    """Returns the columns "text" and "words" of plain sentences, one in each line."""
    numbers = [number for number, line in enumerate(lines, 1) if line.strip()]
    texts = [lines[number - 1] for number in numbers]
    words = [[word for word, _, _ in split_words(text)] for text in texts]
    note = f"{origin}: a sentence in each line, split into words at spaces and around punctuation"
    return Table({"text": texts, "words": words}, origin, np.array(numbers, dtype=np.int64), notes=(note,))


def starts_with_label(path: Path) -> bool:
    """Returns whether a file, whatever its suffix (fastText's are .train and .valid), begins with fastText's label."""
    try:
        with path.open("rb") as file:
            return file.read(len(LABEL)) == LABEL.encode()
    except OSError:
        return False


def _read_fasttext(lines: list[str], origin: str, numbers: np.ndarray) -> Table:
    """Returns the columns "text" and "label": a name, or lists of names if a line has several labels or none.

    Raises:
        InputError: a line has no text.
    """
    labels, texts = [], []
    for line in lines:
        found = _LABELS.match(line)
        end = found.end() if found else 0
        labels.append([word.removeprefix(LABEL) for word in re.split("[ \t]+", line[:end].strip(" \t")) if word])
        texts.append(line[end:].strip())
    several = any(len(names) != 1 for names in labels)
    columns = {"text": texts, "label": labels if several else [name for (name,) in labels]}
    table = Table(columns, origin, numbers, notes=(f"{origin}: fastText's lines, {LABEL}NAME and a text",))
    if wrong := [place for place, text in enumerate(texts) if not text]:
        raise InputError(
            expected=f"{LABEL}NAME and a text in every line",
            found=point_at(table, wrong, lambda row: show(lines[row])),
            change="the line",
        )
    if several and (bare := [place for place, names in enumerate(labels) if not names]):
        raise InputError(
            expected=f"{LABEL}NAME in front of every line, as of the first",
            found=point_at(table, bare, lambda row: show(lines[row])),
            change="the line, or a csv file with columns text and label",
        )
    return table
