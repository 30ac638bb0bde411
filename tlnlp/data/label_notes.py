"""Notes on the labels and tags of all splits, which must be two at least."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tlnlp.data.labels import count_names, describe
from tlnlp.data.rows import TRAIN, Rows, SplitKey
from tlnlp.data.tags import describe_tags, find_scheme
from tlnlp.errors import InputError
from tlnlp.task import MultiLabel, Regression

if TYPE_CHECKING:
    from tlnlp.task import Labels, Task


def describe_labels(task: Task, rows: Mapping[SplitKey, Rows], labels: Labels) -> list[str]:
    """Returns notes on the labels or tags of all splits.

    Raises:
        InputError: all train rows have the same label, or all words the same tag.
    """
    train = rows[TRAIN]
    if isinstance(labels, Regression):
        return _describe_numbers(rows)
    if not isinstance(labels, tuple):
        return []
    if "tags" in train.columns:
        return _describe_tags(task, rows, labels)
    _check_two_labels(set(train.columns["label"]), train, labels)
    if task.labels is not None:
        return []
    found = train.columns["label"]
    flat = [each for row in found for each in row] if isinstance(labels, MultiLabel) else found
    return [f"labels found in {train.origin}: {count_names(flat, labels)}"]


def _describe_numbers(rows: Mapping[SplitKey, Rows]) -> list[str]:
    """Returns a note on other splits than train in which all rows have the same number: a correlation says nothing."""
    same = {key: len(set(each.columns.get("label", ()))) == 1 for key, each in rows.items() if len(each) > 1}
    if same.get(TRAIN):
        train = rows[TRAIN]
        raise InputError(
            expected="at least two different numbers to learn from",
            found=f"{train.origin}: {len(train):,} rows, all of them {train.columns['label'][0]:g}",
            change="add rows with other numbers, or choose the column: --columns label=COLUMN",
        )
    return [
        f"all {len(rows[key]):,} rows of {rows[key].origin} have the number {rows[key].columns['label'][0]:g}: a"
        " correlation with it is not defined, and given as 0"
        for key, is_same in same.items()
        if is_same
    ]


def _describe_tags(task: Task, rows: Mapping[SplitKey, Rows], labels: tuple[str, ...]) -> list[str]:
    train = rows[TRAIN]
    there = {tag for tags in train.columns["tags"] for tag in tags}
    _check_two_labels(there, train, labels)
    notes = []
    if task.labels is None:
        notes.append(f"tags found: {', '.join(labels)}")
        if unknown := [name for index, name in enumerate(labels) if index not in there]:
            notes.append(f"tags that no row of {train.origin} has, so that they cannot be learnt: {', '.join(unknown)}")
    known = find_scheme([labels[tag] for tag in tags] for tags in train.columns["tags"])
    notes += describe_tags(train)
    for each in [each for key, each in rows.items() if key != TRAIN]:
        notes += describe_tags(each, only_faults=True, known=known)
    return notes


def _check_two_labels(distinct: set[Any], train: Rows, labels: tuple[str, ...]) -> None:
    if len(distinct) < 2:
        only = _label_names(next(iter(distinct)), labels)
        raise InputError(
            expected=f"at least two different labels to learn from: {describe(labels)}",
            found=f"{train.origin}: {len(train):,} rows, all of them {only}",
            change="add rows with other labels; is the file sorted by label and cut short?",
        )


def _label_names(answer: Any, names: tuple[str, ...]) -> str:
    """Returns the names for an index or a tuple of indices."""
    indices = answer if isinstance(answer, tuple) else (answer,)
    return ", ".join(names[index] for index in indices) or "without any label"
