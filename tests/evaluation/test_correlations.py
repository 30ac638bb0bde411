"""Pearson and Spearman correlation against SciPy's, with many equal scores, and of constants."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from tlnlp import metrics

# Few different values, so that most rows share theirs; and any to three places.
TIED = st.integers(0, 4).map(float)
SCORES = st.integers(-50_000, 50_000).map(lambda number: number / 1000)


def pearson(predictions: Any, references: Any) -> float:
    metric = metrics.pearson.Pearson(keep_in_memory=True)
    (value,) = metric.compute(predictions=predictions, references=references).values()
    return value


def spearman(predictions: Any, references: Any) -> float:
    metric = metrics.spearman.Spearman(keep_in_memory=True)
    (value,) = metric.compute(predictions=predictions, references=references).values()
    return value


@given(st.lists(st.tuples(SCORES | TIED, TIED), min_size=2, max_size=40))
def test_correlations_are_scipys(pairs: list[tuple[float, float]]) -> None:
    predictions, references = map(list, zip(*pairs, strict=True))
    assume(len(set(predictions)) > 1 and len(set(references)) > 1)
    assert pearson(predictions, references) == pytest.approx(stats.pearsonr(predictions, references)[0], abs=1e-9)
    assert spearman(predictions, references) == pytest.approx(stats.spearmanr(predictions, references)[0], abs=1e-9)


@given(st.lists(SCORES, min_size=2, max_size=30, unique=True))
def test_any_rising_scores_are_in_order_and_only_straight_ones_in_line(references: list[float]) -> None:
    cubes = [each**3 for each in references]
    assert spearman(cubes, references) == pytest.approx(1)
    assert spearman([-each for each in cubes], references) == pytest.approx(-1)
    assert pearson([2 * each - 7 for each in references], references) == pytest.approx(1)
    assert pearson([0.0, 1.0, 8.0, 27.0], [0.0, 1.0, 2.0, 3.0]) < 0.95


@pytest.mark.parametrize("correlation", [pearson, spearman])
@pytest.mark.parametrize("constant", [0.0, 0.1, 2.7])
def test_a_constant_side_correlates_with_nothing(correlation: Any, constant: float) -> None:
    varied = np.linspace(0, 5, 7).tolist()
    assert correlation([constant] * 7, varied) == 0.0
    assert correlation(varied, [constant] * 7) == 0.0
    assert correlation([constant], [1.0]) == 0.0
    assert correlation([], []) == 0.0


@pytest.mark.parametrize("correlation", [pearson, spearman])
def test_scores_that_are_not_numbers_give_none(correlation: Any) -> None:
    assert math.isnan(correlation([1.0, math.nan, 3.0, 2.0], [1.0, 2.0, 3.0, 4.0]))
    assert math.isnan(correlation([math.nan] * 4, [1.0, 2.0, 3.0, 4.0]))
