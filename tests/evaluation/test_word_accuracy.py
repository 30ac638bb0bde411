"""Word accuracy against scikit-learn's on all words in one line; rows of any length."""

from __future__ import annotations

from itertools import chain
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score

from tlnlp import metrics

TAG = st.sampled_from(["NOUN", "VERB", "X"])


def word_accuracy(predictions: Any, references: Any) -> float:
    metric = metrics.word_accuracy.WordAccuracy(keep_in_memory=True)
    (value,) = metric.compute(predictions=predictions, references=references).values()
    return value


@given(st.lists(st.lists(st.tuples(TAG, TAG), max_size=8), max_size=8))
def test_every_word_counts_the_same_whichever_row_it_is_in(rows: list[list[tuple[str, str]]]) -> None:
    predictions = [[told for told, _ in row] for row in rows]
    references = [[true for _, true in row] for row in rows]
    told, true = list(chain(*predictions)), list(chain(*references))
    expected = accuracy_score(true, told) if true else 0.0
    assert word_accuracy(predictions, references) == pytest.approx(expected)


def test_a_long_row_counts_more_than_a_short_one() -> None:
    assert word_accuracy([["X"], ["NOUN"] * 3, []], [["NOUN"], ["NOUN"] * 3, []]) == 0.75


@pytest.mark.parametrize("told", [["X"], ["X", "X", "X"]])
def test_a_row_with_more_or_fewer_tags_than_words_is_an_error(told: list[str]) -> None:
    with pytest.raises(ValueError, match=f"row 1 has {len(told)} predicted tags for 2 words"):
        word_accuracy([["X"], told], [["X"], ["X", "X"]])
