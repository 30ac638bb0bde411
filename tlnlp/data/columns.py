"""Which column plays which role, and whether its texts can be used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tlnlp.data.table import Table, refuse_rows
from tlnlp.errors import InputError, did_you_mean

# A second text may be given to any task; whether it is used is the head's affair.
OPTIONAL_ROLE = "text_pair"


def choose_columns(
    table: Table, defaults: Mapping[str, str], chosen: Mapping[str, str], *, label_needed: bool = True
) -> dict[str, str]:
    """{role: column of the table}.

    Args:
        defaults: {role: column} of the task; the role's own name serves where that column is not there.
        chosen: {role: column} of `--columns`.
        label_needed: False for a test split, which may have no labels.

    Raises:
        InputError: an unknown role, or a column that is not there.
    """
    roles = [*defaults, *([OPTIONAL_ROLE] if OPTIONAL_ROLE not in defaults else [])]
    for role in chosen:
        if role not in roles:
            raise InputError(
                expected=f"--columns with the roles {', '.join(roles)}",
                found=f"{role}={chosen[role]}{did_you_mean(role, roles)}",
                change="the name before the equals sign",
            )
    columns = {}
    for role in [*defaults, *(role for role in chosen if role not in defaults)]:
        wanted = chosen.get(role, defaults.get(role, role))
        if wanted not in table.columns and role not in chosen and role in table.columns:
            wanted = role
        if wanted in table.columns:
            columns[role] = wanted
        elif role != "label" or label_needed:
            raise _missing(table, role, wanted)
    if len(set(columns.values())) < len(columns):
        raise InputError(
            expected="a column of its own for each role",
            found=", ".join(f"{role}={column}" for role, column in columns.items()),
            change="--columns ROLE=COLUMN ...",
        )
    return columns


def _missing(table: Table, role: str, wanted: str) -> InputError:
    there = ", ".join(table.columns)
    near = did_you_mean(wanted, table.columns) or did_you_mean(role, table.columns)
    return InputError(
        expected=f"a column {wanted!r} for the role {role}",
        found=f"{table.origin} has the columns {there}{near}",
        change=f"--columns {role}=COLUMN",
    )


def describe_columns(table: Table, columns: Mapping[str, str]) -> str:
    """'columns: text from sentence, label; not used: idx'."""
    used = [role if role == column else f"{role} from {column}" for role, column in columns.items()]
    unused = [name for name in table.columns if name not in columns.values()]
    return "columns: " + ", ".join(used) + (f"; not used: {', '.join(unused)}" if unused else "")


def read_texts(table: Table, role: str, column: str) -> list[Any]:
    """The texts of a column, as they are.

    Raises:
        InputError: a null, an empty text, something that is no text, or half of a surrogate pair.
    """
    values = table.values(column)
    wrong = [i for i, value in enumerate(values) if not isinstance(value, str) or not value or value.isspace()]
    if not wrong and not _is_unicode("".join(values)):
        wrong = [i for i, value in enumerate(values) if not _is_unicode(value)]
    if wrong:
        first = values[wrong[0]]
        change = "fill in these rows, or leave them out"
        if first is not None and not isinstance(first, str):
            change = f"write it as a string, or name the column with the text: --columns {role}=COLUMN"
        elif first and not first.isspace():
            change = "the escape \\ud800 to \\udfff without its other half: write the character itself"
        refuse_rows(table, wrong, values, what=role, expected=f"a text in every row of {column!r}", change=change)
    return values


def _is_unicode(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
