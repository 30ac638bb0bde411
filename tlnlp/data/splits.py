"""The rows of a run: read, checked, cut and drawn, before any model is loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tlnlp.data.bytes_to_text import FileFormat
from tlnlp.data.columns import choose_columns, choose_roles, describe_columns
from tlnlp.data.hub import read_hub
from tlnlp.data.labels import compare_names, count_names, describe, find_names, is_missing
from tlnlp.data.languages import FEW, IN, MORE, Languages, choose_languages, data_of, place_of, read_languages, settle
from tlnlp.data.roles import ASKED, PROMPT, WEIGHT, ReadOptions, is_hidden, read_rows
from tlnlp.data.rows import Rows, Splits, strata_of
from tlnlp.data.sampling import CHOICE, DEV, TRAIN, cut_groups, cut_rows, draw_rows
from tlnlp.data.split_files import DEV_NAMES, read_path
from tlnlp.data.table import Table
from tlnlp.data.tags import describe_tags, find_scheme, find_tags
from tlnlp.errors import InputError

if TYPE_CHECKING:
    from tlnlp.settings import Settings
    from tlnlp.task import Labels, Task

# What stands before the names of `Data.extra_splits`.
ALSO = "also "
# Share of the train rows that dev is cut from; more of a set that is small by nature, as translated ones are.
DEV_FRACTION, LANGUAGES_DEV_FRACTION = 0.1, 0.2
SAMPLES = Path(__file__).parents[1] / "bundled" / "samples"


def load_splits(task: Task, settings: Settings, given: Mapping[str, Table] | None = None) -> Splits:
    """The checked rows that a run learns from, chooses on and is reported on.

    With `--keep best` the weights are chosen on `dev` and reported on `test`; otherwise `test` is None.

    Args:
        given: {split: table} of rows that are in memory, in place of what `--data` names.

    Raises:
        InputError: whatever is wrong with the source, the columns, the texts or the answers.
    """
    roles = choose_roles(task, settings.columns_by_role())
    languages = choose_languages(task, settings, SAMPLES) if given is None else None
    tables = _read_tables(task, settings, languages) if given is None else _pick_tables(task, settings, given)
    _refuse_empty(tables)
    columns = {split: _choose(table, roles, task, settings, split) for split, table in tables.items()}
    tables = {split: _leave_out_unlabelled(table, columns[split], task, split) for split, table in tables.items()}
    notes = [note for table in tables.values() for note in table.notes]
    notes.append(describe_columns(tables["train"], columns["train"]))
    labels = _find_labels(task, roles, tables, columns)
    reading = ReadOptions(labels, settings.fix_answers, task.unanswerable)
    rows: dict[str, Rows] = {}
    for split, table in tables.items():
        if (
            split not in ("train", "dev")
            and not split.startswith((IN, MORE, FEW))
            and is_hidden(table, columns[split], roles, labels)
        ):
            notes.append(f"{table.origin}: its labels are hidden, so nothing is reported on it")
            continue
        named = columns[split].get("tags", columns[split].get("label"))
        if named is not None and labels is not None:
            order = compare_names(table, named, task.labels)
            notes.extend(order if split == "train" else [])
        rows[split], said = read_rows(table, columns[split], reading, train=_is_learnt_from(split))
        notes.extend(said)
    notes.extend(_describe_labels(task, rows, labels))
    rows = _cut(rows, settings, notes, LANGUAGES_DEV_FRACTION if languages else DEV_FRACTION)
    rows["train"] = _draw_train(rows["train"], settings, notes)
    if languages is not None:
        rows = settle(rows, languages, settings, tables, notes)
    extra_splits, target_languages = (
        {split.removeprefix(prefix): each for split, each in rows.items() if split.startswith(prefix)}
        for prefix in (ALSO, IN)
    )
    source = None if languages is None else languages.source
    return Splits(
        rows["train"], rows["dev"], rows.get("test"), extra_splits, target_languages, source, notes, _fingerprint(rows)
    )


def _read_tables(task: Task, settings: Settings, languages: Languages | None) -> dict[str, Table]:
    """{'train', 'dev', 'test', 'also ...', 'in ...': table}, those there are; test only where weights are chosen."""
    data = task.data if languages is None else data_of(task, languages.source)
    more = {f"{ALSO}{name}": split for name, split in data.extra_splits.items()}
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
        form = FileFormat(task.columns.words is not None, data.original_columns, data.original_header)
        if languages is None:
            tables = read_path(path, data.train, data.dev, more, form)
        else:
            place = place_of(path, languages.source, task)
            tables = read_path(place, data.train, data.dev, more, form, need="either")
    if languages is not None:
        tables |= read_languages(task, settings, languages, SAMPLES)
    return tables


def _pick_tables(task: Task, settings: Settings, given: Mapping[str, Table]) -> dict[str, Table]:
    """As `_read_tables`, of tables that are there already."""
    data = task.data
    names = {"train": [data.train, "train"], "dev": [data.dev, *DEV_NAMES]}
    names |= {f"{ALSO}{name}": [split] for name, split in data.extra_splits.items()}
    if settings.chooses_on_dev:
        names["test"] = [data.test or "test"]
    tables = {}
    for split, known in names.items():
        if there := [name for name in known if name in given]:
            tables[split] = given[there[0]]
    if "train" not in tables:
        raise InputError(
            expected=f"rows to learn from: {data.train}", found=", ".join(given), change="name the split to learn from"
        )
    return tables


def _refuse_empty(tables: Mapping[str, Table]) -> None:
    for table in tables.values():
        if not len(table):
            raise InputError(expected="rows", found=f"{table.origin}: no rows", change="give a split with rows in it")


def _choose(table: Table, roles: Mapping[str, str], task: Task, settings: Settings, split: str) -> dict[str, str]:
    """{role: column} of one split."""
    not_needed: tuple[str, ...] = () if _is_learnt_from(split) else (WEIGHT,)
    if split != "dev" and not split.startswith(IN) and not _is_learnt_from(split):
        not_needed += ASKED
    original = data_of(task, _language_of(split, task)).original_columns
    return choose_columns(table, roles, settings.columns_by_role(), original, not_needed=(PROMPT, *not_needed))


def _is_learnt_from(split: str) -> bool:
    return split == "train" or split.startswith((MORE, FEW))


def _language_of(split: str, task: Task) -> str:
    """That of a table whose name says it; else the task's own."""
    return split.partition(" ")[2] if split.startswith((IN, MORE, FEW)) else task.language


