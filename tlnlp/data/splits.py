"""The rows of a run: read, checked, cut and drawn, before any model is loaded."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tlnlp.data.columns import choose_columns, describe_columns, read_texts
from tlnlp.data.draw import CHOICE, DEV, TRAIN, cut_rows, draw_rows
from tlnlp.data.folders import read_path
from tlnlp.data.hub import read_hub
from tlnlp.data.labels import compare_names, count_names, describe, find_names, is_unlabelled, read_labels
from tlnlp.data.rows import Rows, Splits
from tlnlp.data.table import Table
from tlnlp.errors import InputError

if TYPE_CHECKING:
    from tlnlp.recipe import Labels, Task
    from tlnlp.settings import Settings

SAMPLES = Path(__file__).parents[1] / "bundled" / "samples"


def load_splits(task: Task, settings: Settings) -> Splits:
    """The checked rows that a run learns from, chooses on and is reported on.

    With `--keep best` the weights are chosen on `dev` and reported on `test`; otherwise `test` is None.

    Raises:
        InputError: whatever is wrong with the source, the columns, the texts or the labels.
    """
    tables = _read_tables(task, settings)
    notes = [note for table in tables.values() for note in table.notes]
    labels = task.labels
    if task.columns.label is None:
        labels = None
    elif labels is None:
        column = choose_columns(tables["train"], task.columns.by_role(), settings.columns_by_role())["label"]
        labels = find_names(tables["train"], column)
    rows: dict[str, Rows] = {}
    for split, table in tables.items():
        checked = _check(table, task, settings, labels, split, notes)
        if checked is not None:
            rows[split] = checked
    if task.columns.label is not None and not _is_score(labels):
        _refuse_one_label(rows["train"], labels)
        if task.labels is None:
            counts = count_names(rows["train"].columns["label"], rows["train"].labels or ())
            notes.append(f"labels found in {rows['train'].origin}: {counts}")
    rows = _cut(rows, settings, notes)
    rows["train"] = _draw_train(rows["train"], settings, notes)
    return Splits(rows["train"], rows["dev"], rows.get("test"), notes, _fingerprint(rows))


def _read_tables(task: Task, settings: Settings) -> dict[str, Table]:
    """{'train', 'dev', 'test': table}, those that are there; test only where weights are chosen."""
    data, with_test = task.data, settings.keep == "best"
    if settings.data == "hub":
        return read_hub(task.name, data, with_test=with_test)
    path = Path(settings.data)
    if settings.data == "sample":
        path = SAMPLES / (data.sample or "")
        if data.sample is None or not path.is_dir():
            raise InputError(
                expected="a bundled sample of the task's rows",
                found=f"{task.name} has none",
                change="--data hub, or --data PATH for your own rows",
            )
    return read_path(path, data.train, data.dev, data.test, with_test=with_test)


def _check(table: Table, task: Task, settings: Settings, labels: Labels, split: str, notes: list[str]) -> Rows | None:
    """The table as rows, after all checks; None for a test split without labels. Adds to `notes`."""
    if not len(table):
        raise InputError(expected="rows", found=f"{table.origin}: no rows", change="give a split with rows in it")
    columns = choose_columns(table, task.columns.by_role(), settings.columns_by_role(), label_needed=split != "test")
    if split == "train":
        notes.append(describe_columns(table, columns))
    if task.columns.label is not None and split == "test" and is_unlabelled(table, columns.get("label"), labels):
        notes.append(f"{table.origin}: its labels are hidden, so nothing is reported on it")
        return None
    values: dict[str, list[Any]] = {}
    for role, column in columns.items():
        if role != "label":
            values[role] = read_texts(table, role, column)
            continue
        note = compare_names(table, column, labels if task.labels is not None else None)
        notes.extend(each for each in note if split == "train")
        values[role] = read_labels(table, column, labels)
    names = tuple(labels) if isinstance(labels, tuple) else None
    return Rows(values, table.origin, table.numbers, names)


def _is_score(labels: Labels) -> bool:
    return labels is not None and not isinstance(labels, tuple)


def _refuse_one_label(train: Rows, labels: Labels) -> None:
    distinct = set(train.columns["label"])
    if len(distinct) < 2:
        only = _name_answer(train.columns["label"][0], train.labels or ())
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
    """Adds the splits that the source does not have: dev, and with `--keep best` rows to choose on."""
    if "dev" not in rows:
        rows = rows | dict(zip(("train", "dev"), _cut_off(rows["train"], settings, DEV), strict=True))
        notes.append(f"dev: {len(rows['dev']):,} rows cut from {rows['train'].origin}, seed {settings.seed}")
    if settings.keep == "best":
        if "test" not in rows:
            train, chosen_on = _cut_off(rows["train"], settings, CHOICE)
            notes.append(
                f"no labelled test split: weights are chosen on {len(chosen_on):,} rows cut from {train.origin}"
                f" (seed {settings.seed}) and reported on the {len(rows['dev']):,} dev rows"
            )
            return {"train": train, "dev": chosen_on, "test": rows["dev"]}
        notes.append(f"weights are chosen on {rows['dev'].origin} and reported on {rows['test'].origin}")
    return rows


def _cut_off(rows: Rows, settings: Settings, purpose: int) -> tuple[Rows, Rows]:
    """The rows that stay, and those that are cut off."""
    strata = _strata(rows)
    if len(strata) - len(set(strata.tolist())) < 1:
        raise InputError(
            expected="enough rows to cut some off: a label with two rows at least",
            found=f"{rows.origin}: {len(rows)} rows",
            change="give more rows, or a folder with train.* and validation.*",
        )
    cut = cut_rows(strata, settings.seed, purpose)
    return rows.select(np.setdiff1d(np.arange(len(rows)), cut)), rows.select(cut)


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
            digest.update(json.dumps([split, role, part.labels, part.columns[role]], ensure_ascii=False).encode())
    return digest.hexdigest()[:16]
