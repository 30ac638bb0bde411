"""load_splits: sources, columns, labels, cuts and draws; and every refusal, before any model is loaded."""

import gzip
import json
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from tests.data.conftest import make_task, sentences, to_jsonl
from tlnlp.data import load_splits, splits
from tlnlp.errors import InputError
from tlnlp.recipe import Columns, Data, Score, Several
from tlnlp.settings import Settings

GOOD = sentences([0, 1] * 20)
DEV = sentences([0, 1, 1], "dev")


def _said(notes: list[str], *parts: str) -> bool:
    return any(all(part in note for part in parts) for note in notes)


# --- sources


def test_a_sample_is_read_from_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splits, "SAMPLES", tmp_path)
    (tmp_path / "reviews").mkdir()
    (tmp_path / "reviews" / "train.jsonl").write_text(to_jsonl(GOOD))
    (tmp_path / "reviews" / "validation.jsonl").write_text(to_jsonl(DEV))
    loaded = load_splits(make_task(data=Data(sample="reviews")), Settings(data="sample"))
    assert loaded.train.columns["text"] == [row["sentence"] for row in GOOD]
    assert loaded.dev.columns["label"] == [0, 1, 1]
    assert loaded.train.labels == ("negative", "positive")
    assert loaded.train.origin == "reviews/train.jsonl"


@pytest.mark.parametrize("data", [Data(), Data(sample="not_there")])
def test_a_task_without_a_sample_is_refused(data: Data) -> None:
    with pytest.raises(InputError, match="reviews has none") as refusal:
        load_splits(make_task(data=data), Settings(data="sample"))
    assert "--data hub" in refusal.value.change


def test_a_task_without_a_published_set_is_refused_before_any_network() -> None:
    with pytest.raises(InputError, match="none on the Hub"):
        load_splits(make_task(), Settings(data="hub"))


@pytest.mark.parametrize("name", ["validation.csv", "dev.tsv", "valid.jsonl.gz", "val.parquet", "Validation.json"])
def test_a_folders_dev_split_goes_by_any_of_its_usual_names(name: str, tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(to_jsonl(GOOD))
    file = tmp_path / name
    if ".csv" in name or ".tsv" in name:
        separator = "," if ".csv" in name else "\t"
        file.write_text("".join(f"{a}{separator}{b}\n" for a, b in [("sentence", "label"), ("dev 1", 0), ("dev 2", 1)]))
    elif ".parquet" in name:
        pq.write_table(pa.table({"sentence": ["dev 1", "dev 2"], "label": [0, 1]}), file)
    elif ".gz" in name:
        file.write_bytes(gzip.compress(to_jsonl(DEV[:2]).encode()))
    else:
        file.write_text(json.dumps(DEV[:2]))
    loaded = load_splits(make_task(), Settings(data=str(tmp_path)))
    assert (loaded.dev.columns["text"], loaded.dev.columns["label"]) == (["dev 1", "dev 2"], [0, 1])
    assert loaded.dev.origin.endswith(name)


def test_a_file_alone_gives_a_stratified_dev_split_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "all.jsonl").write_text(to_jsonl(sentences([0] * 80 + [1] * 120)))
    loaded = load_splits(make_task(), Settings(data=str(tmp_path / "all.jsonl"), seed=3))
    assert Counter(loaded.dev.columns["label"]) == {0: 8, 1: 12}
    assert _said(loaded.notes, "dev: 20 rows cut from all.jsonl, seed 3")
    together = sorted(loaded.train.numbers.tolist() + loaded.dev.numbers.tolist())
    assert together == list(range(1, 201))
    assert loaded.dev.columns["text"] == [f"row {number}" for number in loaded.dev.numbers]


def test_a_folder_without_a_dev_split_has_one_cut_from_train(load: Any) -> None:
    assert _said(load(GOOD).notes, "dev: 4 rows cut from mine/train.jsonl")


def test_text_for_pre_training_needs_no_labels(tmp_path: Path) -> None:
    (tmp_path / "book.txt").write_text("".join(f"line {number}\n\n" for number in range(50)))
    task = make_task(labels=None, columns=Columns(text="text"))
    loaded = load_splits(task, Settings(data=str(tmp_path / "book.txt")))
    assert (len(loaded.train), len(loaded.dev), loaded.train.labels) == (45, 5, None)
    assert list(loaded.train.columns) == ["text"]


