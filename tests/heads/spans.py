"""Questions about contexts, encoded, and the answers that a network with given logits would give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from hypothesis import HealthCheck, settings

from tests.heads.conftest import SETTINGS
from tlnlp.data import Rows
from tlnlp.heads import span
from tlnlp.heads.encoded import EncodedDataset
from tlnlp.settings import Settings
from tlnlp.task import Columns, Data, Task

COLUMNS = Columns(question="question", context="context", answers="answers")
ANSWERED = Task("tests", Data(), COLUMNS, span)
WITH_NONE = replace(ANSWERED, unanswerable=True)
NONE: dict[str, list[Any]] = {"text": [], "answer_start": []}

properties = settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


def as_rows(questions: Sequence[str], contexts: Sequence[str], answers: Sequence[Any] | None, **more: Any) -> Rows:
    columns: dict[str, list[Any]] = {"question": list(questions), "context": list(contexts), **more}
    if answers is not None:
        columns["answers"] = list(answers)
    return Rows(columns, "tests", np.arange(1, len(contexts) + 1), None)


def stands_at(context: str, text: str) -> dict[str, list[Any]]:
    return {"text": [text], "answer_start": [context.index(text)]}


def asked(max_length: int, window_overlap: int = 128, max_answer: int = 30) -> Settings:
    return replace(
        SETTINGS, max_length=max_length, window_overlap=window_overlap, max_answer=max_answer, max_tokens=10_000
    )


def encode(rows: Rows, tokenizer: Any, wanted: Settings = SETTINGS, task: Task = ANSWERED) -> EncodedDataset:
    return span.encode(rows, task, tokenizer, wanted)


def collate(encoded: EncodedDataset, tokenizer: Any) -> dict[str, Any]:
    return span.collate(encoded, np.arange(len(encoded)), tokenizer, np.random.default_rng(0))


def blank_logits(encoded: EncodedDataset) -> np.ndarray:
    """Start and end of every place, nothing speaking for any: [items, longest, 2]."""
    return np.zeros((len(encoded), encoded.lengths.max(), 2), dtype=np.float32)


def answers_of(
    logits: np.ndarray, encoded: EncodedDataset, rows: Rows, tokenizer: Any, task: Task
) -> list[dict[str, Any]]:
    """The answers where the network says `logits`."""

    def network(**inputs: Any) -> Any:
        starts, ends = torch.from_numpy(logits).unbind(-1)
        return SimpleNamespace(start_logits=starts, end_logits=ends)

    outputs = span.forward(network, collate(encoded, tokenizer)).numpy()  # type: ignore[arg-type]
    return span.decode(list(outputs), encoded, rows, task)


def text_between(encoded: EncodedDataset, item: int, rows: Rows, first: int, last: int) -> str:
    starts, ends = encoded.alignment["starts"][item], encoded.alignment["ends"][item]
    return rows.columns["context"][encoded.rows[item]][starts[first] : ends[last]]
