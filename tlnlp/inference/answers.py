"""Answers as they are written: one for each row of a table, with columns of the row."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tlnlp.data.table import Table
from tlnlp.display.json_numbers import name_numbers
from tlnlp.errors import InputError
from tlnlp.task import Prediction


@dataclass(frozen=True)
class AnswerLines:
    """The answers to a part of a table.

    Args:
        carried: the columns of the rows that are carried along, by their names in the output.
        answers: one for each row: {column: value} with at least `row` (its number) and `prediction`.
        words: the words of each row, of a task that has words.
    """

    carried: Table
    answers: Sequence[dict[str, Any]]
    words: Sequence[Sequence[str]] = ()

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yields the lines: the row's number, its columns, and the answer."""
        columns = {name: self.carried.values(name) for name in self.carried.columns}
        for place, answer in enumerate(self.answers):
            own = {name: values[place] for name, values in columns.items()}
            yield {"row": answer["row"]} | own | answer

    def names(self, expected: Sequence[str]) -> list[str]:
        """Returns the names of all columns.

        Args:
            expected: columns of answers that there are for certain.
        """
        found = (name for answer in self.answers for name in answer)
        return list(dict.fromkeys(["row", *self.carried.columns, *expected, *found]))


def answer_of(row: int, predicted: Prediction | None) -> dict[str, Any]:
    """Returns the answer to a row: `prediction` is None if there is none."""
    if predicted is None:
        return {"row": row, "prediction": None}
    return {"row": row, "prediction": predicted.prediction, **predicted.as_json()}


def as_json_text(value: Any) -> str:
    """Returns a value as JSON."""
    return json.dumps(name_numbers(value), ensure_ascii=False, default=str)


def refuse_other_columns(names: Sequence[str], header: Sequence[str], origin: str) -> None:
    """Raises an error if there are columns that the header, which is written already, does not have."""
    if unknown := [name for name in names if name not in header]:
        raise InputError(
            expected=f"rows with the columns of the first ones: {', '.join(header)}",
            found=f"{origin}, with {', '.join(unknown)} as well",
            change="predict the files one by one, choose --carry COLUMN ..., or write jsonl",
        )