def _leave_out_unlabelled(table: Table, columns: Mapping[str, str], task: Task, split: str) -> Table:
    """The table without its rows that have no label, where that is how the set is."""
    if not data_of(task, _language_of(split, task)).partly_labelled or "label" not in columns:
        return table
    values = table.values(columns["label"])
    stay = [place for place, value in enumerate(values) if not is_missing(value, task.labels)]
    if len(stay) in (0, len(table)):
        return table
    return table.select(stay, f"{table.origin}: {len(table) - len(stay):,} rows without a label left out")


def _find_labels(
    task: Task, roles: Mapping[str, str], tables: Mapping[str, Table], columns: Mapping[str, Mapping[str, str]]
) -> Labels:
    """The task's labels or, where it names none, those in the data; None where the answer is no label.

    Labels are those of train. Tags are those of all splits: a rare one may stand in dev alone; but not those of further
    languages, which must not change what is learnt.
    """
    if "tags" in roles:
        known = [split for split in tables if "tags" in columns[split] and not split.startswith((IN, FEW))]
        tagged = [(tables[split], columns[split]["tags"]) for split in known]
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


def _cut(rows: dict[str, Rows], settings: Settings, notes: list[str], fraction: float) -> dict[str, Rows]:
    """Adds the splits that the source does not have: dev, and where weights are chosen rows to choose on."""
    if "dev" not in rows:
        rows = rows | dict(zip(("train", "dev"), _cut_off(rows["train"], settings, DEV, fraction), strict=True))
        notes.append(f"dev: {len(rows['dev']):,} rows cut from {rows['train'].origin}, seed {settings.seed}")
    if settings.chooses_on_dev:
        if "test" not in rows:
            train, chosen_on = _cut_off(rows["train"], settings, CHOICE, DEV_FRACTION)
            notes.append(
                f"no labelled test split: weights are chosen on {len(chosen_on):,} rows cut from {train.origin}"
                f" (seed {settings.seed}) and reported on the {len(rows['dev']):,} dev rows"
            )
            return {**rows, "train": train, "dev": chosen_on, "test": rows["dev"]}
        notes.append(f"weights are chosen on {rows['dev'].origin} and reported on {rows['test'].origin}")
    return rows


def _cut_off(rows: Rows, settings: Settings, purpose: int, fraction: float) -> tuple[Rows, Rows]:
    """The rows that stay, and those that are cut off; the rows of one context together, on one side."""
    groups = _contexts(rows)
    strata = strata_of(rows)
    least = len(set(groups.tolist())) - 1 if groups is not None else len(strata) - len(set(strata.tolist()))
    if least < 1:
        what = "a label with two rows" if groups is None else "two contexts"
        raise InputError(
            expected=f"enough rows to cut some off: {what} at least",
            found=f"{rows.origin}: {len(rows)} rows",
            change="give more rows, or a folder with train.* and validation.*",
        )
    one_of, drawn = (cut_rows, strata) if groups is None else (cut_groups, groups)
    cut = one_of(drawn, settings.seed, purpose, fraction)
    return rows.select(np.setdiff1d(np.arange(len(rows)), cut)), rows.select(cut)


def _contexts(rows: Rows) -> np.ndarray | None:
    """The number of each row's context [rows], or of its first text where most stand in several rows, as premises do;
    None where rows share nothing."""
    shared = rows.columns.get("context", rows.columns.get("text") if "text_pair" in rows.columns else None)
    if shared is None:
        return None
    numbers: dict[str, int] = {}
    groups = np.array([numbers.setdefault(each, len(numbers)) for each in shared])
    return groups if "context" in rows.columns or len(numbers) <= len(rows) / 2 else None


def _draw_train(train: Rows, settings: Settings, notes: list[str]) -> Rows:
    if settings.train_rows is None:
        return train
    if settings.train_rows > len(train):
        raise InputError(
            expected=f"--train-rows of at most {len(train):,}, the rows of {train.origin}",
            found=f"--train-rows {settings.train_rows:,}",
            change="the number, or leave --train-rows out to take all",
        )
    drawn = draw_rows(strata_of(train), settings.train_rows, settings.seed, TRAIN)
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
