"""Files are read in every format, and refused in words where they are not what they say."""

import gzip
import io
import json
import lzma
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tlnlp.data.files import read_file
from tlnlp.errors import InputError

ROWS = {
    "sentence": ['a "quoted" word', "two\nlines", "tab\there", "Grüße, 世界 \u2028 🙂"],
    "label": ["0", "1", "0", "1"],
}


def _parquet(table: pa.Table | None = None) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table if table is not None else pa.table(ROWS), sink)
    return sink.getvalue()


def _delimited(delimiter: str) -> str:
    lines = [delimiter.join(ROWS)]
    for text, label in zip(*ROWS.values(), strict=True):
        doubled = text.replace('"', '""')
        lines.append(f'"{doubled}"{delimiter}{label}')
    return "\n".join(lines) + "\n"


_OBJECTS = [dict(zip(ROWS, row, strict=True)) for row in zip(*ROWS.values(), strict=True)]
SAME_TABLE = {
    "a.jsonl": "\n".join(json.dumps(row, ensure_ascii=False) for row in _OBJECTS).encode(),
    "a.json": json.dumps(_OBJECTS, indent=2).encode(),
    "lines.json": "\n".join(map(json.dumps, _OBJECTS)).encode(),
    "a.csv": _delimited(",").encode(),
    "crlf.csv": _delimited(",")
    .replace("1\n", "1\r\n")
    .replace("0\n", "0\r\n")
    .replace("label\n", "label\r\n")
    .encode(),
    "a.tsv": _delimited("\t").encode(),
    "a.parquet": _parquet(),
}


@pytest.mark.parametrize("ending", ["", ".gz", ".xz"])
@pytest.mark.parametrize("name", SAME_TABLE)
def test_every_format_gives_the_same_table(name: str, ending: str, tmp_path: Path) -> None:
    packers: dict[str, Callable[[bytes], bytes]] = {"": bytes, ".gz": gzip.compress, ".xz": lzma.compress}
    file = tmp_path / (name + ending)
    file.write_bytes(packers[ending](SAME_TABLE[name]))
    table = read_file(file)
    assert {column: table.values(column) for column in table.columns} == ROWS
    assert table.numbers.tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.tsv"])
def test_a_byte_order_mark_is_no_part_of_the_first_column(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"\xef\xbb\xbf" + SAME_TABLE[name])
    assert list(read_file(tmp_path / name).columns) == ["sentence", "label"]


