"""Brings tables of other shapes to one row per sentence with its words and tags, or per question with its answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tlnlp.data.answer_columns import join_answers
from tlnlp.data.spans import TEXTS, find_spans, holds_objects, split_texts, words_of_spans
from tlnlp.data.table import Table
from tlnlp.data.word_rows import group_inputs, group_words
from tlnlp.errors import InputError


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


def shape_inputs(table: Table, roles: Mapping[str, str], chosen: Mapping[str, str]) -> Table:
    """Returns a table to predict with a row per sentence: one word in each row is grouped by a column of sentences, and
    texts are split into words if there is no column of words. Whatever else the table has is left as it is.

    Args:
        roles: {role: column} of the task.
        chosen: {role: column} of `--columns`.

    Raises:
        InputError: the first row has no sentence.
    """
    if "words" not in roles:
        return table
    words = chosen.get("words") or next((name for name in (roles["words"], "words") if name in table.columns), None)
    if words is not None and not holds_objects(table, words):
        return group_inputs(table, words, chosen)
    text = next((name for name in TEXTS if name in table.columns), None)
    return table if text is None else split_texts(table, text, roles["words"])


def name_numbers(table: Table, columns: Mapping[str, str], names: tuple[str, ...]) -> Table:
    """Returns the table with the names of `--label-names` for the numbers in the column of the labels or tags.

    Raises:
        InputError: the source has other names for them.
    """
    named = columns.get("tags", columns.get("label"))
    if not names or named is None:
        return table
    own = table.class_names.get(named)
    if own is not None and own[: len(names)] != names:
        raise InputError(
            expected=f"the names that {table.origin} itself has for its numbers: {', '.join(own)}",
            found=f"--label-names {' '.join(names)}",
            change="leave --label-names out",
        )
    return replace(table, class_names=table.class_names | {named: names})
