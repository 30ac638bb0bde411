"""Prediction sets: their guarantee by simulation, MAPIE's sets where it is installed, and hand-made cases."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlnlp.errors import InputError
from tlnlp.evaluation import conformal
from tlnlp.evaluation.conformal import (
    METHODS,
    POINTS,
    Calibration,
    ClassChances,
    SetMethod,
    least_rate,
    least_rows,
    measure_sets,
    nonconformity,
    sets_of,
)


def draw(lines: int, classes: int = 5, seed: int = 0, sure: float = 1.5) -> ClassChances:
    """Probabilities that are too sure of themselves, and right classes."""
    draws = np.random.default_rng(seed)
    logits = draws.normal(0, 1.5, (lines, classes))
    true = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    right = (true.cumsum(1) < draws.random((lines, 1))).sum(1).clip(max=classes - 1)
    told = np.exp(sure * logits) / np.exp(sure * logits).sum(1, keepdims=True)
    return ClassChances(told, np.arange(lines), right)


def covered(found: ClassChances, threshold: float, method: SetMethod) -> np.ndarray:
    assert found.right is not None
    return sets_of(found.chances, threshold, method)[np.arange(len(found.right)), found.right]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("rate", "rows"), [(0.1, 19), (0.1, 99), (0.3, 50), (0.05, 200)])
def test_of_new_rows_at_most_the_stated_share_lacks_the_right_label(method: SetMethod, rate: float, rows: int) -> None:
    """The finite-sample guarantee (Vovk et al. 2005): over draws of both, whatever the network says."""
    repetitions, new = 400, 20
    shares = []
    for seed in range(repetitions):
        found = draw(rows + new, seed=seed)
        calibrating, held = found.select(np.arange(rows)), found.select(np.arange(rows, rows + new))
        shares.append(covered(held, Calibration.of(calibrating).threshold(rate, method), method).mean())
    noise = 3 * np.std(shares) / math.sqrt(repetitions)
    assert np.mean(shares) >= 1 - rate - noise
    # A set has at least the prediction, so that the bound from above (1 - rate + 1 / (rows + 1)) holds for LAC alone,
    # and where the rate is below the network's share of errors (here about a half).
    if method == "lac":
        assert np.mean(shares) <= 1 - rate + 1 / (rows + 1) + noise


def test_a_word_drawn_from_a_new_sentence_is_covered_though_words_of_a_sentence_hang_together() -> None:
    """Sentences of one to nine words, of which all are easy or all are hard."""
    shares = []
    for seed in range(400):
        draws = np.random.default_rng(seed)
        lengths = draws.integers(1, 10, 60)
        rows = np.repeat(np.arange(60), lengths)
        easy = draws.random(60)[rows] < 0.6
        found = draw(len(rows), seed=seed)
        right = np.where(easy, found.chances.argmax(1), found.right)
        found = ClassChances(found.chances, rows, right)
        threshold = Calibration.of(found.select(np.arange(40))).threshold(0.15, "lac")
        held = found.select(np.arange(40, 60))
        inside = covered(held, threshold, "lac")
        shares.append(np.mean([inside[held.rows == row].mean() for row in range(40, 60)]))
    assert np.mean(shares) >= 0.85 - 3 * np.std(shares) / math.sqrt(400)


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.35])
def test_the_sets_of_lac_are_mapies(rate: float) -> None:
    """MAPIE 1.x, whose sets may be empty; here the prediction is always in its set."""
    classification = pytest.importorskip("mapie.classification")
    found, new = draw(400, seed=3), draw(200, seed=4)
    theirs = classification.SplitConformalClassifier(
        _Given(5), confidence_level=1 - rate, conformity_score="lac", prefit=True
    )
    theirs.conformalize(found.chances, found.right)
    _, sets = theirs.predict_set(new.chances)
    expected = sets[:, :, 0]
    expected[np.arange(200), new.chances.argmax(1)] = True
    ours = sets_of(new.chances, Calibration.of(found).threshold(rate, "lac"), "lac")
    assert np.array_equal(ours, expected)


class _Given:
    """A fitted classifier whose probabilities are its input, as scikit-learn wants one."""

    def __init__(self, classes: int) -> None:
        self.classes_ = np.arange(classes)
        self.n_features_in_ = classes

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def __sklearn_tags__(self):  # type: ignore[no-untyped-def]
        from sklearn.base import BaseEstimator, ClassifierMixin  # noqa: PLC0415 - with MAPIE only

        return type("Tagged", (ClassifierMixin, BaseEstimator), {})().__sklearn_tags__()

    def fit(self, features: np.ndarray, labels: np.ndarray) -> _Given:
        return self

    def predict(self, chances: np.ndarray) -> np.ndarray:
        return chances.argmax(1)

    def predict_proba(self, chances: np.ndarray) -> np.ndarray:
        return chances


@pytest.mark.parametrize("rate", [0.5, 0.25, 0.2])
def test_the_threshold_is_the_score_whose_rank_the_guarantee_names(rate: float) -> None:
    """ceil((n + 1) (1 - rate)), of nine rows with scores of 0.1 to 0.9."""
    chances = 1 - np.arange(1, 10) / 10
    found = ClassChances(np.stack([chances, 1 - chances], 1), np.arange(9), np.zeros(9, dtype=int))
    rank = math.ceil(10 * (1 - rate))
    assert Calibration.of(found).threshold(rate, "lac") == pytest.approx(rank / 10)


def test_the_scores_are_those_of_the_papers() -> None:
    chances = np.array([[0.5, 0.2, 0.3], [0.6, 0.4, np.nan]])
    assert nonconformity(chances, "lac")[0] == pytest.approx([0.5, 0.8, 0.7])
    assert nonconformity(chances, "aps")[0] == pytest.approx([0.0, 0.8, 0.5])
    assert np.isnan(nonconformity(chances, "aps")[1, 2])
    assert sets_of(chances, 0.7, "lac").tolist() == [[True, False, True], [True, True, False]]
    assert sets_of(chances, 2.0, "aps").tolist() == [[True, True, True], [True, True, False]]  # no padding in any set


def test_no_set_is_empty() -> None:
    assert sets_of(np.array([[0.4, 0.35, 0.25]]), 0.1, "lac").tolist() == [[True, False, False]]


@given(st.integers(1, 400), st.floats(0.002, 0.6))
def test_too_few_rows_are_refused_and_enough_are_not(rows: int, rate: float) -> None:
    kept = Calibration.of(draw(rows, 2, seed=rows))
    if rows >= least_rows(rate):
        kept.threshold(rate, "lac")
    else:
        with pytest.raises(InputError, match=f"{least_rows(rate):,} dev rows are needed"):
            kept.threshold(rate, "aps")
    assert least_rows(least_rate(rows)) <= rows


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, 2.0])
def test_what_is_no_rate_is_refused(rate: float) -> None:
    with pytest.raises(InputError, match="between 0 and 1"):
        Calibration.of(draw(50)).threshold(rate, "lac")


def test_what_is_kept_of_many_rows_errs_on_the_safe_side_and_hardly() -> None:
    found = draw(5 * POINTS, seed=1)
    assert found.right is not None
    kept = Calibration.from_json(json.loads(json.dumps(Calibration.of(found).as_json())))
    assert len(kept.scores["lac"]) <= POINTS
    ascending = np.sort(1 - found.chances[np.arange(len(found.right)), found.right])
    for rate in (0.01, 0.0501, 0.1, 0.333):
        exact = ascending[math.ceil((len(ascending) + 1) * (1 - rate)) - 1]
        nearly = ascending[min(len(ascending) - 1, math.ceil((len(ascending) + 1) * (1 - rate + 1 / POINTS)))]
        assert exact <= kept.threshold(rate, "lac") <= nearly


def test_coverage_is_measured_on_the_rows_that_did_not_calibrate(monkeypatch: pytest.MonkeyPatch) -> None:
    found = draw(1_000, seed=5)
    calibrated: list[set[int]] = []
    of = Calibration.of.__func__  # type: ignore[attr-defined]
    marks = {float(line[0]): place for place, line in enumerate(found.chances)}

    def watched(cls: type[Calibration], each: ClassChances) -> Calibration:
        calibrated.append({marks[float(line[0])] for line in each.chances})
        return of(cls, each)

    measured: list[set[int]] = []
    measure = conformal._measure

    def held_out(each: ClassChances, threshold: float, method: SetMethod) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        measured.append({marks[float(line[0])] for line in each.chances})
        return measure(each, threshold, method)

    monkeypatch.setattr(Calibration, "of", classmethod(watched))
    monkeypatch.setattr(conformal, "_measure", held_out)
    result = measure_sets(found)
    assert len(measured) == len(calibrated) == 12
    assert all(not used & held and len(used | held) == 1_000 for used, held in zip(calibrated, measured, strict=True))
    for line in result["lac"]:
        assert line["low"] < line["coverage"] < line["high"]
        assert line["coverage"] == pytest.approx(1 - line["error_rate"], abs=0.04)
    assert result["aps"][0]["mean_size"] > result["aps"][2]["mean_size"]


def test_rates_that_half_of_the_rows_cannot_vouch_for_are_not_measured() -> None:
    assert [line["error_rate"] for line in measure_sets(draw(20))["lac"]] == [0.1, 0.2]
    assert measure_sets(draw(6))["lac"] == []
