"""Large files, read in pieces into Arrow: the same table as the careful reader's, or none."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.data.conftest import make_task
from tlnlp.data import Splits, large_files, load_splits, text_column
from tlnlp.data.bytes_to_text import FileFormat
from tlnlp.data.cache_folder import CacheFolder
from tlnlp.data.digests import digest_of_column
from tlnlp.data.files import ANY_FORM, FORMATS
from tlnlp.data.large_files import read_large_file
from tlnlp.data.table import Table
from tlnlp.data.text_column import TextColumn, distinct_values, is_free_of_blanks
from tlnlp.errors import InputError
from tlnlp.settings import Settings

COLA = FileFormat(original_header=("source", "label", "mark", "text"))


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every file is large, and read two records at a time."""
    monkeypatch.setattr(large_files, "LEAST_BYTES", 0)
    monkeypatch.setattr(large_files, "PIECE_ROWS", 2)
    monkeypatch.setattr(text_column, "LEAST_ROWS", 0)
    monkeypatch.setattr(text_column, "READ_ROWS", 3)
    monkeypatch.setenv("TLNLP_CACHE", str(tmp_path / "cache"))


def read(path: Path, form: FileFormat, *, keep: bool = False) -> Table | None:
    return read_large_file(path, path.suffix, "x", form, keep=keep)


def compare(content: bytes, suffix: str, folder: Path, form: FileFormat = ANY_FORM) -> Table | None:
    """The table of the fast reader, which must be that of the careful one; None where it leaves the file to that."""
    path = folder / f"rows{suffix}"
    path.write_bytes(content)
    try:
        careful: Table | None = FORMATS[suffix](content, "x", form)
    except InputError:
        careful = None
    found = read(path, form)
    if found is None or not len(found):
        return None
    assert careful is not None, "what the careful reader refuses was read"
    assert list(found.columns) == list(careful.columns)
    for name in careful.columns:
        assert repr(found.values(name)) == repr(careful.values(name)), name
    assert found.numbers.tolist() == careful.numbers.tolist()
    assert found.notes == careful.notes and found.class_names == careful.class_names
    return found


cells = st.text(st.sampled_from('ab,"\t\n\r é\u2028\ufeff'), max_size=5)
CONTENTS = st.lists(st.lists(cells, min_size=2, max_size=3), min_size=1, max_size=7)


@given(CONTENTS, st.sampled_from([".csv", ".tsv"]), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
@example([["a", "b"], ['x"y', "1"], ["z", "2"]], ".tsv", "\n", False)
@example([["a", "b"], ['"x', "1"], ['y"', "2"]], ".tsv", "\n", False)
@example([["a", "b"], ["", ""], ["z", "2"], ["", ""]], ".csv", "\r\n", True)
def test_any_table_is_read_as_the_careful_reader_does(
    tmp_path_factory: pytest.TempPathFactory, lines: list[list[str]], suffix: str, end: str, quoted: bool
) -> None:
    separator = "," if suffix == ".csv" else "\t"
    if quoted:
        lines = [['"' + cell.replace('"', '""') + '"' for cell in line] for line in lines]
    content = end.join(separator.join(line) for line in lines) + end
    compare(content.encode(), suffix, tmp_path_factory.mktemp("tables"))


json_values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4), st.lists(st.text(max_size=3), max_size=3)
)


