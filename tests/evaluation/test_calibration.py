"""Calibration against scikit-learn's, and on answers whose chances are known."""

from __future__ import annotations

import numpy as np
import pytest
import sklearn
from packaging.version import Version
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV, calibration_curve
from sklearn.frozen import FrozenEstimator

from tlnlp.evaluation.calibration import (
    BINS,
    apply_temperature,
    calibrate,
    calibrate_all,
    calibration_error,
    describe_calibration,
    fit_temperature,
    reliability,
)
from tlnlp.heads.confidences import Confidences
from tlnlp.task import Prediction


def draw(rows: int, temperature: float, labels: int = 3, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels that are right as often as the logits divided by `temperature` say."""
    draw = np.random.default_rng(seed)
    logits = draw.normal(0, 2, (rows, labels))
    confidences = softmax(logits / temperature)
    return logits, np.array([draw.choice(labels, p=line) for line in confidences])


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)


class Given(ClassifierMixin, BaseEstimator):
    """A classifier whose logits are its input."""

    def fit(self, logits: np.ndarray, labels: np.ndarray) -> Given:
        self.classes_ = np.unique(labels)
        return self

    def predict(self, logits: np.ndarray) -> np.ndarray:
        return self.classes_[logits.argmax(1)]

    def decision_function(self, logits: np.ndarray) -> np.ndarray:
        return logits


def test_reliability_is_scikit_learns_calibration_curve() -> None:
    logits, labels = draw(2_000, 1.7)
    found = Confidences.of_all(softmax(logits).tolist(), labels.tolist())
    bins = reliability(found.confidence, found.correct)
    accuracy, confidence = calibration_curve(found.correct, found.confidence, n_bins=BINS)
    assert [each["accuracy"] for each in bins] == pytest.approx(accuracy.tolist())
    assert [each["confidence"] for each in bins] == pytest.approx(confidence.tolist())
    assert sum(each["rows"] for each in bins) == 2_000


@pytest.mark.skipif(Version(sklearn.__version__) < Version("1.8"), reason="scikit-learn has temperatures from 1.8 on")
@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.5])
def test_the_temperature_is_scikit_learns(temperature: float) -> None:
    logits, labels = draw(3_000, temperature)
    theirs = CalibratedClassifierCV(FrozenEstimator(Given().fit(logits, labels)), method="temperature")
    theirs.fit(logits, labels)
    ours = fit_temperature(softmax(logits), labels)
    assert apply_temperature(softmax(logits), ours) == pytest.approx(theirs.predict_proba(logits), abs=2e-3)
    assert ours == pytest.approx(temperature, rel=0.1)  # what the labels were drawn with


def test_answers_that_are_too_sure_are_mended() -> None:
    logits, labels = draw(3_000, 3.0)
    described = describe_calibration(Confidences.of_all(softmax(logits).tolist(), labels.tolist()))
    assert described["error"] > 0.2
    assert described["error_after"] < 0.04


def test_honest_answers_stay_as_they_are() -> None:
    logits, labels = draw(5_000, 1.0)
    described = describe_calibration(Confidences.of_all(softmax(logits).tolist(), labels.tolist()))
    assert described["temperature"] == pytest.approx(1, abs=0.06)
    assert described["error"] < 0.03


def test_a_gap_of_a_quarter_is_an_error_of_a_quarter() -> None:
    found = Confidences(np.full(400, 0.75), np.arange(400) % 2 == 0)
    assert calibration_error(reliability(found.confidence, found.correct)) == pytest.approx(0.25)


def test_lines_of_different_length_are_heated_each_by_itself() -> None:
    found = Confidences.of_all([[0.9, 0.1], [0.5, 0.3, 0.2]], [0, 2])
    heated = apply_temperature(found.of_each, 2.0)
    assert heated[0, 2] == 0
    assert heated[0, :2] == pytest.approx(softmax(np.log([[0.9, 0.1]]) / 2)[0])
    assert found.correct.tolist() == [True, False]


def test_a_near_tie_counts_as_what_was_predicted() -> None:
    """Probabilities are rounded when they are written: two that were nearly equal are then equal."""
    found = Confidences.of_all([[0.5, 0.5], [0.5, 0.5]], [1, 1], [1, 0])
    assert found.correct.tolist() == [True, False]
    assert found.confidence.tolist() == [0.5, 0.5]


def test_certain_and_wrong_rows_do_not_break_the_temperature() -> None:
    found = Confidences.of_all([[1.0, 0.0]] * 30, [0] * 25 + [1] * 5)
    described = describe_calibration(found)
    assert np.isfinite(described["temperature"])
    assert described["error"] == pytest.approx(5 / 30)


def test_a_temperature_that_does_not_help_is_not_used() -> None:
    draw = np.random.default_rng(0)
    used = set()
    for _ in range(40):  # few rows, honestly told: a temperature fits their noise
        confidences = draw.uniform(0.5, 0.99, 30)
        right = (draw.random(30) > confidences).astype(int)
        of_each = np.column_stack([confidences, 1 - confidences])
        found = describe_calibration(Confidences.of_all(of_each.tolist(), right.tolist()))
        used.add(found["temperature"] != 1)
        assert (found["temperature"] != 1) == (found["error_after"] < found["error"])
    assert used == {True, False}


def test_without_a_wrong_prediction_the_confidences_stay() -> None:
    """A lower temperature would always be likelier: a confidence of 0.6 would become 1."""
    described = describe_calibration(Confidences.of_all([[0.9, 0.1], [0.4, 0.6]] * 15, [0, 1] * 15))
    assert described["temperature"] == 1 and described["error_after"] == pytest.approx(described["error"])
    assert calibrate(Prediction("a", 0.6, {"a": 0.6, "b": 0.4}), described["temperature"]) == pytest.approx(0.6)


@pytest.mark.parametrize("confidence", [0.0, 1.0])
def test_the_ends_of_the_scale_have_a_bin(confidence: float) -> None:
    (only,) = reliability(np.full(4, confidence), np.array([True, True, False, False]))
    assert only["from"] <= confidence <= only["to"]


def test_the_answer_of_each_shape_is_calibrated() -> None:
    def sigmoid(logit: float) -> float:
        return 1 / (1 + np.exp(-logit))

    two = Prediction("a", sigmoid(2.0), {"b": sigmoid(-2.0), "a": sigmoid(2.0)})
    assert calibrate(two, 2.0) == pytest.approx(sigmoid(1.0))
    assert calibrate_all(two, 2.0) == pytest.approx({"b": sigmoid(-1.0), "a": sigmoid(1.0)})
    ending = Prediction(1, 0.5, [0.25, 0.5, 0.25])
    assert calibrate(ending, 0.5) == pytest.approx(0.25 / (0.25 + 2 * 0.0625))
    assert calibrate_all(ending, 0.5) == pytest.approx([1 / 6, 4 / 6, 1 / 6])
    several = Prediction(["joy"], [sigmoid(2.0), sigmoid(-4.0)])
    assert calibrate(several, 2.0) == pytest.approx([sigmoid(1.0), sigmoid(-2.0)])
