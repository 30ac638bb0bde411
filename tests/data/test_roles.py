"""Roles of rows: which are taken, from which columns, and what their values may be."""

import json
from typing import Any

import pytest

from tests.data.conftest import make_task, sentences
from tlnlp.errors import InputError
from tlnlp.task import Columns, Data

PLAIN = Columns(text="sentence", label="label")
PAIRS = Columns(text="premise", text_pair="hypothesis", label="label")
TASK = make_task(columns=Columns(text="text", label="label", weight="weight"))


def weighted(weights: list[Any]) -> list[dict[str, Any]]:
    return [{"text": f"row {i}", "label": i % 2, "weight": weight} for i, weight in enumerate(weights)]


def refusal(load: Any, *arguments: Any, **settings: Any) -> InputError:
    with pytest.raises(InputError) as refused:
        load(*arguments, **settings)
    return refused.value


def test_a_head_that_can_use_a_role_is_given_it_by_the_command_line(load: Any) -> None:
    rows = [row | {"importance": 2, "title": "a title"} for row in sentences([0, 1] * 5)]
    loaded = load(rows, rows, columns=("weight=importance", "text_pair=title"))
    assert loaded.train.columns["weight"] == [2.0] * 10
    assert loaded.train.columns["text_pair"] == ["a title"] * 10


def test_a_role_that_neither_task_nor_head_has_is_refused_with_those_they_have(load: Any) -> None:
    said = refusal(load, sentences([0, 1]), columns=("words=sentence",))
    assert said.expected == "--columns with the roles text, label, text_pair, weight"
    assert said.found == "words=sentence"


def test_a_column_named_as_in_the_original_files_needs_no_mapping_and_the_tasks_own_name_goes_first(load: Any) -> None:
    original = {"sentence1": "premise", "sentence2": "hypothesis", "gold_label": "label"}
    task = make_task(("a", "b"), PAIRS, Data(original_columns=original))
    rows = [{"sentence1": f"one {i}", "sentence2": "two", "gold_label": "ab"[i % 2]} for i in range(4)]
    loaded = load(rows, rows, task=task)
    assert loaded.train.columns["text"] == [f"one {i}" for i in range(4)]
    assert loaded.notes[0] == "columns: text from sentence1, text_pair from sentence2, label from gold_label"
    both = [row | {"premise": "own"} for row in rows]
    assert load(both, both, task=task).train.columns["text"] == ["own"] * 4


def test_weights_are_numbers_also_where_they_come_as_text(load: Any) -> None:
    rows = weighted([0, "2.5", 1.5, 3])
    assert load(rows, rows, task=TASK).train.columns["weight"] == [0.0, 2.5, 1.5, 3.0]


def test_dev_and_test_rows_need_no_weight(load: Any) -> None:
    unweighted = [{"text": "dev", "label": label} for label in (0, 1)]
    loaded = load(weighted([1, 2, 1, 2]), unweighted, unweighted, task=TASK, keep="best")
    assert "weight" not in loaded.dev.columns and "weight" not in loaded.test.columns


@pytest.mark.parametrize("weight", [-1, "much", None, float("nan"), float("inf"), True, [1], 10**400])
def test_a_weight_that_cannot_be_is_refused_with_row_and_value(weight: Any, load: Any) -> None:
    said = refusal(load, weighted([1, weight, 1]), weighted([1, 1]), task=TASK)
    assert said.expected == "a number, 0 or more, in every row of 'weight'"
    assert said.found.startswith("mine/train.jsonl, row 2: weight ")
    assert "--columns weight=COLUMN" in said.change


def test_weights_of_nothing_but_zeros_are_refused(load: Any) -> None:
    said = refusal(load, weighted([0, 0.0, "0"]), weighted([1, 1]), task=TASK)
    assert "not all 0" in said.expected
    assert "(3 such rows in all)" in said.found


@pytest.mark.parametrize("role", ["text", "text_pair", "question", "context"])
@pytest.mark.parametrize("value", ["", " ", None, 7])
def test_every_text_must_have_something_in_it(role: str, value: Any, load: Any) -> None:
    rows: list[dict[str, Any]] = [{role: "something", "label": i % 2} for i in range(4)]
    rows[2][role] = value
    columns = {role: role, "label": "label"}
    said = refusal(load, rows, rows, task=make_task(columns=Columns(**columns)))
    assert said.found == f"mine/train.jsonl, row 3: {role} {value!r}"


def test_only_a_prompt_may_be_empty(load: Any) -> None:
    task = make_task(columns=Columns(prompt="prompt", label="label"))
    rows: list[dict[str, Any]] = [{"prompt": ["", "so "][i % 2], "label": i % 2} for i in range(4)]
    assert load(rows, rows, task=task).train.columns["prompt"] == ["", "so ", "", "so "]
    for wrong in (None, 3, "\ud800"):
        rows[1]["prompt"] = wrong
        assert "row 2: prompt" in refusal(load, rows, rows, task=task).found


def test_all_values_enter_the_fingerprint(load: Any) -> None:
    digests = set()
    for weights in ([1, 1], [1, 2], [1, 1.0]):
        digests.add(load(weighted(weights * 3), weighted(weights), task=TASK).fingerprint)
    assert len(digests) == 2


def test_numbers_as_ids_are_taken_as_text_and_only_where_there_are_answers(load: Any) -> None:
    rows = [row | {"id": 7} for row in sentences([0, 1])]
    assert "id" not in load(rows, rows).train.columns
    assert json.dumps(load(rows, rows).notes).count("not used: id") == 1
