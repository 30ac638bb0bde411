"""The rows of a run: read, checked, cut and drawn, before any model is loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tlnlp.data.columns import choose_columns, choose_roles, describe_columns
from tlnlp.data.draw import CHOICE, DEV, TRAIN, cut_groups, cut_rows, draw_rows
from tlnlp.data.folders import read_path
from tlnlp.data.hub import read_hub
from tlnlp.data.labels import compare_names, count_names, describe, find_names
from tlnlp.data.raw import Form
from tlnlp.data.roles import ASKED, PROMPT, WEIGHT, Reading, is_hidden, read_rows
from tlnlp.data.rows import Rows, Splits
from tlnlp.data.table import Table
from tlnlp.data.tags import describe_tags, find_scheme, find_tags
from tlnlp.errors import InputError

if TYPE_CHECKING:
    from tlnlp.recipe import Labels, Task
    from tlnlp.settings import Settings

# What stands before the names of `Data.also`.
ALSO = "also "
SAMPLES = Path(__file__).parents[1] / "bundled" / "samples"


def load_splits(task: Task, settings: Settings) -> Splits:
    """The checked rows that a run learns from, chooses on and is reported on.

    With `--keep best` the weights are chosen on `dev` and reported on `test`; otherwise `test` is None.

    Raises:
        InputError: whatever is wrong with the source, the columns, the texts or the answers.
    """
    roles = choose_roles(task, settings.columns_by_role())
    tables = _read_tables(task, settings)
    notes = [note for table in tables.values() for note in table.notes]
    columns = {split: _choose(table, roles, task, settings, split) for split, table in tables.items()}
    notes.append(describe_columns(tables["train"], columns["train"]))
    labels = _find_labels(task, roles, tables, columns)
    reading = Reading(labels, settings.fix_answers, task.unanswerable)
    rows: dict[str, Rows] = {}
    for split, table in tables.items():
        if split not in ("train", "dev") and is_hidden(table, columns[split], roles, labels):
            notes.append(f"{table.origin}: its labels are hidden, so nothing is reported on it")
            continue
        named = columns[split].get("tags", columns[split].get("label"))
        if named is not None and labels is not None:
            order = compare_names(table, named, task.labels)
            notes.extend(order if split == "train" else [])
        rows[split], said = read_rows(table, columns[split], reading, train=split == "train")
        notes.extend(said)
    notes.extend(_describe_labels(task, rows, labels))
    rows = _cut(rows, settings, notes)
    rows["train"] = _draw_train(rows["train"], settings, notes)
    also = {split.removeprefix(ALSO): each for split, each in rows.items() if split.startswith(ALSO)}
    return Splits(rows["train"], rows["dev"], rows.get("test"), also, notes, _fingerprint(rows))


def _read_tables(task: Task, settings: Settings) -> dict[str, Table]:
    """{'train', 'dev', 'test', 'also ...': table}, those that are there; test only where weights are chosen."""
    data, more = task.data, {f"{ALSO}{name}": split for name, split in task.data.also.items()}
    if settings.chooses_on_dev:
        more["test"] = data.test or "test"
    if settings.data == "hub":
        tables = read_hub(task.name, data, more)
    else:
        path = Path(settings.data)
        if settings.data == "sample":
            path = SAMPLES / (data.sample or "")
            if data.sample is None or not path.is_dir():
                raise InputError(
                    expected="a bundled sample of the task's rows",
                    found=f"{task.name} has none",
                    change="--data hub, or --data PATH for your own rows",
                )
        form = Form(task.columns.words is not None, data.original, data.original_header)
        tables = read_path(path, data.train, data.dev, more, form)
    for table in tables.values():
        if not len(table):
            raise InputError(expected="rows", found=f"{table.origin}: no rows", change="give a split with rows in it")
    return tables


def _choose(table: Table, roles: Mapping[str, str], task: Task, settings: Settings, split: str) -> dict[str, str]:
    """{role: column} of one split."""
    not_needed = (PROMPT, *{"train": (), "dev": (WEIGHT,)}.get(split, (WEIGHT, *ASKED)))
    return choose_columns(table, roles, settings.columns_by_role(), task.data.original, not_needed=not_needed)


def _find_labels(
    task: Task, roles: Mapping[str, str], tables: Mapping[str, Table], columns: Mapping[str, Mapping[str, str]]
) -> Labels:
    """The task's labels or, where it names none, those in the data; None where the answer is no label.

    Labels are those of train. Tags are those of all splits: a rare one may stand in dev alone.
    """
    if "tags" in roles:
        tagged = [(tables[split], columns[split]["tags"]) for split in tables if "tags" in columns[split]]
        return task.labels if task.labels is not None else find_tags(tagged)
    if "label" not in roles or "endings" in roles:
        return None
    return task.labels if task.labels is not None else find_names(tables["train"], columns["train"]["label"])


def _describe_labels(task: Task, rows: Mapping[str, Rows], labels: Labels) -> list[str]:
    """Notes on the labels or tags of all splits, after the check that there is something to learn.

    Raises:
        InputError: all train rows have the same label, or all words the same tag.
    """
    train = rows["train"]
    if not isinstance(labels, tuple):
        return []
    if "tags" in train.columns:
        return _describe_tags(task, rows, labels)
    _refuse_one_label(set(train.columns["label"]), train, labels)
    if task.labels is not None:
        return []
    return [f"labels found in {train.origin}: {count_names(train.columns['label'], labels)}"]


def _describe_tags(task: Task, rows: Mapping[str, Rows], labels: tuple[str, ...]) -> list[str]:
    train = rows["train"]
    there = {tag for tags in train.columns["tags"] for tag in tags}
    _refuse_one_label(there, train, labels)
    notes = []
    if task.labels is None:
        notes.append(f"tags found: {', '.join(labels)}")
        if unknown := [name for index, name in enumerate(labels) if index not in there]:
            notes.append(f"tags that no row of {train.origin} has, so that they cannot be learnt: {', '.join(unknown)}")
    known = find_scheme([labels[tag] for tag in tags] for tags in train.columns["tags"])
    notes += describe_tags(train)
    for split in [split for split in rows if split != "train"]:
        notes += describe_tags(rows[split], only_faults=True, known=known)
    return notes


def _refuse_one_label(distinct: set[Any], train: Rows, labels: tuple[str, ...]) -> None:
    if len(distinct) < 2:
        only = _name_answer(next(iter(distinct)), labels)
        raise InputError(
            expected=f"at least two different labels to learn from: {describe(labels)}",
            found=f"{train.origin}: {len(train):,} rows, all of them {only}",
            change="add rows with other labels; is the file sorted by label and cut short?",
        )


def _name_answer(answer: Any, names: tuple[str, ...]) -> str:
    """An index or a tuple of indices by its names."""
    indices = answer if isinstance(answer, tuple) else (answer,)
    return ", ".join(names[index] for index in indices) or "without any label"


def _strata(rows: Rows) -> np.ndarray:
    """Each row's label; one stratum for all where rows have no label, several, or a number."""
    values = rows.columns.get("label")
    if values is None or rows.labels is None or not isinstance(values[0], int):
        return np.zeros(len(rows), dtype=np.int64)
    return np.array(values)


