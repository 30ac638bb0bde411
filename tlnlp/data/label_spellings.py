"""Spellings of labels and numbers that mean the same: "Positive" and "positive ", 0 and 0.0, ["a"] and "a", 0,5 and
0.5."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from tlnlp.data.table import SHOWN_ROWS, Table, show
from tlnlp.data.written_values import looks_written, parse_written

_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")
_THOUSANDS = re.compile(r"\s*[+-]?[1-9]\d{0,2},\d{3}\s*")
# Marks of byte order and direction, spaces without width, hyphens that only show at the end of a line.
_INVISIBLE = re.compile("[\ufeff\u200b\u200e\u200f\u2060\u00ad]")
_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")


class FoundNames(tuple[str, ...]):
    """Label names that were found in the data. Nobody has said in which order they are: a number is a name among them,
    never a position."""


def fold(name: str) -> str:
    """Returns what is the same in all spellings of a name: without case, blanks, underscores, characters that nobody
    sees, and .0 of a number; é is one character. 1_1 is not 11: something between two digits stays."""
    seen = unicodedata.normalize("NFC", _INVISIBLE.sub("", name))
    bare = re.sub(r"[\s_]+", "", re.sub(r"(?<=\d)[\s_]+(?=\d)", "-", seen.strip()))
    return re.sub(r"^([+-]?\d+)\.0+$", r"\1", bare.casefold())


def merge_spellings(counts: Mapping[str, int]) -> dict[str, list[str]]:
    """Returns {name: its spellings}, the most frequent first: it is the name.

    Args:
        counts: rows of each spelling.
    """
    groups: dict[str, list[str]] = {}
    for name in sorted(counts, key=lambda name: (-counts[name], name)):
        groups.setdefault(fold(name), []).append(name)
    return {spellings[0]: spellings for spellings in groups.values()}


def describe_merged(merged: Mapping[str, Sequence[str]], counts: Mapping[str, int]) -> list[str]:
    """Returns a note on names of several spellings, if there are any."""
    several = [spellings for spellings in merged.values() if len(spellings) > 1]
    if not several:
        return []
    shown = [" = ".join(f"{_visible(name)} ({counts[name]:,})" for name in names) for names in several[:SHOWN_ROWS]]
    more = f" and {len(several) - SHOWN_ROWS} more" if len(several) > SHOWN_ROWS else ""
    return [
        "labels that differ only in case, blanks, _, .0 or characters that nobody sees are one: "
        f"{'; '.join(shown)}{more} (a recipe that names its labels keeps them apart)"
    ]


def _visible(name: str) -> str:
    """Returns a name in quotes; with \\u0301 and so on where it looks as another one does."""
    return repr(name) if unicodedata.is_normalized("NFC", name) else ascii(name)


def is_number(name: str) -> bool:
    """Returns whether a name is a number, with a decimal point or a decimal comma."""
    return _NUMBER.fullmatch(name) is not None


def has_decimal_comma(text: str) -> bool:
    """Returns whether a text is a number with a comma in it, blanks around it aside."""
    return _COMMA.fullmatch(text) is not None


def with_single_labels(table: Table, column: str | None) -> Table:
    """Returns the table with the one label of each row in place of a list of it (doccano, prodigy), also of a list
    written as text; unchanged if some row has none or several, or no list; or if there is no such column."""
    if column is None or column not in table.columns:
        return table
    values = table.columns[column]
    first = next((value for value in _first_of(values) if value is not None), None)
    if not (isinstance(first, list | tuple) or (isinstance(first, str) and looks_written(first))):
        return table
    alone = [_only(value) for value in table.values(column)]
    if any(value is None for value in alone):
        return table
    note = f"{table.origin}: {column} is a list of one label in every row, {show(first)}: read as that label"
    return replace(table, columns=table.columns | {column: alone}, notes=(*table.notes, note))


def _first_of(values: Any) -> list[Any]:
    return values[:10] if isinstance(values, list) else values.slice(0, 10).to_pylist()


def _only(value: Any) -> Any:
    """Returns the only element of a list; None if it is no list, or one of another length."""
    if isinstance(value, str) and looks_written(value):
        try:
            value = parse_written(value)
        except ValueError:
            return None
    return value[0] if isinstance(value, list | tuple) and len(value) == 1 else None


def has_commas(values: Sequence[Any]) -> bool:
    """Returns whether numbers are written with decimal commas: in some value, and a point in none. If three digits are
    behind each comma, as in 1,250, it may as well be one between thousands."""
    texts = [value for value in values if isinstance(value, str)]
    commas = [text for text in texts if has_decimal_comma(text)]
    if not commas or any("." in text for text in texts):
        return False
    return not all(map(_THOUSANDS.fullmatch, commas))


def with_points(values: Sequence[Any]) -> Sequence[Any]:
    """Returns the values with decimal points in place of decimal commas, if these are used throughout."""
    if not has_commas(values):
        return values
    commas = [isinstance(value, str) and has_decimal_comma(value) for value in values]
    return [value.replace(",", ".") if comma else value for value, comma in zip(values, commas, strict=True)]
