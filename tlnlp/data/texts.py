"""Reads texts, words and weights."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from tlnlp.data.label_spellings import with_points
from tlnlp.data.limits import LIFT, LONGEST_TEXT_CHARACTERS, MOST_WORDS_IN_ROW, limits_hold
from tlnlp.data.table import Table, point_at, refuse_rows, show
from tlnlp.data.text_column import is_free_of_blanks
from tlnlp.data.written_values import looks_written, parse_written
from tlnlp.errors import InputError


def read_texts(table: Table, role: str, column: str) -> Sequence[Any]:
    """Returns the texts of a column, unchanged.

    Raises:
        InputError: a value is null, empty, not a text, or contains half of a surrogate pair.
    """
    in_arrow = table.texts(column)  # which is valid UTF-8
    if in_arrow is not None and is_free_of_blanks(in_arrow) and in_arrow.most_bytes() <= LONGEST_TEXT_CHARACTERS:
        return in_arrow
    values = table.values(column)
    wrong = [i for i, value in enumerate(values) if not isinstance(value, str) or not value or value.isspace()]
    if not wrong:
        wrong = _no_unicode(values)
    if wrong:
        _refuse_texts(table, role, column, values, wrong, f"a text in every row of {column!r}")
    _refuse_long(table, role, values, LONGEST_TEXT_CHARACTERS, "characters")
    return values


def read_prompts(table: Table, role: str, column: str) -> list[Any]:
    """Same as `read_texts`, but a prompt may be empty (HellaSwag has such rows).

    Raises:
        InputError: a value is null, not a text, or contains half of a surrogate pair.
    """
    values = table.values(column)
    wrong = [i for i, value in enumerate(values) if not isinstance(value, str)] or _no_unicode(values)
    if wrong:
        _refuse_texts(table, role, column, values, wrong, f"a text, which may be empty, in every row of {column!r}")
    _refuse_long(table, role, values, LONGEST_TEXT_CHARACTERS, "characters")
    return values


def _refuse_long(table: Table, role: str, values: list[Any], most: int, unit: str) -> None:
    """Raises an error for a row that would take minutes to tokenise: most often many rows that were read as one."""
    longest = max(map(len, values), default=0)
    if longest > most and limits_hold():
        row = next(i for i, value in enumerate(values) if len(value) > most)
        raise InputError(
            expected=f"{role}: at most {most:,} {unit} in a row",
            found=f"{table.origin}, row {table.numbers[row]}: {len(values[row]):,} {unit}",
            change=f"split the row, or mend what joins rows (a quote that is not closed, no line ends); {LIFT}",
        )


def _refuse_texts(table: Table, role: str, column: str, values: list[Any], wrong: list[int], expected: str) -> None:
    first = values[wrong[0]]
    change = "fill in these rows, or remove them"
    if first is not None and not isinstance(first, str):
        change = f"write it as a string, or choose the column with the text: --columns {role}=COLUMN"
    elif first and not first.isspace():
        change = "the escape \\ud800 to \\udfff without its other half: write the character itself"
    refuse_rows(table, wrong, values, what=role, expected=expected, change=change)


def _no_unicode(values: list[str]) -> list[int]:
    """Returns the rows whose text contains half of a surrogate pair."""
    if is_unicode("".join(values)):
        return []
    return [i for i, value in enumerate(values) if not is_unicode(value)]


def is_unicode(text: str) -> bool:
    """Returns False if the text contains half of a surrogate pair."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def read_words(table: Table, role: str, column: str) -> list[list[str]]:
    """Returns the words of each row, read from a list, the text of one (JSON, Python, numpy) or a text separated by
    spaces.

    Raises:
        InputError: a row has no words, or a word is not a text; a text is meant as a list and is none.
    """
    values = split_lists(table, role, column, table.values(column), str)
    wrong = [i for i, words in enumerate(values) if not _are_words(words)]
    if wrong:
        first = values[wrong[0]]
        change = f"the row, or the column: words were read from {column!r} (--columns {role}=COLUMN)"
        if isinstance(first, list):
            change = "fill in these rows, or remove them" if not first else "write each word as a string"
        refuse_rows(
            table, wrong, values, what=role, expected=f"a list of words in every row of {column!r}", change=change
        )
    _refuse_long(table, role, values, MOST_WORDS_IN_ROW, "words")
    return values


def _are_words(words: Any) -> bool:
    return (
        isinstance(words, list)
        and bool(words)
        and all(isinstance(word, str) for word in words)
        and is_unicode("".join(words))
    )


def split_lists(table: Table, role: str, column: str, values: list[Any], kinds: type | tuple[type, ...]) -> list[Any]:
    """Returns each value as a list: one is unchanged, the text of one is read, another text is split at its spaces.

    Raises:
        InputError: a text is meant as a list and is none of `kinds`; splitting it would leave quotes and brackets in
            the words. It is meant as one if most texts of the column are lists, if all stand between brackets, or if it
            begins with a bracket and a quote.
    """
    read = [written_list(value, kinds) if isinstance(value, str) else value for value in values]
    texts = [i for i, value in enumerate(values) if isinstance(value, str) and value.strip()]
    unread = [i for i in texts if read[i] is None]
    few = 2 * len(unread) < len(texts)
    meant = unread if few or (len(texts) > 1 and all(looks_written(values[i]) for i in texts)) else []
    if wrong := meant or [i for i in unread if re.match(r"\s*\[\s*['\"]", values[i])]:
        raise InputError(
            expected=f"{role}: in each row of {column!r} a list as JSON, Python or numpy writes it",
            found=point_at(table, wrong, lambda row: f"{show(values[row])}{_why_unread(values[row])}"),
            change='these rows, e.g. to ["Anna", "lives"]; json, jsonl and parquet files keep lists as they are',
        )
    return [
        _split(value) if way is None and isinstance(value, str) else way
        for value, way in zip(values, read, strict=True)
    ]


def written_list(text: str, kinds: type | tuple[type, ...]) -> list[Any] | None:
    """Returns the list of `kinds` that is written in a text (by JSON, Python or numpy), or None."""
    if not looks_written(text):
        return None
    try:
        found = parse_written(text)
    except ValueError:
        return None
    return found if isinstance(found, list) and all(isinstance(each, kinds) for each in found) else None


def _split(text: str) -> list[str]:
    # Not text.split(): it also splits at the whitespace of other scripts, which may be part of words.
    stripped = text.strip(" \t\r\n")
    return re.split(r"[ \t\r\n]+", stripped) if stripped else []


def _why_unread(text: str) -> str:
    try:
        found = parse_written(text)
    except ValueError as error:
        return f" ({error})"
    return f" (a list of {type(found[0]).__name__})" if isinstance(found, list) and found else " (not a list)"


def read_weights(table: Table, role: str, column: str) -> list[float]:
    """Returns the weight of each row, 0 or more.

    Raises:
        InputError: a value is not a number, negative or infinite, or all are zero.
    """
    values = table.values(column)
    weights = [_read_number(value) for value in with_points(values)]
    expected = f"a number, 0 or more, in every row of {column!r}"
    if wrong := [i for i, weight in enumerate(weights) if not 0 <= weight < math.inf]:
        change = f"the number, or the column: --columns {role}=COLUMN"
        refuse_rows(table, wrong, values, what=role, expected=expected, change=change)
    if not any(weights):
        change = "give at least one row a weight above 0, or remove the weights"
        refuse_rows(table, range(len(values)), values, what=role, expected=f"{expected}, not all 0", change=change)
    return weights


def _read_number(value: Any) -> float:
    """Returns the number; NaN if the value is not a number."""
    try:
        return float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):
        return math.nan
