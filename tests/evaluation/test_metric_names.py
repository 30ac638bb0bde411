"""`--metrics` and `--positive`: names give scikit-learn's own numbers, and what does not fit is refused in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn.metrics

from tlnlp import heads, metrics
from tlnlp.data import Rows
from tlnlp.errors import InputError
from tlnlp.evaluation.metric_names import choose_metrics, find_metrics
from tlnlp.evaluation.scikit_metrics import ENDING, NAMES, NUMBER, ONE, SEVERAL, WORD
from tlnlp.evaluation.scoring import headline, is_better, measure, primary_inputs, row_noise, try_metrics
from tlnlp.evaluation.statistics import draw_rows
from tlnlp.settings import Settings
from tlnlp.task import Columns, Data, Labels, MultiLabel, Prediction, Regression, Task

FRAUD = ("fraud", "ok")
THREE = ("bad", "good", "so so")


def task_of(labels: Labels = None, head: Any = heads.sentence, **columns: str) -> Task:
    given = columns or {"text": "text", "label": "label"}
    return Task("tests", Data(), Columns(**given), head, labels, (metrics.accuracy, metrics.f1))


def rows_of(values: list[Any], labels: tuple[str, ...] | None, role: str = "label") -> Rows:
    texts = {"text": ["x"] * len(values)} if role == "label" else {"words": [["x"] * len(each) for each in values]}
    return Rows({**texts, role: values}, "tests", np.arange(1, len(values) + 1), labels)


def answers_of(draw: np.random.Generator, rows: int, labels: tuple[str, ...]) -> tuple[list[Prediction], np.ndarray]:
    scores = draw.dirichlet(np.ones(len(labels)), rows)
    named = [dict(zip(labels, line.tolist(), strict=True)) for line in scores]
    return [Prediction(max(each, key=lambda name: each[name]), max(each.values()), each) for each in named], scores


def score(task: Task, name: str, answers: list[Prediction], rows: Rows, **more: Any) -> dict[str, float]:
    chosen, _ = choose_metrics(task, Settings(metrics=(name,), **more), rows)
    return measure(chosen, answers, rows)


@pytest.mark.parametrize("name", [name for name, how in NAMES.items() if ONE in how.kinds and name != "f1"])
@pytest.mark.parametrize("labels", [FRAUD, THREE])
def test_scores_of_one_label_are_scikit_learns(name: str, labels: tuple[str, ...]) -> None:
    draw = np.random.default_rng(1)
    held = draw.choice(len(labels), 60, p=[0.2, 0.8] if len(labels) == 2 else [0.2, 0.5, 0.3])
    answers, scores = answers_of(draw, 60, labels)
    told, rows, how = scores.argmax(axis=1), rows_of(held.tolist(), labels), NAMES[name]
    if len(labels) > 2 and (how.by_label == "two" or (how.has_positive and how.by_label is None)):
        with pytest.raises(InputError, match="3 labels"):
            score(task_of(), name, answers, rows)
        return
    function = getattr(sklearn.metrics, how.function)
    if name.startswith("roc_auc_ovr") and len(labels) == 3:
        mean = "weighted" if name.endswith("weighted") else "macro"
        expected = function(held, scores, multi_class="ovr", average=mean)
    elif name == "average_precision" and len(labels) == 3:
        expected = function(held, scores)
    elif how.function in ("log_loss", "top_k_accuracy_score"):
        given = scores[:, 1] if len(labels) == 2 and how.function != "log_loss" else scores
        expected = function(held, given, labels=range(len(labels)))
    elif how.needs_scores:  # the first label is the rarer one
        expected = function(held == 0, scores[:, 0])
    elif how.has_positive:
        expected = function(held == 0, told == 0)
    else:
        expected = function(held, told, **how.options)
    found = score(task_of(), name, answers, rows)
    of = " of fraud" if how.has_positive and len(labels) == 2 else "_macro" if how.has_positive else ""
    assert found == {f"{name}{of}": pytest.approx(expected * how.sign)}
    assert np.isfinite(expected)


@pytest.mark.parametrize("name", [name for name, how in NAMES.items() if SEVERAL in how.kinds])
def test_scores_of_several_labels_are_scikit_learns(name: str) -> None:
    draw = np.random.default_rng(2)
    held, scores = draw.integers(0, 2, (50, 3)), draw.random((50, 3))
    told, how = (scores > 0.5).astype(int), NAMES[name]
    answers = [
        Prediction([THREE[i] for i in np.flatnonzero(one)], line.tolist())
        for one, line in zip(told, scores, strict=True)
    ]
    rows = rows_of([tuple(np.flatnonzero(line).tolist()) for line in held], THREE)
    function = getattr(sklearn.metrics, how.function)
    expected = function(held, scores if how.needs_scores else told, **how.options)
    found = score(task_of(MultiLabel(THREE)), name, answers, rows)
    assert next(iter(found.values())) == pytest.approx(expected)


@pytest.mark.parametrize("name", [name for name, how in NAMES.items() if NUMBER in how.kinds])
def test_scores_of_numbers_are_scikit_learns(name: str) -> None:
    draw = np.random.default_rng(3)
    held = draw.normal(size=40)
    told = held + draw.normal(size=40) / 3
    answers = [Prediction(each, each) for each in told.tolist()]
    found = score(task_of(Regression(0, 5)), name, answers, rows_of(held.tolist(), None))
    how = NAMES[name]
    assert found == {name: pytest.approx(how.sign * getattr(sklearn.metrics, how.function)(held, told))}
    chosen = replace(task_of(Regression(0, 5)), metrics=find_metrics((name,), task_of(Regression(0, 5))))
    assert is_better(chosen, 0.1, than=0.2) == how.lower_is_better


def test_tags_are_scored_word_by_word() -> None:
    names, held, told = ("O", "B-X"), [[0, 1], [], [1]], [["O", "O"], [], ["B-X"]]
    task = task_of(head=heads.tag, words="words", tags="tags")
    found = score(task, "f1_macro", [Prediction(each) for each in told], rows_of(held, names, "tags"))
    assert found == {"f1_macro": pytest.approx(2 / 3)}
    assert {name for name, how in NAMES.items() if WORD in how.kinds} >= {"balanced_accuracy", "cohen_kappa"}
    assert find_metrics(("accuracy",), task) == (metrics.word_accuracy,)


def test_a_score_that_is_undefined_for_some_draws_varies_by_the_others() -> None:
    """With one fraud in twelve rows, a third of the resamples have none: their ROC curve is undefined."""
    draw = np.random.default_rng(4)
    answers, _ = answers_of(draw, 12, FRAUD)
    rows = rows_of([0] + [1] * 11, FRAUD)
    task, _ = choose_metrics(task_of(), Settings(metrics=("roc_auc",)), rows)
    noise = row_noise(headline(task, rows), primary_inputs(task, answers, rows), draw_rows(12, 50))
    assert np.isfinite(noise).all() and noise.std() > 0
    assert np.isnan(measure(task, answers, rows_of([1] * 12, FRAUD))["roc_auc"])


def test_the_rarer_of_two_found_labels_is_the_positive_one_and_that_is_said() -> None:
    train, dev = rows_of([0] + [1] * 9, FRAUD), rows_of([0, 1, 1, 1], FRAUD)
    missed = [Prediction("ok")] * 4
    task, notes = choose_metrics(task_of(), Settings(), train)
    assert notes == ["f1 of fraud, the rarer label (10.0% of the train rows); --positive ok changes it"]
    found = measure(task, missed, dev)
    assert found == pytest.approx({"accuracy": 3 / 4, "f1 of fraud": 0, "f1_macro": 3 / 7, "f1_weighted": 9 / 14})
    other, notes = choose_metrics(task_of(), Settings(positive="ok"), train)
    assert (measure(other, missed, dev)["f1 of ok"], notes) == (pytest.approx(6 / 7), [])
    even, (note,) = choose_metrics(task_of(), Settings(), rows_of([0, 1], FRAUD))
    assert even.positive == "ok" and "as frequent as the other" in note
    declared, notes = choose_metrics(task_of(FRAUD), Settings(), train)
    assert (declared.positive, notes) == ("ok", []), "the second one that is declared, as in GLUE"
    published, notes = choose_metrics(replace(task_of(FRAUD), positive="fraud"), Settings(), rows_of([1, 0, 0], FRAUD))
    assert (published.positive, notes) == ("fraud", [])
    of_one, _ = choose_metrics(task_of(), Settings(positive="good"), rows_of([0, 1, 2], THREE))
    assert "f1 of good" in measure(of_one, [Prediction("good")] * 3, rows_of([0, 1, 2], THREE))


def test_the_first_metric_decides_and_that_is_said() -> None:
    rows = rows_of([0, 1, 1], FRAUD)
    task, notes = choose_metrics(task_of(), Settings(metrics=("cohen_kappa", "f1")), rows)
    assert list(measure(task, [Prediction("ok")] * 3, rows)) == [
        "cohen_kappa",
        "f1 of fraud",
        "f1_macro",
        "f1_weighted",
    ]
    assert notes[-1] == "metrics: cohen_kappa f1; the first one decides (--keep best, verdicts)"


@pytest.mark.parametrize(
    ("name", "labels", "words"),
    [
        ("roc_acu", None, "did you mean roc_auc or"),
        ("mathews_corrcoef", None, "did you mean matthews_corrcoef"),
        ("pearson", None, "--metrics pearson, for a number"),
        ("roc_auc", Regression(0, 5), "for a label or several labels"),
        ("nowhere:mine", None, "no module nowhere"),
        ("math:pi", None, "a float"),
    ],
)
def test_what_is_no_metric_for_the_task_is_refused_with_the_near_names(name: str, labels: Labels, words: str) -> None:
    with pytest.raises(InputError) as caught:
        find_metrics((name,), task_of(labels))
    assert words in caught.value.found


def test_a_positive_label_that_is_none_is_refused() -> None:
    train = rows_of([0, 1, 1], FRAUD)
    with pytest.raises(InputError, match="did you mean fraud"):
        choose_metrics(task_of(), Settings(positive="fruad"), train)
    with pytest.raises(InputError, match="--metrics f1, or omit --positive"):
        choose_metrics(task_of(), Settings(positive="ok", metrics=("accuracy",)), train)
    with pytest.raises(InputError, match="omit --positive"):
        choose_metrics(task_of(MultiLabel(THREE)), Settings(positive="bad"), rows_of([(0,)], THREE))


def test_a_persons_own_function_is_a_metric_from_the_path_and_from_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine_too.py").write_text(
        "def cost(predictions, references):\n"
        "    return sum(one != other for one, other in zip(predictions, references))\n"
        "cost.lower_is_better = True\n"
        "def mean_chance(predictions, references):\n    return float(predictions.mean())\n"
        "mean_chance.needs_scores = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    rows, answers = rows_of([0, 1, 1], FRAUD), [Prediction("ok", 0.8, {"fraud": 0.2, "ok": 0.8})] * 3
    for place in ("mine_too", str(tmp_path / "mine_too.py")):
        task, _ = choose_metrics(task_of(), Settings(metrics=(f"{place}:cost", f"{place}:mean_chance")), rows)
        try_metrics(task, rows, rows)
        assert measure(task, answers, rows) == {"cost": 1.0, "mean_chance": pytest.approx(0.5)}
        assert is_better(task, 1, than=2)
    with pytest.raises(InputError, match="did you mean cost"):
        find_metrics((f"{tmp_path / 'mine_too.py'}:costs",), task_of())


def test_every_name_has_an_answer_that_it_is_for() -> None:
    assert all(set(how.kinds) <= {ONE, SEVERAL, ENDING, WORD, NUMBER} and how.kinds for how in NAMES.values())
