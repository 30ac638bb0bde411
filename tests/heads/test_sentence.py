"""The sentence head against Hugging Face's own: encoding, logits, loss and answers, from the same weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from sklearn.utils.class_weight import compute_class_weight
from torch.nn.functional import cross_entropy

from tests.heads.conftest import SECOND_TEXTS, SETTINGS, TEXTS, Read, as_rows, as_task
from tlnlp.data import Rows
from tlnlp.heads import sentence
from tlnlp.task import Labels, MultiLabel, Prediction, Regression

ONE = ("bad", "fair", "good")
NAMES = MultiLabel(("dull", "funny", "sad"))
KINDS: dict[str, tuple[Labels, list[Any]]] = {
    "one": (ONE, [2, 0, 0, 2, 1, 2, 0]),
    "several": (NAMES, [(1,), (0, 2), (), (1, 2), (0,), (0, 1, 2), (2,)]),
    "score": (Regression(0, 5), [4.5, 1.0, 0.0, 5.0, 2.25, 3.0, 1.75]),
}
# As Hugging Face's networks take them, written out by hand.
HUGGINGFACE_LABELS = {
    "one": torch.tensor([2, 0, 0, 2, 1, 2, 0]),
    "several": torch.tensor([[0, 1, 0], [1, 0, 1], [0, 0, 0], [0, 1, 1], [1, 0, 0], [1, 1, 1], [0, 0, 1]]).float(),
    "score": torch.tensor([4.5, 1.0, 0.0, 5.0, 2.25, 3.0, 1.75]),
}


@pytest.fixture(params=["bert_with_types", "roberta", "modernbert", "padded_gpt2"])
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("pairs", [False, True], ids=["single", "pairs"])
@pytest.mark.parametrize("kind", KINDS)
def test_logits_and_loss_are_those_of_the_networks_own_call(folder: Path, kind: str, pairs: bool, read: Read) -> None:
    labels, values = KINDS[kind]
    reading = read(folder, sentence, as_task(sentence, labels), as_rows(labels, values, pairs=pairs))
    texts = (TEXTS, SECOND_TEXTS) if pairs else (TEXTS,)
    theirs = reading.tokenizer(
        *texts, padding=True, truncation=True, max_length=SETTINGS.max_length, return_tensors="pt"
    )
    with torch.no_grad():
        expected = reading.model(**theirs, labels=HUGGINGFACE_LABELS[kind])
    np.testing.assert_allclose(reading.forward(reading.batch), expected.logits, atol=1e-6)
    assert reading.loss(reading.batch) == pytest.approx(expected.loss.item() * len(TEXTS), rel=1e-6)
    assert expected.loss.item() > 0.1


def test_a_pair_is_told_apart_by_token_types(bert_with_types: Path, read: Read) -> None:
    labels, values = KINDS["one"]
    reading = read(bert_with_types, sentence, as_task(sentence, labels), as_rows(labels, values, pairs=True))
    assert set(reading.batch["token_type_ids"][0].tolist()) == {0, 1}


def test_long_rows_are_cut_as_the_tokenizer_cuts_them_and_that_is_said(bert_with_types: Path, read: Read) -> None:
    labels, values = KINDS["one"]
    reading = read(bert_with_types, sentence, as_task(sentence, labels), as_rows(labels, values, pairs=True))
    short = type(SETTINGS)(max_length=8, max_tokens=64)
    encoded = sentence.encode(reading.rows, reading.task, reading.tokenizer, short)
    theirs = reading.tokenizer(TEXTS, SECOND_TEXTS, truncation=True, max_length=8)["input_ids"]
    assert [encoded.features["input_ids"][i].tolist() for i in range(len(TEXTS))] == theirs
    whole = reading.tokenizer(TEXTS, SECOND_TEXTS)["input_ids"]
    rows_cut = sum(len(ids) > 8 for ids in whole)
    assert 0 < rows_cut <= len(TEXTS)
    types = reading.tokenizer(TEXTS, SECOND_TEXTS, truncation=True, max_length=8)["token_type_ids"]
    of_all = reading.tokenizer(TEXTS, SECOND_TEXTS)["token_type_ids"]
    cut = [sum(a.count(kind) < b.count(kind) for a, b in zip(types, of_all, strict=True)) for kind in (0, 1)]
    where = f"text of {cut[0]}, text_pair of {cut[1]}"
    assert encoded.notes == [f"tests: {rows_cut} rows ({rows_cut / len(TEXTS):.1%}) truncated to 8 tokens ({where})"]
    assert reading.encoded.notes == []


def _pipeline(reading: Any, **how: Any) -> list[Any]:
    ask = transformers.pipeline("text-classification", model=reading.model, tokenizer=reading.tokenizer, device="cpu")
    return ask(TEXTS, **how)


def test_one_label_is_answered_as_the_pipeline_does(folder: Path, read: Read) -> None:
    labels, values = KINDS["one"]
    reading = read(folder, sentence, as_task(sentence, labels), as_rows(labels, values))
    answers, theirs = reading.answers(), _pipeline(reading)
    assert [each.prediction for each in answers] == [each["label"] for each in theirs]
    assert [each.score for each in answers] == pytest.approx([each["score"] for each in theirs], abs=1e-5)


def test_several_labels_are_answered_as_the_pipeline_does(folder: Path, read: Read) -> None:
    labels, values = KINDS["several"]
    reading = read(folder, sentence, as_task(sentence, labels), as_rows(labels, values))
    answers = reading.answers()
    for answer, theirs in zip(answers, _pipeline(reading, top_k=None), strict=True):
        confidences = {each["label"]: each["score"] for each in theirs}
        assert dict(zip(NAMES, answer.score, strict=True)) == pytest.approx(confidences, abs=1e-5)
        assert answer.prediction == [name for name in NAMES if confidences[name] > 0.5]
    assert len({tuple(each.prediction) for each in answers}) > 1


def test_a_score_is_answered_as_the_pipeline_does(folder: Path, read: Read) -> None:
    labels, values = KINDS["score"]
    reading = read(folder, sentence, as_task(sentence, labels), as_rows(labels, values))
    theirs = [each["score"] for each in _pipeline(reading, function_to_apply="none")]
    assert [each.prediction for each in reading.answers()] == pytest.approx(theirs, abs=1e-5)


def test_predictions_and_references_are_judged_in_one_numbering() -> None:
    task, rows = as_task(sentence, ONE), as_rows(ONE, KINDS["one"][1])
    answers = [Prediction(name) for name in ("good", "fair", "bad", "bad", "fair", "good", "good")]
    metric_inputs = sentence.metric_inputs(answers, rows, task)
    assert metric_inputs == {"predictions": [2, 1, 0, 0, 1, 2, 2], "references": [2, 0, 0, 2, 1, 2, 0]}
    task, rows = as_task(sentence, NAMES), as_rows(NAMES, KINDS["several"][1])
    metric_inputs = sentence.metric_inputs([Prediction(["funny"])] * 7, rows, task)
    assert metric_inputs["predictions"] == [[0, 1, 0]] * 7
    assert metric_inputs["references"] == HUGGINGFACE_LABELS["several"].int().tolist()


def test_the_majority_is_the_most_frequent_label_of_the_train_rows() -> None:
    train, dev = as_rows(ONE, [0, 1, 1, 2, 1, 1, 0]), as_rows(ONE, [0] * 7)
    answers = sentence.majority_baseline(train, dev, as_task(sentence, ONE))
    shares = {"bad": pytest.approx(2 / 7), "fair": pytest.approx(4 / 7), "good": pytest.approx(1 / 7)}
    assert answers == [Prediction("fair", pytest.approx(4 / 7), shares)] * 7
    scores = as_rows(Regression(0, 5), KINDS["score"][1])
    answers = sentence.majority_baseline(scores, scores, as_task(sentence, Regression(0, 5)))
    assert answers is not None
    assert answers[0].prediction == pytest.approx(2.5)


def test_rows_and_labels_weigh_as_in_the_weighted_mean_of_torch(bert_with_types: Path, read: Read) -> None:
    labels, values = KINDS["one"]
    weights = [1.0, 0.0, 2.5, 1.0, 0.5, 3.0, 1.0]
    rows = as_rows(labels, values)
    reading = read(bert_with_types, sentence, as_task(sentence, labels), rows)
    logits = torch.from_numpy(reading.forward(reading.batch))
    targets = torch.tensor(values)

    def mean_loss(weighted: Rows, **settings: Any) -> float:
        encoded = sentence.encode(weighted, reading.task, reading.tokenizer, replace(SETTINGS, **settings))
        batch = sentence.collate(encoded, reading.items, reading.tokenizer, np.random.default_rng(0))
        return reading.loss(batch) / encoded.counts.sum()

    by_row = cross_entropy(logits, targets, reduction="none")
    weighted = Rows({**rows.columns, "weight": weights}, rows.origin, rows.numbers, rows.labels)
    expected = float((by_row * torch.tensor(weights)).sum() / sum(weights))
    assert mean_loss(weighted) == pytest.approx(expected, rel=1e-5)
    balanced = torch.tensor(compute_class_weight("balanced", classes=np.arange(3), y=np.asarray(values)))
    expected = cross_entropy(logits.double(), targets, weight=balanced).item()
    assert mean_loss(rows, class_weights="balanced") == pytest.approx(expected, rel=1e-5)
    assert mean_loss(rows) == pytest.approx(by_row.mean().item(), rel=1e-5)
