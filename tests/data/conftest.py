"""Folders of files, and a task to read them with."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tlnlp import heads
from tlnlp.data import Splits, load_splits
from tlnlp.settings import Settings
from tlnlp.task import Columns, Data, Labels, Task

NAMES = ("negative", "positive")


def make_task(
    labels: Labels = NAMES, columns: Columns | None = None, data: Data | None = None, unanswerable: bool = False
) -> Task:
    """A task of one sentence, or of other columns; of the head only its optional roles matter here."""
    columns = columns or Columns(text="sentence", label="label")
    return Task("reviews", data or Data(), columns, head=heads.sentence, labels=labels, unanswerable=unanswerable)


def to_jsonl(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def sentences(labels: list[Any], start: str = "row") -> list[dict[str, Any]]:
    """One row for each label, every text its own."""
    return [{"sentence": f"{start} {number}", "label": label} for number, label in enumerate(labels, 1)]


GOOD = sentences([0, 1] * 20)
DEV = sentences([0, 1, 1], "dev")


def said(notes: list[str], *parts: str) -> bool:
    """Whether one of the notes has all these parts."""
    return any(all(part in note for part in parts) for note in notes)


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Splits]:
    """load(rows) writes train.jsonl (and validation, test) in a folder and loads it."""

    def _load(
        train: list[dict[str, Any]],
        dev: list[dict[str, Any]] | None = None,
        test: list[dict[str, Any]] | None = None,
        task: Task | None = None,
        **settings: Any,
    ) -> Splits:
        folder = tmp_path / "mine"
        folder.mkdir(exist_ok=True)
        for name, rows in {"train": train, "validation": dev, "test": test}.items():
            if rows is not None:
                (folder / f"{name}.jsonl").write_text(to_jsonl(rows))
        return load_splits(task or make_task(), Settings(data=str(folder), **settings))

    return _load
