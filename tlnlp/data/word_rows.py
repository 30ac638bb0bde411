"""Tables with one word in each row, and a column that tells sentences apart: grouped to sentences, or refused."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from tlnlp.data.table import Table, point_at, show
from tlnlp.data.written_values import looks_written
from tlnlp.errors import InputError

# Of the fields of a table.
SEPARATORS = ",;\t|"
# The role of the column that tells sentences apart; only tables with a word in each row have it.
SENTENCE = "sentence"
_SENTENCE_NAME = re.compile(r"(sentence|sent)s?[ _-]?(#|id|idx|index|no|nr|num|number)?", re.IGNORECASE)
# A single sentence of more words is a file without its blank lines.
MOST_WORDS_ALONE = 100


def group_words(table: Table, roles: Mapping[str, str], chosen: Mapping[str, str]) -> Table:
    """Returns a table of one word in each row as one of sentences, grouped by the column of the role `sentence`, by a
    column with such a name, or at rows without word and tag. Any other table is returned as it is.

    Args:
        roles: {role: column} of the task.
        chosen: {role: column} of `--columns`.

    Raises:
        InputError: each row has one word, and nothing says where sentences begin.
    """
    words, tags = (_column(table, role, roles, chosen) for role in ("words", "tags"))
    if words is None or tags is None or table.word_numbers is not None:
        _refuse_odd_sentences(table)
        return table
    values, names = table.values(words), table.values(tags)
    if not all(map(_is_one, names)) or not all(isinstance(value, str | None) for value in values):
        return table
    column = _sentence_column(table, (words, tags), chosen)
    if column is not None:
        sentences, note = _sentences_of_column(table, column)
    else:
        sentences, note = _sentences_between_gaps(values, names)
    if 1 < len(sentences) < sum(map(len, sentences)):
        _refuse_swallowed_rows(table, words, values)
        return _grouped(table, sentences, column, note)
    if len(values) > 1 and all(value and not re.search(r"[ \t\r\n]", value.strip()) for value in values):
        by = f"; the column {column!r} is another one in each row" if column is not None and len(sentences) > 1 else ""
        raise InputError(
            expected="the words of a sentence in each row, or a column that is the same for all words of a sentence",
            found=f"{table.origin}: {len(values):,} rows of one word each, {show(values[0])}, {show(values[1])}{by}",
            change=f"--columns words={words} tags={tags} sentence=COLUMN, the column that numbers the sentences",
        )
    return table


def group_inputs(table: Table, words: str, chosen: Mapping[str, str]) -> Table:
    """Same for a table to predict, which needs no tags: it is grouped if it has a column of sentences."""
    column = _sentence_column(table, (words,), chosen)
    values = table.values(words) if column is not None else []
    if column is None or not values or not all(isinstance(value, str | None) for value in values):
        return table
    if any(re.search(r"\S[ \t\r\n]+\S", value) or looks_written(value) for value in values if value):
        return table
    sentences, note = _sentences_of_column(table, column)
    return _grouped(table, sentences, column, note) if 1 < len(sentences) < len(values) else table


def _refuse_swallowed_rows(table: Table, column: str, values: Sequence[Any]) -> None:
    """Raises an error if a word goes over several lines: two quotes that are words were read as the ends of a field,
    and the rows between them as its content."""
    long = [row for row, value in enumerate(values) if isinstance(value, str) and _holds_rows(value)]
    if long:
        raise InputError(
            expected=f"one word in each row of {column!r}",
            found=point_at(table, long, lambda row: f"{column} {show(values[row])} goes over several lines"),
            change='a quote that is a word is written as """" in a csv file; or save the table with tabs as separators',
        )


def _holds_rows(word: str) -> bool:
    """Returns whether a word has line ends, and the same separator in each of its lines, at least two in all."""
    lines = word.split("\n")
    return len(lines) > 1 and any(
        all(separator in line for line in lines) and word.count(separator) > 1 for separator in SEPARATORS
    )


