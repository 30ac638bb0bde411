"""Rows in several languages: source languages to train on, target languages to evaluate on, and where their files
are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from tlnlp.data.bytes_to_text import FileFormat, split_suffixes
from tlnlp.data.files import FORMATS
from tlnlp.data.hub import read_hub
from tlnlp.data.rows import DEV, TEST, TRAIN, Rows, SplitKey, strata_of
from tlnlp.data.sampling import FEW_SHOT, draw_rows
from tlnlp.data.split_files import read_path
from tlnlp.data.table import Table
from tlnlp.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from tlnlp.settings import Settings
    from tlnlp.task import Data, Task


@dataclass(frozen=True)
class Languages:
    """The languages of a run.

    Args:
        source: the source language; its dev rows are the ones evaluated during training.
        more: further languages to train on.
        targets: target languages, evaluated at the end.
    """

    source: str
    more: tuple[str, ...]
    targets: tuple[str, ...]


def choose_languages(task: Task, settings: Settings, samples: Path) -> Languages | None:
    """Returns the languages of a run; None if the task has only one.

    Raises:
        InputError: a language is missing, or language flags are given for a task with only one language.
    """
    if settings.transfer_data is None and not task.target_languages:
        _refuse_flags(task, settings)
        return None
    there = _find_languages(task, settings.data, samples)
    source, *more = _choose("train-language", settings.train_language, there) or (task.language,)
    if settings.transfer_data is not None:
        there = [*dict.fromkeys([*_find_languages(task, settings.transfer_data, samples), *there])]
    # A folder may have more languages than the task declares: they are evaluated only if requested.
    usual = [
        each for each in there if each in task.target_languages or not task.target_languages or each == task.language
    ]
    targets = _choose("languages", settings.languages, there) or usual
    return Languages(source, tuple(more), tuple(each for each in targets if each != source))


def _refuse_flags(task: Task, settings: Settings) -> None:
    for name in ("train_language", "languages", "few_shot", "show_oracle"):
        if getattr(settings, name):
            flag = f"--{name.replace('_', '-')}"
            raise InputError(
                expected="a task with several languages, or --transfer-data FOLDER with rows in other languages",
                found=f"{flag}, but {task.name} has only one language",
                change=f"--transfer-data, or omit {flag}",
            )


def _choose(flag: str, chosen: tuple[str, ...], there: Sequence[str]) -> tuple[str, ...]:
    for each in chosen:
        if each not in there or chosen.count(each) > 1:
            raise InputError(
                expected=f"--{flag}: some of {', '.join(there)}, each once",
                found=f"{each} twice" if each in there else f"{each}{did_you_mean(each, there)}",
                change=f"the names after --{flag}, or --transfer-data FOLDER with rows in other languages",
            )
    return chosen


def _find_languages(task: Task, where: str, samples: Path) -> list[str]:
    """Returns the languages that have rows in this location, the task's own language first."""
    if where == "hub":
        return [each for each in (task.language, *task.target_languages) if data_of(task, each).hub is not None]
    path = samples / (task.data.sample or "") if where == "sample" else Path(where).expanduser()
    found = _languages_in(path)
    return list(dict.fromkeys([task.language, *(each for each in task.target_languages if each in found), *found]))


def data_of(task: Task, language: str) -> Data:
    """Returns the location of a language's rows. If the task does not declare the language, split names are the
    task's."""
    if language == task.language:
        return task.data
    return task.target_languages.get(language, replace(task.data, hub=None, sample=None))


def place_of(path: Path, language: str, task: Task) -> Path:
    """Returns path/de, path/de.jsonl and so on; for the task's own language, `path` itself if none of these exist.

    Raises:
        InputError: there is nothing for this language.
    """
    path = path.expanduser()
    if path.is_dir():
        if (path / language).is_dir():
            return path / language
        files = [file for file in sorted(path.iterdir()) if _language_file(file) == language]
        if len(files) == 1:
            return files[0]
    if language == task.language:
        return path
    there = _languages_in(path)
    raise InputError(
        expected=f"rows in {language}: {path / language} or {path / language}.jsonl",
        found=f"in {path}: {', '.join(there) or 'no folder or file named by a language code'}",
        change="--languages with the languages that exist, or --transfer-data FOLDER with the others",
    )


def _languages_in(path: Path) -> list[str]:
    """Returns the names of folders and data files that are short enough to be language codes."""
    path = path.expanduser()
    if not path.is_dir():
        return []
    names = {each.name if each.is_dir() else _language_file(each) for each in path.iterdir()}
    return sorted(name for name in names if name and name[:2].isalpha() and len(name.partition("-")[0]) <= 3)


def _language_file(file: Path) -> str | None:
    """Returns 'de' for de.jsonl.gz; None if the suffix is not that of a data file."""
    ending, compression = split_suffixes(file)
    return file.name[: len(file.name) - len(ending + compression)] if ending in FORMATS and file.is_file() else None


