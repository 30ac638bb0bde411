"""Converts a table's columns to checked rows, with a reader for each role."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tlnlp.data import answers
from tlnlp.data import tags as tagging
from tlnlp.data.columns import ID, split_names
from tlnlp.data.endings import read_endings, read_places
from tlnlp.data.label_spellings import has_commas
from tlnlp.data.labels import is_unlabelled, read_labels
from tlnlp.data.rows import Rows
from tlnlp.data.table import Table
from tlnlp.data.texts import read_prompts, read_texts, read_weights, read_words
from tlnlp.task import Regression

if TYPE_CHECKING:
    from tlnlp.task import Labels

# Roles to predict: a test split may lack them. (Row weights are needed in train only.)
ASKED = ("label", "tags", "answers")
WEIGHT = "weight"
# A prompt may be empty.
PROMPT = "prompt"

# Roles whose values can be read on their own; those to predict are read together with their inputs.
READERS: dict[str, Callable[[Table, str, str], Sequence[Any]]] = {
    "text": read_texts,
    "text_pair": read_texts,
    "question": read_texts,
    "context": read_texts,
    PROMPT: read_prompts,
    "words": read_words,
    "endings": read_endings,
    WEIGHT: read_weights,
}


@dataclass(frozen=True)
class ReadOptions:
    """Options for reading rows, the same for each split.

    Args:
        labels: the task's labels or tags, or those found in the data; None if the task has no labels.
        fix_answers: see `read_answers`.
        unanswerable: whether the task has questions without an answer.
    """

    labels: Labels
    fix_answers: bool
    unanswerable: bool


def read_rows(table: Table, columns: Mapping[str, str], reading: ReadOptions, *, train: bool) -> tuple[Rows, list[str]]:
    """Returns the table as checked rows, and notes to print.

    Args:
        columns: {role: column}, from `choose_columns`.
        train: whether these are the train rows.

    Raises:
        InputError: a value is invalid for its role.
    """
    notes: list[str] = []
    values = {role: READERS[role](table, role, column) for role, column in columns.items() if role in READERS}
    if "label" in columns:
        values["label"] = _read_label(table, columns, values, reading.labels)
        if isinstance(reading.labels, Regression) and has_commas(table.values(columns["label"])):
            notes.append(f"{table.origin}: decimal commas in {columns['label']}")
    names = tuple(reading.labels) if isinstance(reading.labels, tuple) else None
    if "tags" in columns:
        values["tags"], respelled = tagging.read_tags(table, columns["tags"], names or (), values["words"])
        notes += respelled if train else []
    if ID in columns:
        ids = _read_ids(table, columns[ID])
        if ids is not None:
            values[ID] = ids
        elif not train:
            notes.append(f"{table.origin}: {columns[ID]!r} is not unique for each row, so it is not used")
    stay: list[int] | None = None
    if "answers" in columns:
        values["answers"], stay, said = answers.read_answers(
            table,
            columns["answers"],
            values["context"],
            fix=reading.fix_answers,
            unanswerable=reading.unanswerable,
            train=train,
        )
        notes += said
    rows = Rows({role: values[role] for role in columns if role in values}, table.origin, table.numbers, names)
    return (rows if stay is None or len(stay) == len(rows) else rows.select(stay)), notes


def _read_label(table: Table, columns: Mapping[str, str], values: Mapping[str, Any], labels: Labels) -> list[Any]:
    if "endings" in columns:
        names = split_names(table, "endings", columns["endings"])
        return read_places(table, columns["label"], values["endings"], names)
    return read_labels(table, columns["label"], labels)


def _read_ids(table: Table, column: str) -> list[str] | None:
    """Returns the ids of the rows; None unless they are complete and unique."""
    values = table.values(column)
    ids = [str(value) for value in values if isinstance(value, str | int) and not isinstance(value, bool)]
    return ids if len(set(ids)) == len(values) else None


def is_hidden(table: Table, columns: Mapping[str, str], roles: Mapping[str, str], labels: Labels) -> bool:
    """Returns whether no row has labels, tags or answers, as in the published test split of GLUE.

    Args:
        columns: {role: column} of the table.
        roles: the task's roles.
    """
    for role in (role for role in ASKED if role in roles):
        column = columns.get(role)
        if column is None:
            return True
        if role == "label" and is_unlabelled(table, column, None if "endings" in roles else labels):
            return True
        if role == "tags" and tagging.are_hidden(table, column):
            return True
        if role == "answers" and answers.are_hidden(table, column):
            return True
    return False
