"""The choice head against Hugging Face's own, and rows that differ in how many endings they have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from tests.heads.conftest import SECOND_TEXTS, TEXTS, Read, as_choices
from tlnlp.data import Rows
from tlnlp.heads import choice
from tlnlp.task import Columns, Data, Task

TASK = Task("tests", Data(), Columns(text="text", endings="endings", label="label"), choice)


@pytest.fixture(params=["bert_with_types", "roberta", "modernbert"])
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def theirs(reading: Any, row: int) -> torch.Tensor:
    """Logits of one row's endings by the network's own call: [endings]."""
    endings = reading.rows.columns["endings"][row]
    inputs = reading.tokenizer(
        [TEXTS[row]] * len(endings), endings, padding=True, truncation=True, max_length=62, return_tensors="pt"
    )
    with torch.no_grad():
        return reading.model(**{name: value.unsqueeze(0) for name, value in inputs.items()}).logits[0]


def test_logits_and_loss_are_those_of_the_networks_own_call_on_each_row(folder: Path, read: Read) -> None:
    reading = read(folder, choice, TASK, as_choices())
    found, expected = reading.forward(reading.batch), 0.0
    for row, label in enumerate(reading.rows.columns["label"]):
        logits = theirs(reading, row)
        np.testing.assert_allclose(found[row][: len(logits)], logits, atol=1e-5)
        assert np.isneginf(found[row][len(logits) :]).all()
        expected += cross_entropy(logits[None], torch.tensor([label])).item()
    assert reading.loss(reading.batch) == pytest.approx(expected, rel=1e-5)
    assert {len(each) for each in reading.rows.columns["endings"]} == {2, 3, 4}


def test_the_answer_is_the_likeliest_of_the_rows_own_endings(folder: Path, read: Read) -> None:
    reading = read(folder, choice, TASK, as_choices())
    for row, answer in enumerate(reading.answers()):
        confidences = theirs(reading, row).softmax(0)
        assert answer.prediction == int(confidences.argmax())
        assert answer.score == pytest.approx(float(confidences.max()), abs=1e-5)
        assert answer.more["ending"] == reading.rows.columns["endings"][row][answer.prediction]


def test_a_prompt_stands_before_each_ending(folder: Path, read: Read) -> None:
    rows = as_choices()
    prompted = Rows({**rows.columns, "prompt": SECOND_TEXTS}, rows.origin, rows.numbers)
    joined = [
        [f"{prompt} {ending}" for ending in endings]
        for prompt, endings in zip(SECOND_TEXTS, rows.columns["endings"], strict=True)
    ]
    by_hand = Rows({**rows.columns, "endings": joined}, rows.origin, rows.numbers)
    first, second = (read(folder, choice, TASK, each) for each in (prompted, by_hand))
    np.testing.assert_array_equal(first.encoded.features["input_ids"].flat, second.encoded.features["input_ids"].flat)


def test_the_majority_is_the_most_frequent_place_or_the_last_that_a_row_has() -> None:
    train = as_choices()
    train.columns["label"][:] = [3, 3, 3, 0, 1, 3, 2]
    answers = choice.majority_baseline(train, as_choices(), TASK)
    assert [each.prediction for each in answers] == [1, 2, 3, 1, 2, 3, 1]
    assert answers[0].score == pytest.approx(4 / 7)
