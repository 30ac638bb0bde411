"""The report's section on when not to answer."""

from __future__ import annotations

import numpy as np
import pytest

from tlnlp.data.rows import Rows
from tlnlp.evaluation import conformal
from tlnlp.evaluation.calibration import abstention, describe_calibration
from tlnlp.evaluation.conformal import Calibration, describe_sets, keep_scores
from tlnlp.heads import sentence
from tlnlp.heads.confidences import Confidences
from tlnlp.reporting.abstention import describe_abstention
from tlnlp.task import Columns, Data, MultiLabel, Prediction, Regression, Task


def task_with(labels: object) -> Task:
    return Task("t", Data(), Columns(text="text", label="label"), sentence, labels)  # type: ignore[arg-type]


def predict_some(rows: int, seed: int = 0) -> tuple[list[Prediction], Rows]:
    draws = np.random.default_rng(seed)
    chances = draws.uniform(0.5, 1, rows)
    right = (draws.random(rows) > chances).astype(int)
    found = [Prediction("a", chance, {"a": chance, "b": 1 - chance}) for chance in chances.tolist()]
    columns = {"text": ["x"] * rows, "label": right.tolist()}
    return found, Rows(columns, "tests", np.arange(1, rows + 1), ("a", "b"))


def test_the_tables_say_what_was_measured() -> None:
    predictions, rows = predict_some(200)
    sets = describe_sets(predictions, rows, task_with(("a", "b")))
    confidences = sentence.confidences(predictions, rows, task_with(("a", "b")))
    assert sets is not None and confidences is not None
    shown = describe_abstention(sets, describe_calibration(confidences))
    assert "200 rows" in shown["words"]
    assert len(shown["sets"]) == 1 + 2 * 3 and shown["sets"][1][:2] == ["0.05", "LAC"]
    assert shown["sets"][1][2] == f"{sets['measured']['lac'][0]['coverage']:.3f}"
    assert [line[0] for line in shown["abstention"][1:]] == ["0.5", "0.6", "0.7", "0.8", "0.9", "0.95"]


def test_without_sets_and_confidences_there_is_no_section() -> None:
    assert describe_abstention(None, None) == {}
    confidences = sentence.confidences(*predict_some(200), task_with(("a", "b")))
    assert confidences is not None
    without_sets = describe_abstention(None, describe_calibration(confidences))
    assert without_sets["sets"] == [] and without_sets["abstention"]
    few, rows = predict_some(6)
    assert describe_abstention(describe_sets(few, rows, task_with(("a", "b"))), None) == {}


def test_abstention_counts_what_is_left() -> None:
    lines = {each["below"]: each for each in abstention(np.array([0.55, 0.85, 0.92]), np.array([False, True, True]))}
    assert (lines[0.5]["answered"], lines[0.5]["accuracy"]) == (1.0, pytest.approx(2 / 3))
    assert (lines[0.6]["answered"], lines[0.6]["accuracy"]) == (pytest.approx(2 / 3), 1.0)
    assert (lines[0.95]["answered"], lines[0.95]["accuracy"]) == (0.0, None)
    only = Confidences(np.array([0.7] * 12), np.arange(12) % 2 == 0)  # without the probabilities of all classes
    assert describe_calibration(only)["abstention"][2] == {"below": 0.7, "answered": 1.0, "accuracy": 0.5}


@pytest.mark.parametrize("labels", [MultiLabel(("a", "b")), Regression(0, 5)])
def test_several_labels_and_numbers_have_no_sets(labels: object) -> None:
    predictions, rows = predict_some(50)
    assert describe_sets(predictions, rows, task_with(labels)) is None
    assert keep_scores(predictions, rows, task_with(labels)) is None


def test_a_diverged_run_keeps_no_scores() -> None:
    predictions, rows = predict_some(50)
    nan = [Prediction("a", float("nan"), {"a": float("nan"), "b": float("nan")}) for _ in predictions]
    assert keep_scores(nan, rows, task_with(("a", "b"))) is None
    kept = keep_scores(predictions, rows, task_with(("a", "b")))
    assert kept is not None and Calibration.from_json(kept).rows == 50


def test_of_many_labels_the_best_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of which alone a prediction has scores: a row whose right label is not among them needs a set of all."""
    labels = tuple(f"label{i}" for i in range(300))
    draws = np.random.default_rng(0)
    chances = draws.dirichlet(np.full(300, 0.02), 400)
    right = [int(draws.choice(300, p=line)) for line in chances]
    predictions = []
    for line in chances:
        best = np.argsort(-line)[:100]
        scores = {labels[i]: float(line[i]) for i in best}
        predictions.append(Prediction(labels[best[0]], float(line[best[0]]), scores))
    rows = Rows({"text": ["x"] * 400, "label": right}, "tests", np.arange(400), labels)
    sets = describe_sets(predictions, rows, task_with(labels))
    assert sets is not None and sets["rows"] == 400
    assert sets["measured"]["lac"][1]["coverage"] == pytest.approx(0.9, abs=0.05)
    assert sets["measured"]["lac"][1]["mean_size"] < 20
    monkeypatch.setattr(conformal, "MOST_CHANCES", 300 * 250)
    kept = keep_scores(predictions, rows, task_with(labels))
    assert kept is not None and kept["rows"] == 250
