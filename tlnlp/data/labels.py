"""Labels: converts the values of a column to indices, tuples of indices or numbers; by name if there are names."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tlnlp.data.label_spellings import FoundNames, fold, is_number, merge_spellings, with_points
from tlnlp.data.table import Table, refuse_rows
from tlnlp.data.text_column import distinct_values
from tlnlp.errors import InputError, did_you_mean
from tlnlp.task import Labels, MultiLabel, Regression

SHOWN_NAMES = 20


def read_labels(table: Table, column: str, labels: Labels) -> list[Any]:
    """Returns an index for each row; a tuple of indices if `labels` is a MultiLabel; a float if it is a Regression.

    Args:
        labels: the task's labels; if the task has none, the names found in the data (see `find_names`).

    Raises:
        InputError: a value is not a label, or a row has none.
    """
    if (few := _distinct_names(table, column)) is not None:
        # Many rows: each of the few different values is read once. Where one cannot be, the rows are named below.
        names, codes = _numbers(few[0], labels), few[1]
        read_names = [None if is_missing(name, labels) else _reader(labels)(name) for name in names]
        if None not in read_names:
            return [read_names[code] for code in codes.tolist()]
    values = _numbers(named_values(table, column), labels)
    if missing := [i for i, value in enumerate(values) if is_missing(value, labels)]:
        refuse_rows(
            table,
            missing,
            values,
            what="label",
            expected=f"a label in every row: {describe(labels)}",
            change="-1 or an empty value marks hidden labels of a test split: use rows with labels, or remove these",
        )
    read = _reader(labels)
    # There are few distinct values: each is looked up once. The type distinguishes True and 1.0 from 1.
    keys = [lookup_key(value) for value in values]
    answers = {key: read(key[1]) for key in set(keys)}
    indices = [answers[key] for key in keys]
    if wrong := [i for i, index in enumerate(indices) if index is None]:
        near = did_you_mean(str(values[wrong[0]]), labels) if isinstance(labels, tuple) else ""
        refuse_rows(
            table,
            wrong,
            values,
            what="label",
            expected=describe(labels) + near,
            change=f"the label, or the column: it was read from {column!r} (--columns label=COLUMN)"
            + _say_commas(values[wrong[0]], labels),
        )
    return indices


def is_unlabelled(table: Table, column: str | None, labels: Labels) -> bool:
    """Returns whether no row has a label, as in the published test split of GLUE."""
    if column is None:
        return True
    few = _distinct_names(table, column)
    return all(is_missing(value, labels) for value in (few[0] if few else named_values(table, column)))


def find_names(table: Table, column: str) -> tuple[str, ...]:
    """Returns the label names that occur, in the source's order if it has one, otherwise sorted (numbers by value).
    Names that differ only in how they are written are one, see `merge_spellings`."""
    found = count_spellings(table, column)
    if own := table.class_names.get(column):
        return FoundNames(name for name in own if name in found)
    return FoundNames(sort_names(merge_spellings(found)))


def count_spellings(table: Table, column: str) -> Counter[str]:
    """Returns the rows of each label name as it is written, without blanks around it."""
    few = _distinct_names(table, column)
    values = few[0] if few else named_values(table, column)
    rows = np.bincount(few[1], minlength=len(values)).tolist() if few else [1] * len(values)
    counts: Counter[str] = Counter()
    for value, count in zip(values, rows, strict=True):
        if not is_missing(value, None) and (name := value_name(value)) is not None:
            counts[name] += count
    return counts


def sort_names(names: Iterable[str]) -> tuple[str, ...]:
    """Sorts names alphabetically, or by value if all are numbers."""
    names = sorted(names)
    if all(map(is_number, names)):
        return tuple(sorted(names, key=lambda name: float(name.replace(",", "."))))
    return tuple(names)


def count_names(indices: Sequence[int], names: tuple[str, ...]) -> str:
    """Returns 'negative 120, positive 80'; at most the first twenty."""
    counts = Counter(indices)
    shown = [f"{name} {counts[index]:,}" for index, name in enumerate(names[:SHOWN_NAMES])]
    more = len(names) - SHOWN_NAMES
    return ", ".join(shown) + (f" and {more:,} more" if more > 0 else "")


def compare_names(table: Table, column: str, labels: Labels) -> list[str]:
    """Compares the names that the source gives its integers with the task's names.

    Returns:
        A note if the order differs (the labels are mapped by name), otherwise [].

    Raises:
        InputError: the names differ.
    """
    own = table.class_names.get(column)
    if own is None or not isinstance(labels, tuple):
        return []
    if sorted(map(fold, own)) != sorted(map(fold, labels)):
        raise InputError(
            expected=f"the task's labels: {', '.join(labels)}",
            found=f"{table.origin}: {', '.join(own)}",
            change="the task's labels, to match those of the data set",
        )
    if [fold(name) for name in own] == [fold(name) for name in labels]:
        return []
    return [f"labels: their order in {table.origin} is {', '.join(own)}; mapped by name to {', '.join(labels)}"]


def named_values(table: Table, column: str) -> list[Any]:
    """Returns the column's values, with integers replaced by the source's names, if any (a hidden label stays -1)."""
    return named(table.values(column), table.class_names.get(column))


def _numbers(values: list[Any], labels: Labels) -> list[Any]:
    """Returns the values, with decimal points if labels are numbers written with commas."""
    return list(with_points(values)) if labels is not None and not isinstance(labels, tuple) else values


def _say_commas(value: Any, labels: Labels) -> str:
    if not isinstance(labels, Regression) or "," not in str(value):
        return ""
    return "; a comma is read as decimal if no number of the column has a point, and not all have thousands behind it"


def _distinct_names(table: Table, column: str) -> tuple[list[Any], np.ndarray] | None:
    """Returns the different values of a column of many rows, named as in `named_values`, and which of them each row
    has; see `distinct_values`."""
    few = distinct_values(table.columns[column])
    return None if few is None else (named(few[0], table.class_names.get(column)), few[1])


def named(values: list[Any], names: tuple[str, ...] | None) -> list[Any]:
    """Returns the values, or lists of values, with numbers replaced by their names, if there are names."""
    if names is None:
        return values

    def name(value: Any) -> Any:
        if isinstance(value, list):
            return [name(each) for each in value]
        if isinstance(value, str) and re.fullmatch(r"\s*\d{1,9}\s*", value) and value.strip() not in names:
            value = int(value)  # in a table whose numbers --label-names names
        return names[value] if isinstance(value, int) and 0 <= value < len(names) else value

    return [name(value) for value in values]


def is_missing(value: Any, labels: Labels) -> bool:
    """Returns whether a value is null, empty, or -1 in a task without such a label."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return True
    if isinstance(value, float) and math.isnan(value):
        return True
    if value not in (-1, "-1", "-1.0"):
        return False
    if labels is not None and not isinstance(labels, tuple):
        return not labels.low <= -1
    return "-1" not in (labels or ())