def test_a_missing_path_names_its_neighbours(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text("sentence,label\n")
    with pytest.raises(InputError) as refusal:
        load_splits(make_task(), Settings(data=str(tmp_path / "review.csv")))
    assert "did you mean reviews.csv?" in refusal.value.found
    with pytest.raises(InputError, match="did you mean sample"):
        load_splits(make_task(), Settings(data="sampel"))
    with pytest.raises(InputError, match="there is no folder"):
        load_splits(make_task(), Settings(data=str(tmp_path / "no" / "where.csv")))


def test_a_folder_without_train_rows_names_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "training.csv").write_text("sentence,label\n")
    with pytest.raises(InputError, match=r"training\.csv") as refusal:
        load_splits(make_task(), Settings(data=str(tmp_path)))
    assert "train.jsonl" in refusal.value.expected


def test_two_files_for_one_split_are_refused(tmp_path: Path) -> None:
    for name in ("train.csv", "train.jsonl"):
        (tmp_path / name).write_text("x")
    with pytest.raises(InputError, match=r"train\.csv, train\.jsonl"):
        load_splits(make_task(), Settings(data=str(tmp_path)))


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
    ("", "''", "leave them out"),
    (" \t\n", r"' \t\n'", "leave them out"),
    (None, "None", "leave them out"),
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


# --- labels

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
    (Several(("joy", "anger", "fear")), [["joy", "fear"], [1], []], [(0, 2), (1,), ()]),
    (Several(("joy", "anger", "fear")), ["fear|joy", "anger", "0, 1"], [(0, 2), (1,), (0, 1)]),
    (Several(("oh, joy", "anger")), ["oh, joy", "oh, joy|anger", "anger"], [(0,), (0, 1), (1,)]),
    (Score(0, 5), [0, "2.5", 5.0], [0.0, 2.5, 5.0]),
    (Score(-1, 1), [-1, 1, "0"], [-1.0, 1.0, 0.0]),
]


@pytest.mark.parametrize(("labels", "values", "answers"), ACCEPTED)
def test_labels_are_read_by_name_or_position(labels: Any, values: list[Any], answers: list[Any], load: Any) -> None:
    loaded = load(sentences(values), sentences(values), task=make_task(labels))
    assert loaded.train.columns["label"] == loaded.dev.columns["label"] == answers
    assert [type(answer) for answer in loaded.train.columns["label"]] == [type(answer) for answer in answers]
    assert loaded.train.labels == (None if isinstance(labels, Score) else tuple(labels))


REFUSED_LABELS = [
    (CLASSES, 2, "one of not_entailment, entailment", "2"),
    (CLASSES, "entailmnt", "did you mean entailment?", "'entailmnt'"),
    (CLASSES, True, "one of", "True"),
    (CLASSES, 0.5, "one of", "0.5"),
    (CLASSES, [0], "one of", "[0]"),
    (CLASSES, {"a": 1}, "one of", "{'a': 1}"),
    (("1", "2"), 0, "one of 1, 2", "0"),
    (("a", "A"), "á", "one of", "'á'"),
    (Several(("joy", "anger")), ["joy", "sad"], "any of joy, anger", "['joy', 'sad']"),
    (Several(("joy", "anger", "fear")), [0, 1, 0], "any of", "[0, 1, 0]"),  # zeros and ones instead of names
    (Several(("joy", "anger")), [["joy"]], "any of", "[['joy']]"),
    (Score(0, 5), 5.1, "a number from 0 to 5", "5.1"),
    (Score(0, 5), "much", "a number from 0 to 5", "'much'"),
    (Score(0, 5), float("inf"), "a number from 0 to 5", "inf"),
    (Score(0, 5), True, "a number from 0 to 5", "True"),
    (CLASSES, -1, "a label in every row", "-1"),
    (CLASSES, "-1", "a label in every row", "'-1'"),
    (CLASSES, None, "a label in every row", "None"),
    (CLASSES, " ", "a label in every row", "' '"),
    (Several(("joy", "anger")), None, "a label in every row", "None"),
    (Score(0, 5), -1.0, "a label in every row", "-1.0"),
    (Score(0, 5), float("nan"), "a label in every row", "nan"),
    (None, -1, "a label in every row", "-1"),
    (None, ["a"], "a, b", "['a']"),
]


