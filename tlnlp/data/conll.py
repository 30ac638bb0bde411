"""CoNLL and CoNLL-U files: one line per word, with its tag last, and a blank line after each sentence."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np

from tlnlp.data.bytes_to_text import FileFormat, decode, split_lines
from tlnlp.data.table import SHOWN_ROWS, Table, show
from tlnlp.errors import InputError

# In CoNLL-2003 each document starts with a sentence of this one word.
DOCUMENT = "-DOCSTART-"
# https://universaldependencies.org/format.html: ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC
CONLLU_FIELDS = 10
CONLLU_COLUMNS = {"words": 1, "tags": 3, "xpos": 4}

# The line of a word: its number in the file, and its fields.
Line = tuple[int, list[str]]


def read_conll(data: bytes, origin: str, form: FileFormat) -> Table:
    """Returns the columns "words" (the first), "tags" (the last), and "column 2" and so on between them.

    Raises:
        InputError: a line has a different number of fields than the first.
    """
    numbered = [
        lines
        for sentence in _sentences(decode(data, origin, ".conll"))
        if (lines := [(number, line) for number, line in sentence if re.split("[ \t]", line)[0] != DOCUMENT])
    ]
    # With tabs as separators, a word may contain spaces or be empty.
    tabs = bool(numbered) and "\t" in numbered[0][0][1]
    sentences = [
        [(number, line.split("\t") if tabs else re.split("[ \t]+", line.strip(" \t"))) for number, line in lines]
        for lines in numbered
    ]
    width = len(sentences[0][0][1]) if sentences else 0
    _refuse_other_widths(sentences, width, origin)
    names = ["words", *(f"column {place}" for place in range(2, width)), "tags"][:width]
    return _table(sentences, {name: place for place, name in enumerate(names)}, origin)


def read_conllu(data: bytes, origin: str, form: FileFormat) -> Table:
    """Returns the columns "words" (FORM), "tags" (UPOS) and "xpos", without word ranges (1-2) and empty nodes (1.1)."""
    sentences = []
    for sentence in _sentences(decode(data, origin, ".conllu")):
        lines = [(number, line.split("\t")) for number, line in sentence if not line.startswith("#")]
        if lines:
            sentences.append(lines)
    _refuse_other_widths(sentences, CONLLU_FIELDS, origin)
    words = [[line for line in lines if re.fullmatch(r"\d+", line[1][0])] for lines in sentences]
    return _table([lines for lines in words if lines], CONLLU_COLUMNS, origin)


def _sentences(text: str) -> Iterator[list[tuple[int, str]]]:
    """Yields the numbered lines of each sentence."""
    sentence: list[tuple[int, str]] = []
    for number, line in enumerate(split_lines(text), 1):
        if line.strip(" \t"):
            sentence.append((number, line))
        elif sentence:
            yield sentence
            sentence = []
    if sentence:
        yield sentence


def _refuse_other_widths(sentences: list[list[Line]], width: int, origin: str) -> None:
    wrong = [line for lines in sentences for line in lines if len(line[1]) != width]
    if wrong:
        shown = [f"line {number}: {len(fields)} fields, {show(' '.join(fields))}" for number, fields in wrong]
        total = f" ({len(wrong):,} such lines in all)" if len(wrong) > 1 else ""
        raise InputError(
            expected=f"words in columns: {width} fields in every line, separated by tabs or spaces, a blank line after"
            " each sentence",
            found=f"{origin}, " + "; ".join(shown[:SHOWN_ROWS]) + total,
            change="these lines, or give the file the suffix that fits its content",
        )


def _table(sentences: list[list[Line]], places: dict[str, int], origin: str) -> Table:
    columns = {name: [[fields[place] for _, fields in lines] for lines in sentences] for name, place in places.items()}
    return Table(columns, origin, np.array([lines[0][0] for lines in sentences], dtype=np.int64))
