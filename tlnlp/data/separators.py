"""The separator of a table's fields: the one that gives every line the same number of fields.

`csv.Sniffer` guesses from counts of characters and answers also where there is none. What matters here is that exactly
one reading fits the whole file: two that fit are refused.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence

from tlnlp.errors import InputError

CANDIDATES = (",", ";", "\t", "|")
_NAMES = {"\t": "tab", " ": "space"}
_BY_NAME = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "bar": "|", "space": " "}
# Excel's own first line, which says the separator.
_EXCEL_LINE = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)


def named(separator: str) -> str:
    """Returns how a separator is written in messages: ";" or "tab"."""
    return _NAMES.get(separator, separator)


def check_separator(text: str | None) -> str | None:
    """Returns the separator that `--separator` names: a character, or tab, comma, semicolon, pipe or space.

    Raises:
        InputError: it is not one character, or one that cannot separate.
    """
    if text is None:
        return None
    found = _BY_NAME.get(text.lower(), text)
    if len(found) != 1 or found in '"\r\n\0':
        raise InputError(
            expected="--separator: one character, or tab, comma, semicolon, pipe, space",
            found=repr(text),
            change="the character after --separator, in quotes for the shell: --separator ';'",
        )
    return found


def said_by_excel(text: str) -> tuple[str, str] | None:
    """Returns the separator in a first line `sep=;`, and the rest of the text; None if there is no such line."""
    found = _EXCEL_LINE.match(text)
    return (found[1], text[found.end() :]) if found else None


def first_fields(first_line: str, separator: str) -> int:
    """Returns the number of fields of a line."""
    return len(next(csv.reader(io.StringIO(first_line, newline=""), delimiter=separator), []))


def fitting(fields_of: Callable[[str], Sequence[int] | None], own: str, first_line: str) -> list[str]:
    """Returns the separators that fit: with them, all lines have the same number of fields, at least two.

    Args:
        fields_of: returns the different numbers of fields that lines have; None if a line cannot be read.
        own: the separator by the file's suffix, tried first.
        first_line: only what occurs in it can be a separator.
    """
    found = []
    for separator in (own, *(each for each in CANDIDATES if each != own)):
        if separator in first_line:
            numbers = fields_of(separator)
            if numbers is not None and len(numbers) == 1 and numbers[0] > 1:
                found.append(separator)
    return found


def several_fit(origin: str, found: Sequence[str]) -> InputError:
    """Returns the refusal of a file that can be read with several separators."""
    return InputError(
        expected="one separator that gives every line the same number of fields",
        found=f"{origin}: {' and '.join(map(named, found))} do",
        change=f"--separator {' or --separator '.join(repr(each) for each in map(named, found))}",
    )


def without_comments(text: str, separators: Sequence[str]) -> tuple[str, int]:
    """Returns the text without the comment lines before its header, and how many these are: lines that start with #
    and have another number of fields than the line after them.

    Args:
        separators: those that may separate the fields.
    """
    lines, rest = [], text
    while rest.startswith("#"):
        line, _, rest = rest.partition("\n")
        lines.append(line)
    after = rest.partition("\n")[0]
    there = [each for each in separators if each in after]
    if not lines or not there:
        return text, 0
    if any(first_fields(lines[-1], each) == first_fields(after, each) for each in there):  # a header such as "#id,text"
        rest = f"{lines.pop()}\n{rest}"
    return rest, len(lines)
