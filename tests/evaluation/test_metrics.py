"""Metrics against scikit-learn and cases worked by hand; each is an `evaluate` module that loads without a network."""

from __future__ import annotations

import math
import socket
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import evaluate
import numpy as np
import pytest
from sklearn.metrics import accuracy_score

from tlnlp import heads, metrics
from tlnlp.data import Rows
from tlnlp.errors import InputError
from tlnlp.evaluation.scoring import check_metrics, is_better, measure
from tlnlp.task import Columns, Data, Labels, MultiLabel, Prediction, Task

FOLDER = Path(metrics.__path__[0])
MODULES = sorted(path.stem for path in FOLDER.glob("[a-z]*.py"))
LABELS = ("a", "b", "c")


def as_task(head: Any, labels: Labels, *modules: Any) -> Task:
    return Task("tests", Data(), Columns(text="text", label="label"), head, labels, modules)


def as_rows(values: list[Any], labels: tuple[str, ...] | None = None) -> Rows:
    return Rows({"text": ["x"] * len(values), "label": values}, "tests", np.arange(1, len(values) + 1), labels)


@pytest.mark.parametrize("seed", range(3))
def test_accuracy_of_one_label_is_scikit_learns(seed: int) -> None:
    draw = np.random.default_rng(seed)
    references, predictions = draw.integers(0, 3, 50).tolist(), draw.integers(0, 3, 50).tolist()
    answers = [Prediction(LABELS[each]) for each in predictions]
    found = measure(as_task(heads.sentence, LABELS, metrics.accuracy), answers, as_rows(references, LABELS))
    assert found == {"accuracy": pytest.approx(accuracy_score(references, predictions))}
    assert 0 < found["accuracy"] < 1


@pytest.mark.parametrize("seed", range(3))
def test_accuracy_of_several_labels_asks_for_all_of_a_row_as_scikit_learn_does(seed: int) -> None:
    draw = np.random.default_rng(seed)
    references = draw.random((60, 3)) < 0.4
    predictions = np.where(draw.random((60, 3)) < 0.2, ~references, references)
    answers = [Prediction([LABELS[i] for i in np.flatnonzero(line)]) for line in predictions]
    held = [tuple(np.flatnonzero(line).tolist()) for line in references]
    task = as_task(heads.sentence, MultiLabel(LABELS), metrics.accuracy)
    found = measure(task, answers, as_rows(held, LABELS))
    assert found == {"accuracy": pytest.approx(accuracy_score(references, predictions))}
    assert 0.2 < found["accuracy"] < 0.9


def test_the_perplexity_of_a_diverged_network_is_infinite() -> None:
    assert metrics.perplexity.Perplexity().compute(predictions=[8000.0], references=[2.0]) == {"perplexity": math.inf}
    found = metrics.perplexity.Perplexity().compute(predictions=[math.nan], references=[2.0])
    assert found is not None and math.isnan(found["perplexity"])


def test_perplexity_is_e_to_the_nats_of_a_place_whatever_the_sequences_lengths() -> None:
    """Two places at probability 1/4 and six at 1/16: 2 ln 4 + 6 ln 16 = 28 ln 2 nats over 8 places, 2 to the 3.5."""
    answers = [
        Prediction(0.0, math.log(4), more={"nats": 2 * math.log(4), "places": 2.0}),
        Prediction(0.0, math.log(16), more={"nats": 6 * math.log(16), "places": 6.0}),
    ]
    found = measure(as_task(heads.masked_lm, None, metrics.perplexity), answers, as_rows([None, None]))
    assert found == {"perplexity": pytest.approx(2**3.5)}


def test_of_two_perplexities_the_lower_is_better_and_of_two_accuracies_the_higher() -> None:
    perplexity, accuracy = (as_task(None, None, module) for module in (metrics.perplexity, metrics.accuracy))
    assert is_better(perplexity, 3.0, than=4.0)
    assert not is_better(perplexity, 4.0, than=3.0)
    assert not is_better(perplexity, 3.0, than=3.0)
    assert is_better(accuracy, 0.9, than=0.8)
    assert not is_better(accuracy, 0.8, than=0.9)
    assert not is_better(accuracy, 0.8, than=0.8)


def test_nothing_is_measured_where_there_is_nothing_to_judge() -> None:
    assert measure(as_task(heads.sentence, LABELS, metrics.accuracy), None, as_rows([0], LABELS)) == {}


def judge(predictions: list[Any], references: list[Any]) -> Any:
    """A head whose answers are judged as `predictions` against `references`."""
    return SimpleNamespace(
        metric_inputs=lambda answers, rows, task: {"predictions": predictions, "references": references}
    )


