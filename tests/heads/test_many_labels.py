"""More labels than predictions have scores of: the best are kept, and everything that is computed from them holds."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tlnlp.data.rows import Rows
from tlnlp.evaluation.calibration import calibrate, describe_calibration
from tlnlp.evaluation.label_scores import most_frequent, score_labels
from tlnlp.evaluation.predictions import lines_of
from tlnlp.evaluation.scoring import measure
from tlnlp.heads import sentence
from tlnlp.heads.encoded import EncodedDataset
from tlnlp.heads.sentence import MOST_SCORES
from tlnlp.recipe import load_recipe
from tlnlp.task import MultiLabel, Prediction

COUNT, ROWS = 400, 60
NAMES = tuple(f"label {i}" for i in range(COUNT))
TASK = load_recipe("own_classification").task
NOTHING = EncodedDataset({}, np.arange(0), np.ones(0))


def logits(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 3, (ROWS, COUNT)).astype(np.float32)


def one() -> tuple[Rows, list[Prediction], np.ndarray]:
    found = logits()
    draw = np.random.default_rng(1)
    chances = np.exp(found) / np.exp(found).sum(1, keepdims=True)
    labels = [int(draw.choice(COUNT, p=line / line.sum())) for line in chances]
    rows = Rows({"text": ["a"] * ROWS, "label": labels}, "tests", np.arange(ROWS), NAMES)
    return rows, sentence.decode(list(found), NOTHING, rows, TASK), chances


def test_the_best_scores_are_kept_best_first() -> None:
    rows, predictions, chances = one()
    for each, line in zip(predictions, chances, strict=True):
        assert len(each.scores) == MOST_SCORES
        best = np.argsort(-line, kind="stable")[:MOST_SCORES]
        assert list(each.scores) == [NAMES[i] for i in best]
        assert each.prediction == next(iter(each.scores)) and each.score == pytest.approx(line.max())
        assert list(each.scores.values()) == pytest.approx(line[best].tolist(), rel=1e-4)
    longest = max(map(len, lines_of(rows, predictions).splitlines()))
    assert longest < 50 * MOST_SCORES


def test_what_is_left_out_is_one_class_in_calibration() -> None:
    rows, predictions, chances = one()
    found = sentence.confidences(predictions, rows, TASK)
    assert found is not None and found.of_each is not None
    assert found.of_each.shape == (ROWS, MOST_SCORES + 1)
    assert found.of_each.sum(1) == pytest.approx(np.ones(ROWS), abs=1e-4)
    assert (found.correct == (chances.argmax(1) == rows.columns["label"])).all()
    outside = [NAMES[label] not in each.scores for label, each in zip(rows.columns["label"], predictions, strict=True)]
    assert any(outside) and (found.right == MOST_SCORES).tolist() == outside
    assert 0.5 < describe_calibration(found)["temperature"] < 2  # the labels were drawn from these probabilities
    warm = calibrate(predictions[0], 2.0)
    assert isinstance(warm, float) and warm < predictions[0].score


def test_several_of_many_labels_are_scored_as_few_are() -> None:
    task = TASK.with_several(MultiLabel(NAMES))
    found = logits(2) - 4
    held = [tuple(np.flatnonzero(line > 1).tolist()) for line in found]
    rows = Rows({"text": ["a"] * ROWS, "label": held}, "tests", np.arange(ROWS), NAMES)
    predictions = sentence.decode(list(found), NOTHING, rows, task)
    for each, line in zip(predictions, found, strict=True):
        assert each.prediction == [NAMES[i] for i in np.flatnonzero(line > 0)]
        assert len(each.scores) == MOST_SCORES and each.score == [each.scores[name] for name in each.prediction]
    targets = sentence.row_targets(rows, task)
    assert targets is not None and targets.dtype == bool and targets.sum() == sum(map(len, held))
    scores = measure(task, predictions, rows)
    told = [set(each.prediction) for each in predictions]
    right = [{NAMES[i] for i in labels} for labels in held]
    assert scores["accuracy"] == np.mean([a == b for a, b in zip(told, right, strict=True)])
    table = most_frequent(score_labels(task, predictions, rows))
    assert table is not None and len(table["each"]) == MOST_SCORES
    assert len(json.dumps(table)) < 200 * MOST_SCORES
