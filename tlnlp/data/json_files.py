"""Reads JSON into tables: one object per line, a list of objects, or SQuAD's paragraphs with their questions."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from tlnlp.data.bytes_to_text import FileFormat, decode, split_lines
from tlnlp.data.squad_tree import holds_questions, questions_of
from tlnlp.data.table import Table, show
from tlnlp.errors import InputError


def read_jsonl(data: bytes, origin: str, form: FileFormat) -> Table:
    """Reads one object per line."""
    return table_of_lines(decode(data, origin, ".jsonl"), origin)


def read_json(data: bytes, origin: str, form: FileFormat) -> Table:
    """Reads a list of objects, SQuAD's tree or, since many .json files have it, one object per line."""
    text = decode(data, origin, ".json")
    if not text.lstrip().startswith(("[", "{")):
        return table_of_lines(text, origin)
    try:
        found = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        several = isinstance(error, json.JSONDecodeError) and error.msg == "Extra data"
        if text.lstrip().startswith("{") and (several or '"paragraphs"' not in text):
            return table_of_lines(text, origin)
        raise InputError(
            expected="JSON, a list of objects or SQuAD's tree", found=f"{origin}: {error}", change="the file"
        ) from error
    if isinstance(found, dict):
        if (columns := _columns_of(found, form)) is not None:
            numbers = np.arange(1, len(next(iter(columns.values()))) + 1)
            return Table(columns, origin, numbers, notes=(f"{origin}: columns of values, as pandas writes them",))
        found = _rows_in(found)
    found = [_object_of_pair(each) for each in found]
    if holds_questions(found):
        found = questions_of(found, origin)
    for number, row in enumerate(found, 1):
        if not isinstance(row, dict):
            raise InputError(
                expected="JSON, a list of objects", found=f"{origin}, row {number}: {show(row)}", change="the row"
            )
    return _table_of_objects(found, origin, np.arange(1, len(found) + 1))


def _rows_in(found: dict[str, Any]) -> list[Any]:
    """Returns the rows that a file's only object has in it: SQuAD's articles, or annotations in spaCy's form; else the
    object itself as a row."""
    if isinstance(found.get("data"), list):
        return found["data"]
    pairs = found.get("annotations")
    if isinstance(pairs, list) and pairs and all(each is None or isinstance(each, list) for each in pairs):
        return [each for each in pairs if each is not None]
    return [found]


def _object_of_pair(row: Any) -> Any:
    """Returns spaCy's [text, {"entities": [...]}] as an object; anything else as it is."""
    if isinstance(row, list) and len(row) == 2 and isinstance(row[0], str) and isinstance(row[1], dict):
        return {"text": row[0], **row[1]}
    return row


def table_of_lines(text: str, origin: str, first_line: int = 1) -> Table:
    """Reads one JSON object per line; blank lines are skipped.

    Args:
        first_line: the line number of the first of these lines in its source.

    Raises:
        InputError: a line is not a JSON object.
    """
    rows, numbers = [], []
    for number, line in enumerate(split_lines(text), first_line):
        if not line or line.isspace():
            continue
        try:
            row = _object_of_pair(json.loads(line))
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError(
                expected='one JSON object per line, e.g. {"text": "..."}',
                found=f"{origin}, line {number}: {error} in {show(line)}",
                change="the line",
            ) from error
        if not isinstance(row, dict):
            raise InputError(
                expected='one JSON object per line, e.g. {"text": "..."}',
                found=f"{origin}, line {number}: {show(row)}",
                change="write objects with named columns; a list of objects belongs in a .json file",
            )
        rows.append(row)
        numbers.append(number)
    if holds_questions(rows):
        rows = questions_of(rows, origin)
        numbers = list(range(1, len(rows) + 1))
    return _table_of_objects(rows, origin, np.array(numbers, dtype=np.int64))


def _table_of_objects(rows: list[dict[str, Any]], origin: str, numbers: np.ndarray) -> Table:
    names = dict.fromkeys(name for row in rows for name in row)
    return Table({name: [row.get(name) for row in rows] for name in names}, origin, numbers)


def _columns_of(found: dict[str, Any], form: FileFormat) -> dict[str, list[Any]] | None:
    """Returns the columns of a table that `DataFrame.to_json` has written (all of its forms but rows), or of a list for
    each column; None if the object is something else."""
    if "annotations" in found:  # spaCy's, beside a list of classes
        return None
    names, rows = found.get("columns"), found.get("data")
    if isinstance(names, list) and isinstance(rows, list):
        if rows and all(isinstance(row, list) and len(row) == len(names) for row in rows):
            return {str(name): [row[place] for row in rows] for place, name in enumerate(names)}
        return None
    columns = list(found.values())
    if len(columns) > 1 and all(isinstance(each, dict) and each.keys() == columns[0].keys() for each in columns):
        return {name: list(values.values()) for name, values in found.items()} if columns[0] else None
    is_table = len(columns) > 1 and all(isinstance(each, list) and len(each) == len(columns[0]) for each in columns)
    # One row of words and tags is an object of lists, too.
    is_row = form.words and all(not isinstance(value, list) for each in columns for value in each)
    return found if is_table and columns[0] and not is_row else None
