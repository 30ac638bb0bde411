"""A table as it was read: columns by their own names, nothing checked or renamed yet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn

import numpy as np

from tlnlp.errors import InputError

SHOWN_CHARACTERS = 60  # of a faulty value
SHOWN_ROWS = 3  # of all faulty rows


@dataclass(frozen=True)
class Table:
    """One split as its source has it.

    Args:
        columns: the source's own column name to its values (a list, or an Arrow column that is read when asked for).
        origin: file or data set, for messages.
        numbers: the row's number in its origin, from 1.
        class_names: for columns of integers, the names that the source itself gives them.
        notes: what a person should know of how it was read.
    """

    columns: dict[str, Any]
    origin: str
    numbers: np.ndarray
    class_names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.numbers)

    def values(self, column: str) -> list[Any]:
        """The column's values, one a row."""
        values = self.columns[column]
        return values if isinstance(values, list) else values.to_pylist()

    def select(self, positions: Sequence[int], note: str) -> Table:
        """The rows at `positions` only, which `note` says why."""
        columns = {
            name: [values[i] for i in positions] if isinstance(values, list) else values.take(positions)
            for name, values in self.columns.items()
        }
        return replace(self, columns=columns, numbers=self.numbers[list(positions)], notes=(*self.notes, note))


def show(value: Any) -> str:
    """The value as Python writes it, cut to 60 characters."""
    # A text of megabytes need not be written out to show its first words.
    text = repr(value[: 2 * SHOWN_CHARACTERS] if isinstance(value, str) else value)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "..."


def refuse_rows(
    table: Table, positions: Sequence[int], values: Sequence[Any], *, what: str, expected: str, change: str
) -> NoReturn:
    """Raises InputError for the rows at `positions`: the first three with their values, and how many there are.

    Args:
        positions: faulty rows, counted from 0 in the table.
        values: the column's values, of all rows.
        what: what these values are, for the message ("text", "label").
        expected, change: as in InputError.
    """
    found = point_at(table, positions, lambda row: f"{what} {show(values[row])}")
    raise InputError(expected=expected, found=found, change=change)


def point_at(table: Table, positions: Sequence[int], say: Callable[[int], str]) -> str:
    """'reviews.csv, row 3: ...; row 5: ...; row 8: ... (12 such rows in all)'.

    Args:
        positions: rows counted from 0 in the table; the first three are shown.
        say: what is to be said of a row.
    """
    shown = [f"row {table.numbers[row]}: {say(row)}" for row in positions[:SHOWN_ROWS]]
    total = f" ({len(positions):,} such rows in all)" if len(positions) > 1 else ""
    return f"{table.origin}, " + "; ".join(shown) + total
