"""Rows in memory: a list of dicts, a dict of columns, a pandas DataFrame, a `datasets.Dataset`, or a mapping from
splits to any of these or to files. They are converted to tables and then checked like files."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tlnlp.data.bytes_to_text import FileFormat
from tlnlp.data.files import read_file
from tlnlp.data.hub import class_names_of
from tlnlp.data.split_files import DEV_NAMES
from tlnlp.data.table import Table, show
from tlnlp.errors import InputError

FORMS = "a path, a list of dicts, a dict of columns, a pandas DataFrame, a datasets.Dataset, or {split: any of these}"
# Names of splits, which distinguish a mapping of splits from a mapping of columns.
SPLITS = ("train", *DEV_NAMES, "validation_matched", "test")


def tables_of(data: Any, form: FileFormat) -> dict[str, Table]:
    """Returns {split: table}. A single table is `train`, like a single file. Rows are numbered from 0, as in Python and
    pandas.

    Raises:
        InputError: the data are of an unsupported type, or have columns of different lengths.
    """
    if isinstance(data, Mapping) and data and all(_is_split(name, value) for name, value in data.items()):
        return {str(name): _table(value, f"data[{name!r}]", form) for name, value in data.items()}
    return {"train": _table(data, "data", form)}


def fingerprint_of(tables: Mapping[str, Table]) -> str:
    """Returns a digest of all columns of all splits, 8 hexadecimal digits."""
    digest = hashlib.sha256()
    for split, table in sorted(tables.items()):
        for name in sorted(table.columns):
            text = json.dumps([split, name, table.values(name)], default=str, ensure_ascii=False)
            digest.update(text.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:8]


def _is_split(name: object, value: object) -> bool:
    is_table = isinstance(value, str | Path | Mapping) or _is_frame(value) or _is_dataset(value) or _is_objects(value)
    return name in SPLITS and is_table


def _is_objects(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(row, Mapping) for row in value)


def _is_frame(value: object) -> bool:
    """Recognises a DataFrame by its attributes, without importing pandas."""
    return hasattr(value, "columns") and hasattr(value, "iloc")


def _is_dataset(value: object) -> bool:
    return hasattr(value, "column_names") and hasattr(value, "features") and hasattr(value, "with_format")


def _table(data: Any, origin: str, form: FileFormat) -> Table:
    if isinstance(data, str | Path):
        return read_file(Path(data).expanduser(), form=form)
    if _is_frame(data):
        return _table_of_frame(data, origin)
    if _is_dataset(data):
        return _table_of_dataset(data, origin)
    if isinstance(data, Mapping):
        return _table_of_columns({str(name): list(values) for name, values in data.items()}, origin)
    if _is_objects(data):
        names = dict.fromkeys(str(name) for row in data for name in row)
        return _table_of_columns({name: [row.get(name) for row in data] for name in names}, origin, len(data))
    if isinstance(data, Sequence) and data:
        wrong = next(i for i, row in enumerate(data) if not isinstance(row, Mapping))
        found = f"{origin}, row {wrong}: {show(data[wrong])}"
        raise InputError(expected=f"rows as {FORMS}", found=found, change='write each row as {"column": value}')
    raise InputError(expected=f"rows as {FORMS}", found=f"{origin}: {type(data).__name__}", change="the rows")


def _table_of_columns(columns: dict[str, list[Any]], origin: str, rows: int | None = None) -> Table:
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{name} {length:,}" for name, length in lengths.items())
        raise InputError(expected="columns of equal length", found=f"{origin}: {said}", change="the shorter columns")
    count = rows if rows is not None else next(iter(lengths.values()), 0)
    plain = {name: [_plain(value) for value in values] for name, values in columns.items()}
    return Table(plain, origin, np.arange(count))


def _table_of_frame(frame: Any, origin: str) -> Table:
    names = [str(name) for name in frame.columns]
    if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise InputError(
            expected="unique column names", found=f"{origin}: the column {twice[0]} twice", change="a name"
        )
    missing = frame.isna()
    columns = {}
    for place, name in enumerate(names):
        values, gaps = frame.iloc[:, place].tolist(), missing.iloc[:, place].tolist()
        columns[name] = [None if gap else value for value, gap in zip(values, gaps, strict=True)]
    table = _table_of_columns(columns, origin, len(frame))
    return Table(_whole_numbers(table.columns), origin, table.numbers)


def _whole_numbers(columns: Mapping[str, list[Any]]) -> dict[str, list[Any]]:
    """Converts floats back to integers in columns that pandas stores as floats because a value is missing."""

    def restored(values: list[Any]) -> list[Any]:
        floats = [value for value in values if value is not None]
        if None in values and floats and all(isinstance(value, float) and value.is_integer() for value in floats):
            return [None if value is None else int(value) for value in values]
        return values

    return {name: restored(values) for name, values in columns.items()}


def _table_of_dataset(dataset: Any, origin: str) -> Table:
    rows = dataset.with_format(None)[:]  # respects selections and shuffles, ignores formats
    table = _table_of_columns({str(name): list(values) for name, values in rows.items()}, origin, len(dataset))
    return Table(table.columns, origin, table.numbers, class_names_of(dataset))


def _plain(value: Any) -> Any:
    """Converts numpy numbers and arrays to Python objects; NaN is a missing value."""
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float) and math.isnan(value):
        return None
    return value


def rows_of(inputs: Iterable[Any], roles: Sequence[str]) -> list[dict[str, Any]]:
    """Returns the inputs of a model as one dict per row. A dict is unchanged; a single value is that of the first of
    `roles`; a tuple has one value per role.

    Raises:
        InputError: a tuple has another number of values.
    """
    rows = []
    for number, given in enumerate(inputs):
        if isinstance(given, Mapping):
            rows.append({str(name): value for name, value in given.items()})
            continue
        values = given if isinstance(given, tuple) else (given,)
        if len(values) > len(roles):
            raise InputError(
                expected=f"at most {len(roles)} values per row: {', '.join(roles)}",
                found=f"row {number}: {show(given)}",
                change="the row, or write it as a dict",
            )
        rows.append(dict(zip(roles, values, strict=False)))
    return rows
