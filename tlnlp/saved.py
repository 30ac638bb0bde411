"""What a saved model is for: the task and what its rows were encoded with, kept beside the weights for `predict`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from tlnlp import heads
from tlnlp.adapted import load_adapted
from tlnlp.errors import InputError
from tlnlp.heads import Head
from tlnlp.model import load_whole
from tlnlp.recipe import Columns, Data, Labels, Score, Several, Task
from tlnlp.settings import Settings

FILE = "tlnlp.json"
# What decides how rows become sequences, and answers.
ENCODED_WITH = ("max_length", "truncate", "window_overlap", "max_answer")


def write_task(
    folder: Path,
    task: Task,
    labels: tuple[str, ...],
    settings: Settings,
    threshold: float | None,
    adapter: dict[str, Any] | None = None,
    temperature: float | None = None,
) -> None:
    """Writes `folder`/tlnlp.json.

    Args:
        labels: names in the order of the network's outputs.
        threshold: of question answering, see `span.apply_threshold`; None where there is none.
        adapter: what `load_network` must know where the folder holds an adapter and not the whole network.
        temperature: what the logits are to be divided by for honest probabilities; None where it is not known.
    """
    given = asdict(settings)
    record = {
        "task": task.name,
        "head": task.head.__name__.rpartition(".")[2],
        "columns": task.columns.by_role(),
        "labels": _plain(task.labels, labels),
        "symmetric": task.symmetric,
        "unanswerable": task.unanswerable,
        "threshold": threshold,
        "temperature": temperature,
        "settings": {name: given[name] for name in ENCODED_WITH},
        "adapter": adapter,
    }
    (folder / FILE).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


class Saved(NamedTuple):
    """What a saved model is for.

    Args:
        settings: those that its rows are encoded with.
        threshold: of question answering; None where there is none.
        temperature: of its probabilities; None where it is not known.
    """

    task: Task
    settings: Settings
    threshold: float | None
    temperature: float | None


def read_task(folder: Path) -> Saved:
    """What stands in `folder`/tlnlp.json.

    Raises:
        InputError: `folder` holds no model that this library wrote.
    """
    if not (folder / FILE).is_file():
        there = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) if folder.is_dir() else "no such folder"
        raise InputError(
            expected=f"the folder `model` that a run wrote, with {FILE} in it",
            found=f"{folder}: {there}",
            change="the path: runs/TASK/NAME/model",
        )
    record = json.loads((folder / FILE).read_text(encoding="utf-8"))
    task = Task(
        name=record["task"],
        data=Data(),
        columns=Columns(**record["columns"]),
        head=getattr(heads, record["head"]),
        labels=_labels(record["labels"]),
        symmetric=record["symmetric"],
        unanswerable=record["unanswerable"],
    )
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in record["settings"].items()
    }
    settings = Settings(**given, model=str(folder), max_tokens=max(4096, given["max_length"]))
    return Saved(task, settings, record["threshold"], record.get("temperature"))  # an older version had none


def load_network(folder: Path, head: Head) -> Any:
    """The network that a run saved, in fp32: whole, or an adapter in the checkpoint that it belongs to.

    Raises:
        InputError: that checkpoint is not there any more, or is another one.
    """
    record = json.loads((folder / FILE).read_text(encoding="utf-8"))
    if record.get("adapter"):
        return load_adapted(folder, record["adapter"], head)
    return load_whole(folder, head)


def _plain(kind: Labels, names: tuple[str, ...]) -> Any:
    if isinstance(kind, Score):
        return {"low": kind.low, "high": kind.high}
    return {"several": list(names)} if isinstance(kind, Several) else list(names)


def _labels(plain: Any) -> Labels:
    if isinstance(plain, list):
        return tuple(plain) or None
    return Several(plain["several"]) if "several" in plain else Score(plain["low"], plain["high"])
