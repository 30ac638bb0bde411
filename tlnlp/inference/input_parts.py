"""Rows to predict, read from a table in parts: no more of a large file is in memory than a part."""

from __future__ import annotations

import math
import mmap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tlnlp.data.columns import choose_columns, choose_roles, split_names
from tlnlp.data.roles import ASKED, PROMPT, WEIGHT, ReadOptions, read_rows
from tlnlp.data.rows import Rows
from tlnlp.data.table import SHOWN_ROWS, Table
from tlnlp.task import Task


@dataclass(frozen=True)
class Part:
    """Some rows of a table.

    Args:
        table: all of them, with all their columns.
        rows: those that can be predicted.
        places: [rows] their places in `table`.
        texts: for words, the text that each row's were read from; None for a row whose words are a list.
    """

    table: Table
    rows: Rows
    places: np.ndarray
    texts: list[str | None]


def asked_roles(task: Task) -> list[str]:
    """Returns the roles that a row needs for prediction, in the task's order."""
    return [role for role in task.columns.by_role() if role not in (*ASKED, WEIGHT, PROMPT)]


def choose_inputs(table: Table, task: Task, chosen: Mapping[str, str]) -> dict[str, str]:
    """Returns {role: column} of what a prediction reads.

    Raises:
        InputError: a column is missing.
    """
    columns = choose_columns(table, choose_roles(task, chosen), chosen, {}, not_needed=(*ASKED, WEIGHT, PROMPT))
    return {role: column for role, column in columns.items() if role not in (*ASKED, WEIGHT)}


def read_inputs(table: Table, task: Task, columns: Mapping[str, str]) -> Rows:
    """Returns the checked rows of a table.

    Raises:
        InputError: a value cannot be read.
    """
    reading = ReadOptions(task.labels, fix_answers=False, unanswerable=True)
    return read_rows(table, columns, reading, train=False)[0]


def parts_of(
    table: Table, task: Task, columns: Mapping[str, str], size: int, *, refuse_empty: bool = False
) -> Iterator[Part]:
    """Yields `size` rows of a table at a time.

    Args:
        refuse_empty: whether rows without a text are an error; otherwise they are in no `Part.rows`.

    Raises:
        InputError: a value cannot be read.
    """
    for first in range(0, len(table), size):
        part = slice_table(table, first, min(first + size, len(table)))
        empty = np.zeros(len(part), dtype=bool) if refuse_empty else _find_empty(part, task, columns)
        filled = np.flatnonzero(~empty)
        needed = {name for role, column in columns.items() for name in split_names(part, role, column)}
        # Plain lists, each read once.
        inputs = replace(part, columns={name: part.values(name) for name in part.columns if name in needed})
        inputs = inputs.select(filled.tolist(), "") if empty.any() else inputs
        rows = read_inputs(inputs, task, columns) if len(filled) else Rows({}, table.origin, inputs.numbers)
        yield Part(part, rows, filled, _texts_of_words(inputs, columns))
        forget(table)


def slice_table(table: Table, first: int, last: int) -> Table:
    """Returns the rows `first` to `last` - 1; columns in Arrow stay there."""
    columns = {
        name: values[first:last] if isinstance(values, list) else values.slice(first, last - first)
        for name, values in table.columns.items()
    }
    return replace(table, columns=columns, numbers=table.numbers[first:last])


def forget(table: Table) -> None:
    """Tells the system that what was read of a mapped file need not stay in memory."""
    if table.mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
        table.mapped.madvise(mmap.MADV_DONTNEED)


def _find_empty(part: Table, task: Task, columns: Mapping[str, str]) -> np.ndarray:
    """Returns which rows lack a text (words, endings) that a prediction needs: [rows]."""
    empty = np.zeros(len(part), dtype=bool)
    for role in asked_roles(task):
        names = [name for name in split_names(part, role, columns[role]) if name in part.columns]
        for values in map(part.values, names):
            empty |= np.fromiter(map(_is_empty, values), dtype=bool, count=len(values))
    return empty


def _is_empty(value: Any) -> bool:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return True
    return isinstance(value, str | list) and (not value or (isinstance(value, str) and value.isspace()))


def _texts_of_words(inputs: Table, columns: Mapping[str, str]) -> list[str | None]:
    """Returns for each row the text that its words were read from; None if they are a list, also one in a text."""
    if "words" not in columns:
        return []
    return [
        value if isinstance(value, str) and not value.lstrip().startswith("[") else None
        for value in inputs.values(columns["words"])
    ]


def describe_empty(numbers: Sequence[int], origin: str) -> str:
    """Returns the note on rows without a text."""
    shown = ", ".join(map(str, numbers[:SHOWN_ROWS])) + (", ..." if len(numbers) > SHOWN_ROWS else "")
    rows, lack, are = ("row", "lacks", "is") if len(numbers) == 1 else ("rows", "lack", "are")
    return f"{origin}: {len(numbers):,} {rows} ({shown}) {lack} a text and {are} answered with null"
