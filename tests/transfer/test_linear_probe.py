"""Classifiers on features: beside scikit-learn's own on the same features, and on cases made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from tlnlp.transfer.linear_probe import NEVER, Classifier, Kind, fit_classifier
from tlnlp.transfer.phases import FeatureClassifierConfig

ROWS, NEW_ROWS, WIDTH = 80, 30, 6
LOGISTIC = FeatureClassifierConfig((0,), False, "logistic_regression", "mean", 0.5)
SVM, CENTROID = replace(LOGISTIC, classifier="linear_svm"), replace(LOGISTIC, classifier="nearest_centroid")
MIX = replace(LOGISTIC, mixed=True)


@pytest.fixture
def rows() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Train features, new ones, and a noisy number that depends on the former; each feature with a size of its own."""
    draw = np.random.default_rng(0)
    sizes = 10.0 ** np.arange(-1, 2).repeat(2)
    features = (draw.normal(size=(ROWS + NEW_ROWS, 1, WIDTH)) * sizes + 3 * sizes).astype(np.float32)
    plain = ((features / sizes - 3) @ np.asarray([1, -1, 0.5, 0, 2, -0.3]))[:, 0] + draw.normal(size=ROWS + NEW_ROWS)
    return features[:ROWS], features[ROWS:], plain[:ROWS]


def labels_of(plain: np.ndarray, count: int) -> np.ndarray:
    return np.searchsorted(np.quantile(plain, np.linspace(0, 1, count + 1)[1:-1]), plain)


def fitted(
    features: np.ndarray, targets: np.ndarray, kind: Kind = "one", outputs: int = 2,
    fit: FeatureClassifierConfig = LOGISTIC, weights: np.ndarray | None = None,
) -> Classifier:  # fmt: skip
    weights = np.ones(len(features)) if weights is None else weights
    return fit_classifier(features, targets, weights, kind, outputs, fit, seed=0)


def standardised(model: Any) -> Pipeline:
    return make_pipeline(StandardScaler(), model)


def softmax(logits: np.ndarray) -> np.ndarray:
    return np.exp(logits) / np.exp(logits).sum(1, keepdims=True)


@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize("fit", [LOGISTIC, MIX])
def test_logistic_regression_gives_scikit_learns_chances(rows: Any, labels: int, fit: FeatureClassifierConfig) -> None:
    """A mix of one layer is that layer."""
    features, new, plain = rows
    targets = labels_of(plain, labels)
    expected = standardised(LogisticRegression(C=0.5, tol=1e-8)).fit(features[:, 0], targets).predict_proba(new[:, 0])
    found = fitted(features, targets, outputs=labels, fit=fit)
    assert softmax(found.logits(new)) == pytest.approx(expected, abs=1e-3)
    assert (None if found.shares is None else found.shares.tolist()) == ([1.0] if fit.mixed else None)


@pytest.mark.parametrize("labels", [2, 3])
@pytest.mark.parametrize("fit", [SVM, CENTROID])
def test_other_classifiers_give_scikit_learns_labels(rows: Any, labels: int, fit: FeatureClassifierConfig) -> None:
    features, new, plain = rows
    targets = labels_of(plain, labels)
    model = LinearSVC(C=0.5, random_state=0) if fit is SVM else NearestCentroid()
    expected = standardised(model).fit(features[:, 0], targets).predict(new[:, 0])
    assert len(set(expected)) == labels
    assert fitted(features, targets, outputs=labels, fit=fit).logits(new).argmax(1).tolist() == expected.tolist()


def test_the_margin_of_a_linear_svm_is_the_difference_of_its_two_logits(rows: Any) -> None:
    features, new, plain = rows
    targets = labels_of(plain, 2)
    margin = standardised(LinearSVC(C=0.5, random_state=0)).fit(features[:, 0], targets).decision_function(new[:, 0])
    logits = fitted(features, targets, fit=SVM).logits(new)
    assert logits[:, 1] - logits[:, 0] == pytest.approx(margin, abs=1e-3)


@pytest.mark.parametrize("fit", [LOGISTIC, MIX])
def test_a_score_is_found_by_ridge_regression(rows: Any, fit: FeatureClassifierConfig) -> None:
    features, new, plain = rows
    expected = standardised(Ridge(alpha=2)).fit(features[:, 0], plain).predict(new[:, 0])
    found = fitted(features, plain.astype(np.float32), "score", 1, fit).logits(new)
    assert found[:, 0] == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("fit", [LOGISTIC, MIX])
