"""What can be read and is still not what it seems; and what is plain is left alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fixtures import write_rows
from tlnlp.commands import check
from tlnlp.data.rows import Rows
from tlnlp.evaluation.data_profile import MOST_LABELS, share_labels, shorten
from tlnlp.evaluation.odd_values import find_odd_values

TEXTS = [f"the film number {i} was fine" for i in range(40)]


def rows_of(labels: Sequence[str] | None = None, **columns: Any) -> Rows:
    columns = columns or {"text": TEXTS, "label": [i % 2 for i in range(40)]}
    return Rows(columns, "tests", np.arange(1, 41), None if labels is None else tuple(labels))


TAGS = [[0, 1]] * 40
ODD = {
    "case": (rows_of(["Positive", "positive", "negative"]), "differ only in case"),
    "blanks": (rows_of(["not good", "not_good"]), "differ only in case or blanks"),
    "numbers": (rows_of(["0", "0.0", "1"]), "how a number is written"),
    "lists as labels": (rows_of(["['a']", "['a', 'b']"]), "lists as text"),
    "every row its own": (rows_of([f"id {i}" for i in range(40)]), "is this the column of labels?"),
    "tags without names": (rows_of(["0", "1", "2"], words=[["a", "b"]] * 40, tags=TAGS), "without names"),
    "one word each": (rows_of(["O", "B-X"], words=[["Anna"]] * 40, tags=[[0]] * 40), "are the rows words?"),
    "list as words": (rows_of(["O", "B-X"], words=[["['Anna',", "'runs']"]] * 40, tags=TAGS), "begins as a list"),
    "numbers as words": (rows_of(["O", "B-X"], words=[["1", "2"]] * 40, tags=TAGS), "words are numbers"),
    "list as text": (rows_of(text=[f"['a', 'b{i}']" for i in range(40)]), "a list as text"),
    "numbers as text": (rows_of(text=[str(i) for i in range(40)]), "only a number"),
    "damaged": (rows_of(text=[f"caf\ufffd {i}" for i in range(40)]), "damaged character"),
    "read twice": (rows_of(text=[*TEXTS[:-1], "trÃ¨s bon"]), "1 of 40 rows have UTF-8 that was read as Windows'"),
    "label as text": (rows_of(text=["good", "bad"] * 20), "only 2 different values"),
}


@pytest.mark.parametrize("kind", ODD)
def test_an_odd_value_is_named(kind: str) -> None:
    rows, words = ODD[kind]
    found = find_odd_values("train", rows)
    assert len(found) == 1 and words in found[0] and found[0].startswith("train: "), found


@pytest.mark.parametrize(
    "rows",
    [
        rows_of(["negative", "positive"]),
        rows_of(["0", "1", "10"]),
        rows_of(["O", "B-X"], words=[["Anna", "runs", "(fast)"]] * 40, tags=[[1, 0, 0]] * 40),
        rows_of(text=[f"[sic] number {i}" for i in range(40)]),
    ],
    ids=["labels", "numbers", "words", "texts"],
)
def test_plain_values_are_left_alone(rows: Rows) -> None:
    assert find_odd_values("train", rows) == []


def test_many_labels_are_recorded_by_the_most_frequent_and_shares_stay() -> None:
    labels = {f"label {i}": 1_000 - i for i in range(1_000)}
    short = shorten(labels)
    assert len(short) == MOST_LABELS + 1 and sum(short.values()) == sum(labels.values())
    assert share_labels(short) == share_labels(labels) and "and 994 more" in share_labels(short)
    assert shorten({"a": 2, "b": 1}) == {"a": 2, "b": 1}


def test_check_names_label_errors_and_near_duplicates_whose_labels_differ(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = ["lovely", "warm", "bright", "clever", "funny"], ["dull", "cold", "grim", "weak", "slow"]
    draw = np.random.default_rng(0)
    rows = [
        {"text": " ".join(["the", "film", *draw.choice((bad, good)[i % 2], 4), f"scene{i}"]), "label": "ny"[i % 2]}
        for i in range(200)
    ]
    rows[60]["label"] = "y"  # an even row: its words are bad
    long = "this one is about a very long journey through the hills of a cold northern country with two old friends"
    rows += [{"text": f"{long} again", "label": "n"}, {"text": f"{long} and again", "label": "y"}]
    write_rows(tmp_path / "train.jsonl", rows)
    write_rows(tmp_path / "validation.jsonl", rows[:20])
    assert check.main([str(tmp_path)]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "row 61 is y, its words say n" in said
    assert "train: 1 of these have another label: row 202 is nearly row 201" in said
