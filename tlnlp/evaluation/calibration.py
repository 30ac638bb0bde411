"""Calibration: whether 80 % of the predictions with a confidence of 0.8 are correct (Guo et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar

from tlnlp.heads.confidences import Confidences
from tlnlp.task import Prediction

BINS = 15  # Guo et al. 2017, table 1
# Lower bound of probabilities. Otherwise a single row with a probability near 0 would determine the temperature.
LEAST_CHANCE = 1e-7
# Range of temperatures. Beyond it all probabilities are equal, or 0 and 1.
LEAST_TEMPERATURE, MOST_TEMPERATURE = 0.05, 20.0
FOLDS = 5
LEAST_REST = 1e-4
# Thresholds of confidence whose effect is measured.
ABSTAIN_BELOW = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


def describe_calibration(found: Confidences) -> dict[str, Any]:
    """Computes the reliability, the calibration error, and the effect of temperature scaling.

    Returns:
        bins: [{from, to, rows, confidence, accuracy}], without empty ones; error: expected calibration error;
        temperature and error_after, if the probabilities of all classes are known. The temperature is fitted on all
        rows; its error is cross-validated: each fifth of the rows is scaled by a temperature fitted on the others.
        Where that error is no smaller than without one, the temperature is 1.
        abstention: [{below, answered, accuracy}], the share of predictions whose confidence, scaled in the same way, is
        not below a threshold, and how many of these are correct (None: there are none).
    """
    bins = reliability(found.confidence, found.correct)
    described: dict[str, Any] = {"answers": len(found.correct), "bins": bins, "error": calibration_error(bins)}
    if found.of_each is not None and (lines := len(found.right)) >= 2 * FOLDS:
        after = np.empty(lines)
        for held in np.array_split(np.random.default_rng(0).permutation(lines), FOLDS):
            others = np.setdiff1d(np.arange(lines), held)
            temperature = fit_temperature(found.of_each[others], found.right[others])
            after[held] = apply_temperature(found.of_each[held], temperature).max(1)
        described["error_after"] = calibration_error(reliability(after, found.correct))
        if described["error_after"] < described["error"]:
            described["temperature"] = fit_temperature(found.of_each, found.right)
            return described | {"abstention": abstention(after, found.correct)}
        described["temperature"] = 1.0
    return described | {"abstention": abstention(found.confidence, found.correct)}


def abstention(confidence: np.ndarray, correct: np.ndarray) -> list[dict[str, Any]]:
    """Returns what is answered, and how well, if predictions below a confidence are not (risk and coverage: El-Yaniv
    and Wiener 2010)."""
    lines = []
    for below in ABSTAIN_BELOW:
        answered = confidence >= below
        accuracy = float(correct[answered].mean()) if answered.any() else None
        lines.append({"below": below, "answered": float(answered.mean()), "accuracy": accuracy})
    return lines


def reliability(confidence: np.ndarray, correct: np.ndarray) -> list[dict[str, Any]]:
    """Returns for each of `BINS` bins of equal width the number of rows, their mean confidence and their accuracy."""
    bin_of = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins = []
    for number in np.unique(bin_of):
        inside = bin_of == number
        bins.append(
            {
                "from": number / BINS,
                "to": (number + 1) / BINS,
                "rows": int(inside.sum()),
                "confidence": float(confidence[inside].mean()),
                "accuracy": float(correct[inside].mean()),
            }
        )
    return bins


def calibration_error(bins: Sequence[dict[str, Any]]) -> float:
    """Returns the expected calibration error: mean difference of confidence and accuracy (Guo et al. 2017, eq. 3)."""
    rows = sum(each["rows"] for each in bins)
    return sum(each["rows"] / rows * abs(each["confidence"] - each["accuracy"]) for each in bins)


def fit_temperature(confidences: np.ndarray, right: np.ndarray) -> float:
    """Returns the temperature, by which logits are divided, that maximises the likelihood (Guo et al. 2017, eq. 9).

    It is 1 where no prediction is wrong: the lower the temperature, the likelier would the labels be, without end, and
    every confidence would become 1.

    Args:
        confidences: probabilities [rows, classes].
        right: index of the correct class [rows].
    """
    rows = np.arange(len(right))
    if (confidences.argmax(1) == right).all():
        return 1.0

    def loss(log_temperature: float) -> float:
        of_right = apply_temperature(confidences, float(np.exp(log_temperature)))[rows, right]
        return float(-np.log(np.maximum(of_right, LEAST_CHANCE)).sum())

    bounds = (np.log(LEAST_TEMPERATURE), np.log(MOST_TEMPERATURE))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def calibrate(predicted: Prediction, temperature: float) -> float | list[float]:
    """Returns the calibrated probability of a prediction; for several labels, that of each."""
    scores = calibrate_all(predicted, temperature)
    if isinstance(scores, Mapping):
        return max(scores.values())
    return max(scores) if predicted.scores is not None else scores


def calibrate_all(predicted: Prediction, temperature: float) -> dict[str, float] | list[float]:
    """Returns the calibrated probabilities of all classes, in the same form as in `predicted`."""
    if predicted.scores is None:
        return [
            float(apply_temperature(np.array([[chance, 1 - chance]]), temperature)[0, 0]) for chance in predicted.score
        ]
    scores = predicted.scores
    line = list(scores.values() if isinstance(scores, Mapping) else scores)
    rest = max(0.0, 1 - sum(line))  # above rounding: of the labels that are not among the best
    heated = apply_temperature(np.array([[*line, rest] if rest > LEAST_REST else line]), temperature)[0].tolist()
    return dict(zip(scores, heated, strict=False)) if isinstance(scores, Mapping) else heated[: len(line)]


def apply_temperature(confidences: np.ndarray, temperature: float) -> np.ndarray:
    """Returns the probabilities [lines, classes] after their logits are divided by `temperature`; above 1 they become
    more uniform. Padding (0) stays 0."""
    with np.errstate(divide="ignore"):
        logits = np.log(confidences) / temperature
    weights = np.exp(logits - logits.max(1, keepdims=True))
    return weights / weights.sum(1, keepdims=True)
