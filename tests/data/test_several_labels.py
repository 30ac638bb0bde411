"""Several labels in a row, in every form that people bring; and one label that looks like several."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tlnlp.data import Splits, load_splits
from tlnlp.data.bytes_to_text import FileFormat
from tlnlp.data.memory import tables_of
from tlnlp.errors import InputError
from tlnlp.recipe import load_recipe
from tlnlp.settings import Settings
from tlnlp.task import Columns, Data, Labels, MultiLabel, Task

RECIPE = load_recipe("own_classification")
SETS = [["mild"], [], ["hot", "mild"], ["sweet"], ["hot"], ["hot", "sweet"], ["mild", "sweet"]]
NAMES = ("hot", "mild", "sweet")


def read(labels: list[Any], task: Task = RECIPE.task, **settings: Any) -> Splits:
    rows = [{"text": f"dish {i}", "label": label} for i, label in enumerate(labels)]
    tables = tables_of({"train": rows, "validation": rows}, FileFormat())
    return load_splits(task, Settings(**settings), tables)


def sets_of(splits: Splits) -> list[set[str]]:
    names = splits.train.labels or ()
    return [{names[i] for i in row} for row in splits.train.columns["label"]]


WAYS = {
    "lists": lambda names: names,
    "JSON": json.dumps,
    "Python": str,
    "numpy": lambda names: str(np.array(names, dtype=object)),
    "semicolons": ";".join,
    "commas": ", ".join,
    "bars": "|".join,
    "mapping": lambda names: {name: int(name in names) for name in NAMES},
    "label-studio": lambda names: json.dumps({"choices": names}) if len(names) != 1 else names[0],
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_of_writing_several_labels_is_found_and_said(way: str) -> None:
    splits = read([WAYS[way](names) for names in SETS])
    assert splits.several == NAMES == splits.train.labels
    assert sets_of(splits) == [set(names) for names in SETS]
    assert any("1 with none, 3 with one, 3 with several" in note for note in splits.notes)
    assert RECIPE.task.with_several(splits.several).labels == MultiLabel(NAMES)


@given(st.lists(st.sets(st.sampled_from(["alpha", "beta", "gamma ray", "it's", 'a "b"', "ü"])), min_size=2))
def test_lists_as_text_are_read_back_equal(sets: list[set[str]]) -> None:
    lists = [*map(sorted, sets), ["alpha", "beta"]]
    for way in (str, json.dumps):
        assert sets_of(read([way(names) for names in lists])) == [set(names) for names in lists]


@pytest.mark.parametrize("marks", [(0, 1), ("0", "1"), (0.0, 1.0), (False, True), ("no", "Yes")])
def test_a_column_for_each_label(marks: tuple[Any, Any], tmp_path: Path) -> None:
    rows = [
        {"text": f"dish {i}", **{name: marks[name in names] for name in NAMES}}
        for i, names in enumerate([*SETS, *SETS])
    ]
    file = tmp_path / "dishes.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    settings = Settings(data=str(file), columns=("label=sweet,hot,mild",))
    splits = load_splits(RECIPE.task, settings)
    assert splits.several == ("sweet", "hot", "mild")
    assert [{names_of(splits)[i] for i in row} for row in splits.train.columns["label"]] == [
        set(SETS[(number - 1) % len(SETS)]) for number in splits.train.numbers.tolist()
    ]
    declared = Task("dishes", Data(), Columns(text="text", label="label"), RECIPE.task.head, MultiLabel(NAMES))
    assert load_splits(declared, settings).train.labels == NAMES
    with pytest.raises(InputError, match=r"--columns label=hot,mild,sweet"):
        load_splits(declared, Settings(data=str(file), columns=("label=hot",)))


def names_of(splits: Splits) -> tuple[str, ...]:
    return splits.train.labels or ()


def test_a_cell_of_a_label_column_that_is_neither_yes_nor_no_is_named(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("text,a,b\none,0,1\ntwo,2,1\nthree,,0\n")
    with pytest.raises(InputError, match=r"row 2: a '2'; row 3: a ''") as refused:
        load_splits(RECIPE.task, Settings(data=str(tmp_path / "rows.csv"), columns=("label=a,b",)))
    assert "0 or 1" in refused.value.expected


def test_columns_of_which_each_row_has_exactly_one_are_one_label(tmp_path: Path) -> None:
    lines = [f"dish {i},{int(i % 3 == 0)},{int(i % 3 == 1)},{int(i % 3 == 2)}" for i in range(30)]
    (tmp_path / "rows.csv").write_text("\n".join(["text,a,b,c", *lines]))
    settings = {"data": str(tmp_path / "rows.csv"), "columns": ("label=a,b,c",)}
    splits = load_splits(RECIPE.task, Settings(**settings))
    assert splits.several is None and splits.train.labels == ("a", "b", "c")
    assert [(number - 1) % 3 for number in splits.train.numbers.tolist()] == splits.train.columns["label"]
    assert load_splits(RECIPE.task, Settings(**settings, several_labels="yes")).several == ("a", "b", "c")


def test_one_label_with_a_comma_in_its_name_is_not_split() -> None:
    labels = ["Home, Garden", "Toys", "Food; Drinks", "Toys", "Home, Garden"]
    splits = read(labels)
    assert splits.several is None and set(names_of(splits)) == set(labels)
    assert any("taken as one name" in note for note in splits.notes)


@pytest.mark.parametrize("labels", [["Home, Garden", "Home", "Toys"], ["3,5", "4,5", "3", "4,0"], [["a"], [], ["b"]]])
def test_what_could_be_either_is_refused_and_either_flag_decides(labels: list[Any]) -> None:
    with pytest.raises(InputError, match="--several-labels yes") as refused:
        read(labels)
    assert refused.value.expected == "one label in each row, or several"
    assert read(labels, several_labels="yes").several is not None
    if isinstance(labels[0], str):
        one = read(labels, several_labels="no")
        assert one.several is None and set(names_of(one)) == set(labels)


def test_a_separator_of_ones_own() -> None:
    splits = read(["a/b", "c", "", "a"], label_separator="/")
    assert splits.several == ("a", "b", "c") and sets_of(splits)[2] == set()


@pytest.mark.parametrize("ones", [[["a"], ["b"], ["a"]], ["['a']", '["b"]', "['a']"]])
def test_lists_of_one_label_are_that_label(ones: list[Any]) -> None:
    splits = read(ones)
    assert splits.several is None and names_of(splits) == ("a", "b")


def test_0_and_1_for_each_label_need_names() -> None:
    lists = [[0, 1, 0], [1, 1, 0], [0, 0, 0], [0, 0, 1]]
    with pytest.raises(InputError, match="without names"):
        read(lists)
    declared = Task("dishes", Data(), Columns(text="text", label="label"), RECIPE.task.head, MultiLabel(NAMES))
    assert sets_of(read(lists, declared)) == [{"mild"}, {"hot", "mild"}, set(), {"sweet"}]


@pytest.mark.parametrize("cell", ["hot;mild", "hot, mild", "hot|mild", "['hot', 'mild']", ["hot", "mild"], "1;0"])
def test_a_task_that_declares_several_labels_reads_every_way(cell: Any) -> None:
    declared = Task("dishes", Data(), Columns(text="text", label="label"), RECIPE.task.head, MultiLabel(NAMES))
    assert sets_of(read([cell, "", "sweet"], declared)) == [{"hot", "mild"}, set(), {"sweet"}]


def test_a_row_without_an_answer_is_not_a_row_without_labels() -> None:
    with pytest.raises(InputError, match="row 2: label None"):
        read([["a", "b"], ["a"], None, []])


@pytest.mark.parametrize("cell", ["[hot]", "['hot' 'mild' ...]", "['hot'"])
def test_a_list_that_cannot_be_read_is_refused_by_its_row(cell: str) -> None:
    with pytest.raises(InputError, match=r"row \d"):
        read(["['mild']", cell, "['hot', 'mild']"], **({} if cell.endswith("]") else {"several_labels": "yes"}))


def test_a_test_split_without_labels_stays_hidden(tmp_path: Path) -> None:
    for split, labels in {
        "train": ["a;b", "b", "", "a"],
        "validation": ["a", "", "b", "a;b"],
        "test": [""] * 4,
    }.items():
        (tmp_path / f"{split}.csv").write_text("text,label\n" + "".join(f"row {i},{x}\n" for i, x in enumerate(labels)))
    splits = load_splits(RECIPE.task, Settings(data=str(tmp_path), keep="best"))
    assert splits.several == ("a", "b") and any("hidden" in note for note in splits.notes)


@pytest.mark.parametrize("labels", [("a", "b"), None])
def test_what_is_one_label_stays_as_it_is(labels: Labels) -> None:
    task = Task("plain", Data(), Columns(text="text", label="label"), RECIPE.task.head, labels)
    splits = read(["a", "b", "a"], task)
    assert splits.several is None and splits.train.columns["label"] == [0, 1, 0]


def test_a_label_that_is_not_known_is_not_one_that_a_row_lacks(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text("text,toxic,threat\na,1,0\nb,0,-1\nc,0,1\nd,1,-1.0\n")
    with pytest.raises(InputError, match="row 2: -1 for threat; row 4: -1 for threat"):
        load_splits(RECIPE.task, Settings(data=str(tmp_path), columns=("label=toxic,threat",)))


@pytest.mark.parametrize("odd", [0.7, -1, "maybe"])
def test_a_mapping_with_other_values_than_yes_and_no_is_refused(odd: Any) -> None:
    with pytest.raises(InputError, match="0 or 1 for each label") as refused:
        read([{"a": 1, "b": 0}, {"a": 0, "b": 1}, {"a": odd, "b": 1}] * 4)
    assert f"{odd!r} for a" in str(refused.value)


@pytest.mark.parametrize("separator", [" ", "/", "+"])
def test_names_that_join_other_names_by_a_rare_separator_are_pointed_at(separator: str) -> None:
    labels = ["toxic", "mild", f"toxic{separator}mild", "mild", "toxic", "very fine"] * 3
    splits = read(labels)
    assert splits.several is None
    assert any("though 'toxic' and 'mild' are labels, too" in note for note in splits.notes)
    assert {"mild", "toxic"} < set(read(labels, label_separator=separator).several or ())
    assert not any("are labels, too" in note for note in read(["toxic", "very toxic"] * 5).notes)