@given(st.lists(st.dictionaries(st.sampled_from(["text", "label", "n"]), json_values, max_size=3), max_size=6))
@example([{"text": "a\ud800"}, {"text": "b"}])
@example([{"text": "a", "n": 1}, {"text": "b", "n": 2}, {"text": "c", "n": 3.0}])
@example([{"n": 2**63}])
@example([{"n": math.nan}, {"n": 1.5}, {"n": -0.0}])
def test_any_objects_are_read_as_the_careful_reader_does(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    content = "".join(json.dumps(row) + "\n" for row in rows)
    compare(content.encode(), ".jsonl", tmp_path_factory.mktemp("objects"))


ORDINARY: list[tuple[str, bytes, FileFormat]] = [
    (".csv", b'text,label\n"a, b",0\n"two\nlines",1\nc,0\nd,1\n', FileFormat()),
    (".csv", "\ufefftext,,label\r\nα,1,0\r\n\r\nβ,2,1\r\n".encode(), FileFormat()),
    (".csv", b'text;label\n"a; b";0,5\nc, d;1,5\ne;2,5\n', FileFormat()),
    (".csv", b"a\tb|c\n1\t2\n3\t4\n", FileFormat()),
    (".csv", b"a~b\n1~2\n3~4\n", FileFormat(separator="~")),
    (".csv", b"a,0\nb,1\nc,0\n", FileFormat(header=False)),
    (".tsv", b"text,label\na,0\nb,1\nc,0\n", FileFormat()),
    (".tsv", b'text\tlabel\nhe said "no\t0\nc\t1\nd\t0\n', FileFormat()),
    (".tsv", b'text\tlabel\n"a\tb"\t0\nc\t1\nd\t0\n', FileFormat()),
    (".tsv", b"gj04\t1\t\tThe sailors.\ngj04\t0\t*\tThem.\n", COLA),
    (".jsonl", b'{"text": "a", "n": [1, 2]}\r\n{"text": "b", "n": []}\n{"text": "c\\n", "n": [3]}\n', FileFormat()),
]


@pytest.mark.parametrize(("suffix", "content", "form"), ORDINARY)
def test_ordinary_files_are_not_left_to_the_careful_reader(
    suffix: str, content: bytes, form: FileFormat, tmp_path: Path
) -> None:
    assert compare(content, suffix, tmp_path, form) is not None


UNUSUAL = {
    "Excel's first line": (".csv", b"sep=;\ntext;label\na;0\nb;1\n"),
    "a comment": (".csv", b"# made by hand\ntext,label\na,0\nb,1\n"),
    "two separators that fit": (".csv", b"text;a,label\na;b,0\nc;d,1\n"),
    "no separator that fits": (".csv", b"text;label\na;0\nb\n"),
    "row names": (".csv", b"text,label\n1,a,0\n2,b,1\n"),
    "quotes of csv, one of them damaged": (".tsv", b'text\tlabel\n"a ""b"""\t0\n"c "d""\t1\n"""e"" f"\t0\n'),
    "a record of another length": (".csv", b"text,label\na,0\nb,1\nc\n"),
    "an open quote": (".csv", b'text,label\na,0\n"b,1\n'),
    "a column twice": (".csv", b"text,text\na,0\nb,1\n"),
    "not UTF-8": (".csv", b"text,label\na,0\nb\xff,1\n"),
    "UTF-16": (".csv", "text,label\na,0\n".encode("utf-16")),
    "a web page": (".jsonl", b"<!doctype html>\n"),
    "not JSON": (".jsonl", b'{"text": "a"}\n{"text": "b"}\n{"text": \n'),
    "no object": (".jsonl", b'{"text": "a"}\n{"text": "b"}\n[1]\n'),
    "a blank line": (".jsonl", b'{"text": "a"}\n\n{"text": "b"}\n'),
    "two types": (".jsonl", b'{"text": "a"}\n{"text": "b"}\n{"text": 1}\n'),
    "objects": (".jsonl", b'{"answers": {"text": []}}\n'),
    "no records": (".csv", b"text,label\n"),
    "no parquet": (".parquet", b"PAR1 and nothing"),
}


@pytest.mark.parametrize("case", UNUSUAL)
@pytest.mark.parametrize("keep", [True, False])
def test_what_is_unusual_is_left_to_the_careful_reader(case: str, keep: bool, tmp_path: Path) -> None:
    suffix, content = UNUSUAL[case]
    path = tmp_path / f"rows{suffix}"
    path.write_bytes(content)
    found = read(path, FileFormat(), keep=keep)
    assert found is None
    assert CacheFolder().entries() == []


def test_a_very_long_line_is_left_to_the_careful_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(large_files, "LONGEST_LINE", 20)
    content = b"text,label\n" + b"a" * 16 + b",0\nb,1\n"
    assert compare(content, ".csv", tmp_path) is not None
    assert compare(content.replace(b"a,0", b"aa,0"), ".csv", tmp_path) is None


def test_a_parquet_file_keeps_its_types_and_label_names(tmp_path: Path) -> None:
    labels = pyarrow.array([1, 0, 1], pyarrow.int8())
    table = pyarrow.table({"text": ["a", "b", "c"], "label": labels, "n": [[1], [], None]})
    feature = {"info": {"features": {"label": {"names": ["no", "yes"], "_type": "ClassLabel"}}}}
    table = table.replace_schema_metadata({"huggingface": json.dumps(feature)})
    pyarrow.parquet.write_table(table, tmp_path / "made.parquet")
    content = (tmp_path / "made.parquet").read_bytes()
    found = compare(content, ".parquet", tmp_path)
    assert found is not None and found.class_names == {"label": ("no", "yes")}


@pytest.mark.parametrize(("suffix", "content", "form"), ORDINARY)
def test_a_kept_file_is_read_once_and_again_where_its_content_changes(
    suffix: str, content: bytes, form: FileFormat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"rows{suffix}"
    path.write_bytes(content)
    first = read(path, form, keep=True)
    readers = dict(large_files.READERS)
    monkeypatch.setitem(large_files.READERS, suffix, lambda *_: pytest.fail("read again"))
    again = read(path, form, keep=True)
    assert first is not None and again is not None
    assert {name: again.values(name) for name in again.columns} == {name: first.values(name) for name in first.columns}
    assert again.notes == first.notes
    monkeypatch.setitem(large_files.READERS, suffix, readers[suffix])
    path.write_bytes(content.replace(b"1", b"3"))
    changed = read(path, form, keep=True)
    assert changed is not None and any(changed.values(name) != first.values(name) for name in first.columns)


def write_reviews(folder: Path, texts: list[str], labels: list[str]) -> Path:
    folder.mkdir()
    lines = [json.dumps({"sentence": text, "label": label}) + "\n" for text, label in zip(texts, labels, strict=True)]
    (folder / "train.jsonl").write_text("".join(lines))
    return folder


def load_both(
    folder: Path, load: Callable[[], Splits], monkeypatch: pytest.MonkeyPatch
) -> tuple[Splits | str, Splits | str]:
    """The splits or the refusal, from Arrow and from lists."""
    found: list[Splits | str] = []
    for least in (0, 10**9):
        monkeypatch.setattr(text_column, "LEAST_ROWS", least)
        monkeypatch.setattr(large_files, "LEAST_BYTES", least)
        try:
            found.append(load())
        except InputError as error:
            found.append(str(error))
    return found[0], found[1]


GOOD = [f"text {i}" for i in range(20)], ["positive", "negative"] * 10
READ = {
    "good": GOOD,
    "no ASCII": ([f"ü {i}" for i in range(20)], GOOD[1]),
    "blank": ([*GOOD[0][:-1], " \u3000"], GOOD[1]),
    "empty": ([*GOOD[0][:-1], ""], GOOD[1]),
    "unknown label": (GOOD[0], [*GOOD[1][:-1], "postive"]),
    "no label": (GOOD[0], [*GOOD[1][:-1], ""]),
    "one label": (GOOD[0], ["positive"] * 20),
    "numbers": (GOOD[0], ["1", "0"] * 10),
}


@pytest.mark.parametrize("case", READ)
@pytest.mark.parametrize("settings", [{}, {"keep": "best"}, {"train_rows": 7}], ids=str)
def test_rows_and_refusals_are_the_same_from_arrow_and_from_lists(
    case: str, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_reviews(tmp_path / "rows", *READ[case])
    task = make_task()
    from_arrow, from_lists = load_both(
        folder, lambda: load_splits(task, Settings(data=str(folder), **settings)), monkeypatch
    )
    if isinstance(from_lists, str) or isinstance(from_arrow, str):
        assert from_arrow == from_lists
        return
    assert isinstance(from_arrow.train.columns["text"], TextColumn)
    assert from_arrow.fingerprint == from_lists.fingerprint and from_arrow.notes == from_lists.notes
    for one, other in ((from_arrow.train, from_lists.train), (from_arrow.dev, from_lists.dev)):
        assert {role: list(values) for role, values in one.columns.items()} == other.columns
        assert one.numbers.tolist() == other.numbers.tolist() and one.digests == other.digests


def column(texts: list[str], pieces: int = 2) -> TextColumn:
    chunks = [pyarrow.array(texts[i : i + pieces]) for i in range(0, len(texts), pieces)]
    return TextColumn(pyarrow.chunked_array(chunks, type=pyarrow.string()))


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), min_size=1, max_size=12), st.data())
def test_a_column_of_texts_reads_like_a_list(texts: list[str], data: st.DataObject) -> None:
    places = data.draw(st.lists(st.integers(0, len(texts) - 1), max_size=15))
    for found, expected in (
        (column(texts), texts),
        (column(texts).take(places), [texts[i] for i in places]),
        (column(texts).take(places).take(list(range(len(places)))[::-1]), [texts[i] for i in places][::-1]),
    ):
        assert list(found) == expected and found == expected and len(found) == len(expected)
        first, last = sorted(data.draw(st.tuples(st.integers(-3, 15), st.integers(-3, 15))))
        assert found[first:last] == expected[first:last] and found[::2] == expected[::2]
        assert [found[i] for i in range(-len(expected), len(expected))] == expected + expected
        with pytest.raises(IndexError):
            found[len(expected)]
        assert pickle.loads(pickle.dumps(found)) == expected
        assert found.digest == digest_of_column(expected) or not expected
        blank = any(not text or text.isspace() for text in expected)
        assert bool(is_free_of_blanks(found)) is not blank or not expected


def test_different_values_are_found_with_their_rows() -> None:
    values = ["b", "a", "b", "c", "a"]
    found = distinct_values(pyarrow.chunked_array([values[:2], values[2:]]))
    assert found is not None
    names, codes = found
    assert sorted(names) == ["a", "b", "c"] and [names[code] for code in codes] == values
    for other in ([1.5, 2.5], [None, "a"], [[1], [2]]):
        assert distinct_values(pyarrow.chunked_array([other])) is None


def test_digests_tell_texts_apart_that_are_the_same_when_joined() -> None:
    texts, others = [["ab", "c"], ["a", "bc"], ["abc"], ["1", "2"]], [[1, 2], [12], [(1, 2)], [1.0, 2.0], [True, 2]]
    columns: list[list[Any]] = [*texts, *others]
    assert len({digest_of_column(values) for values in columns}) == len(columns)
    assert digest_of_column([1, 2]) == digest_of_column(np.array([1, 2]).tolist())
