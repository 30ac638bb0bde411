"""Intervals stay inside the range of their metric, hold the truth as often as they say, and are refused on few rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tlnlp import metrics
from tlnlp.evaluation.collapse import describe_constant, describe_rise
from tlnlp.evaluation.intervals import LEAST_ITEMS, Scale, describe_interval, scale_from, scale_of, score_interval
from tlnlp.evaluation.scikit_metrics import scikit_metric
from tlnlp.evaluation.statistics import Estimate, estimate, scores_of_means
from tlnlp.evaluation.uncertainty import estimate_over
from tlnlp.task import Prediction

RANGES = {"share": (0, 1), "f1": (0, 1), "agreement": (-1, 1), "correlation": (-1, 1), "positive": (0, math.inf),
          "negative": (-math.inf, 0), "below one": (-math.inf, 1)}  # fmt: skip


@given(
    st.sampled_from(sorted(RANGES)), st.floats(0, 1), st.integers(1, 3), st.floats(0, 0.2), st.floats(0, 0.1),
    st.integers(2, 500),
)  # fmt: skip
def test_an_interval_holds_its_score_and_stays_in_the_range(
    name: str, place: float, seeds: int, rows_spread: float, seeds_spread: float, rows: int
) -> None:
    low, high = RANGES[name]
    value = max(low, -5) + place * (min(high, 5) - max(low, -5))
    found = Estimate(value, seeds, rows, None if seeds == 1 else seeds_spread**2, rows_spread**2)
    first, last = score_interval(found, Scale(name, rows))
    assert low - 1e-12 <= first <= value + 1e-9 and value - 1e-9 <= last <= high + 1e-12


@pytest.mark.parametrize("right", [0, 1, 13, 30])
def test_that_of_the_accuracy_of_one_run_is_wilsons(right: int) -> None:
    """With Student's t of 29 degrees in the place of the normal quantile, and 29 rows, which the variance divides by;
    where all or no row is right, exactly."""
    outcomes = np.array([[1.0] * right + [0.0] * (30 - right)])
    low, high = score_interval(estimate(scores_of_means(outcomes)), Scale("share", 30))
    theirs = stats.binomtest(right, 30).proportion_ci(method="wilson")
    tolerance = 1e-9 if right in (0, 30) else 0.015
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=tolerance)
    assert high - low >= theirs.high - theirs.low - 1e-9


def test_that_of_a_correlation_without_a_variance_is_fishers() -> None:
    draw = np.random.default_rng(0)
    one, other = draw.normal(size=(2, 40))
    found = stats.pearsonr(one, one + other)
    theirs = found.confidence_interval()
    ours = score_interval(Estimate(float(found.statistic), 1, 40, None, 0.0), Scale("correlation", 40))
    assert ours == pytest.approx((theirs.low, theirs.high), abs=1e-4)


def test_what_a_score_rests_on() -> None:
    accuracy = scale_of(metrics.accuracy, "accuracy", [0, 1], [0, 1])
    assert (accuracy.name, accuracy.items) == ("share", 2)
    f1 = metrics.f1.F1()
    f1.positive, f1.positive_name = 1, "fraud"
    told, held = [1, 0, 0, 0, 1, 0], [1, 1, 0, 0, 0, 0]
    assert scale_of(f1, "f1 of fraud", told, held) == Scale("f1", 3, "rows with fraud")
    balanced = scikit_metric("balanced_accuracy")()
    assert scale_of(balanced, "balanced_accuracy", told, held).items == pytest.approx(4 / (1 / 2 + 1 / 4))
    kappa = scale_of(scikit_metric("cohen_kappa")(), "cohen_kappa", told, held)
    assert (kappa.name, kappa.items) == ("agreement", pytest.approx(4 / (1 / 2 + 1 / 4)))
    entities = scale_of(metrics.entity_f1.EntityF1(), "entity_f1", [["B-X", "O", "B-Y"]], [["B-X", "B-X", "O"]])
    assert (entities.name, entities.items) == ("f1", 3)
    words = scale_of(metrics.word_accuracy.WordAccuracy(), "accuracy", [["X", "Y"], ["X"]], [["X", "X"], ["X"]])
    assert (words.name, words.items, words.of) == ("share", 3, "words")
    several = scale_of(metrics.f1.F1("multilabel"), "f1_micro", [[1, 0], [0, 0]], [[1, 1], [0, 0]])
    assert (several.name, several.items) == ("f1", 2)
    numbers = scale_of(metrics.pearson.Pearson(), "pearson", [1.0, 2.0], [1.0, 3.0])
    assert (numbers.name, numbers.items) == ("correlation", 2)
    assert scale_of(scikit_metric("r2")(), "r2", [1.0], [2.0]).name == "below one"
    assert (
        scale_of(scikit_metric("neg_mean_squared_error")(), "neg_mean_squared_error", [1.0], [2.0]).name == "negative"
    )
    assert scale_of(len, "mine", [1], [1]).name == "plain"


def test_few_rows_have_no_interval_and_two_seeds_are_said_to_be_few() -> None:
    few = describe_interval(estimate_over([0.5], 4, 0.08), Scale("share", 4))
    assert (few["low"], few["high"]) == (None, None)
    assert few["refused"] == f"too few rows: 4, and an interval needs {LEAST_ITEMS}"
    assert describe_interval(estimate_over([0.5], 400, 0.001), Scale("f1", 3, "rows with fraud"))["refused"]
    two = describe_interval(estimate_over([0.5, 0.6], 400, 0.0006), Scale("share", 400))
    assert 0 <= two["low"] < 0.2 and 0.8 < two["high"] <= 1 and "2 seeds: few" in two["note"]
    three = describe_interval(estimate_over([0.5, 0.6, 0.55], 400, 0.0006), Scale("share", 400))
    assert three["note"] is None and three["refused"] is None
    assert scale_from(three) == Scale("share", 400)
    assert scale_from(None).name == "plain"


@pytest.mark.parametrize(("share", "rows"), [(0.9, 10), (0.9, 30), (0.98, 100)])
def test_the_truth_is_held_as_often_as_is_said_where_the_plain_interval_misses_it(share: float, rows: int) -> None:
    draw, ours, plain = np.random.default_rng(1), 0, 0
    for _ in range(2_000):
        found = estimate(scores_of_means((draw.random((1, rows)) < share).astype(float)))
        low, high = score_interval(found, Scale("share", rows))
        ours += low <= share <= high
        plain += abs(found.value - share) <= found.half_width()
    assert ours / 2_000 > 0.93
    assert plain < ours


def test_a_run_with_one_answer_and_a_risen_loss_are_put_into_words() -> None:
    assert describe_constant([Prediction("ok")] * 3, "rows") == "one answer, ok, for all 3 rows"
    assert describe_constant([Prediction(["O", "O"]), Prediction(["O"])], "rows") == "one answer, O, for all 2 rows"
    assert describe_constant([Prediction([])] * 2, "rows") == "one answer, none, for all 2 rows"
    assert describe_constant([Prediction(2.5)] * 2, "rows") == "one answer, 2.5, for all 2 rows"
    assert describe_constant([Prediction("ok")], "rows") is None, "of one row nothing can be said"
    assert describe_constant([Prediction("ok"), Prediction("fraud")], "rows") is None
    assert describe_rise(1754.4, 1.85) is not None and "from 1.85 to 1,754" in str(describe_rise(1754.4, 1.85))
    assert describe_rise(9.0, 0.1) is None, "as where a trained network goes on"
    assert describe_rise(15.0, 4.0) is None