def _cut(rows: dict[str, Rows], settings: Settings, notes: list[str]) -> dict[str, Rows]:
    """Adds the splits that the source does not have: dev, and where weights are chosen rows to choose on."""
    if "dev" not in rows:
        rows = rows | dict(zip(("train", "dev"), _cut_off(rows["train"], settings, DEV), strict=True))
        notes.append(f"dev: {len(rows['dev']):,} rows cut from {rows['train'].origin}, seed {settings.seed}")
    if settings.chooses_on_dev:
        if "test" not in rows:
            train, chosen_on = _cut_off(rows["train"], settings, CHOICE)
            notes.append(
                f"no labelled test split: weights are chosen on {len(chosen_on):,} rows cut from {train.origin}"
                f" (seed {settings.seed}) and reported on the {len(rows['dev']):,} dev rows"
            )
            return {**rows, "train": train, "dev": chosen_on, "test": rows["dev"]}
        notes.append(f"weights are chosen on {rows['dev'].origin} and reported on {rows['test'].origin}")
    return rows


def _cut_off(rows: Rows, settings: Settings, purpose: int) -> tuple[Rows, Rows]:
    """The rows that stay, and those that are cut off; the questions of one context together, on one side."""
    groups = _contexts(rows)
    strata = _strata(rows)
    least = len(set(groups.tolist())) - 1 if groups is not None else len(strata) - len(set(strata.tolist()))
    if least < 1:
        what = "a label with two rows" if groups is None else "two contexts"
        raise InputError(
            expected=f"enough rows to cut some off: {what} at least",
            found=f"{rows.origin}: {len(rows)} rows",
            change="give more rows, or a folder with train.* and validation.*",
        )
    cut = cut_rows(strata, settings.seed, purpose) if groups is None else cut_groups(groups, settings.seed, purpose)
    return rows.select(np.setdiff1d(np.arange(len(rows)), cut)), rows.select(cut)


def _contexts(rows: Rows) -> np.ndarray | None:
    """The number of each row's context [rows]; None where rows have no context."""
    if "context" not in rows.columns:
        return None
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(context, len(numbers)) for context in rows.columns["context"]])


def _draw_train(train: Rows, settings: Settings, notes: list[str]) -> Rows:
    if settings.train_rows is None:
        return train
    if settings.train_rows > len(train):
        raise InputError(
            expected=f"--train-rows of at most {len(train):,}, the rows of {train.origin}",
            found=f"--train-rows {settings.train_rows:,}",
            change="the number, or leave --train-rows out to take all",
        )
    drawn = draw_rows(_strata(train), settings.train_rows, settings.seed, TRAIN)
    notes.append(f"train: {len(drawn):,} of {len(train):,} rows drawn, seed {settings.seed}")
    return train.select(drawn)


def _fingerprint(rows: dict[str, Rows]) -> str:
    """16 hexadecimal digits over the values and label names of all splits, whatever files they came from."""
    digest = hashlib.sha256()
    for split in sorted(rows):
        part = rows[split]
        for role in sorted(part.columns):
            text = json.dumps([split, role, part.labels, part.columns[role]], ensure_ascii=False)
            digest.update(text.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]
