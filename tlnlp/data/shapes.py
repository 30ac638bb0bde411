"""Brings tables of other shapes to one row per sentence with its words and tags, or per question with its answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tlnlp.data.answer_columns import join_answers
from tlnlp.data.spans import find_spans, words_of_spans
from tlnlp.data.table import Table
from tlnlp.data.word_rows import group_words


def shape_rows(table: Table, roles: Mapping[str, str], chosen: Mapping[str, str]) -> Table:
    """Returns the table with a row per sentence or question, and notes on how it was brought to that shape: one word in
    each row is grouped, character offsets become words and tags, answers get the starts of another column.

    Args:
        roles: {role: column} of the task.
        chosen: {role: column} of `--columns`.

    Raises:
        InputError: the table has another shape, and lacks what is needed to tell which rows belong together, or its
            offsets do not fit its texts.
    """
    if "answers" in roles:
        return join_answers(table, roles, chosen)
    if "words" not in roles:
        return table
    if (found := find_spans(table, roles, chosen)) is not None:
        return words_of_spans(table, found, roles, chosen)
    return group_words(table, roles, chosen)


def name_numbers(table: Table, columns: Mapping[str, str], names: tuple[str, ...]) -> Table:
    """Returns the table with the names of `--label-names` for the numbers in the column of the labels or tags."""
    named = columns.get("tags", columns.get("label"))
    if not names or named is None:
        return table
    return replace(table, class_names=table.class_names | {named: names})
