"""Endings to choose from: all the ways in which they and the right one are written."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.conftest import make_task
from tlnlp.data import Splits, load_splits
from tlnlp.errors import InputError
from tlnlp.settings import Settings
from tlnlp.task import Columns

TASK = make_task(None, Columns(text="text", endings="endings", label="label"))
ENDINGS = [["left", "right"], ["up", "down", "nowhere"], ["in", "out"]]


def rows_of(labels: list[Any], endings: list[Any] = ENDINGS) -> list[dict[str, Any]]:
    return [
        {"text": f"text {i}", "endings": each, "label": label}
        for i, (each, label) in enumerate(zip(endings, labels, strict=True))
    ]


def read(path: Path, text: str, task: Any = TASK, **settings: Any) -> Splits:
    """A file of train rows, which is also the dev split."""
    for name in ("train", "validation"):
        (path / f"{name}.csv").write_text(text)
    return load_splits(task, Settings(data=str(path), **settings))


@pytest.mark.parametrize(
    "labels",
    [
        [1, 2, 0],
        ["1", " 2", "0.0"],
        [1.0, 2.0, 0.0],
        ["B", "c", "A"],
        ["right", "nowhere ", "in"],
    ],
)
def test_the_right_ending_goes_by_number_letter_or_its_own_text(labels: list[Any], load: Any) -> None:
    loaded = load(rows_of(labels), rows_of(labels), task=TASK)
    assert loaded.train.columns["label"] == [1, 2, 0]
    assert loaded.train.columns["endings"] == ENDINGS
    assert loaded.train.labels is None


def test_numbers_or_letters_that_are_also_other_endings_texts_are_refused(load: Any) -> None:
    for labels, endings in ((["0", "1"], [["1", "0"], ["0", "1"]]), (["A", "B"], [["B", "A"], ["A", "B"]])):
        with pytest.raises(InputError, match=f"row 1: label '{labels[0]}' is the text of one ending and the place of"):
            load(rows_of(labels, endings), rows_of(labels, endings), task=TASK)
    # An integer is a place: an ending is a text.
    endings = [["1", "0"], ["0", "1"]]
    assert load(rows_of([0, 1], endings), rows_of([0, 1], endings), task=TASK).train.columns["label"] == [0, 1]
    # Both say the same.
    same = [["0", "1"], ["0", "1"]]
    assert load(rows_of(["0", "1"], same), rows_of(["0", "1"], same), task=TASK).train.columns["label"] == [0, 1]
    # No place in the second row: so both are the endings' own texts.
    endings = [["1", "0"], ["7", "8"]]
    assert load(rows_of(["0", "8"], endings), rows_of(["0", "8"], endings), task=TASK).train.columns["label"] == [1, 1]


@pytest.mark.parametrize("names", ["B,A", "2,1"])
def test_the_name_of_a_column_goes_before_the_letter_or_the_number_of_a_place(names: str, tmp_path: Path) -> None:
    second = names[-1]
    text = f"text,{names},label\na,one,two,{second}\nb,three,four,{second}\n"
    splits = read(tmp_path, text, columns=(f"endings={names}",))
    assert splits.train.columns["label"] == [1, 1]


@pytest.mark.parametrize("how", ["default", "--columns"])
def test_endings_may_stand_in_a_column_each_and_the_right_one_go_by_its_columns_name(how: str, tmp_path: Path) -> None:
    text = "text,choice1,choice2,label\na,one,two,choice2\nb,three,four,choice1\n"
    endings, flags = ("choice1,choice2", ()) if how == "default" else ("endings", ("endings=choice1, choice2",))
    task = make_task(None, Columns(text="text", endings=endings, label="label"))
    loaded = read(tmp_path, text, task, columns=flags)
    assert loaded.train.columns["endings"] == [["one", "two"], ["three", "four"]]
    assert loaded.train.columns["label"] == [1, 0]
    assert "endings from choice1" in loaded.notes[0] and "not used" not in loaded.notes[0]


def test_a_column_called_endings_serves_where_the_tasks_own_columns_are_not_there(load: Any) -> None:
    task = make_task(None, Columns(text="text", endings="ending0,ending1", label="label"))
    assert load(rows_of([0, 0, 0]), rows_of([0, 0, 0]), task=task).train.columns["endings"] == ENDINGS


@pytest.mark.parametrize("cell", ['"[""one, two"", ""three""]"', '"one, two|three"', '"one, two | three"'])
def test_endings_in_one_cell_are_a_json_list_or_stand_between_bars(cell: str, tmp_path: Path) -> None:
    loaded = read(tmp_path, f"text,endings,label\na,{cell},1\nb,{cell},0\n")
    assert loaded.train.columns["endings"] == [["one, two", "three"]] * 2


def test_a_missing_column_of_several_is_named_with_the_near_one(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        read(tmp_path, "text,choice1,choice2,label\na,b,c,0\n", columns=("endings=choice1,chioce2",))
    assert refused.value.expected == "a column 'chioce2' for the role endings"
    assert "did you mean choice2?" in refused.value.found


def test_one_column_for_two_endings_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a column of its own"):
        read(tmp_path, "text,choice1,label\na,b,0\n", columns=("endings=choice1,choice1",))


@pytest.mark.parametrize(
    "endings",
    [["only one"], [], None, "only one", ["a", ""], ["a", " "], ["a", None], ["a", 3], {"a": 1}, ["a", "\ud800"]],
)
def test_endings_that_cannot_be_are_refused_with_row_and_value(endings: Any, load: Any) -> None:
    rows = rows_of([0, 0, 0], [["a", "b"], endings, ["a", "b"]])
    with pytest.raises(InputError) as refused:
        load(rows, rows_of([0, 0, 0]), task=TASK)
    assert "at least two endings" in refused.value.expected
    assert refused.value.found.startswith("mine/train.jsonl, row 2: endings ")
    assert "endings=COLUMN,COLUMN" in refused.value.change


@pytest.mark.parametrize("label", [2, "2", "C", "rihgt", True, [0], 0.5, "choice2"])
def test_a_label_that_is_none_of_the_endings_is_refused_with_how_many_there_are(label: Any, load: Any) -> None:
    rows = rows_of([0, label], [["left", "right"]] * 2)
    with pytest.raises(InputError) as refused:
        load(rows, rows_of([0, 0, 0]), task=TASK)
    assert "counted" not in refused.value.expected and "from 0" in refused.value.expected
    assert refused.value.found in (
        f"mine/train.jsonl, row 2: label {label!r} for 2 endings",
        f"mine/train.jsonl, row 1: label 0 for 2 endings; row 2: label {label!r} for 2 endings (2 such rows in all)",
    )


def test_a_text_that_two_endings_have_tells_neither(load: Any) -> None:
    rows = rows_of(["same", "left"], [["same", "same"], ["left", "right"]])
    with pytest.raises(InputError, match="row 1: label 'same'"):
        load(rows, rows, task=TASK)


@pytest.mark.parametrize("hidden", [-1, None, ""])
def test_hidden_places_are_refused_in_train_and_hide_a_test_split(hidden: Any, load: Any) -> None:
    with pytest.raises(InputError, match="row 2: label"):
        load(rows_of([0, hidden, 0]), rows_of([0, 0, 0]), task=TASK)
    many = [rows_of([0, 1, 0])[i % 3] | {"text": f"text {i}"} for i in range(30)]
    loaded = load(many, rows_of([0, 0, 0]), rows_of([hidden] * 3), task=TASK, keep="best")
    assert any("hidden" in note for note in loaded.notes)
    assert len(loaded.test) == 3


def test_rows_with_endings_are_cut_drawn_and_digested(load: Any) -> None:
    many = [rows_of([0, 1, 0])[i % 3] | {"text": f"text {i}"} for i in range(60)]
    loaded = load(many, task=TASK, train_rows=20, keep="best")
    assert (len(loaded.train), len(loaded.dev), len(loaded.test)) == (20, 5, 6)
    many[0]["endings"] = ["left", "wrong"]
    assert load(many, task=TASK, train_rows=20, keep="best").fingerprint != loaded.fingerprint


def test_the_place_of_the_right_ending_may_be_the_same_in_all_rows(load: Any) -> None:
    """Each ending is scored by itself: its place says nothing."""
    assert load(rows_of([0, 0, 0]), rows_of([0, 0, 0]), task=TASK).train.columns["label"] == [0, 0, 0]


def test_endings_survive_the_way_through_a_csv_cell(tmp_path: Path) -> None:
    endings = ["with | a bar", 'a "quote"', "[brackets]"]
    cell = json.dumps(endings).replace('"', '""')
    loaded = read(tmp_path, f'text,endings,label\na,"{cell}",2\nb,"{cell}",1\n')
    assert loaded.train.columns["endings"][0] == endings
