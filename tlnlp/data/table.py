"""A table as it was read: columns by their original names, not yet checked."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NoReturn

import numpy as np

from tlnlp.data.text_column import TextColumn, text_column
from tlnlp.errors import InputError

SHOWN_CHARACTERS = 60  # of a faulty value
SHOWN_ROWS = 3  # of all faulty rows


@dataclass(frozen=True)
class Table:
    """One split as its source has it.

    Args:
        columns: {original column name: values} (a list, or an Arrow column, which is read when it is used).
        origin: file or data set, for messages.
        numbers: the number of each row in its source, from 1.
        class_names: for integer columns, the names that the source gives the integers.
        notes: notes on how it was read.
        mapped: the file that Arrow columns lie in, if it is mapped into memory.
        word_numbers: the number of each word's `word_unit` in its source, those of all rows one after another, if each
            word has a line or a row of its own there.
    """

    columns: dict[str, Any]
    origin: str
    numbers: np.ndarray
    class_names: dict[str, tuple[str, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    mapped: mmap.mmap | None = None
    word_numbers: np.ndarray | None = None
    word_unit: Literal["line", "row"] = "line"

    def __len__(self) -> int:
        return len(self.numbers)

    def values(self, column: str) -> list[Any]:
        """Returns the column's values, one per row."""
        values = self.columns[column]
        return values if isinstance(values, list) else values.to_pylist()

    def texts(self, column: str) -> TextColumn | None:
        """Returns a large Arrow column of texts, which stay there; None for any other column."""
        return text_column(self.columns[column], self.mapped)

    def select(self, positions: Sequence[int], note: str) -> Table:
        """Returns the rows at `positions`, and adds `note`, which says why."""
        columns = {
            name: [values[i] for i in positions] if isinstance(values, list) else values.take(positions)
            for name, values in self.columns.items()
        }
        return replace(
            self, columns=columns, numbers=self.numbers[list(positions)], notes=(*self.notes, note), word_numbers=None
        )

    def place_of_word(self, values: Sequence[Any], row: int, word: int) -> str:
        """Returns 'train.conll, line 12' or 'train.jsonl, row 3, word 2' for a word, for messages.

        Args:
            values: the words or tags of each row.
            row, word: places, counted from 0.
        """
        if self.word_numbers is None:
            return f"{self.origin}, row {self.numbers[row]}, word {word + 1}"
        return f"{self.origin}, {self.word_unit} {self.word_numbers[sum(map(len, values[:row])) + word]}"


def show(value: Any) -> str:
    """Returns the value's repr, truncated to 60 characters."""
    # Truncated first, so that the repr of a text of megabytes is not built.
    text = repr(value[: 2 * SHOWN_CHARACTERS] if isinstance(value, str) else value)
    return text if len(text) <= SHOWN_CHARACTERS else text[: SHOWN_CHARACTERS - 3] + "..."


def refuse_rows(
    table: Table, positions: Sequence[int], values: Sequence[Any], *, what: str, expected: str, change: str
) -> NoReturn:
    """Raises InputError for the rows at `positions`: the first three with their values, and how many there are.

    Args:
        positions: invalid rows, counted from 0 in the table.
        values: the column's values, of all rows.
        what: the name of the values in the message ("text", "label").
        expected, change: as in InputError.
    """
    found = point_at(table, positions, lambda row: f"{what} {show(values[row])}")
    raise InputError(expected=expected, found=found, change=change)


def point_at(table: Table, positions: Sequence[int], say: Callable[[int], str]) -> str:
    """Returns 'reviews.csv, row 3: ...; row 5: ...; row 8: ... (12 such rows in all)'.

    Args:
        positions: rows counted from 0 in the table; the first three are shown.
        say: returns the text for a row.
    """
    shown = [f"row {table.numbers[row]}: {say(row)}" for row in positions[:SHOWN_ROWS]]
    total = f" ({len(positions):,} such rows in all)" if len(positions) > 1 else ""
    return f"{table.origin}, " + "; ".join(shown) + total