@pytest.mark.parametrize("split", ["train", "validation"])
@pytest.mark.parametrize(("labels", "value", "expected", "found"), REFUSED_LABELS)
def test_a_value_that_is_no_label_is_refused_with_row_and_value(
    labels: Any, value: Any, expected: str, found: str, split: str, load: Any
) -> None:
    good = [0.0, 1.0] if isinstance(labels, Score) else ["a", "b"] if labels is None else [labels[0], labels[1]]
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
    assert _said(loaded.notes, "labels found in mine/train.jsonl: 2 1, 9 2, 10 1")
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
    assert _said(loaded.notes, "mapped by name")
    with pytest.raises(InputError, match="positive, negative"):
        load_splits(make_task(("neg", "pos")), Settings(data=str(tmp_path)))


# --- test splits, cuts and draws


def test_without_choosing_there_is_no_test_split(load: Any) -> None:
    assert load(GOOD, DEV, DEV).test is None


def test_with_a_labelled_test_split_dev_chooses_and_test_reports(load: Any) -> None:
    loaded = load(GOOD, DEV, sentences([1, 0], "test"), keep="best")
    assert loaded.test.columns == {"text": ["test 1", "test 2"], "label": [1, 0]}
    assert loaded.dev.columns["text"][0] == "dev 1"
    assert _said(loaded.notes, "chosen on mine/validation.jsonl", "reported on mine/test.jsonl")


@pytest.mark.parametrize("hidden", [None, sentences([-1, -1], "test"), [{"sentence": "test 1"}]])
def test_without_a_labelled_test_split_rows_to_choose_on_are_cut_from_train(hidden: Any, load: Any) -> None:
    loaded = load(GOOD, DEV, hidden, keep="best")
    assert loaded.test.columns["text"] == ["dev 1", "dev 2", "dev 3"]
    assert Counter(loaded.dev.columns["label"]) == {0: 2, 1: 2}
    assert not set(loaded.dev.columns["text"]) & set(loaded.train.columns["text"])
    assert len(loaded.train) == 36
    assert _said(loaded.notes, "no labelled test split", "4 rows", "3 dev rows")
    assert _said(loaded.notes, "mine/test.jsonl", "hidden") == (hidden is not None)


def test_a_test_split_with_labels_in_some_rows_is_refused(load: Any) -> None:
    with pytest.raises(InputError, match=r"mine/test.jsonl, row 2: label -1"):
        load(GOOD, DEV, sentences([1, -1]), keep="best")