def test_of_several_labels_each_is_found_by_itself(rows: Any, fit: FeatureClassifierConfig) -> None:
    features, new, plain = rows
    targets = np.stack([plain > 1, plain < 0, np.abs(plain) > 0.5], axis=1).astype(np.float32)
    model = OneVsRestClassifier(LogisticRegression(C=0.5, tol=1e-8))
    expected = standardised(model).fit(features[:, 0], targets).predict_proba(new[:, 0])
    found = fitted(features, targets, "several", 3, fit).logits(new)
    assert 1 / (1 + np.exp(-found)) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("fit", [LOGISTIC, CENTROID, MIX])
def test_a_row_of_weight_two_is_a_row_that_is_there_twice_and_one_of_none_is_not_there(
    rows: Any, fit: FeatureClassifierConfig
) -> None:
    features, new, plain = rows
    targets, weights = labels_of(plain, 3), np.arange(ROWS) % 3
    weighted = fitted(features, targets, outputs=3, fit=fit, weights=weights).logits(new)
    repeated = fitted(features.repeat(weights, 0), targets.repeat(weights), outputs=3, fit=fit).logits(new)
    plainly = fitted(features, targets, outputs=3, fit=fit).logits(new)
    assert weighted == pytest.approx(repeated, abs=2e-3)
    assert np.abs(weighted - plainly).max() > 0.05


@pytest.mark.parametrize("fit", [LOGISTIC, SVM, CENTROID, MIX])
def test_a_label_that_no_row_has_is_never_the_answer(rows: Any, fit: FeatureClassifierConfig) -> None:
    features, new, plain = rows
    targets = np.asarray([0, 2])[labels_of(plain, 2)]
    logits = fitted(features, targets, outputs=4, fit=fit).logits(new)
    assert set(logits.argmax(1)) == {0, 2}
    assert logits[:, [1, 3]] == pytest.approx(NEVER)
    others = fitted(features, targets // 2, fit=fit).logits(new)
    assert logits[:, [0, 2]] == pytest.approx(others, abs=1e-4)


@pytest.mark.parametrize("fit", [LOGISTIC, SVM, CENTROID, MIX])
def test_a_label_that_all_rows_have_is_always_the_answer(rows: Any, fit: FeatureClassifierConfig) -> None:
    features, new, _ = rows
    assert set(fitted(features, np.full(ROWS, 1), outputs=3, fit=fit).logits(new).argmax(1)) == {1}


@pytest.mark.parametrize("kind", ["one", "several", "score"])
def test_a_mix_prefers_the_layer_that_knows(rows: Any, kind: Kind) -> None:
    features, _, plain = rows
    noise = np.random.default_rng(1).normal(size=(ROWS, 3, WIDTH)).astype(np.float32)
    for knows in range(4):
        layers = np.insert(noise, knows, features[:, 0], axis=1)
        targets = labels_of(plain, 2) if kind == "one" else plain
        if kind == "several":
            targets = np.stack([plain > 0, plain > 1], axis=1).astype(np.float32)
        found = fitted(layers, targets, kind, {"one": 2, "several": 2, "score": 1}[kind], MIX)
        assert found.shares is not None
        assert found.shares.sum() == pytest.approx(1)
        assert found.shares.argmax() == knows
        assert found.shares[knows] > 0.5


def test_the_size_of_a_feature_plays_no_part(rows: Any) -> None:
    features, new, plain = rows
    sizes = np.asarray([5, 0.2, 1, 30, 1, 0.5], dtype=np.float32)
    targets = labels_of(plain, 2)
    expected = fitted(features, targets).logits(new)
    assert fitted(features * sizes, targets).logits(new * sizes) == pytest.approx(expected, abs=2e-3)


def test_rounding_is_no_feature(rows: Any) -> None:
    """One that differs between rows in its last digit only must not be blown up."""
    features, _, plain = rows
    draw, targets = np.random.default_rng(2), labels_of(plain, 2)
    constant = np.full_like(features, 7)
    constant += draw.normal(size=constant.shape).astype(np.float32) * 1e-6
    found = fitted(constant, targets)
    assert np.abs(found.logits(constant) - found.logits(constant + 2e-6)).max() < 1e-2


@pytest.mark.parametrize("fit", [LOGISTIC, SVM, CENTROID, MIX])
def test_the_same_rows_give_the_same_bits(rows: Any, fit: FeatureClassifierConfig) -> None:
    features, _, plain = rows
    first, second = (fitted(features, labels_of(plain, 3), outputs=3, fit=fit) for _ in range(2))
    assert first.weight.tobytes() == second.weight.tobytes()
    assert first.bias.tobytes() == second.bias.tobytes()
