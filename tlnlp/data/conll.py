"""CoNLL and CoNLL-U files: one line per word, with its tag last, and a blank line after each sentence. Whatever else
people's files have between the words is found by its content, and said."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from tlnlp.data.bytes_to_text import FileFormat, decode, split_lines
from tlnlp.data.table import SHOWN_ROWS, Table, show
from tlnlp.errors import InputError

# In CoNLL-2003 each document starts with a sentence of this one word.
DOCUMENT = "-DOCSTART-"
# https://universaldependencies.org/format.html: ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC
CONLLU_FIELDS, HEAD = 10, 6
CONLLU_COLUMNS = {"words": 1, "tags": 3, "xpos": 4}
# Comments of CoNLL-2012, which have two fields as words may have.
_OF_DOCUMENTS = (("#begin", "document"), ("#end", "document"))
# Word ranges (1-2) and empty nodes (1.1) of CoNLL-U: lines of no word of their own.
_NO_WORD = re.compile(r"\d+[-.]\d+")
# A tag of an entity; a lone O may be a word.
_ENTITY_TAG = re.compile(r"O|[BIESLUM]-\S+")
# What a first line holds that names the columns.
_HEADER = re.compile(
    r"(word|token|form|text|lemma|u?pos|xpos|chunk|ner|named_entity|entity|tag|label|feat|id|idx|index|#)s?"
    r"|(ner|pos|chunk|iob|bio)_?(tag|label)s?|(sentence|word|token|sent)_?(#|id|idx|index|number)",
    re.IGNORECASE,
)

# The line of a word: its number in the file, and its fields.
Line = tuple[int, list[str]]


def read_conll(data: bytes, origin: str, form: FileFormat) -> Table:
    """Returns the columns "words" (the first, or the second behind a column that counts them), "tags" (the last), and
    "column 2" and so on between them. Comments, a header line and marks of documents are left out.

    Raises:
        InputError: a line has a different number of fields than most.
    """
    text = decode(data, origin, ".conll")
    if text.startswith("#FORMAT=WebAnno"):
        raise InputError(
            expected="words in columns, the tag last",
            found=f"{origin}: WebAnno's own format",
            change="export it as CoNLL 2002 (INCEpTION: Export, Format, CoNLL 2002)",
        )
    if re.match(r"T\d+\t\S+ \d+ \d+", text):
        raise InputError(
            expected="words in columns, the tag last",
            found=f"{origin}: brat's annotations, which need their texts",
            change="the folder with the .txt and .ann files: --data FOLDER",
        )
    sentences, notes = _split_fields(text)
    sentences = _without_header(_without_blank_last(sentences), notes)
    width = _usual_width(sentences)
    _refuse_other_widths(sentences, width, origin)
    _refuse_tags_first(sentences, origin)
    first = 0
    if _counts_words(sentences):
        sentences, first = _without_ranges(sentences, notes), 1
        if width == CONLLU_FIELDS and _has_heads(sentences):
            notes.append("read as CoNLL-U: ten columns, with the numbers of the words and of their heads")
            return _table(sentences, CONLLU_COLUMNS, origin, notes)
        notes.append("its first column counts the words, so words are read from the second")
    names = [*["index"][:first], "words", *(f"column {place}" for place in range(first + 2, width)), "tags"][:width]
    return _table(sentences, {name: place for place, name in enumerate(names)}, origin, notes)


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


def _split_fields(text: str) -> tuple[list[list[Line]], list[str]]:
    """Returns the lines of each sentence, without comments and marks of documents, and notes on what was left out."""
    numbered = [
        lines
        for sentence in _sentences(text)
        if (lines := [(number, line) for number, line in sentence if re.split("[ \t]", line)[0] != DOCUMENT])
    ]
    # With tabs as separators, a word may contain spaces or be empty.
    usual = next((line for lines in numbered for _, line in lines if not line.startswith("#")), "")
    tabs = "\t" in (usual or (numbered[0][0][1] if numbered else ""))
    sentences = [
        [(number, line.split("\t") if tabs else re.split("[ \t]+", line.strip(" \t"))) for number, line in lines]
        for lines in numbered
    ]
    comments = _comments(sentences, tabs=tabs)
    if not comments:
        return sentences, []
    number, fields = comments[0]
    left_out = {number for number, _ in comments}
    words = [[line for line in lines if line[0] not in left_out] for lines in sentences]
    note = f"{len(comments):,} comment lines skipped, the first in line {number}: {show(' '.join(fields))}"
    return [lines for lines in words if lines], [note]


def _comments(sentences: Sequence[list[Line]], *, tabs: bool) -> list[Line]:
    """Returns the lines that begin with # and are no words: with other fields than words have; or, where spaces
    separate fields and each sentence begins with such a line, with something last that is no tag of any word."""
    words = [line for lines in sentences for line in lines if not line[1][0].startswith("#")]
    if not words or len(words) == sum(map(len, sentences)):
        return []
    width = _usual_width([words])
    tags = {fields[-1] for _, fields in words if len(fields) == width}
    heads = [lines[0][1] for lines in sentences]
    by_place = not tabs and width > 1 and all(head[0] == "#" and head[-1] not in tags for head in heads)
    comments = []
    for lines in sentences:
        begins = True
        for number, fields in lines:
            is_other = fields[0].startswith("#") and (len(fields) != width or tuple(fields[:2]) in _OF_DOCUMENTS)
            begins = begins and by_place and fields[0] == "#" and fields[-1] not in tags
            if is_other or begins:
                comments.append((number, fields))
            begins = is_other or begins
    return comments


def _refuse_tags_first(sentences: Sequence[list[Line]], origin: str) -> None:
    """Raises an error if the first fields are tags of entities and the last ones are not: words would be learnt as
    tags."""
    lines = [line for lines in sentences for line in lines]
    if not all(_ENTITY_TAG.fullmatch(fields[0]) for _, fields in lines):
        return
    if any("-" in fields[0] for _, fields in lines) and not all(_ENTITY_TAG.fullmatch(f[-1]) for _, f in lines):
        number, fields = lines[0]
        raise InputError(
            expected="words in columns, the word first and its tag last",
            found=f"{origin}, line {number}: {show(' '.join(fields))}, with the tag first, as in all lines",
            change="the order of the columns",
        )


def _usual_width(sentences: Sequence[list[Line]]) -> int:
    widths = Counter(len(fields) for lines in sentences for _, fields in lines)
    return widths.most_common(1)[0][0] if widths else 0


def _without_blank_last(sentences: list[list[Line]]) -> list[list[Line]]:
    """Returns the lines without a last field that is blank in each of the longest: a tab at the end of the line."""
    while (width := max((len(fields) for lines in sentences for _, fields in lines), default=0)) > 1:
        if any(len(fields) == width and fields[-1].strip() for lines in sentences for _, fields in lines):
            break
        sentences = [[(number, fields[: width - 1]) for number, fields in lines] for lines in sentences]
    return sentences


def _without_header(sentences: list[list[Line]], notes: list[str]) -> list[list[Line]]:
    """Returns the lines without a first one that names the columns: all its fields are such names, and its last one is
    the tag of no word."""
    if not sentences or len(sentences[0][0][1]) < 2 or not all(map(_HEADER.fullmatch, sentences[0][0][1])):
        return sentences
    header = sentences[0][0]
    if any(line[1][-1] == header[1][-1] for lines in sentences for line in lines if line is not header):
        return sentences
    notes.append(f"line {header[0]}, {show(' '.join(header[1]))}, names the columns and is skipped")
    return [lines for lines in (sentences[0][1:], *sentences[1:]) if lines]


def _counts_words(sentences: Sequence[list[Line]]) -> bool:
    """Returns whether the first fields are the numbers of the words, in each sentence from 0 or 1, or of all words of
    the file one after another."""
    firsts = [[fields[0] for _, fields in lines if not _NO_WORD.fullmatch(fields[0])] for lines in sentences]
    width = len(sentences[0][0][1]) if sentences else 0
    # So few numbers may be words.
    least = 2 if width == CONLLU_FIELDS else 3
    if width < 2 or sum(map(len, firsts)) < least or max(map(len, firsts)) < 2:
        return False
    one_after_another = [field for fields in firsts for field in fields]
    return any(
        all(_goes_on_from(start, fields) for fields in firsts) or _goes_on_from(start, one_after_another)
        for start in (1, 0)
    )


def _goes_on_from(start: int, fields: Sequence[str]) -> bool:
    return all(field == str(number) for number, field in enumerate(fields, start))


def _without_ranges(sentences: list[list[Line]], notes: list[str]) -> list[list[Line]]:
    words = [[line for line in lines if not _NO_WORD.fullmatch(line[1][0])] for lines in sentences]
    if left_out := sum(map(len, sentences)) - sum(map(len, words)):
        notes.append(f"{left_out:,} lines of word ranges (1-2) and empty nodes (1.1) skipped")
    return [lines for lines in words if lines]


def _has_heads(sentences: Sequence[list[Line]]) -> bool:
    return all(re.fullmatch(r"\d+|_", fields[HEAD]) for lines in sentences for _, fields in lines)


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


def _refuse_other_widths(sentences: Sequence[list[Line]], width: int, origin: str) -> None:
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


def _table(sentences: Sequence[list[Line]], places: dict[str, int], origin: str, notes: Sequence[str] = ()) -> Table:
    columns = {name: [[fields[place] for _, fields in lines] for lines in sentences] for name, place in places.items()}
    return Table(
        columns,
        origin,
        np.array([lines[0][0] for lines in sentences], dtype=np.int64),
        notes=tuple(f"{origin}: {note}" for note in notes),
        word_numbers=np.array([number for lines in sentences for number, _ in lines], dtype=np.int64),
    )
