"""The functions behind the page: what a person typed, what is shown, and what the weight of a word promises."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.recipe_runs import Ended, run_recipe
from tlnlp.demo.base_model import load_before
from tlnlp.demo.explain import (
    MOST_CHARACTERS,
    WORD,
    answer_rows,
    ask,
    fields_of,
    find_model,
    leave_out,
    mark_span,
    read_row,
    weigh_words,
)
from tlnlp.errors import InputError
from tlnlp.inference.predictor import Predictor

GIVEN: dict[str, dict[str, str]] = {
    "sst2": {"text": "A dull film with one wonderful song."},
    "stsb": {"text": "A man sings.", "text_pair": "A woman is singing."},
    "rte": {"text": "The bridge was closed in May.", "text_pair": "The bridge is open."},
    "copa": {"text": "The glass fell off the table.", "endings": "It broke.\nIt sang.\n\n"},
    "conll2003": {"words": "Anna Keller flew to Oslo, didn't she?"},
    "squad_v2": {"question": "Who flew to Oslo?", "context": "In May Anna Keller flew to Oslo. She stayed there."},
}


@pytest.fixture(scope="module", params=GIVEN)
def trained(request: pytest.FixtureRequest, short_run: Callable[[str], Ended]) -> tuple[str, Path]:
    return request.param, short_run(request.param).folder


def test_every_head_answers_what_was_typed(trained: tuple[str, Path]) -> None:
    name, folder = trained
    answerer = Predictor(find_model(folder))
    given = GIVEN[name]
    assert fields_of(answerer.task) == list(given)
    shown = ask(answerer, given)
    (answer,) = answer_rows(answerer, [read_row(answerer.task, given)])
    assert shown.words
    if name in ("sst2", "rte"):
        assert shown.words == answer["prediction"] == next(iter(shown.confidences))
        assert shown.confidences == pytest.approx(answer["scores"])
        assert answerer.temperature is not None
        assert shown.confidences[shown.words] == pytest.approx(answer["calibrated"])
        assert sum(shown.confidences.values()) == pytest.approx(1)
    if name == "copa":
        assert set(shown.confidences) == {"It broke.", "It sang."}
        assert sum(shown.confidences.values()) == pytest.approx(1, abs=1e-5)
    if name == "conll2003":
        assert shown.marked is not None
        assert [word for word, _ in shown.marked] == ["Anna", "Keller", "flew", "to", "Oslo", ",", "didn't", "she", "?"]
    if name == "squad_v2":
        assert shown.marked is not None
        assert "".join(part for part, _ in shown.marked) == given["context"]


def test_the_weight_of_a_word_is_what_the_answer_loses_without_it(trained: tuple[str, Path]) -> None:
    """The promise of erasure, tried by hand for every word."""
    name, folder = trained
    answerer, given = Predictor(find_model(folder)), GIVEN[name]
    weighed = weigh_words(answerer, given)
    if name not in ("sst2", "rte"):
        assert weighed == []
        return
    (whole,) = answer_rows(answerer, [given])
    said = whole["prediction"]
    count = 0
    for role, marked in weighed:
        assert "".join(text for text, _ in marked) == given[role]
        place = 0
        for text, value in marked:
            if value is not None:
                without = {**given, role: leave_out(given[role], (place, place + len(text)))}
                (other,) = answer_rows(answerer, [without])
                assert value == pytest.approx(whole["scores"][said] - other["scores"][said], abs=1e-4), text
                count += 1
            place += len(text)
    assert count == sum(len(WORD.findall(text)) for text in given.values())


@pytest.mark.parametrize("name", [*GIVEN][:2] + [pytest.param(each, marks=pytest.mark.long) for each in [*GIVEN][2:]])
def test_before_is_the_network_that_the_first_update_found(
    name: str, short_run: Callable[[str], Ended], tmp_path: Path
) -> None:
    """Learning with a rate of nothing ends where it began."""
    folder, still = short_run(name).folder, tmp_path / "still"
    answerer = Predictor(find_model(folder))
    before = load_before(answerer, folder)
    model = short_run(name).result["model"]
    same = ("--model", model, "--epochs", 1, "--train-rows", 48)
    ended = run_recipe(name, *same, "--learning-rate", 1e-30, "--weight-decay", 0, folder=still)
    assert ended.status == 0, ended.output
    row = read_row(answerer.task, GIVEN[name])
    unmoved = Predictor(find_model(still))
    unmoved.temperature = None
    (one,), (other,) = answer_rows(before, [row]), answer_rows(unmoved, [row])
    if name == "squad_v2":  # what is answered hangs on a threshold that each run finds for itself
        one, other = ({"null_odds": each["null_odds"]} for each in (one, other))
    assert _numbers(one) == pytest.approx(_numbers(other), abs=1e-4)
    with torch.no_grad():
        moved, begun = (torch.nn.utils.parameters_to_vector(each.model.parameters()) for each in (answerer, before))
    assert float((moved - begun).abs().max()) > 1e-4


def _numbers(answer: Any) -> list[float]:
    if isinstance(answer, dict):
        return [number for each in answer.values() for number in _numbers(each)]
    if isinstance(answer, list):
        return [number for each in answer for number in _numbers(each)]
    return [float(answer)] if isinstance(answer, int | float) else []


def test_what_cannot_be_asked_is_said_in_words(trained: tuple[str, Path]) -> None:
    name, folder = trained
    answerer = Predictor(find_model(folder))
    role = fields_of(answerer.task)[0]
    with pytest.raises(InputError, match="type a few words"):
        ask(answerer, {**GIVEN[name], role: "  \n "})
    with pytest.raises(InputError, match="100,000"):
        ask(answerer, {**GIVEN[name], role: "a" * 100_000})
    if name == "copa":
        with pytest.raises(InputError, match="two endings"):
            ask(answerer, {**GIVEN[name], "endings": "only one"})


def test_hostile_and_odd_texts_are_answered(trained: tuple[str, Path]) -> None:
    name, folder = trained
    answerer = Predictor(find_model(folder))
    for text in ("<script>alert(1)</script>", "از خدمات راضی هستم", "🙂" * 50, "x" * MOST_CHARACTERS):
        shown = ask(answerer, {**GIVEN[name], fields_of(answerer.task)[0]: text})
        assert shown.words


@pytest.mark.parametrize(
    ("text", "span", "left"),
    [("one two three", (4, 7), "one three"), ("one two", (0, 3), "two"), ("a, b", (1, 2), "a b"), ("one", (0, 3), "")],
)
def test_a_word_is_left_out_with_its_blank(text: str, span: tuple[int, int], left: str) -> None:
    assert leave_out(text, span) == left


def test_the_answer_is_marked_where_it_stands() -> None:
    assert mark_span("In May she left.", 3, 3) == [("In ", None), ("May", "answer"), (" she left.", None)]
    assert mark_span("May", 0, 3) == [("May", "answer")]
    assert mark_span("May", -1, 0) == [("May", None)]


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no model in it"):
        find_model(tmp_path)


def test_a_shallow_run_had_no_head_before(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    ended = run_recipe("sst2", "--strategy", "shallow", "--train-rows", 48, folder=folder)
    assert ended.status == 0, ended.output
    answerer = Predictor(find_model(folder))
    assert ask(answerer, GIVEN["sst2"]).words in ("negative", "positive")
    with pytest.raises(InputError, match="whose head was there"):
        load_before(answerer, folder)
    assert json.loads((folder / "result.json").read_text())["settings"]["strategy"] == "shallow"