def read_languages(task: Task, settings: Settings, languages: Languages, samples: Path) -> dict[SplitKey, Table]:
    """Returns the tables that exist: train rows of further languages ("more"), rows to evaluate ("target"), and train
    rows of these languages for few-shot ("few").

    If a language has no train rows, few-shot rows come from those to evaluate, see `settle`.
    """
    tables: dict[SplitKey, Table] = {}
    for language in languages.more:
        found = _read(task, settings, language, samples, settings.data, need="train")
        tables[SplitKey("more", language)] = found[TRAIN]
    where = settings.transfer_data or settings.data
    for language in languages.targets:
        # The rows of the task's own language may be in `--data` only.
        apart = where if language != task.language or language in _languages_in(Path(where)) else settings.data
        found = _read(task, settings, language, samples, apart, need="dev")
        tables[SplitKey("target", language)] = found[DEV]
        if (few := SplitKey("few", language)) in found:
            tables[few] = found[few]
    return tables


def _read(
    task: Task, settings: Settings, language: str, samples: Path, where: str, *, need: Literal["train", "dev"]
) -> Mapping[SplitKey, Table]:
    data = data_of(task, language)
    few = {SplitKey("few", language): data.train} if settings.few_shot is not None else {}
    if where == "hub":
        return read_hub(task.name, data, few, need=need)
    path = samples / (data.sample or "") if where == "sample" else Path(where)
    form = FileFormat.of(settings, task, data)
    place = place_of(path, language, task)
    return read_path(place, data.train, data.dev, few, form, need=need, keep=not settings.no_cache, alone=False)


def settle(
    rows: dict[SplitKey, Rows],
    languages: Languages,
    settings: Settings,
    tables: Mapping[SplitKey, Table],
    notes: list[str],
) -> dict[SplitKey, Rows]:
    """Adds few-shot rows to train, and removes evaluation rows that were trained on in any language: in parallel data
    (data sets with the same number of rows), rows with the same number are translations of each other.

    Args:
        rows: the rows after the splits have been made.
        tables: the tables from which the rows were read.
    """
    sizes = {table.origin: len(table) for table in tables.values()}
    learnt: list[tuple[int, set[int]]] = []
    if DEV not in tables:  # train and dev come from one table; rows for model selection count as train rows
        known = [rows[TRAIN], *([rows[DEV]] if settings.chooses_on_dev else [])]
        learnt.append((len(tables[TRAIN]), {number for each in known for number in each.numbers.tolist()}))
    parts = [rows[TRAIN], *(rows[SplitKey("more", each)] for each in languages.more)]
    contexts: set[str] = set()
    for language in languages.targets if settings.few_shot else ():
        assert settings.few_shot is not None
        from_train = SplitKey("few", language) in rows
        pool = rows[SplitKey("few" if from_train else "target", language)]
        if settings.few_shot >= len(pool) + from_train:
            raise InputError(
                expected=f"--few-shot with fewer rows than {pool.origin} has ({len(pool):,})",
                found=f"--few-shot {settings.few_shot}",
                change="the number after --few-shot",
            )
        few = pool.select(draw_rows(strata_of(pool), settings.few_shot, settings.seed, FEW_SHOT))
        parts.append(few)
        contexts |= set(few.columns.get("context", ()))
        if not from_train:
            learnt.append((sizes[pool.origin], set(few.numbers.tolist())))
        notes.append(f"train: {len(few):,} rows of {pool.origin} added")
    settled = {key: each for key, each in rows.items() if key.kind not in ("more", "few")}
    settled[TRAIN] = parts[0].followed_by(*parts[1:]) if len(parts) > 1 else parts[0]
    reported = TEST if TEST in settled else DEV
    for key in [key for key in settled if key.kind == "target" or key == reported]:
        settled[key] = _without(settled[key], sizes[settled[key].origin], learnt, contexts, settings, notes)
    return settled


def _without(
    rows: Rows, size: int, learnt: list[tuple[int, set[int]]], contexts: set[str], settings: Settings, notes: list[str]
) -> Rows:
    """Returns the rows that are not train rows in any language."""
    # The bundled samples are translations of the first rows of the English sample.
    taken = {number for there, numbers in learnt if settings.data == "sample" or there == size for number in numbers}
    stay = ~np.isin(rows.numbers, list(taken))
    if contexts and "context" in rows.columns:
        stay &= np.array([context not in contexts for context in rows.columns["context"]])
    if stay.all():
        return rows
    if not stay.any():
        raise InputError(
            expected=f"rows of {rows.origin} that are not train rows",
            found=f"all {len(rows):,} are train rows, in this or another language",
            change="fewer rows after --few-shot, or remove this language from --languages",
        )
    notes.append(f"{rows.origin}: {(~stay).sum():,} rows dropped that are train rows in this or another language")
    return rows.select(np.flatnonzero(stay))