def test_f1_is_the_positive_labels_of_two_and_the_mean_of_three_even_where_the_third_never_occurs() -> None:
    told, true = [1, 1, 0, 0], [1, 0, 0, 0]
    rows = as_rows(true, LABELS[:2])
    means = {"f1_macro": (2 / 3 + 4 / 5) / 2, "f1_weighted": (2 / 3 + 3 * 4 / 5) / 4}
    found = measure(as_task(judge(told, true), LABELS[:2], metrics.f1), [], rows)
    assert found == pytest.approx({"f1 of b": 2 / 3, **means})
    of_a = replace(as_task(judge(told, true), LABELS[:2], metrics.f1), positive="a")
    assert measure(of_a, [], rows) == pytest.approx({"f1 of a": 4 / 5, **means})
    rows = as_rows(true, LABELS)
    assert measure(as_task(judge(told, true), LABELS, metrics.f1), [], rows) == pytest.approx(means)
    assert measure(replace(of_a, labels=LABELS), [], rows) == pytest.approx({"f1 of a": 4 / 5, **means})


def test_f1_of_several_labels_is_measured_beside_accuracy() -> None:
    told, true = [[1, 0, 0], [1, 1, 0]], [[1, 0, 0], [1, 0, 1]]
    task = as_task(judge(told, true), MultiLabel(LABELS), metrics.f1, metrics.accuracy)
    found = measure(task, [], as_rows([(0,), (0, 2)], LABELS))
    assert found == pytest.approx({"f1_micro": 2 / 3, "f1_macro": 1 / 3, "f1_weighted": 2 / 3, "accuracy": 1 / 2})
    assert list(found) == ["f1_micro", "f1_macro", "f1_weighted", "accuracy"]


def test_lists_that_are_not_labels_are_measured_as_what_they_are() -> None:
    tags = ("O", "B-X", "I-X")
    task = as_task(judge([["B-X", "O"], []], [["B-X", "I-X"], []]), tags, metrics.entity_f1, metrics.word_accuracy)
    found = measure(task, [], as_rows([[1, 2], []], tags))
    assert found == {"entity_f1": 0.0, "entity_precision": 0.0, "entity_recall": 0.0, "accuracy": 0.5}
    task = as_task(judge(["x", "y"], [["x", "z"], []]), None, metrics.squad)
    found = measure(task, [], as_rows([["x", "z"], []]))
    assert found == {
        "f1": 0.5, "exact_match": 0.5, "has_answer_f1": 1.0, "has_answer_exact": 1.0, "no_answer_accuracy": 0.0,
    }  # fmt: skip


# Of each metric: predictions, references, and what comes out.
WORKED: dict[str, tuple[list[Any], list[Any], dict[str, float]]] = {
    "accuracy": ([1, 0, 1, 1], [1, 1, 1, 1], {"accuracy": 3 / 4}),
    "entity_f1": (
        [["B-X", "I-X", "B-Y"]],
        [["B-X", "I-X", "O"]],
        {"entity_f1": 2 / 3, "entity_precision": 1 / 2, "entity_recall": 1.0},
    ),
    "f1": ([1, 0, 1, 1], [1, 1, 1, 1], {"f1": 6 / 7, "f1_macro": 3 / 7, "f1_weighted": 6 / 7}),
    "matthews": ([1, 0, 1, 0], [1, 0, 1, 1], {"matthews_correlation": 1 / math.sqrt(3)}),
    "pearson": ([1.0, 2.0, 4.0], [1.0, 2.0, 3.0], {"pearson": 9 / math.sqrt(84)}),
    "perplexity": ([1, 0, 1, 1], [1, 1, 1, 1], {"perplexity": math.exp(3 / 4)}),
    "spearman": ([1.0, 9.0, 2.0], [1.0, 2.0, 3.0], {"spearman": 1 / 2}),
    "squad": (["the cat", "dog"], [["Cat."], ["big dog"]], {"f1": 5 / 6, "exact_match": 1 / 2}),
    "word_accuracy": ([["X", "Y"], ["Z"]], [["X", "X"], ["Z"]], {"accuracy": 2 / 3}),
}


@pytest.mark.parametrize("name", MODULES)
def test_a_metric_loads_with_evaluate_from_its_file_without_a_network(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **named: Any) -> NoReturn:
        raise AssertionError(f"the network was asked for: {arguments}")

    for function in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, function, refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    metric = evaluate.load(str(FOLDER / f"{name}.py"), keep_in_memory=True)
    predictions, references, expected = WORKED[name]
    assert metric.compute(predictions=predictions, references=references) == pytest.approx(expected)


def test_every_metric_is_offered_by_name_and_documented() -> None:
    assert {name for name in MODULES if hasattr(metrics, name)} == set(MODULES)
    assert len(MODULES) >= 2
    for name in MODULES:
        assert getattr(metrics, name).DESCRIPTION


def test_a_metric_that_knows_one_label_only_is_refused_before_anything_is_measured() -> None:
    check_metrics(as_task(heads.sentence, MultiLabel(LABELS), metrics.f1, metrics.accuracy))
    check_metrics(as_task(heads.sentence, LABELS, metrics.matthews))
    with pytest.raises(InputError, match="several labels per row") as caught:
        check_metrics(as_task(heads.sentence, MultiLabel(LABELS), metrics.accuracy, metrics.matthews))
    assert caught.value.found == "matthews"
