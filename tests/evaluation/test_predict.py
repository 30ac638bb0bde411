"""Answers: one for each row, in the rows' order, and those that the network gives when asked row by row."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.fixtures import DEV_ROWS
from tests.recipe_runs import begin
from tlnlp.evaluation.predict import predict
from tlnlp.heads import sentence
from tlnlp.runs.setup import PreparedRun


def answer(work: PreparedRun, **changes: Any) -> list[dict[str, Any]]:
    training = work.training
    asked = {
        "model": training.model, "encoded": work.encoded_eval, "rows": work.eval_rows, "task": training.task,
        "tokenizer": training.tokenizer, "max_tokens": training.settings.max_tokens,
        "accelerator": training.accelerator, **changes,
    }  # fmt: skip
    return predict(**asked)


@pytest.fixture
def work(any_checkpoint: Path, reviews: Path, tmp_path: Path) -> PreparedRun:
    return begin("sst2", tmp_path, model=str(any_checkpoint), data=str(reviews), max_tokens=100)


def test_every_row_has_the_answer_that_the_network_gives_it_alone(work: PreparedRun) -> None:
    answers = answer(work)
    assert len(answers) == len(work.eval_rows) == DEV_ROWS
    model = work.training.model.eval()
    for text, found in zip(work.eval_rows.columns["text"], answers, strict=True):
        with torch.no_grad():
            logits = model(**work.training.tokenizer(text, truncation=True, max_length=32, return_tensors="pt")).logits
        confidences = logits[0].softmax(-1)
        assert found.prediction == ("negative", "positive")[int(confidences.argmax())]
        assert found.score == pytest.approx(float(confidences.max()), rel=1e-5)


def test_answers_do_not_depend_on_the_random_state_or_on_training_mode(work: PreparedRun) -> None:
    work.training.model.train()
    torch.manual_seed(1)
    first = answer(work)
    work.training.model.train()
    torch.manual_seed(2)
    assert answer(work) == first
    assert all(parameter.grad is None for parameter in work.training.model.parameters())


def test_the_progress_counts_every_item_once(work: PreparedRun) -> None:
    told: list[int] = []
    answer(work, advance=told.append)
    assert sum(told) == DEV_ROWS
    assert len(told) > 1


class Changed:
    """The sentence head with one function replaced."""

    def __init__(self, **functions: Any) -> None:
        self._functions = functions

    def __getattr__(self, name: str) -> Any:
        return self._functions[name] if name in self._functions else getattr(sentence, name)


def _loses_one(*arguments: Any) -> list[dict[str, Any]]:
    return sentence.decode(*arguments)[:-1]


def _says_one_twice(*arguments: Any) -> list[dict[str, Any]]:
    answers = sentence.decode(*arguments)
    return [*answers, answers[0]]


@pytest.mark.parametrize("decode", [_loses_one, _says_one_twice])
def test_a_head_with_more_or_fewer_answers_than_rows_is_an_error(decode: Any, work: PreparedRun) -> None:
    task = replace(work.training.task, head=Changed(decode=decode))
    with pytest.raises(RuntimeError, match="there must be exactly one for each"):
        answer(work, task=task)


def test_a_head_whose_network_answers_too_few_items_is_an_error(work: PreparedRun) -> None:
    head = Changed(forward=lambda model, batch: sentence.forward(model, batch)[1:])
    with pytest.raises(ValueError, match="shorter"):
        answer(work, task=replace(work.training.task, head=head))


def test_an_item_that_is_dealt_to_nobody_or_twice_is_an_error(
    work: PreparedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong in ([0, 1, 2], [*range(DEV_ROWS), 0]):
        pieces = [np.asarray([item]) for item in wrong]
        monkeypatch.setattr("tlnlp.evaluation.predict.cut", lambda *_, pieces=pieces, **how: pieces)
        with pytest.raises(RuntimeError, match="there must be exactly one for each"):
            answer(work)