def test_from_one_file_train_choice_and_report_are_cut_apart(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(to_jsonl(sentences([0, 1] * 100)))
    loaded = load_splits(make_task(), Settings(data=str(tmp_path / "a.jsonl"), keep="best"))
    assert loaded.test is not None
    numbers = [rows.numbers.tolist() for rows in (loaded.train, loaded.dev, loaded.test)]
    assert [len(each) for each in numbers] == [162, 18, 20]
    assert sorted(number for each in numbers for number in each) == list(range(1, 201))


def test_too_few_rows_to_cut_are_refused(load: Any) -> None:
    with pytest.raises(InputError, match="enough rows to cut"):
        load(sentences([0, 1]))


def test_train_rows_are_drawn_with_each_labels_share_in_the_files_order(load: Any) -> None:
    rows = sentences([0] * 60 + [1] * 40)
    first, again, other = (load(rows, DEV, train_rows=10, seed=seed).train for seed in (1, 1, 2))
    assert Counter(first.columns["label"]) == {0: 6, 1: 4}
    assert (np.diff(first.numbers) > 0).all()
    assert first.columns["text"] == [f"row {number}" for number in first.numbers]
    assert first.columns == again.columns != other.columns


def test_more_train_rows_than_there_are_are_refused(load: Any) -> None:
    with pytest.raises(InputError, match="at most 40") as refusal:
        load(GOOD, DEV, train_rows=41)
    assert "--train-rows 41" in refusal.value.found


@pytest.mark.parametrize(
    ("labels", "values"),
    [(Score(0, 5), [float(i % 6) for i in range(40)]), (Several(("a", "b")), [[i % 2] for i in range(40)])],
)
def test_numbers_and_label_sets_are_cut_and_drawn_without_strata(labels: Any, values: list[Any], load: Any) -> None:
    loaded = load(sentences(values), task=make_task(labels), train_rows=20, keep="best")
    assert (len(loaded.train), len(loaded.dev), len(loaded.test)) == (20, 4, 4)


# --- fingerprint, speed, imports


def _fingerprint(folder: Path, **settings: Any) -> str:
    return load_splits(make_task(), Settings(data=str(folder), **settings)).fingerprint


def test_the_fingerprint_is_of_the_rows_not_of_the_files(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("jsonl", "turned", "csv", "other_label", "other_text")]
    for folder in folders:
        folder.mkdir()
        rows: list[dict[str, Any]] = [dict(row) for row in GOOD]
        if folder.name == "turned":
            rows = [dict(reversed(row.items())) for row in rows]
        if folder.name == "other_label":
            rows[3]["label"] = 1 - rows[3]["label"]
        if folder.name == "other_text":
            rows[3]["sentence"] += "!"
        if folder.name == "csv":
            lines = ["label,sentence", *(f"{('negative', 'positive')[row['label']]},{row['sentence']}" for row in rows)]
            (folder / "train.csv").write_text("\n".join(lines))
        else:
            (folder / "train.jsonl").write_text(to_jsonl(rows))
        (folder / "dev.json").write_text(json.dumps(DEV))
    digests = [_fingerprint(folder) for folder in folders]
    assert digests[0] == digests[1] == digests[2]
    assert len({*digests[2:], _fingerprint(folders[0], train_rows=39)}) == 4
    assert len(digests[0]) == 16
    int(digests[0], 16)


@hypothesis_settings(max_examples=40, deadline=None)
@given(st.lists(st.text(min_size=1).filter(lambda text: not text.isspace()), min_size=4, max_size=20))
def test_any_text_survives_jsonl_and_parquet_unchanged(tmp_path_factory: Any, texts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("texts")
    rows = [{"sentence": text, "label": position % 2} for position, text in enumerate(texts)]
    (folder / "train.jsonl").write_text(to_jsonl(rows))
    (folder / "dev.json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(rows), folder / "test.parquet")
    loaded = load_splits(make_task(), Settings(data=str(folder), keep="best"))
    assert loaded.test is not None
    assert loaded.train.columns["text"] == loaded.dev.columns["text"] == loaded.test.columns["text"] == texts


def test_four_hundred_thousand_rows_are_loaded_in_seconds(tmp_path: Path) -> None:
    text = "a sentence of about a hundred characters, so that the file is as large as the largest of GLUE is, "
    (tmp_path / "large.jsonl").write_text(
        "".join(f'{{"sentence": "{text}{number}", "label": {number % 2}}}\n' for number in range(400_000))
    )
    start = time.perf_counter()
    loaded = load_splits(make_task(), Settings(data=str(tmp_path / "large.jsonl"), train_rows=100_000, keep="best"))
    assert time.perf_counter() - start < 20  # about 3 on an idle core; the margin is for a busy one
    assert loaded.test is not None
    assert (len(loaded.train), len(loaded.dev), len(loaded.test)) == (100_000, 2000, 2000)


def test_loading_files_imports_neither_torch_nor_arrow_nor_the_hub(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(to_jsonl(GOOD))
    program = f"""
import sys
from tlnlp.data import load_splits
from tlnlp.recipe import Columns, Data, Task
from tlnlp.settings import Settings
from tlnlp import heads
task = Task("t", Data(), Columns(text="sentence", label="label"), head=heads.sentence, labels=("a", "b"))
load_splits(task, Settings(data={str(tmp_path / "a.jsonl")!r}))
print(sorted({{"torch", "transformers", "datasets", "pyarrow", "huggingface_hub"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
