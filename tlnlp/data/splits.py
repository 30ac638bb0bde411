"""Loads the splits of a run: reads and checks the rows, splits off dev rows and draws train rows, before any model is
loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tlnlp.data.bytes_to_text import FileFormat
from tlnlp.data.columns import choose_columns, choose_roles, describe_columns
from tlnlp.data.hub import read_hub
from tlnlp.data.label_notes import describe_labels
from tlnlp.data.label_spellings import FoundNames, describe_merged, merge_spellings
from tlnlp.data.labels import compare_names, count_spellings, find_names, is_missing
from tlnlp.data.languages import Languages, choose_languages, data_of, place_of, read_languages, settle
from tlnlp.data.named_files import add_named, named_files, refuse_named
from tlnlp.data.number_labels import note_numbers
from tlnlp.data.roles import ASKED, PROMPT, WEIGHT, ReadOptions, is_hidden, read_rows
from tlnlp.data.rows import DEV, TEST, TRAIN, Rows, SplitKey, Splits, strata_of
from tlnlp.data.sampling import FOR_CHOICE, FOR_DEV, FOR_TRAIN, draw_rows
from tlnlp.data.several_labels import unite_labels
from tlnlp.data.shapes import name_numbers, shape_rows
from tlnlp.data.sources import with_notes
from tlnlp.data.split_files import DEV_NAMES, read_path
from tlnlp.data.splitting_off import split_off
from tlnlp.data.table import Table
from tlnlp.data.tags import find_tags
from tlnlp.display.formatting import name_some
from tlnlp.errors import InputError

if TYPE_CHECKING:
    from tlnlp.settings import Settings
    from tlnlp.task import Labels, Task

# Fraction of the train rows to split off as dev rows; higher for translated samples, which are small.
DEV_FRACTION, LANGUAGES_DEV_FRACTION = 0.1, 0.2
SHOWN_RARE = 5
SAMPLES = Path(__file__).parents[1] / "bundled" / "samples"


def load_splits(task: Task, settings: Settings, given: Mapping[str, Table] | None = None) -> Splits:
    """Returns the checked rows to train on, for model selection, and to evaluate on.

    With `--keep best`, `dev` is used for model selection and `test` is the reported split; otherwise `test` is None.

    Args:
        given: {split: table} of rows in memory, used instead of `--data`.

    Raises:
        InputError: the source, the columns, the texts or the labels are invalid.
    """
    roles = choose_roles(task, settings.columns_by_role())
    languages = choose_languages(task, settings, SAMPLES) if given is None else None
    tables = _read_tables(task, settings, languages) if given is None else _select_tables(task, settings, given)
    _check_not_empty(tables)
    tables = {key: shape_rows(table, roles, settings.columns_by_role()) for key, table in tables.items()}
    columns = {key: _choose_columns(table, roles, task, settings, key) for key, table in tables.items()}
    tables = {key: name_numbers(table, columns[key], settings.label_names) for key, table in tables.items()}
    tables, several, said_of_labels = unite_labels(tables, columns, task, settings)
    tables = {key: _drop_unlabelled(table, columns[key], task, key) for key, table in tables.items()}
    notes = [note for table in tables.values() for note in table.notes]
    notes.append(describe_columns(tables[TRAIN], columns[TRAIN]))
    notes.extend(said_of_labels)
    labels = several or _find_labels(task, roles, tables, columns)
    if task.labels is None and isinstance(labels, tuple) and "label" in columns[TRAIN]:
        notes.extend(note_numbers(labels, tables[TRAIN].origin, columns[TRAIN]["label"]))
    if TEST in tables and not settings.chooses_on_dev:
        tables, columns = _report_on_test(tables, columns, roles, labels, notes)
    reading = ReadOptions(labels, settings.fix_answers, task.unanswerable)
    rows: dict[SplitKey, Rows] = {}
    for key, table in tables.items():
        if key.kind in ("test", "extra") and is_hidden(table, columns[key], roles, labels):
            notes.append(f"{table.origin}: its labels are hidden, so nothing is reported on it")
            continue
        named = columns[key].get("tags", columns[key].get("label"))
        if named is not None and labels is not None:
            order = compare_names(table, named, task.labels)
            notes.extend(order if key == TRAIN else [])
        rows[key], said = read_rows(table, columns[key], reading, train=key.is_trained_on)
        notes.extend(said)
    notes.extend(describe_labels(task, rows, labels))
    if isinstance(labels, FoundNames) and not tables[TRAIN].class_names.get(column := columns[TRAIN]["label"]):
        counts = count_spellings(tables[TRAIN], column)
        notes.extend(describe_merged(merge_spellings(counts), counts))
    rows = _make_missing_splits(rows, settings, notes, LANGUAGES_DEV_FRACTION if languages else DEV_FRACTION)
    rows[TRAIN] = _draw_train(rows[TRAIN], settings, notes)
    if languages is not None:
        rows = settle(rows, languages, settings, tables, notes)
    extra_splits, target_languages = (
        {key.name: each for key, each in rows.items() if key.kind == kind} for kind in ("extra", "target")
    )
    source = None if languages is None else languages.source
    return Splits(
        rows[TRAIN], rows[DEV], rows.get(TEST), extra_splits, target_languages, source, notes, _fingerprint(rows),
        several,
    )  # fmt: skip


def _read_tables(task: Task, settings: Settings, languages: Languages | None) -> dict[SplitKey, Table]:
    """Reads the tables that exist; test only if weights are selected on dev."""
    data = task.data if languages is None else data_of(task, languages.source)
    more = {SplitKey("extra", name): split for name, split in data.extra_splits.items()}
    if settings.chooses_on_dev:
        more[TEST] = data.test or "test"
    named, form, keep = named_files(settings), FileFormat.of(settings, task, data), not settings.no_cache
    if languages is not None:
        refuse_named(settings, "a task with several languages", "--data FOLDER with a folder for each language")
    if TRAIN in named:
        tables = {}
    elif settings.data == "hub":
        tables = read_hub(task.name, data, more)
    elif languages is None:
        is_own = settings.data != "sample"
        tables = read_path(_path_of(task, settings), data.train, data.dev, more, form, keep=keep, alone=is_own)
    else:
        place = place_of(_path_of(task, settings), languages.source, task)
        tables = read_path(place, data.train, data.dev, more, form, need="either", keep=keep, alone=False)
    if named:
        tables = add_named(tables, named, settings, form)
    if languages is not None:
        tables |= read_languages(task, settings, languages, SAMPLES)
    return tables


def _path_of(task: Task, settings: Settings) -> Path:
    """Returns the path of `--data`, or of the bundled sample."""
    if settings.data != "sample":
        return Path(settings.data)
    path = SAMPLES / (task.data.sample or "")
    if task.data.sample is None or not path.is_dir():
        raise InputError(
            expected="a bundled sample of the task's rows",
            found=f"{task.name} has none",
            change="--data hub, or --data PATH for your own rows",
        )
    return path


def _select_tables(task: Task, settings: Settings, given: Mapping[str, Table]) -> dict[SplitKey, Table]:
    """Returns the same tables as `_read_tables`, from rows in memory."""
    refuse_named(settings, "rows in memory", 'data={"train": rows, "validation": FILE}')
    data = task.data
    names = {TRAIN: [data.train, "train"], DEV: [data.dev, *DEV_NAMES]}
    names |= {SplitKey("extra", name): [split] for name, split in data.extra_splits.items()}
    if settings.chooses_on_dev:
        names[TEST] = [data.test or "test"]
    tables = {}
    for key, known in names.items():
        if there := [name for name in known if name in given]:
            tables[key] = given[there[0]]
    if DEV not in tables and "test" in given:
        tables[TEST] = given["test"]
    if TRAIN not in tables:
        raise InputError(
            expected=f"rows to learn from: {data.train}", found=", ".join(given), change="name the split to learn from"
        )
    if unused := [name for name, table in given.items() if not any(table is each for each in tables.values())]:
        tables[TRAIN] = with_notes(tables[TRAIN], f"not used: {', '.join(unused)}")
    return tables


def _report_on_test(
    tables: dict[SplitKey, Table],
    columns: dict[SplitKey, dict[str, str]],
    roles: Mapping[str, str],
    labels: Labels,
    notes: list[str],
) -> tuple[dict[SplitKey, Table], dict[SplitKey, dict[str, str]]]:
    """Returns the tables and their columns with the test rows as those to report on, where there are no dev rows, or
    without them, if their labels are hidden. Nothing is chosen by them."""
    table = tables[TEST]
    is_used = DEV not in tables and not is_hidden(table, columns[TEST], roles, labels)
    if is_used:
        notes.append(f"reported on the test rows of {table.origin}: there are no dev rows, and nothing is chosen")
    elif DEV not in tables:
        notes.append(f"not used: {table.origin}, whose labels are hidden")
    keys = {key: DEV if key == TEST else key for key in tables if is_used or key != TEST}
    return {new: tables[key] for key, new in keys.items()}, {new: columns[key] for key, new in keys.items()}


def _check_not_empty(tables: Mapping[SplitKey, Table]) -> None:
    for table in tables.values():
        if not len(table):
            raise InputError(expected="rows", found=f"{table.origin}: no rows", change="give a split with rows in it")


def _choose_columns(
    table: Table, roles: Mapping[str, str], task: Task, settings: Settings, key: SplitKey
) -> dict[str, str]:
    """Returns {role: column} for one split."""
    not_needed: tuple[str, ...] = () if key.is_trained_on else (WEIGHT,)
    if key.kind in ("test", "extra"):
        not_needed += ASKED
    original = data_of(task, key.language or task.language).original_columns
    return choose_columns(table, roles, settings.columns_by_role(), original, not_needed=(PROMPT, *not_needed))


def _drop_unlabelled(table: Table, columns: Mapping[str, str], task: Task, key: SplitKey) -> Table:
    """Returns the table without unlabelled rows, if the dataset is declared as partly labelled."""
    if not data_of(task, key.language or task.language).partly_labelled or "label" not in columns:
        return table
    values = table.values(columns["label"])
    stay = [place for place, value in enumerate(values) if not is_missing(value, task.labels)]
    if len(stay) in (0, len(table)):
        return table
    return table.select(stay, f"{table.origin}: {len(table) - len(stay):,} rows without a label left out")


def _find_labels(
    task: Task,
    roles: Mapping[str, str],
    tables: Mapping[SplitKey, Table],
    columns: Mapping[SplitKey, Mapping[str, str]],
) -> Labels:
    """Returns the task's labels or, if it declares none, those in the data; None if the task predicts no labels.

    Labels are taken from train only. Tags are taken from all splits, since a rare one may occur in dev only, except
    from those of other languages, which must not affect training.
    """
    if "tags" in roles:
        known = [key for key in tables if "tags" in columns[key] and key.kind not in ("target", "few")]
        tagged = [(tables[key], columns[key]["tags"]) for key in known]
        return task.labels if task.labels is not None else find_tags(tagged)
    if "label" not in roles or "endings" in roles:
        return None
    return task.labels if task.labels is not None else find_names(tables[TRAIN], columns[TRAIN]["label"])


def _make_missing_splits(
    rows: dict[SplitKey, Rows], settings: Settings, notes: list[str], fraction: float
) -> dict[SplitKey, Rows]:
    """Adds missing splits: dev, and rows for model selection if weights are selected on dev."""
    if DEV not in rows:
        whole = rows[TRAIN]
        train, dev, said = split_off(whole, settings, FOR_DEV, fraction)
        rows = {**rows, TRAIN: train, DEV: dev}
        said += _say_rare(rows)
        notes.append(f"dev: {len(rows[DEV]):,} rows cut from {whole.origin}, seed {settings.seed}{said}")
    if settings.chooses_on_dev:
        if TEST not in rows:
            train, chosen_on, said = split_off(rows[TRAIN], settings, FOR_CHOICE, DEV_FRACTION)
            notes.append(
                f"no labelled test split: weights are chosen on {len(chosen_on):,} rows cut from {train.origin}"
                f" (seed {settings.seed}) and reported on the {len(rows[DEV]):,} dev rows{said}"
            )
            return {**rows, TRAIN: train, DEV: chosen_on, TEST: rows[DEV]}
        notes.append(f"weights are chosen on {rows[DEV].origin} and reported on {rows[TEST].origin}")
    return rows


def _say_rare(rows: Mapping[SplitKey, Rows]) -> str:
    """Returns what to say of labels that have too few rows to be on both sides; "" if there are none."""
    names = rows[TRAIN].labels
    if names is None or not (there := set(strata_of(rows[TRAIN]).tolist())) - {0}:
        return ""
    if not (missing := sorted(there - set(strata_of(rows[DEV]).tolist()))):
        return ""
    shown = name_some([names[index] for index in missing], SHOWN_RARE)
    return f"; without {len(missing):,} of {len(there):,} labels, which have too few rows for both sides: {shown}"


def _draw_train(train: Rows, settings: Settings, notes: list[str]) -> Rows:
    if settings.train_rows is None:
        return train
    if settings.train_rows > len(train):
        raise InputError(
            expected=f"--train-rows of at most {len(train):,}, the rows of {train.origin}",
            found=f"--train-rows {settings.train_rows:,}",
            change="the number, or leave --train-rows out to take all",
        )
    drawn = draw_rows(strata_of(train), settings.train_rows, settings.seed, FOR_TRAIN)
    notes.append(f"train: {len(drawn):,} of {len(train):,} rows drawn, seed {settings.seed}")
    return train.select(drawn)


def _fingerprint(rows: dict[SplitKey, Rows]) -> str:
    """Returns a digest (16 hexadecimal digits) of the values and label names of all splits, independent of their
    files."""
    digest = hashlib.sha256()
    for key in sorted(rows):
        part = rows[key]
        text = json.dumps([f"{key.kind} {key.name}".strip(), part.labels, part.digests], sort_keys=True)
        digest.update(text.encode())
    return digest.hexdigest()[:16]
