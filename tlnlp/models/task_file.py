"""tlnlp.json: the task and the encoding settings of a saved model, stored with the weights for `predict`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch

from tlnlp.errors import InputError
from tlnlp.lazy import find_object, path_of
from tlnlp.models.adapter_files import load_adapted
from tlnlp.models.checkpoint_files import TASK_FILE as FILE
from tlnlp.models.checkpoint_files import read_json
from tlnlp.models.checksums import KEY, check_weights, checksums_of
from tlnlp.models.loading import load_whole
from tlnlp.settings import Settings
from tlnlp.task import Columns, Data, Head, Labels, MultiLabel, Regression, Task

# The scores of dev rows, from which `tlnlp.evaluation.conformal` makes prediction sets.
CONFORMAL_FILE = "conformal.json"
# Settings that determine how rows are encoded and predictions decoded.
ENCODED_WITH = ("max_length", "truncate", "windows", "window_overlap", "max_answer")


def write_task(
    folder: Path,
    task: Task,
    labels: tuple[str, ...],
    settings: Settings,
    threshold: float | None,
    adapter: dict[str, Any] | None = None,
    temperature: float | None = None,
) -> None:
    """Writes `folder`/tlnlp.json, after the weights, whose checksums it contains.

    Args:
        labels: names in the order of the network's outputs.
        threshold: null threshold of question answering, see `span.apply_threshold`; None if there is none.
        adapter: what `load_network` needs if the folder contains an adapter and not a complete network.
        temperature: calibration temperature, by which logits are divided; None if there is none.
    """
    given = asdict(settings)
    record = {
        "task": task.name,
        "head": path_of(task.head),
        "columns": task.columns.by_role(),
        "labels": _plain(task.labels, labels),
        "pair_is_symmetric": task.pair_is_symmetric,
        "unanswerable": task.unanswerable,
        "threshold": threshold,
        "temperature": temperature,
        "settings": {name: given[name] for name in ENCODED_WITH},
        "adapter": adapter,
        KEY: checksums_of(folder),
    }
    (folder / FILE).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_conformal(folder: Path, kept: dict[str, Any] | None) -> None:
    """Writes `folder`/conformal.json; removes it if there is none."""
    path = folder / CONFORMAL_FILE
    if kept is None:
        path.unlink(missing_ok=True)
    else:
        path.write_text(json.dumps(kept) + "\n", encoding="utf-8")


def read_conformal(folder: Path) -> dict[str, Any] | None:
    """Reads `folder`/conformal.json; None if there is none."""
    path = folder / CONFORMAL_FILE
    return read_json(path) if path.is_file() else None


class SavedTask(NamedTuple):
    """The task of a saved model.

    Args:
        settings: the settings with which rows are encoded.
        threshold: null threshold of question answering; None if there is none.
        temperature: calibration temperature; None if there is none.
    """

    task: Task
    settings: Settings
    threshold: float | None
    temperature: float | None


def read_task(folder: Path) -> SavedTask:
    """Reads `folder`/tlnlp.json.

    Raises:
        InputError: `folder` has no model that this library saved.
    """
    if not (folder / FILE).is_file():
        there = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) if folder.is_dir() else "no such folder"
        raise InputError(
            expected=f"the folder `model` of a run, which contains {FILE}",
            found=f"{folder}: {there}",
            change="the path: runs/TASK/NAME/model",
        )
    record = read_json(folder / FILE)
    task = Task(
        name=record["task"],
        data=Data(),
        columns=Columns(**record["columns"]),
        head=_find_head(folder, record["head"]),
        labels=_labels(record["labels"]),
        pair_is_symmetric=record["pair_is_symmetric"],
        unanswerable=record["unanswerable"],
    )
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in record["settings"].items()
    }
    settings = Settings(**given, model=str(folder), max_tokens=max(4096, given["max_length"]))
    return SavedTask(task, settings, record["threshold"], record.get("temperature"))  # older versions had none


def load_network(folder: Path, head: Head, *, as_trained: bool = False, device: torch.device | None = None) -> Any:
    """Loads the network that a run saved, in fp32: a complete one, or an adapter with its base checkpoint.

    Args:
        as_trained, device: for the base of an adapter, see `load_adapted`.

    Raises:
        InputError: the weights are not those that were saved; the base checkpoint is missing or has changed.
    """
    check_weights(folder)
    record = read_json(folder / FILE)
    if record.get("adapter"):
        return load_adapted(folder, record["adapter"], head, as_trained=as_trained, device=device)
    return load_whole(folder, head)


def loaded_in(folder: Path) -> str:
    """Returns the form of the weights under the adapter of a saved model; "fp32" if there is none."""
    record = read_json(folder / FILE)
    return (record.get("adapter") or {}).get("load_in", "fp32")


def _find_head(folder: Path, path: str) -> Head:
    """Returns the head by its import path: a module, an object in a module, or an instance of a class in a module."""
    try:
        found = find_object(path)
    except ImportError as error:
        raise InputError(
            expected=f"the head {path}, with which {folder} was trained",
            found=str(error),
            change="make its module importable (run in its folder, or set PYTHONPATH)",
        ) from error
    return found() if isinstance(found, type) else found


def _plain(kind: Labels, names: tuple[str, ...]) -> Any:
    if isinstance(kind, Regression):
        return {"low": kind.low, "high": kind.high} if kind.has_range else {"low": None, "high": None}
    if isinstance(kind, MultiLabel):
        return {"several": list(names), **({"thresholds": kind.thresholds} if kind.thresholds else {})}
    return list(names)


def _labels(plain: Any) -> Labels:
    if isinstance(plain, list):
        return tuple(plain) or None
    if "several" in plain:
        return MultiLabel(plain["several"], plain.get("thresholds"))
    return Regression() if plain["low"] is None else Regression(plain["low"], plain["high"])
