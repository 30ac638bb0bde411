"""Labels that are marked with 0 or 1, yes or no: in a column for each label, or in a mapping of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tlnlp.data.columns import split_names
from tlnlp.data.rows import SplitKey
from tlnlp.data.table import Table, point_at, show
from tlnlp.errors import InputError

# label-studio's csv files have a plain name in a row with one label, and {"choices": [...]} in a row with several.
CHOICES = "choices"
MARKS = {"1": True, "0": False, "1.0": True, "0.0": False, "true": True, "false": False, "yes": True, "no": False}


def join_columns(
    tables: Mapping[SplitKey, Table], columns: Mapping[SplitKey, Mapping[str, str]]
) -> dict[SplitKey, Table]:
    """Replaces a column of 0 and 1 for each label by one column of lists of names."""
    joined = {}
    for key, table in tables.items():
        column = columns[key].get("label")
        names = [] if column is None else split_names(table, "label", column)
        if column is None or len(names) < 2:
            joined[key] = table
            continue
        marks = {name: _marks(table, name) for name in names}
        _refuse_hidden_in_part(table, marks)
        lists: list[Any] = []
        for line in zip(*marks.values(), strict=True):
            hidden = all(mark == -1 for mark in line)  # Kaggle's test rows
            lists.append(None if hidden else [name for name, mark in zip(names, line, strict=True) if mark is True])
        rest = {name: values for name, values in table.columns.items() if name not in names}
        joined[key] = replace(table, columns={**rest, column: lists})
    return joined


def _refuse_hidden_in_part(table: Table, marks: Mapping[str, Sequence[bool | int]]) -> None:
    """Raises an error if -1 stands beside 0 or 1: whether the row has that label is not known, which is not a no."""
    torn = {
        row: [name for name, mark in zip(marks, line, strict=True) if mark == -1]
        for row, line in enumerate(zip(*marks.values(), strict=True))
        if -1 in line and any(mark != -1 for mark in line)
    }
    if torn:
        raise InputError(
            expected="0 or 1 for each label of a row, or -1 for all of them where its labels are hidden",
            found=point_at(table, list(torn), lambda row: f"-1 for {', '.join(torn[row])}"),
            change="these values (-1 is taken for not known, which is neither yes nor no), or leave the column out",
        )


def _marks(table: Table, column: str) -> list[bool | int]:
    """Returns for each row whether it has the label of this column; -1 if that is hidden."""
    values = table.values(column)
    marks = [mark_of(value) for value in values]
    if wrong := [row for row, mark in enumerate(marks) if mark is None]:
        raise InputError(
            expected="0 or 1 in every column of --columns label=COLUMN,COLUMN,...",
            found=point_at(table, wrong, lambda row: f"{column} {show(values[row])}"),
            change="the value, or the columns",
        )
    return [mark for mark in marks if mark is not None]


def mark_of(value: Any) -> bool | int | None:
    """Returns whether a cell says yes or no; -1 if its label is hidden; None if it says something else."""
    if isinstance(value, str):
        value = value.strip().casefold()
        return -1 if value in ("-1", "-1.0") else MARKS.get(value)
    if value in (-1, 0, 1):
        return -1 if value == -1 else bool(value)
    return None


def refuse_odd_marks(table: Table, row: int, value: Mapping[str, Any]) -> None:
    """Raises an error if a mapping has anything but yes and no for a label, such as a probability: that is no no."""
    odd = {name: mark for name, mark in value.items() if mark is not None and mark_of(mark) not in (True, False)}
    if odd and set(value) != {CHOICES}:
        raise InputError(
            expected="0 or 1 for each label in a mapping of labels",
            found=point_at(table, [row], lambda _: f"{show(next(iter(odd.values())))} for {next(iter(odd))}"),
            change="the values; where they are probabilities, decide from which one on a row has the label",
        )
