"""F1 and Matthews correlation against scikit-learn's, over any labels, and where there is nothing to divide by."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, matthews_corrcoef

from tlnlp import metrics


def draw_pairs(labels: int) -> Any:
    """Rows of (predicted, true), at least one."""
    return st.lists(st.tuples(st.integers(0, labels - 1), st.integers(0, labels - 1)), min_size=1, max_size=40)


def f1(predictions: Any, references: Any, config: str | None = None) -> dict[str, float]:
    metric = metrics.f1.F1(config_name=config, keep_in_memory=True)
    return metric.compute(predictions=predictions, references=references)


def matthews(predictions: Any, references: Any) -> dict[str, float]:
    return metrics.matthews.Matthews(keep_in_memory=True).compute(predictions=predictions, references=references)


@given(draw_pairs(2))
def test_f1_of_two_labels_is_that_of_the_positive_one(pairs: list[tuple[int, int]]) -> None:
    predictions, references = map(list, zip(*pairs, strict=True))
    expected = f1_score(references, predictions, pos_label=1, average="binary", zero_division=0)
    means = {f"f1_{mean}": f1_score(references, predictions, average=mean) for mean in ("macro", "weighted")}
    assert f1(predictions, references) == pytest.approx({"f1": expected, **means})


@given(draw_pairs(4))
def test_f1_of_more_labels_is_the_mean_over_those_that_occur(pairs: list[tuple[int, int]]) -> None:
    predictions, references = map(list, zip(*pairs, strict=True))
    expected = pytest.approx(
        {f"f1_{mean}": f1_score(references, predictions, average=mean) for mean in ("macro", "weighted")}
    )
    assert f1(predictions, references, "multiclass") == expected
    if max(*predictions, *references) > 1:
        assert f1(predictions, references) == expected


@given(st.integers(1, 4), st.integers(1, 30), st.integers(0, 2**32 - 1))
def test_f1_of_several_labels_is_micro_with_macro_beside(labels: int, rows: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    references, predictions = draw.integers(0, 2, (2, rows, labels))
    expected = {
        # Cells in one line: scikit-learn would take one column for labels 0 and 1, and count the 0 as well.
        "f1_micro": f1_score(references.ravel(), predictions.ravel(), average="binary", zero_division=0),
        "f1_macro": np.mean([
            f1_score(references[:, i], predictions[:, i], average="binary", zero_division=0) for i in range(labels)
        ]),
    }  # fmt: skip
    found = f1(predictions.tolist(), references.tolist(), "multilabel")
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    assert next(iter(found)) == "f1_micro"  # the headline
    if labels > 1:
        means = ("micro", "macro", "weighted")
        theirs = {f"f1_{each}": f1_score(references, predictions, average=each, zero_division=0) for each in means}
        assert found == pytest.approx(theirs)


@pytest.mark.filterwarnings("ignore:A single label")
@pytest.mark.parametrize("labels", [2, 3, 5])
def test_matthews_correlation_is_scikit_learns(labels: int) -> None:
    @given(draw_pairs(labels))
    def compare(pairs: list[tuple[int, int]]) -> None:
        predictions, references = map(list, zip(*pairs, strict=True))
        expected = matthews_corrcoef(references, predictions)
        assert matthews(predictions, references) == {"matthews_correlation": pytest.approx(expected, abs=1e-12)}

    compare()


def test_matthews_correlation_of_many_rows_does_not_overflow() -> None:
    predictions = [0, 1] * 100_000
    assert matthews(predictions, predictions) == {"matthews_correlation": pytest.approx(1)}
    assert matthews(predictions, [*predictions[1:], 0]) == {"matthews_correlation": pytest.approx(-1)}


@pytest.mark.parametrize("constant", [0, 1])
def test_a_constant_side_correlates_with_nothing(constant: int) -> None:
    assert matthews([constant] * 4, [0, 1, 0, 1]) == {"matthews_correlation": 0.0}
    assert matthews([0, 1, 0, 1], [constant] * 4) == {"matthews_correlation": 0.0}
    assert matthews([constant] * 4, [constant] * 4) == {"matthews_correlation": 0.0}


def test_no_rows_are_worth_nothing() -> None:
    means = {"f1_macro": 0.0, "f1_weighted": 0.0}
    assert f1([], []) == {"f1": 0.0, **means}
    assert f1([], [], "multiclass") == means
    assert f1([], [], "multilabel") == {"f1_micro": 0.0, **means}
    assert matthews([], []) == {"matthews_correlation": 0.0}