def test_a_text_file_gives_one_row_a_line_numbered_as_an_editor_does(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("one\r\n\n  \t\ntwo \u2028 same \x0c line\x85\nthree".encode())
    table = read_file(tmp_path / "a.txt")
    assert table.values("text") == ["one", "two \u2028 same \x0c line\x85", "three"]
    assert table.numbers.tolist() == [1, 4, 5]


@pytest.mark.parametrize(
    "lines",
    [
        ['"unbalanced at the start', 'also " inside', "plain"],
        ['"opened here', 'closed here"', "plain"],
        ['"said" she', "x", '"'],
    ],
)
def test_glue_style_tsv_keeps_its_quotes_and_says_so(lines: list[str], tmp_path: Path) -> None:
    (tmp_path / "a.tsv").write_text("sentence\tlabel\n" + "".join(f"{line}\t1\n" for line in lines))
    table = read_file(tmp_path / "a.tsv")
    assert table.values("sentence") == lines
    assert "quotes" in table.notes[0]


def test_objects_with_different_keys_share_their_columns(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"a": 1}\n\n{"b": 2}\n')
    table = read_file(tmp_path / "a.jsonl")
    assert table.columns == {"a": [1, None], "b": [None, 2]}
    assert table.numbers.tolist() == [1, 3]


def test_a_cell_of_a_megabyte_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(f'sentence,label\n"{"word " * 200_000}",1\n')
    assert len(read_file(tmp_path / "a.csv").values("sentence")[0]) == 1_000_000


def _zip() -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("a.csv", "sentence,label\n")
    return sink.getvalue()


CSV = b"sentence,label\ngood,1\n"
HALF_GZIP = gzip.compress(SAME_TABLE["a.jsonl"] * 50, mtime=0)[:-30]
HALF_XZ = lzma.compress(SAME_TABLE["a.jsonl"] * 50)[:-30]

# name, content, and a part of what is expected, of what is found, and of what to change
REFUSED = [
    ("a.csv", _zip(), ".csv", "a zip archive", "unpack"),
    ("a.jsonl", gzip.compress(CSV, mtime=0), ".jsonl", "a gzip file", "suffix"),
    ("a.txt", lzma.compress(CSV), ".txt", "an xz file", "suffix"),
    ("a.csv", b"\n <!DOCTYPE html><html></html>", ".csv", "a web page", "convert"),
    ("a.jsonl", _parquet(), ".jsonl", "a parquet file", "suffix"),
    ("a.tsv", "sentence\tlabel\n".encode("utf-16"), "rows", "no rows", "a file with rows"),
    ("a.txt", b"one\0two", ".txt", "binary", "convert"),
    ("a.csv", b"version https://git-lfs.github.com/spec/v1\n", ".csv", "Git LFS", "convert"),
    ("a.csv", CSV + b"caf\xe9,1\n", "UTF-8", "line 3: byte 0xe9", "--encoding cp1252"),
    ("a.txt", b"one\ntwo\xff\n", "UTF-8", "line 2", "UTF-8"),
    ("a.csv.gz", CSV, "complete .gz", "damaged", "suffix"),
    ("a.csv.gz", _zip(), "complete .gz", "a zip archive", "suffix"),
    ("a.jsonl.gz", HALF_GZIP, "complete .gz", "damaged or incomplete", "again"),
    ("a.jsonl.xz", HALF_XZ, "complete .xz", "damaged or incomplete", "again"),
    ("a.parquet", _parquet()[:-20], "parquet", "damaged", "again"),
    ("a.parquet", CSV, "parquet", "damaged", "suffix"),
    ("a.parquet", _zip(), "parquet", "a zip archive", "suffix"),
    ("a.csv", CSV + b"bad,1,extra\n", "2 fields", "line 3: 3 fields, 'bad,1,extra'", "quotes"),
    ("a.csv", b'sentence,label\n"two\nlines",1\nshort\n', "2 fields", "line 4: 1 fields", "quotes"),
    ("a.tsv", b"sentence\tlabel\ngood\n", "2 fields", "line 2", "separator"),
    ("a.csv", CSV + b'"never closed,1\nx,0\n', "balanced quotes", "line 3", '""quoted""'),
    ("a.csv", b"label,label\nx,1\n", "unique column names", "label more than once", "rename"),
    ("a.csv", b"sentence,label\n", "rows", "no rows", "a file with rows"),
    ("a.csv", b"", "rows", "empty", "a file with rows"),
    ("a.txt", b" \n\n", "rows", "empty", "a file with rows"),
    ("a.json", b"[]", "rows", "no rows", "a file with rows"),
    ("a.jsonl", b'{"a": 1}\n{"a": \n', "one JSON object per line", "line 2", "the line"),
    ("a.jsonl", b'[{"a": 1}]', "one JSON object per line", "line 1", ".json file"),
    ("a.json", b'[{"a": 1}', "a list of objects", "a.json", "the file"),
    ("a.json", b'[{"a": 1}, 7]', "a list of objects", "row 2: 7", "the row"),
    ("a.jsn", b"[]", ".jsonl, .json, .csv", "did you mean .json", "suffix"),
    ("a.csv.zip", _zip(), "rows", "a.csv.zip/a.csv: no rows", "a file with rows"),
    ("a.csv.bz2", _zip(), ".gz, .xz or .zip", "a.csv.bz2", "convert"),
]


@pytest.mark.parametrize(("name", "data", "expected", "found", "change"), REFUSED)
def test_a_file_that_is_not_what_it_says_is_refused_in_words(
    name: str, data: bytes, expected: str, found: str, change: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError) as refusal:
        read_file(tmp_path / name)
    assert expected in refusal.value.expected
    assert found in refusal.value.found
    assert name in refusal.value.found
    assert change in refusal.value.change
