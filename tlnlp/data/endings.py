"""Endings of multiple-choice rows, and the index of the right one."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from tlnlp.data.columns import split_names
from tlnlp.data.labels import is_missing
from tlnlp.data.table import Table, point_at, refuse_rows, show
from tlnlp.data.texts import is_unicode, written_list
from tlnlp.errors import InputError


def read_endings(table: Table, role: str, column: str) -> list[list[str]]:
    """Reads the endings of each row: a list, a list as text (JSON, Python, numpy), texts separated by bars
    ("one|another"), or a column each.

    Raises:
        InputError: a row has fewer than two endings, an empty one, or a value that is not a text.
    """
    names = split_names(table, role, column)
    if len(names) > 1:
        values = [list(row) for row in zip(*(table.values(name) for name in names), strict=True)]
    else:
        values = [_split(value) for value in table.values(column)]
    if wrong := [i for i, endings in enumerate(values) if not _are_endings(endings)]:
        refuse_rows(
            table,
            wrong,
            values,
            what=role,
            expected=f"at least two endings in every row of {column!r}, none empty",
            change="the row; a list, texts with | between them, or a column for each: --columns endings=COLUMN,COLUMN",
        )
    return values


def _split(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return written_list(value, str) or [part.strip() for part in value.split("|")]


def _are_endings(endings: Any) -> bool:
    if not isinstance(endings, list) or len(endings) < 2:
        return False
    return all(isinstance(each, str) and each and not each.isspace() and is_unicode(each) for each in endings)


def read_places(table: Table, column: str, endings: Sequence[list[str]], names: Sequence[str]) -> list[int]:
    """Reads the index of the right ending in each row, from 0. A label may be a column name, a number, a letter or the
    text of the ending; a format must fit all rows. Column names go before the others: whoever gave columns the names
    B and A, or 1 and 2, means these.

    Args:
        endings: the endings of each row.
        names: the columns of the endings, in order.

    Raises:
        InputError: a row has no label, or a label that matches none of its endings; or two formats fit all rows, and
            say different endings.
    """
    values = table.values(column)
    if missing := [i for i, value in enumerate(values) if is_missing(value, None)]:
        refuse_rows(
            table,
            missing,
            values,
            what="label",
            expected="the index of the right ending in every row",
            change="-1 or an empty value marks hidden labels of a test split: use rows with labels, or remove these",
        )
    ways: list[Callable[[Any, list[str]], int | None]] = [
        lambda value, _: names.index(value) if len(names) > 1 and value in names else None,
        _by_number,
        _by_letter,
        _by_text,
    ]
    fewest: list[int] | None = None
    fitting: dict[Callable[[Any, list[str]], int | None], list[int]] = {}
    for way in ways:
        places = [way(_bare(value), of_row) for value, of_row in zip(values, endings, strict=True)]
        wrong = [i for i, place in enumerate(places) if place is None]
        if not wrong:
            fitting[way] = [place for place in places if place is not None]
        fewest = wrong if fewest is None or len(wrong) < len(fewest) else fewest
    if fitting:
        chosen = next(iter(fitting.values()))
        by_text = fitting.get(_by_text, chosen)
        if ways[0] not in fitting and (torn := [i for i, place in enumerate(chosen) if place != by_text[i]]):
            raise InputError(
                expected="labels that say one ending each",
                found=point_at(table, torn, lambda row: _describe_torn(values[row], endings[row], chosen[row])),
                change="the labels: the place of the right ending as a letter (A for the first), or its text if no"
                " ending is a single digit or letter",
            )
        return chosen
    assert fewest is not None
    raise InputError(
        expected="the index of the right ending, from 0 (or A, B, ..., or its text), in the same format in every row",
        found=point_at(table, fewest, lambda row: f"label {show(values[row])} for {len(endings[row])} endings"),
        change=f"the label, or the column: it was read from {column!r} (--columns label=COLUMN)",
    )


def _describe_torn(value: Any, endings: Sequence[str], place: int) -> str:
    return f"label {show(value)} is the text of one ending and the place of {show(endings[place])}"


def _bare(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _by_number(value: Any, endings: list[str]) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str) and re.fullmatch(r"\d{1,9}(\.0)?", value, re.ASCII):
        value = float(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and 0 <= value < len(endings) else None


def _by_letter(value: Any, endings: list[str]) -> int | None:
    if not isinstance(value, str) or not re.fullmatch("[A-Za-z]", value):
        return None
    place = ord(value.upper()) - ord("A")
    return place if place < len(endings) else None


def _by_text(value: Any, endings: list[str]) -> int | None:
    bare = [ending.strip() for ending in endings]
    return bare.index(value) if bare.count(value) == 1 else None
