"""Any rows, written in any form that is read, are the same rows when they are read."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.data.conftest import make_task
from tlnlp.data.bytes_to_text import FileFormat
from tlnlp.data.files import read_file
from tlnlp.data.label_spellings import with_points, with_single_labels
from tlnlp.data.labels import find_names, read_labels
from tlnlp.data.rows import TRAIN
from tlnlp.data.split_files import read_path
from tlnlp.data.table import Table
from tlnlp.errors import InputError
from tlnlp.settings import Settings

Row = tuple[str, str]

# What separators, quotes, line ends, comments and marks are made of. (No \\r: csv and pandas do not quote it.)
MARKS = ",;|\t\"'\n#= \\a0é€“–Ω世🙂\u2028"
texts = st.text(st.sampled_from(MARKS), min_size=1, max_size=8).filter(lambda text: bool(text.strip()))
names = st.sampled_from(["pos", "neg", "1", "0.5", "not so", "a,b", "über"])
rows = st.lists(st.tuples(texts, names), min_size=2, max_size=6)


def written(rows: list[Row], separator: str, quoting: Any, end: str, header: bool) -> str:
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, delimiter=separator, quoting=quoting, lineterminator=end)
    writer.writerows([*([("text", "label")] if header else []), *rows])
    return sink.getvalue()


def same(table: Table, rows: list[Row]) -> None:
    text, label = list(table.columns)[:2]
    assert list(zip(table.values(text), table.values(label), strict=True)) == rows
    assert table.numbers.tolist() == list(range(1, len(rows) + 1))


@given(
    rows,
    st.sampled_from(",;\t|"),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252"]),
)
@example([("a", "1"), ("#b", "0.5")], ";", csv.QUOTE_MINIMAL, "\r\n", False, "cp1252")
@example([("0,5", "1"), ("1,5", "1")], ";", csv.QUOTE_MINIMAL, "\n", False, "utf-8")
@example([("a;b", "1"), ("c;d", "1")], ",", csv.QUOTE_MINIMAL, "\n", False, "utf-8")
def test_any_table_is_read_as_it_was_written_or_its_separator_asked_for(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[Row],
    separator: str,
    quoting: Any,
    end: str,
    header: bool,
    encoding: str,
) -> None:
    if encoding == "cp1252":
        rows = [(text.encode("cp1252", "ignore").decode("cp1252") + "é", name) for text, name in rows]
    if quoting == csv.QUOTE_ALL:
        rows = [(f"{text}\r\n{text}\r", name) for text, name in rows]
    file = tmp_path_factory.mktemp("tables") / "rows.csv"
    data = written(rows, separator, quoting, end, header).encode(encoding)
    file.write_bytes(data)
    known = FileFormat(encoding="cp1252" if encoding == "cp1252" else None, header=header)
    named = FileFormat(separator=separator, encoding=known.encoding, header=header)
    try:
        same(read_file(file, form=named), rows)
        same(read_file(file, form=known), rows)
    except InputError as refusal:
        # Without a header every character may be a separator; and some bytes are characters in both encodings.
        asked = "one separator" in refusal.expected and not header
        if not (asked or (encoding == "cp1252" and "it is UTF-8" in refusal.found and data.decode("utf-8"))):
            raise


def jsonl(rows: list[Row]) -> bytes:
    return "".join(json.dumps({"text": text, "label": name}) + "\n" for text, name in rows).encode()


def unescaped(rows: list[Row]) -> bytes:
    objects = [{"label": name, "text": text} for text, name in rows]
    return json.dumps(objects, ensure_ascii=False, indent=1).encode("utf-16")


def frame(rows: list[Row]) -> pandas.DataFrame:
    return pandas.DataFrame(rows, columns=["text", "label"])


def binary(write: Callable[[Any], Any]) -> bytes:
    sink = io.BytesIO()
    write(sink)
    return sink.getvalue()


def zipped(rows: list[Row]) -> bytes:
    def write(sink: Any) -> None:
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("folder/rows.jsonl", jsonl(rows))

    return binary(write)


FORMS: dict[str, tuple[str, Callable[[list[Row]], bytes]]] = {
    "jsonl": ("rows.jsonl", jsonl),
    "json in UTF-16": ("rows.json", unescaped),
    "gzip": ("rows.jsonl.gz", lambda rows: gzip.compress(jsonl(rows))),
    "zip": ("rows.zip", zipped),
    "parquet": ("rows.parquet", lambda rows: binary(frame(rows).to_parquet)),
    "feather": ("rows.feather", lambda rows: binary(frame(rows).to_feather)),
    "pandas' csv, with its index": ("rows.csv", lambda rows: frame(rows).to_csv().encode()),
    "pandas' tsv": ("rows.tsv", lambda rows: frame(rows).to_csv(sep="\t", index=False).encode()),
    "pandas' columns": ("rows.json", lambda rows: frame(rows).to_json().encode()),
    "pandas' split": ("rows.json", lambda rows: frame(rows).to_json(orient="split").encode()),
    "pandas' records": ("rows.json", lambda rows: frame(rows).to_json(orient="records").encode()),
    "pandas' lines": ("rows.json", lambda rows: frame(rows).to_json(orient="records", lines=True).encode()),
}


@pytest.mark.parametrize("form", FORMS)
@given(rows)
def test_any_rows_are_read_as_they_were_written(
    form: str, tmp_path_factory: pytest.TempPathFactory, rows: list[Row]
) -> None:
    name, write = FORMS[form]
    if name.endswith(".tsv"):  # with tabs in quotes each line can be a row of its own, as in GLUE's files
        rows = [(text.replace("\t", "-"), label) for text, label in rows]
    file = tmp_path_factory.mktemp("forms") / name
    file.write_bytes(write(rows))
    table = read_file(file)
    assert {"text", "label"} <= set(table.columns)
    assert list(zip(table.values("text"), table.values("label"), strict=True)) == rows


one_line = st.text(st.sampled_from('ab,;"# é世_'), min_size=1, max_size=8).filter(lambda text: bool(text.strip()))


@given(st.lists(st.tuples(one_line, st.sampled_from(["a", "b-c", "d_e", "1"])), min_size=1, max_size=6))
def test_any_fasttext_lines_are_read_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row]
) -> None:
    file = tmp_path_factory.mktemp("lines") / "rows.txt"
    file.write_text("".join(f"__label__{name} {text}\n" for text, name in rows))
    same(read_file(file), [(text.strip(), name) for text, name in rows])


@given(rows, st.integers(1, 4), st.sampled_from(["jsonl", "parquet"]))
def test_any_shards_are_read_in_their_order(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], count: int, suffix: str
) -> None:
    folder = tmp_path_factory.mktemp("shards")
    parts = np.array_split(np.arange(len(rows)), min(count, len(rows)))
    for number, places in enumerate(parts):
        file = folder / f"train-{number:05}-of-{len(parts):05}.{suffix}"
        part = [rows[place] for place in places]
        file.write_bytes(jsonl(part) if suffix == "jsonl" else binary(frame(part).to_parquet))
    same(read_path(folder, "train", "validation")[TRAIN], rows)


@given(st.lists(st.tuples(texts, st.sampled_from(["neg", "pos", "so so"])), min_size=4, max_size=12))
def test_any_folder_of_texts_is_read_label_by_label(tmp_path_factory: pytest.TempPathFactory, rows: list[Row]) -> None:
    folder = tmp_path_factory.mktemp("texts")
    rows = [*rows, ("one", "neg"), ("more", "pos")]
    for number, (text, name) in enumerate(rows):
        (folder / "train" / name).mkdir(parents=True, exist_ok=True)
        (folder / "train" / name / f"{number}_7.txt").write_text(text, encoding="utf-8", newline="")
    table = read_path(folder, "train", "validation")[TRAIN]
    expected = [(text.strip(), name) for label in ("neg", "pos", "so so") for text, name in rows if name == label]
    assert list(zip(table.values("text"), table.values("label"), strict=True)) == expected


SPELLINGS: dict[str, Callable[[str], Any]] = {
    "a list": lambda name: [name],
    "JSON": lambda name: json.dumps([name]),
    "Python": lambda name: str([name]),
    "numpy": lambda name: str(np.array([name], dtype=object)),
    "a tuple": lambda name: str((name,)),
}


@pytest.mark.parametrize("spelling", SPELLINGS)
@given(st.lists(st.text(st.sampled_from("ab'\"é_ 世"), min_size=1, max_size=5).filter(str.strip), min_size=1))
def test_any_list_of_one_label_is_that_label(spelling: str, labels: list[str]) -> None:
    table = Table({"label": list(map(SPELLINGS[spelling], labels))}, "x", np.arange(len(labels)))
    assert with_single_labels(table, "label").values("label") == labels


@given(st.lists(st.sampled_from(["Yes", "no", "not yet"]), min_size=1), st.data())
def test_any_spellings_of_labels_are_the_labels(labels: list[str], data: st.DataObject) -> None:
    changes: list[Callable[[str], str]] = [str, str.upper, str.lower, lambda name: f" {name} ", str.title]
    spelled = [data.draw(st.sampled_from(changes))(label) for label in labels]
    table = Table({"label": spelled}, "x", np.arange(len(labels)))
    found = find_names(table, "label")
    assert len(found) == len(set(labels))
    indices = read_labels(table, "label", found)
    assert len(set(zip(labels, indices, strict=True))) == len(found)


@given(st.lists(st.floats(-1000, 1000), min_size=1), st.booleans())
def test_any_numbers_with_decimal_commas_are_those_numbers(numbers: list[float], signed: bool) -> None:
    spelled = [f"{number:+.3f}" if signed else f"{number:.3f}" for number in numbers]
    commas = [text.replace(".", ",") for text in spelled]
    assert with_points(commas) == spelled
    assert with_points(spelled) == spelled
    assert with_points([*commas, "0.5"]) == [*commas, "0.5"]


def test_a_data_set_that_was_saved_is_read_with_its_label_names(tmp_path: Path) -> None:
    import datasets  # noqa: PLC0415 - takes a second

    from tlnlp.data import load_splits  # noqa: PLC0415

    features = datasets.Features(
        {"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=["neg", "pos"])}
    )
    whole = datasets.Dataset.from_dict(
        {"sentence": [f"row {i}" for i in range(20)], "label": [0, 1] * 10}, features=features
    )
    parts = datasets.DatasetDict(train=whole.shuffle(seed=1).select(range(15)), eval=whole.select(range(15, 20)))
    whole.save_to_disk(tmp_path / "one", num_shards=2)
    parts.save_to_disk(tmp_path / "several")
    task = make_task(labels=None)
    one = load_splits(task, Settings(data=str(tmp_path / "one")))
    assert one.train.labels == ("neg", "pos") and len(one.train) + len(one.dev) == 20
    several = load_splits(task, Settings(data=str(tmp_path / "several")))
    assert several.train.columns["text"] == parts["train"]["sentence"]
    assert several.dev.columns["text"] == [f"row {i}" for i in range(15, 20)]
    assert several.train.columns["label"] == list(parts["train"]["label"])
    (tmp_path / "one" / "data-00001-of-00002.arrow").unlink()
    with pytest.raises(InputError, match=r"one: no data-00001-of-00002\.arrow"):
        load_splits(task, Settings(data=str(tmp_path / "one")))
