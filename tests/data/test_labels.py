"""Labels: read by name or by position, found where a task names none, refused with row and value."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.conftest import make_task, said, sentences
from tlnlp.data import load_splits
from tlnlp.errors import InputError
from tlnlp.settings import Settings
from tlnlp.task import MultiLabel, Regression

CLASSES = ("not_entailment", "entailment")
ACCEPTED = [
    (CLASSES, [0, 1, 1], [0, 1, 1]),
    (CLASSES, ["0", "1", " 1 "], [0, 1, 1]),
    (CLASSES, [0.0, 1.0, 1], [0, 1, 1]),
    (CLASSES, ["not_entailment", "entailment", "entailment"], [0, 1, 1]),
    (CLASSES, ["Not Entailment", "ENTAILMENT ", "entailment"], [0, 1, 1]),
    (("false", "true"), [False, True, "True"], [0, 1, 1]),
    # A name that is a number is a name, and then a number is never a position.
    (("1", "2", "3"), [1, 2, 3], [0, 1, 2]),
    (("-1", "1"), [-1, 1, "1"], [0, 1, 1]),
    (("a", "A", "b"), ["A", "a", "b"], [1, 0, 2]),
    (MultiLabel(("joy", "anger", "fear")), [["joy", "fear"], [1], []], [(0, 2), (1,), ()]),
    (MultiLabel(("joy", "anger", "fear")), ["fear|joy", "anger", "0, 1"], [(0, 2), (1,), (0, 1)]),
    (MultiLabel(("oh, joy", "anger")), ["oh, joy", "oh, joy|anger", "anger"], [(0,), (0, 1), (1,)]),
    (Regression(0, 5), [0, "2.5", 5.0], [0.0, 2.5, 5.0]),
    (Regression(-1, 1), [-1, 1, "0"], [-1.0, 1.0, 0.0]),
]


@pytest.mark.parametrize(("labels", "values", "answers"), ACCEPTED)
def test_labels_are_read_by_name_or_position(labels: Any, values: list[Any], answers: list[Any], load: Any) -> None:
    loaded = load(sentences(values), sentences(values), task=make_task(labels))
    assert loaded.train.columns["label"] == loaded.dev.columns["label"] == answers
    assert [type(answer) for answer in loaded.train.columns["label"]] == [type(answer) for answer in answers]
    assert loaded.train.labels == (None if isinstance(labels, Regression) else tuple(labels))


REFUSED_LABELS = [
    (CLASSES, 2, "one of not_entailment, entailment", "2"),
    (CLASSES, "entailmnt", "did you mean entailment?", "'entailmnt'"),
    (CLASSES, True, "one of", "True"),
    (CLASSES, 0.5, "one of", "0.5"),
    (CLASSES, [0], "one of", "[0]"),
    (CLASSES, {"a": 1}, "one of", "{'a': 1}"),
    (("1", "2"), 0, "one of 1, 2", "0"),
    (("a", "A"), "á", "one of", "'á'"),
    (MultiLabel(("joy", "anger")), ["joy", "sad"], "any of joy, anger", "['joy', 'sad']"),
    (MultiLabel(("joy", "anger", "fear")), [0, 1, 0], "any of", "[0, 1, 0]"),  # zeros and ones instead of names
    (MultiLabel(("joy", "anger")), [["joy"]], "any of", "[['joy']]"),
    (Regression(0, 5), 5.1, "a number from 0 to 5", "5.1"),
    (Regression(0, 5), "much", "a number from 0 to 5", "'much'"),
    (Regression(0, 5), float("inf"), "a number from 0 to 5", "inf"),
    (Regression(0, 5), True, "a number from 0 to 5", "True"),
    (CLASSES, -1, "a label in every row", "-1"),
    (CLASSES, "-1", "a label in every row", "'-1'"),
    (CLASSES, None, "a label in every row", "None"),
    (CLASSES, " ", "a label in every row", "' '"),
    (MultiLabel(("joy", "anger")), None, "a label in every row", "None"),
    (Regression(0, 5), -1.0, "a label in every row", "-1.0"),
    (Regression(0, 5), float("nan"), "a label in every row", "nan"),
    (None, -1, "a label in every row", "-1"),
]


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize(("labels", "value", "expected", "found"), REFUSED_LABELS)
def test_a_value_that_is_no_label_is_refused_with_row_and_value(
    labels: Any, value: Any, expected: str, found: str, split: str, load: Any
) -> None:
    good = [0.0, 1.0] if isinstance(labels, Regression) else ["a", "b"] if labels is None else [labels[0], labels[1]]
    wrong = [*good, value, *good]
    rows = (wrong, good) if split == "train" else (good, wrong)
    with pytest.raises(InputError) as refusal:
        load(*(sentences(values) for values in rows), task=make_task(labels))
    assert expected in refusal.value.expected
    assert refusal.value.found == f"mine/{split}.jsonl, row 3: label {found}"
    assert ("hidden" if "every row" in expected else "--columns label=") in refusal.value.change


def test_unnamed_labels_are_found_in_train_sorted_and_said(load: Any) -> None:
    loaded = load(sentences([10, "9", 2, 9.0]), sentences([2, 9]), task=make_task(None))
    assert loaded.train.labels == loaded.dev.labels == ("2", "9", "10")
    assert loaded.train.columns["label"] == [2, 1, 0, 1]
    assert said(loaded.notes, "labels found in mine/train.jsonl: 2 1, 9 2, 10 1")
    words = load(sentences(["b ", "a", "10"]), sentences(["a"]), task=make_task(None))
    assert words.train.labels == ("10", "a", "b")


def test_a_dev_label_that_train_lacks_is_refused(load: Any) -> None:
    with pytest.raises(InputError) as refusal:
        load(sentences(["a", "b"]), sentences(["a", "c"]), task=make_task(None))
    assert refusal.value.expected.startswith("one of a, b")
    assert refusal.value.found == "mine/validation.jsonl, row 2: label 'c'"


@pytest.mark.parametrize(("labels", "value", "name"), [(CLASSES, 1, "entailment"), (None, "x", "x")])
def test_one_label_alone_cannot_be_learnt(labels: Any, value: Any, name: str, load: Any) -> None:
    with pytest.raises(InputError, match="at least two different labels") as refusal:
        load(sentences([value] * 5), task=make_task(labels))
    assert f"5 rows, all of them {name}" in refusal.value.found


def test_a_parquet_file_of_the_datasets_library_brings_its_own_label_names(tmp_path: Path) -> None:
    names = {"label": {"names": ["positive", "negative"], "_type": "ClassLabel"}}
    schema = pa.schema([("sentence", pa.string()), ("label", pa.int64())])
    table = pa.table({"sentence": ["good", "bad", "fine"], "label": [0, 1, 0]}, schema=schema).replace_schema_metadata(
        {"huggingface": json.dumps({"info": {"features": names}})}
    )
    pq.write_table(table, tmp_path / "train.parquet")
    pq.write_table(table, tmp_path / "dev.parquet")
    loaded = load_splits(make_task(), Settings(data=str(tmp_path)))
    assert loaded.train.columns["label"] == [1, 0, 1]
    assert said(loaded.notes, "mapped by name")
    with pytest.raises(InputError, match="positive, negative"):
        load_splits(make_task(("neg", "pos")), Settings(data=str(tmp_path)))


@pytest.mark.parametrize(
    ("one", "other"), [("caf\u00e9", "cafe\u0301"), ("pos", "pos\u200b"), ("pos", "\ufeffpos"), ("a b", "A_b")]
)
def test_labels_that_look_the_same_are_one_and_that_is_said(one: str, other: str, load: Any) -> None:
    rows = sentences([one, other, "rest"] * 4)
    loaded = load(rows, sentences([other, "rest"], "dev"), task=make_task(None))
    assert len(loaded.train.labels) == 2 and loaded.train.columns["label"][0] == loaded.train.columns["label"][1]
    assert said(loaded.notes, "are one", ascii(other) if "u0" in ascii(other) else repr(other))


def test_digits_with_something_between_them_are_another_number(load: Any) -> None:
    loaded = load(sentences(["1_1", "11", "1 1"] * 4), sentences(["1_1", "11"], "dev"), task=make_task(None))
    assert loaded.train.columns["label"][:3] == [1, 0, 1] or loaded.train.columns["label"][:3] == [0, 1, 0]