def describe(labels: Labels) -> str:
    """Describes the valid labels, for messages."""
    if not labels:
        return "a name or a number"
    if not isinstance(labels, tuple):
        return f"a number from {labels.low:g} to {labels.high:g}" if labels.has_range else "a number"
    more = f" and {len(labels) - SHOWN_NAMES:,} more" if len(labels) > SHOWN_NAMES else ""
    names = ", ".join(labels[:SHOWN_NAMES]) + more
    return f"any of {names}" if _is_several(labels) else f"one of {names}"


def _is_several(labels: Labels) -> bool:
    return isinstance(labels, MultiLabel)


def lookup_key(value: Any) -> tuple[type, Any]:
    """Returns a dictionary key for the value; objects, which cannot be labels, all share one key."""
    key = (type(value), tuple(value) if isinstance(value, list) else value)
    try:
        hash(key)
    except TypeError:
        return type(value), None
    return key


def _reader(labels: Labels) -> Callable[[Any], Any]:
    """Returns a function from a value to its index, indices or number, or to None if it is not a label."""
    if labels is None:
        raise ValueError("names must be found first: find_names")
    if not isinstance(labels, tuple):
        low, high = labels.low, labels.high
        return lambda value: _read_score(value, low, high)
    lookup = accepted_spellings(labels)
    if _is_several(labels):
        return lambda value: _read_several(value, lookup)
    return lambda value: read_one(value, lookup)


def accepted_spellings(names: tuple[str, ...]) -> dict[str, int]:
    """Maps every accepted spelling to its index: numbers from 0 (unless a name is a number, or the names were found in
    the data), case-folded names, names."""
    is_name = isinstance(names, FoundNames) or any(re.fullmatch(r"\s*[+-]?\d+\s*", name) for name in names)
    by_number = {} if is_name else {str(index): index for index in range(len(names))}
    folded = {fold(name): index for index, name in enumerate(names)}
    by_fold = folded if len(folded) == len(names) else {}
    return by_number | by_fold | {name: index for index, name in enumerate(names)}


def value_name(value: Any) -> str | None:
    """Returns the label's name; None if the value cannot be a label (a list, an object)."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip() if isinstance(value, str | int | float) else None


def read_one(value: Any, lookup: dict[str, int]) -> int | None:
    """Returns the index of a value in `accepted_spellings`; None if it is not a label."""
    name = value_name(value)
    if name is None:
        return None
    return lookup.get(name, lookup.get(fold(name)))


def _read_several(value: Any, lookup: dict[str, int]) -> tuple[int, ...] | None:
    """Returns None also if a label occurs twice, which reveals a multi-hot row."""
    if isinstance(value, str):
        separator = "|" if "|" in value else ","
        value = [value] if value in lookup else value.split(separator)
    if not isinstance(value, list | tuple):
        value = [value]
    indices = [read_one(each, lookup) for each in value]
    if len(set(indices)) < len(indices):
        return None
    known = [index for index in indices if index is not None]
    return tuple(sorted(known)) if len(known) == len(indices) else None


def _read_score(value: Any, low: float, high: float) -> float | None:
    if isinstance(value, str) and "_" in value:  # which Python reads as nothing: 2_0 is 20
        return None
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else math.nan
    except ValueError:
        return None
    return number if low <= number <= high and math.isfinite(number) else None
