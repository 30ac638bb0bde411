"""load_splits: sources, cuts and draws; and every refusal, before any model is loaded."""

import gzip
import json
import os
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
from hypothesis import strategies as st

from tests.data.conftest import DEV, GOOD, make_task, said, sentences, to_jsonl
from tlnlp.data import load_splits, splits
from tlnlp.errors import InputError
from tlnlp.settings import Settings
from tlnlp.task import Columns, Data, MultiLabel, Regression

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
    assert said(loaded.notes, "dev: 20 rows cut from all.jsonl, seed 3")
    together = sorted(loaded.train.numbers.tolist() + loaded.dev.numbers.tolist())
    assert together == list(range(1, 201))
    assert loaded.dev.columns["text"] == [f"row {number}" for number in loaded.dev.numbers]


def test_rows_with_the_same_inputs_are_not_on_both_sides_of_a_cut(tmp_path: Path) -> None:
    """Else the dev rows' labels could be known by heart; among them those whose copies have another label."""
    texts = [f"text {number}" for number in range(60)] * 3 + ["text 0"] * 20
    rows = [{"sentence": text, "label": int(text[5:]) % 2} for text in texts]
    rows[70]["label"] = 1 - rows[70]["label"]
    (tmp_path / "all.jsonl").write_text(to_jsonl(rows))
    loaded = load_splits(make_task(), Settings(data=str(tmp_path / "all.jsonl"), dev_fraction=0.2))
    train, dev = (list(part.columns["text"]) for part in (loaded.train, loaded.dev))
    assert len(train) + len(dev) == len(rows)
    assert len(set(dev)) == 12 and not set(train) & set(dev)
    assert said(loaded.notes, "140 rows that repeat the inputs of another stay on its side")
    again = [
        sys.executable,
        "-c",
        f"""
from tests.data.test_load_splits import *
print(load_splits(make_task(), Settings(data={str(tmp_path / "all.jsonl")!r}, dev_fraction=0.2)).fingerprint)""",
    ]
    for salt in ("1", "2"):  # of Python's hashes, which are other ones in each process
        asked = {**os.environ, "PYTHONHASHSEED": salt}
        found = subprocess.run(again, capture_output=True, text=True, check=True, env=asked).stdout
        assert found.strip() == loaded.fingerprint


def test_a_folder_without_a_dev_split_has_one_cut_from_train(load: Any) -> None:
    assert said(load(GOOD).notes, "dev: 4 rows cut from mine/train.jsonl")


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


# --- test splits, cuts and draws


def test_without_choosing_there_is_no_test_split(load: Any) -> None:
    assert load(GOOD, DEV, DEV).test is None


def test_with_a_labelled_test_split_dev_chooses_and_test_reports(load: Any) -> None:
    loaded = load(GOOD, DEV, sentences([1, 0], "test"), keep="best")
    assert loaded.test.columns == {"text": ["test 1", "test 2"], "label": [1, 0]}
    assert loaded.dev.columns["text"][0] == "dev 1"
    assert said(loaded.notes, "chosen on mine/validation.jsonl", "reported on mine/test.jsonl")


@pytest.mark.parametrize("hidden", [None, sentences([-1, -1], "test"), [{"sentence": "test 1"}]])
def test_without_a_labelled_test_split_rows_to_choose_on_are_cut_from_train(hidden: Any, load: Any) -> None:
    loaded = load(GOOD, DEV, hidden, keep="best")
    assert loaded.test.columns["text"] == ["dev 1", "dev 2", "dev 3"]
    assert Counter(loaded.dev.columns["label"]) == {0: 2, 1: 2}
    assert not set(loaded.dev.columns["text"]) & set(loaded.train.columns["text"])
    assert len(loaded.train) == 36
    assert said(loaded.notes, "no labelled test split", "4 rows", "3 dev rows")
    assert said(loaded.notes, "mine/test.jsonl", "hidden") == (hidden is not None)


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
    [(Regression(0, 5), [float(i % 6) for i in range(40)]), (MultiLabel(("a", "b")), [[i % 2] for i in range(40)])],
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


def test_a_hundred_thousand_rows_are_loaded_in_seconds(tmp_path: Path) -> None:
    text = "a sentence of about a hundred characters, so that the file is as large as the largest of GLUE is, "
    (tmp_path / "large.jsonl").write_text(
        "".join(f'{{"sentence": "{text}{number}", "label": {number % 2}}}\n' for number in range(100_000))
    )
    start = time.process_time()
    loaded = load_splits(make_task(), Settings(data=str(tmp_path / "large.jsonl"), train_rows=25_000, keep="best"))
    assert time.process_time() - start < 6  # about one
    assert loaded.test is not None
    assert (len(loaded.train), len(loaded.dev), len(loaded.test)) == (25_000, 2000, 2000)


def test_loading_files_imports_neither_torch_nor_arrow_nor_the_hub(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(to_jsonl(GOOD))
    program = f"""
import sys
from tlnlp.data import load_splits
from tlnlp.task import Columns, Data, Task
from tlnlp.settings import Settings
from tlnlp import heads
task = Task("t", Data(), Columns(text="sentence", label="label"), head=heads.sentence, labels=("a", "b"))
load_splits(task, Settings(data={str(tmp_path / "a.jsonl")!r}))
print(sorted({{"torch", "transformers", "datasets", "pyarrow", "huggingface_hub"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
