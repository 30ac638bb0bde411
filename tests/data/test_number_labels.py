"""Labels that are numbers: each a name, or refused where only a score makes sense."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tlnlp.data import Splits, load_splits
from tlnlp.data.bytes_to_text import FileFormat
from tlnlp.data.memory import tables_of
from tlnlp.errors import InputError
from tlnlp.recipe import load_recipe
from tlnlp.settings import Settings
from tlnlp.task import Regression


def read(labels: list[Any], recipe: str = "own_classification") -> Splits:
    rows = [{"text": f"essay {i}", "label": label} for i, label in enumerate(labels)]
    tables = tables_of({"train": rows, "validation": rows}, FileFormat())
    return load_splits(load_recipe(recipe).task, Settings(), tables)


@pytest.mark.parametrize("shape", [lambda i: i + 0.5, lambda i: f"{i}.25", lambda i: -i / 3 - 5])
def test_many_different_decimals_are_no_names(shape: Any) -> None:
    labels = [shape(i) for i in range(1, 40)]
    with pytest.raises(InputError, match=r"own_score") as refused:
        read(labels)
    assert "39 different numbers" in refused.value.found
    assert read(labels, "own_score").train.columns["label"] == [float(label) for label in labels]


def test_few_or_whole_numbers_are_names_and_that_is_said() -> None:
    assert any("own_score" in note for note in read([0.5, 1.0, 1.5] * 3).notes)
    assert any("own_score" in note for note in read([*range(30)] * 2).notes)
    assert not any("own_score" in note for note in read([1, 2, 3, 4, 5]).notes)
    assert not any("own_score" in note for note in read(["1 star", *map(str, range(30))]).notes)


@pytest.mark.parametrize("label", ["inf", math.inf, "high", "", "2_0"])
def test_own_score_takes_any_number_and_nothing_else(label: Any) -> None:
    assert load_recipe("own_score").task.labels == Regression()
    assert read([-1, 1e6, 3.5], "own_score").train.columns["label"] == [-1.0, 1e6, 3.5]
    with pytest.raises(InputError, match="row 1") as refused:
        read([1, label, 2], "own_score")
    assert "a number" in refused.value.expected


def test_one_number_alone_cannot_be_learnt_and_none_to_report_on_is_said() -> None:
    with pytest.raises(InputError, match=r"3 rows, all of them 4\.5"):
        read([4.5, "4.5", 4.5], "own_score")
    rows = {
        name: [{"text": f"essay {i}", "label": label} for i, label in enumerate(labels)]
        for name, labels in (("train", [1, 2, 3]), ("validation", [2, 2]))
    }
    splits = load_splits(load_recipe("own_score").task, Settings(), tables_of(rows, FileFormat()))
    assert any("have the number 2: a correlation" in note for note in splits.notes)