def _sentence_column(table: Table, others: Sequence[str], chosen: Mapping[str, str]) -> str | None:
    named = (name for name in table.columns if _SENTENCE_NAME.fullmatch(name))
    column = chosen.get(SENTENCE) or next(named, None)
    return None if column in others or column not in table.columns else column


def _column(table: Table, role: str, roles: Mapping[str, str], chosen: Mapping[str, str]) -> str | None:
    names = [chosen[role]] if role in chosen else [roles[role], role]
    return next((name for name in names if name in table.columns), None)


def _is_one(tag: Any) -> bool:
    """Returns whether a cell holds at most one tag."""
    if isinstance(tag, str):
        return not looks_written(tag) and not re.search(r"[ \t\r\n]", tag.strip())
    return tag is None or isinstance(tag, int | float)


def _is_empty(value: Any) -> bool:
    return (
        value is None
        or (isinstance(value, float) and math.isnan(value))
        or (isinstance(value, str) and not value.strip())
    )


def _sentences_of_column(table: Table, column: str) -> tuple[list[np.ndarray], str]:
    """Returns the rows of each sentence, counted from 0, and how they were found."""
    values = table.values(column)
    if _is_empty(values[0]):
        raise InputError(
            expected=f"a sentence in {column!r} from the first row on; an empty cell belongs to the one above",
            found=f"{table.origin}, row {table.numbers[0]}: {show(values[0])}",
            change="the row, or the column: --columns sentence=COLUMN",
        )
    begins, seen, again = [], set(), 0
    last: Any = None
    for row, value in enumerate(values):
        if _is_empty(value) or value == last:
            continue
        begins.append(row)
        last, key = value, repr(value)  # which can be a key, whatever the value
        again += key in seen
        seen.add(key)
    note = f"by the column {column!r}"
    if any(map(_is_empty, values)):
        note += ", where an empty cell belongs to the one above"
    if again:
        note += f"; {again:,} of its values come again further below, each time as a sentence of its own"
    return np.split(np.arange(len(values)), begins[1:]), note


def _sentences_between_gaps(words: Sequence[Any], tags: Sequence[Any]) -> tuple[list[np.ndarray], str]:
    """Same, where rows without a word and a tag stand between sentences."""
    full = np.array([not _is_empty(word) or not _is_empty(tag) for word, tag in zip(words, tags, strict=True)])
    sentence_of = np.cumsum(full & ~np.concatenate([[False], full[:-1]]))
    if full.all():
        return [np.arange(len(full))], ""
    places = np.flatnonzero(full)
    bounds = np.flatnonzero(np.diff(sentence_of[places])) + 1
    return np.split(places, bounds), "at the rows without word and tag"


def _grouped(table: Table, sentences: Sequence[np.ndarray], column: str | None, note: str) -> Table:
    columns: dict[str, Any] = {}
    for name in table.columns:
        values = table.values(name)
        columns[name] = [
            values[rows[0]] if name == column else [values[row] for row in rows.tolist()] for rows in sentences
        ]
    count = sum(map(len, sentences))
    said = f"{table.origin}: {count:,} rows of one word each, grouped to {len(sentences):,} sentences {note}"
    return replace(
        table,
        columns=columns,
        numbers=np.array([table.numbers[rows[0]] for rows in sentences]),
        notes=(*table.notes, said),
        word_numbers=table.numbers[np.concatenate(sentences)],
        word_unit="row",
    )


def _refuse_odd_sentences(table: Table) -> None:
    """Refuses lines of words that are one long sentence, or sentences of one word each."""
    if table.word_numbers is None:
        return
    words, sentences = len(table.word_numbers), len(table)
    expected = f"sentences: a {table.word_unit} for each word, and a blank line after each sentence"
    if sentences == 1 and words > MOST_WORDS_ALONE:
        raise InputError(
            expected=expected,
            found=f"{table.origin}: {words:,} words and no blank line between them, as if they were one sentence",
            change="write a blank line after the last word of each sentence",
        )
    if sentences == words and sentences > 2:
        raise InputError(
            expected=expected,
            found=f"{table.origin}: {words:,} words with a blank line after each, as if each were a sentence",
            change="remove the blank lines within sentences (doubled line ends?)",
        )
