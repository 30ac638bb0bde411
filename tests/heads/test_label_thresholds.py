"""Thresholds of several labels: the best F1 of each, by brute force; and no row is told by a threshold it tuned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

import tlnlp
from tests.fixtures import write_rows
from tlnlp.heads.label_thresholds import FOLDS, LEAST_ROWS, ONE_HALF, chances_of, cross_fit, decide, tune_thresholds
from tlnlp.models.task_file import read_task
from tlnlp.task import MultiLabel, Prediction

WORDS = {"hot": "chili pepper ginger", "sweet": "sugar honey syrup", "sour": "lemon vinegar tamarind"}


def f1(held: np.ndarray, told: np.ndarray) -> float:
    return float(f1_score(held, told, zero_division=0))


@given(st.integers(0, 2**16), st.integers(12, 40))
def test_the_threshold_of_each_label_has_the_best_f1_of_all_cuts(seed: int, rows: int) -> None:
    draw = np.random.default_rng(seed)
    chances = draw.integers(1, 12, (rows, 3)) / 12  # few values, so that many rows have the same
    held = draw.random((rows, 3)) < chances
    found = tune_thresholds(chances, held)
    for label, threshold in enumerate(found.tolist()):
        of_label, own = chances[:, label], held[:, label]
        if min(own.sum(), (~own).sum()) < LEAST_ROWS:
            assert threshold == ONE_HALF
            continue
        cuts = [ONE_HALF, *(value - 1e-9 for value in np.unique(of_label))]
        best = max(f1(own, of_label > cut) for cut in cuts)
        assert f1(own, of_label > threshold) == pytest.approx(best)


def test_many_labels_are_tuned_as_each_by_itself() -> None:
    draw = np.random.default_rng(0)
    chances, held = draw.random((30, 600)), draw.random((30, 600)) < 0.4
    alone = [tune_thresholds(chances[:, [i]], held[:, [i]])[0] for i in range(600)]
    assert tune_thresholds(chances, held).tolist() == alone


def test_no_row_tunes_the_threshold_that_it_is_told_by() -> None:
    draw = np.random.default_rng(1)
    chances, held = draw.random((50, 2)), draw.random((50, 2)) < 0.5
    before = cross_fit(chances, held)
    assert len(np.unique(before[:, 0])) > 1
    for row in range(50):
        turned = held.copy()
        turned[row] = ~turned[row]
        np.testing.assert_array_equal(cross_fit(chances, turned)[row], before[row])
    sizes = np.unique(before, axis=0, return_counts=True)[1]
    assert sizes.sum() == 50 and len(sizes) <= FOLDS


def test_decisions_are_by_name_also_where_only_the_best_scores_are_kept() -> None:
    names = ("a", "b", "c")
    whole, best = Prediction([], [0.2, 0.6, 0.7]), Prediction([], [], {"c": 0.7, "b": 0.6})
    for each, score in ((whole, [0.2, 0.6, 0.7]), (best, [0.7])):
        chances = chances_of([each], names)
        assert chances[0].tolist() == pytest.approx([0.2 if each is whole else 0, 0.6, 0.7])
        (decided,) = decide([each], chances, np.array([0.5, 0.65, 0.5]), names)
        assert (decided.prediction, decided.score) == (["c"], score)


def test_labels_carry_their_thresholds_and_are_equal_without() -> None:
    labels = MultiLabel(("a", "b"), {"b": 0.2})
    assert labels == MultiLabel(("a", "b")) == ("a", "b") and labels.thresholds == {"b": 0.2}
    assert MultiLabel(labels).thresholds == {}


def dishes(count: int, seed: int) -> list[dict[str, Any]]:
    draw = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        held = [name for name in WORDS if draw.random() < 0.25]
        words = [draw.choice(WORDS[name].split()) for name in held for _ in range(2)] + ["rice", "dish"]
        rows.append({"text": " ".join(words), "label": ";".join(held)})
    return rows


@pytest.fixture(scope="module")
def runs(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Runs on dishes: on dev, with one half for all, and reported on test rows."""
    made = {}
    for name, more in {"tuned": {}, "half": {"thresholds": "0.5"}, "test": {"keep": "best"}}.items():
        folder = tmp_path_factory.mktemp(name)
        for i, (split, count) in enumerate({"train": 120, "validation": 60, "test": 40}.items()):
            write_rows(folder / "data" / f"{split}.jsonl", dishes(count, i))
        made[name] = tlnlp.train(
            "own_classification", folder / "data", model=bert, output_dir=folder / "run", epochs=2, max_length=32,
            learning_rate=3e-3, no_report=True, quiet=True, **more,
        )  # fmt: skip
    return made


def lines(run: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.folder / "predictions.jsonl").read_text().splitlines()]


def as_arrays(told: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    names = sorted(WORDS)
    chances = np.array([line["score"] for line in told], dtype=np.float32)
    return chances, *(np.array([[n in line[k] for n in names] for line in told]) for k in ("label", "prediction"))


def test_thresholds_are_kept_with_the_model_and_scores_are_cross_fitted(runs: dict[str, Any]) -> None:
    run = runs["tuned"]
    chances, held, told = as_arrays(lines(run))
    assert (told == (chances > cross_fit(chances, held))).all()
    tuned = tune_thresholds(chances, held)
    labels = read_task(run.folder / "model").task.labels
    assert isinstance(labels, MultiLabel) and labels == tuple(sorted(WORDS))
    assert [labels.thresholds.get(name, 0.5) for name in labels] == pytest.approx(tuned.tolist(), rel=1e-3)
    assert run.result.thresholds["tuned"] == len(labels.thresholds) > 0
    assert run.result.thresholds["reported"] == "cross-fitted on dev"
    assert any("cross-fitted" in note for note in run.result.notes)
    again = tlnlp.load(run.folder).predict([row["text"] for row in dishes(60, 1)])
    for each in again:
        above = [name for name, p in zip(labels, each.score, strict=True) if p > labels.thresholds.get(name, 0.5)]
        assert each.prediction == above
    assert run.result.usage[0].startswith("tlnlp predict")


def test_one_half_for_all_is_what_it_was(runs: dict[str, Any]) -> None:
    chances, _, told = as_arrays(lines(runs["half"]))
    assert (told == (chances > 0.5)).all()
    assert runs["half"].result.thresholds is None
    weights = [(runs[name].folder / "model" / "model.safetensors").read_bytes() for name in ("tuned", "half")]
    assert weights[0] == weights[1]


def test_thresholds_are_tuned_on_dev_and_never_on_test(runs: dict[str, Any]) -> None:
    run = runs["test"]
    assert run.result.thresholds["reported"] == "test"
    labels = read_task(run.folder / "model").task.labels
    assert isinstance(labels, MultiLabel)
    texts, held = zip(*((row["text"], row["label"].split(";")) for row in dishes(60, 1)), strict=True)
    chances = np.array([each.score for each in tlnlp.load(run.folder).predict(list(texts))])
    tuned = tune_thresholds(chances, np.array([[name in each for name in labels] for each in held]))
    assert [labels.thresholds.get(name, 0.5) for name in labels] == pytest.approx(tuned.tolist(), rel=1e-2)
    of_test, _, told = as_arrays(lines(run))
    assert (told == (of_test > [labels.thresholds.get(name, 0.5) for name in labels])).all()
