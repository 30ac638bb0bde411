"""`tlnlp check`: what it finds is there, what it does not find is not, in the rows' own numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from tests.recipe_runs import ROOT, load_recipe
from tlnlp import cli
from tlnlp.commands.guess_task import guess_recipe
from tlnlp.data import load_splits
from tlnlp.data.rows import Rows, Splits
from tlnlp.errors import InputError
from tlnlp.evaluation.bag_of_words import score_baseline
from tlnlp.evaluation.data_profile import count_labels, describe_data, fold
from tlnlp.evaluation.near_duplicates import SIMILARITY, find_near, shingles

SAMPLES = ROOT / "tlnlp" / "bundled" / "samples"
LONG = "the quiet river carried the old boat past three villages and a mill before night"


def rows(texts: list[str], labels: list[int] | None = None, names: tuple[str, ...] = ("bad", "good")) -> Rows:
    labels = labels or [i % 2 for i in range(len(texts))]
    return Rows({"text": texts, "label": labels}, "rows.csv", np.arange(1, len(texts) + 1), names)


def findings(train: Rows, dev: Rows) -> list[str]:
    return describe_data(Splits(train, dev), None, 128)["findings"]


def test_clean_rows_have_no_findings() -> None:
    assert findings(rows(["one", "two", "three", "four"]), rows(["five", "six"])) == []


def test_rows_that_stand_in_train_and_dev_are_named_by_their_numbers() -> None:
    train, dev = rows(["A fine film.", "two", "three"]), rows(["six", "a  FINE film"])
    assert findings(train, dev) == ["dev: 1 row (50.0%) also in train: row 2 is row 1"]


def test_repeated_rows_and_those_whose_labels_disagree_are_told_apart() -> None:
    train = rows(["same", "other", "same", "same", "twice", "twice"], [0, 1, 0, 0, 0, 1])
    assert findings(train, rows(["dev"])) == [
        "train: 3 rows (50.0%) duplicated: rows 1, 3, 4; rows 5, 6",
        "train: the same text with different labels, 1 times: rows 5, 6",
    ]


def test_rows_without_a_letter_and_rare_labels_are_said() -> None:
    train = rows(["...", *map(str, range(40))], [0] * 39 + [1] * 2)
    assert findings(train, rows(["dev"])) == [
        "train: 1 row without any text: row 1",
        "train: rare labels: good 2, where bad has 39 (--class-weights balanced?)",
    ]


@pytest.mark.parametrize(("one", "other"), [("Café  au lait.", "café au LAIT"), ("ﬁne", "fine"), ("سلام", "سلام ")])
def test_case_blanks_and_compatibility_forms_do_not_tell_texts_apart(one: str, other: str) -> None:
    assert fold(one) == fold(other)


def test_near_duplicates_are_those_of_the_definition() -> None:
    """Every pair by itself, against the index that only looks at hashes."""
    draw = np.random.default_rng(0)
    texts = []
    for _ in range(120):
        words = LONG.split()
        for place in draw.choice(len(words), draw.integers(0, 3), replace=False):
            words[place] = str(draw.integers(1000))
        texts.append(" ".join(words))
    train = rows(texts)
    found, _ = find_near(train, rows(["dev"]))
    sets = [shingles(fold(text)) for text in texts]
    exact = {
        row
        for row in range(len(train))
        for other in range(row)
        if fold(texts[row]) != fold(texts[other])
        and len(sets[row] & sets[other]) >= SIMILARITY * len(sets[row] | sets[other])
    }
    assert {row for row, _ in found} <= exact
    assert len(found) >= 0.7 * len(exact) > 3, "a threshold by hashes is a slope, not a step"


def test_a_near_copy_in_dev_is_found_and_short_texts_are_left_alone() -> None:
    train, dev = rows([LONG, "short one"]), rows(["Short one!", LONG.replace("night", "dawn")])
    inside, across = find_near(train, dev)
    assert (inside, across) == ([], [(1, 0)])


def test_the_bag_of_words_is_scikit_learns() -> None:
    recipe = load_recipe("sst2")
    splits = load_splits(recipe.task, recipe.settings())
    name, scores = score_baseline(recipe.task, splits.train, splits.dev)
    reader = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b")
    features = reader.fit_transform(splits.train.columns["text"])
    theirs = LogisticRegression(C=10, max_iter=1_000).fit(features, splits.train.columns["label"])
    assert "bag of words" in name
    assert scores["accuracy"] == pytest.approx(
        theirs.score(reader.transform(splits.dev.columns["text"]), splits.dev.columns["label"])
    )


@pytest.mark.parametrize("name", ["stsb", "conll2003", "mnli", "rte"])
def test_every_kind_of_label_has_a_baseline_above_nothing(name: str) -> None:
    recipe = load_recipe(name)
    splits = load_splits(recipe.task, recipe.settings())
    scored = score_baseline(recipe.task, splits.train, splits.dev)
    assert scored is not None
    assert scored[1]


@pytest.mark.parametrize("name", ["squad_v2", "copa"])
def test_questions_and_endings_have_none(name: str) -> None:
    recipe = load_recipe(name)
    splits = load_splits(recipe.task, recipe.settings())
    assert score_baseline(recipe.task, splits.train, splits.dev) is None
    assert sum(count_labels(splits.dev).values()) == len(splits.dev)


GUESSED = {
    "reviews": "sentences", "similarity": "sentences", "entailment": "sentences", "entities": "tagging",
    "passages": "questions", "choices": "choices",
}  # fmt: skip


@pytest.mark.parametrize("sample", GUESSED)
def test_columns_tell_what_the_rows_are_for(sample: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert guess_recipe(SAMPLES / sample, {}).task.name == GUESSED[sample]
    assert cli.main(["check", str(SAMPLES / sample), "--quick"]) == 0
    assert f"read as {GUESSED[sample]}" in capsys.readouterr().out


def test_columns_that_tell_nothing_are_refused_with_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="a, b"):
        guess_recipe(tmp_path / "rows.csv", {})
    assert guess_recipe(tmp_path / "rows.csv", {"text": "a", "label": "b"}).task.name == "sentences"


def check(path: Path, *flags: str, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    capsys.readouterr()
    assert cli.main(["check", str(path), "--json", *flags]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_command_finds_what_was_put_into_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [f"{'good' if i % 2 else 'bad'} film number {i},{i % 2}" for i in range(60)]
    for name, part in (("train", [*lines[:50], lines[0]]), ("validation", [*lines[50:], lines[3]])):
        (tmp_path / f"{name}.csv").write_text("review,stars\n" + "\n".join(part) + "\n")
    found = check(tmp_path, "--columns", "text=review", "label=stars", capsys=capsys)
    assert found["splits"]["train"]["rows"] == 51
    assert found["splits"]["train"]["labels"] == {"0": 26, "1": 25}
    assert found["findings"] == [
        "train: 1 row (2.0%) duplicated: rows 1, 51",
        f"dev: 1 row ({1 / 11:.1%}) also in train: row 11 is row 4",
    ]
    assert found["baseline"]["metrics"]["accuracy"] == 1


def test_every_line_fits_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert cli.main(["check", str(SAMPLES / "reviews")]) == 0
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= 80
    assert "bag of words" in said and "labels: " in said


def test_what_cannot_be_read_is_refused_in_three_parts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "rows.csv").write_text("text,label\ngood,1\n,0\n")
    assert cli.main(["check", str(tmp_path / "rows.csv")]) == 2
    said = capsys.readouterr().err
    assert "row 2" in said
