"""The mapping from roles to columns."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from tlnlp.data.label_spellings import is_number
from tlnlp.data.table import Table
from tlnlp.data.word_rows import SENTENCE
from tlnlp.display.formatting import name_some
from tlnlp.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from tlnlp.task import Task

# Predictions in SQuAD's format are keyed by it; it is used if there is one.
ID = "id"
# Names of columns have fewer words than sentences.
_WORDS_OF_NAMES, _LOOKED_AT, _SHOWN, _MOST_SHOWN = 4, 1000, 60, 30


def choose_roles(task: Task, chosen: Mapping[str, str]) -> dict[str, str]:
    """Returns {role: column} with the task's roles, and those optional roles of the head that `--columns` sets.

    Args:
        chosen: {role: column} of `--columns`.

    Raises:
        InputError: the task has no such role.
    """
    roles = task.columns.by_role()
    known = [*roles, *([ID] if "answers" in roles else []), *([SENTENCE] if "words" in roles else [])]
    if set(chosen) - set(known):  # the head's module imports torch: it is used only if needed
        known += [role for role in task.head.optional_roles if role not in known]
    for role in chosen:
        if role not in known:
            raise InputError(
                expected=f"--columns with the roles {', '.join(known)}",
                found=f"{role}={chosen[role]}{did_you_mean(role, known)}",
                change="the name before the equals sign",
            )
    return roles | {role: role for role in chosen if role not in roles}


def choose_columns(
    table: Table,
    roles: Mapping[str, str],
    chosen: Mapping[str, str],
    original: Mapping[str, str],
    *,
    not_needed: Collection[str] = (),
) -> dict[str, str]:
    """Returns {role: column of the table}; endings and labels may have several columns, "ending0,ending1" (see
    `split_names`).

    Args:
        roles: {role: column} of the task; if the table lacks that column, the column's name in the original files is
            tried, then the name of the role.
        chosen: {role: column} of `--columns`.
        original: {column of the original files: the task's column}.
        not_needed: roles that this split may lack.

    Raises:
        InputError: a column is missing, or is used for two roles.
    """
    columns = {}
    for role, default in roles.items():
        others = [name for name, new in original.items() if new == default]
        wanted = [chosen[role]] if role in chosen else [default, *others, role]
        there = [each for each in wanted if all(name in table.columns for name in split_names(table, role, each))]
        there = there or _written_otherwise(table, [*wanted, *([] if role in chosen else [role])])
        if there:
            columns[role] = there[0]
        elif role not in not_needed:
            raise _missing(table, role, wanted[0])
    used = used_names(table, columns)
    if len(set(used)) < len(used):
        raise InputError(
            expected="a column of its own for each role",
            found=", ".join(f"{role}={column}" for role, column in columns.items()),
            change="--columns ROLE=COLUMN ...",
        )
    if "answers" in roles and ID not in columns and ID in table.columns and ID not in used:
        columns[ID] = ID
    return columns


def split_names(table: Table, role: str, column: str) -> list[str]:
    """Splits a column name: for endings and labels, at commas, unless a column has exactly this name."""
    if role not in ("endings", "label") or column in table.columns:
        return [column]
    return [name.strip() for name in column.split(",")]


def used_names(table: Table, columns: Mapping[str, str]) -> list[str]:
    """Returns all columns that have a role."""
    return [name for role, column in columns.items() for name in split_names(table, role, column)]


def _missing(table: Table, role: str, wanted: str) -> InputError:
    absent = [name for name in split_names(table, role, wanted) if name not in table.columns]
    near = "".join(did_you_mean(name, table.columns) for name in absent) or did_you_mean(role, table.columns)
    return InputError(
        expected=f"a column {', '.join(map(repr, absent))} for the role {role}",
        found=f"{table.origin} has the columns {_listed(table.columns)}{near}" + _no_header(table) * ", which is a row",
        change=f"--columns {role}=COLUMN"
        + (",COLUMN,..." if role == "endings" else "")
        + _no_header(table) * "; if the file has no header: --no-header, and columns by number, text=2 label=1",
    )


def _written_otherwise(table: Table, wanted: Iterable[str]) -> list[str]:
    """Returns the column whose name differs only in case, blanks or a leading # ("Text " for text), if there is exactly
    one."""
    for each in wanted:
        if len(fitting := [name for name in table.columns if _plain(name) == _plain(each)]) == 1:
            return fitting
    return []


def _plain(name: str) -> str:
    return name.strip("# \t").casefold()


def _no_header(table: Table) -> bool:
    """Returns whether a table's column names look like a row of it: a number, a sentence, or a value of the column."""
    if not re.search(r"\.(csv|tsv|txt|xlsx)\b", table.origin):
        return False
    return any(
        is_number(name) or len(name.split()) > _WORDS_OF_NAMES or name in table.values(name)[:_LOOKED_AT]
        for name in table.columns
    )


def _listed(names: Iterable[str]) -> str:
    shown = [name if len(name) <= _SHOWN else f"{name[:_SHOWN]}..." for name in names]
    return name_some(shown, _MOST_SHOWN)


def describe_columns(table: Table, columns: Mapping[str, str]) -> str:
    """Returns a note such as 'columns: text from sentence, label; not used: idx'."""
    used = [role if role == column else f"{role} from {column}" for role, column in columns.items()]
    unused = [name for name in table.columns if name not in used_names(table, columns)]
    return "columns: " + ", ".join(used) + (f"; not used: {_listed(unused)}" if unused else "")
