"""Columns of files: which role each has, misspelt ones, and texts that cannot be used."""

from typing import Any

import pytest

from tests.data.conftest import DEV, GOOD, said
from tlnlp.errors import InputError

# --- columns


def test_columns_are_mapped_by_the_command_line_and_said_once(load: Any) -> None:
    rows = [{"review": row["sentence"], "stars": row["label"], "id": 1} for row in GOOD]
    loaded = load(rows, rows, columns=("text=review", "label=stars"))
    assert list(loaded.train.columns) == ["text", "label"]
    assert [note for note in loaded.notes if "columns" in note] == [
        "columns: text from review, label from stars; not used: id"
    ]


def test_a_column_named_like_its_role_needs_no_mapping(load: Any) -> None:
    rows = [{"text": row["sentence"], "label": row["label"]} for row in GOOD]
    assert load(rows).train.columns["text"][0].startswith("row")


def test_a_second_text_may_be_given_to_any_task(load: Any) -> None:
    rows = [row | {"title": "a title"} for row in GOOD]
    assert load(rows, columns=("text_pair=title",)).train.columns["text_pair"][0] == "a title"


@pytest.mark.parametrize(
    ("columns", "expected", "found"),
    [
        (("text=sentense",), "'sentense'", "did you mean sentence?"),
        (("label=lable",), "'lable'", "sentence, label (did you mean label?)"),
        (("txt=sentence",), "text, label, text_pair", "did you mean text?"),
        (("text=label",), "its own", "text=label"),
    ],
)
def test_a_misspelt_role_or_column_is_refused_with_the_near_name(
    columns: tuple[str, ...], expected: str, found: str, load: Any
) -> None:
    with pytest.raises(InputError) as refusal:
        load(GOOD, columns=columns)
    assert expected.replace("its own", "of its own") in refusal.value.expected
    assert found in refusal.value.found


def test_a_missing_default_column_is_refused_with_the_columns_there(load: Any) -> None:
    with pytest.raises(InputError) as refusal:
        load([{"sentnce": "a", "label": 0}])
    assert "'sentence' for the role text" in refusal.value.expected
    assert "sentnce, label (did you mean sentnce?)" in refusal.value.found
    assert refusal.value.change == "--columns text=COLUMN"


# --- texts

BAD_TEXTS = [
    ("", "''", "remove them"),
    (" \t\n", r"' \t\n'", "remove them"),
    (None, "None", "remove them"),
    (7, "7", "as a string"),
    (["a"], "['a']", "as a string"),
    ("half \ud800", r"'half \ud800'", "other half"),
]


@pytest.mark.parametrize("split", ["train", "dev", "test"])
@pytest.mark.parametrize(("text", "shown", "change"), BAD_TEXTS)
def test_a_text_that_cannot_be_used_is_refused_with_row_and_value(
    text: Any, shown: str, change: str, split: str, load: Any
) -> None:
    rows = {"train": list(GOOD), "dev": list(DEV), "test": list(DEV)}
    rows[split] = [rows[split][0], {"sentence": text, "label": 1}, *rows[split][1:]]
    with pytest.raises(InputError) as refusal:
        load(rows["train"], rows["dev"], rows["test"], keep="best")
    file = "validation" if split == "dev" else split
    assert refusal.value.found == f"mine/{file}.jsonl, row 2: text {shown}"
    assert "'sentence'" in refusal.value.expected
    assert change in refusal.value.change


def test_of_many_wrong_rows_three_are_shown_and_all_are_counted(load: Any) -> None:
    with pytest.raises(InputError) as refusal:
        load(GOOD + [{"sentence": 10**80, "label": 0}] * 5)
    shown = "1" + "0" * 56 + "..."
    assert refusal.value.found.count(shown) == 3
    assert "row 41" in refusal.value.found and "row 43" in refusal.value.found and "row 44" not in refusal.value.found
    assert "(5 such rows in all)" in refusal.value.found


def test_of_very_many_columns_some_are_named_and_all_are_counted(load: Any) -> None:
    many = {f"feature {i}": i for i in range(2000)}
    loaded = load([row | many for row in GOOD], [row | many for row in DEV])
    assert said(loaded.notes, "not used: feature 0, feature 1,", "feature 29 and 1,970 more")
