"""Files in the shapes that spreadsheets, labelling tools and other libraries write: each is read rightly, and what is
taken for granted said, or refused in words."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.feather
import pyarrow.parquet
import pytest

from tests.data.conftest import make_task
from tlnlp.data import Splits, load_splits
from tlnlp.errors import InputError
from tlnlp.settings import Settings
from tlnlp.task import Columns, Labels, Regression

TEXTS = ["good and fun", "bad, dull", "fine; but long", "no | yes", 'he said "no"', "très bon"]
NAMES = ["pos", "neg", "pos", "neg", "neg", "pos"]
ROWS = list(zip(TEXTS, NAMES, strict=True))
BY_NAME = [text for wanted in ("neg", "pos") for text, name in ROWS if name == wanted]


def cell(text: str, separator: str) -> str:
    quoted = text.replace('"', '""')
    return f'"{quoted}"' if any(mark in text for mark in (separator, '"', "\n")) else text


def table(
    separator: str = ",",
    header: tuple[str, ...] = ("text", "label"),
    labels: list[Any] = NAMES,
    texts: list[str] = TEXTS,
    end: str = "\n",
) -> str:
    rows = [header] if header else []
    rows += [(text, str(label)) for text, label in zip(texts, labels, strict=True)]
    return "".join(separator.join(cell(each, separator) for each in row) + end for row in rows)


def zipped(**files: str) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", ".").replace("_in_", "/"), content)
    return sink.getvalue()


def arrow(write: Callable[[pyarrow.Table, Any], Any], columns: dict[str, Any] | None = None) -> bytes:
    sink = pyarrow.BufferOutputStream()
    write(pyarrow.table(columns or {"text": TEXTS, "label": NAMES}), sink)
    return sink.getvalue().to_pybytes()


def stream(rows: pyarrow.Table, sink: Any) -> None:
    with pyarrow.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)


def arrow_file(rows: pyarrow.Table, sink: Any) -> None:
    with pyarrow.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows)


def fasttext(*labels: str) -> str:
    return "".join(f"{label} {text}\n" for label, text in zip(labels, TEXTS, strict=True))


@dataclass(frozen=True)
class Kind:
    """Files, and what comes of them.

    Args:
        files: {name: content}.
        flags: settings; a file named in them is in the folder.
        texts, labels, names: of the train rows and dev rows together, in order of the file; label names.
        said: a part of each note that there must be.
        refused: instead of rows: a part of what is expected, found and to be changed.
    """

    files: dict[str, str | bytes]
    flags: dict[str, Any] = field(default_factory=dict)
    texts: list[str] = field(default_factory=lambda: list(TEXTS))
    labels: list[Any] = field(default_factory=lambda: list(NAMES))
    said: tuple[str, ...] = ()
    refused: tuple[str, str, str] | None = None
    task_labels: Labels = None


SCORES = ["0,5", "1,5", "2,5", "0,25", "3", "4,75"]
POINTS = [0.5, 1.5, 2.5, 0.25, 3.0, 4.75]
# The Hub's AG News has no header: label, title, text.
AG = ["3,Title one,It rose\n", '1,Title two,"It fell, again"\n', "4,Title three,It stood\n", "3,Title four,It ran\n"]
KINDS = {
    # Separators
    "semicolons (European Excel)": Kind({"a.csv": table(";")}, said=("a.csv: separator ;",)),
    "tabs in a .csv": Kind({"a.csv": table("\t")}, said=("a.csv: separator tab",)),
    "bars": Kind({"a.csv": table("|")}, said=("a.csv: separator |",)),
    "commas in a .tsv": Kind({"a.tsv": table(",")}, said=("a.tsv: separator ,",)),
    "semicolons, compressed": Kind({"a.csv.gz": gzip.compress(table(";").encode())}, said=("separator ;",)),
    "commas, and no word about them": Kind({"a.csv": table(",")}),
    "a separator that is named": Kind({"a.csv": table("~")}, {"separator": "~"}),
    "a separator by its name, any suffix": Kind({"a.dat": table("\t")}, {"separator": "tab"}),
    "a .txt with a separator": Kind({"a.txt": table(";")}, {"separator": ";"}),
    "Excel's first line": Kind({"a.csv": "sep=;\r\n" + table(";", end="\r\n")}, said=("separator ;, by its first",)),
    "Excel's first line, for commas": Kind({"a.csv": '"sep=,"\n' + table(",")}),
    "decimal commas": Kind(
        {"a.csv": table(";", labels=SCORES)}, labels=POINTS, said=("separator ;", "decimal commas in label"),
        task_labels=Regression(0, 5),
    ),
    "numbers as classes": Kind(
        {"a.csv": table(";", labels=["0.5", "1.5", "10.5"] * 2)},
        labels=["0.5", "1.5", "10.5"] * 2,
        said=("separator ;", "each of 3 different numbers is taken as a name (recipes/own_score.py"),
    ),
    "decimal commas, or two labels in each row": Kind(
        {"a.csv": table(";", labels=["0,5", "1,5", "10,5"] * 2)},
        refused=("one label in each row, or several", "'0,5'", "numbers with decimal commas: the recipe own_score"),
    ),
    "decimal commas in quotes": Kind(
        {"a.csv": table(",", labels=SCORES)}, labels=POINTS, said=("decimal commas",), task_labels=Regression(0, 5)
    ),
    "decimal points need no word": Kind(
        {"a.csv": table(";", labels=POINTS)}, labels=POINTS, said=("separator ;",), task_labels=Regression(0, 5)
    ),
    "commas between thousands, or decimal": Kind(
        {"a.csv": table(";", labels=["1,250", "2,500", "12,750"] * 2)},
        task_labels=Regression(),
        refused=("a number", "label '1,250'", "a comma is read as decimal if"),
    ),
    "decimal commas and points": Kind(
        {"a.csv": table(";", labels=["0,5", "1.5", *SCORES[2:]])}, task_labels=Regression(0, 5),
        refused=("a number from 0 to 5", "label '0,5'", "the label"),
    ),
    "two separators that fit": Kind(
        {"a.csv": "text;a,label\ngood;b,pos\nbad;c,neg\n"}, refused=("one separator", ", and ; do", "--separator ','")
    ),
    "a tsv like csv, with one damaged quote": Kind(
        {"a.tsv": 'text\tlabel\n"a ""b"""\tx\n"c "d""\ty\n"""e"" f"\tx\n'}, refused=("balanced", "line 3", "quotes")
    ),
    "a tsv with quotes as characters": Kind(
        {"a.tsv": 'text\tlabel\n"a" b\tx\n"c\ty\n"d ""e"" f"\tx\n'},
        texts=['"a" b', '"c', '"d ""e"" f"'], labels=["x", "y", "x"], said=("ordinary characters",),
    ),
    "a separator that some lines lack": Kind(
        {"a.csv": "text;label\ngood;pos\nbad\n"}, refused=("2 fields in every line", "line 3: 1 fields", "--separator")
    ),
    # First lines
    "comment lines before the header": Kind(
        {"a.csv": "# from the lab\n# in May, 2020, by A\n" + table()}, said=("2 comment lines",)
    ),
    "a comment before tabs": Kind({"a.tsv": "# exported\n" + table("\t")}, said=("1 comment line before",)),
    "a header behind #": Kind({"a.csv": "#" + table(",", header=("text", "label"))}),
    "a line in the middle that starts with #": Kind(
        {"a.csv": table(texts=["#fun day", *TEXTS[1:]])}, texts=["#fun day", *TEXTS[1:]]
    ),
    "no header": Kind(
        {"a.csv": "".join(AG)}, {"columns": ("text=3", "label=9")},
        refused=("a column '9'", "which is a row", "--no-header, and columns by number"),
    ),
    "no header, tabs": Kind(
        {"SMS.txt": "ham\tSee you at five then\nspam\tYou won\nham\tOn my way\n"},
        refused=("a column 'text'", "which is a row", "--no-header"),
    ),
    "no header, the same words twice": Kind(
        {"a.csv": "good,good\nbad,bad\n"}, refused=("unique column names", "good more than once", "--no-header")
    ),
    "columns by number": Kind(
        {"a.csv": "".join(AG)}, {"no_header": True, "columns": ("text=3", "label=1")},
        texts=["It rose", "It fell, again", "It stood", "It ran"], labels=["3", "1", "4", "3"],
    ),
    "columns by number, with a separator of its own": Kind(
        {"a.csv": table(";", header=())}, {"no_header": True, "columns": ("text=1", "label=2")}, said=("separator ;",)
    ),
    "columns by number, of a .txt": Kind(
        {"SMS.txt": table("\t", header=())}, {"no_header": True, "columns": ("text=1", "label=2")},
        said=("separator tab",),
    ),
    "pandas' index": Kind(
        {"a.csv": ",text,label\n" + "".join(f"{i},{cell(t, ',')},{n}\n" for i, (t, n) in enumerate(ROWS))},
        said=("not used: column 1",),
    ),
    "pandas' index, written twice": Kind(
        {"a.csv": "Unnamed: 0,text,label\n0,good,pos\n1,bad,neg\n2,fine,pos\n"},
        texts=["good", "bad", "fine"], labels=["pos", "neg", "pos"], said=("not used: Unnamed: 0",),
    ),
    "R's row names": Kind(
        {"a.csv": '"text","label"\n"1","good","pos"\n"2","bad","neg"\n"3","fine","pos"\n'},
        texts=["good", "bad", "fine"], labels=["pos", "neg", "pos"], said=("not used: column 1",),
    ),
    "separators at the ends of lines": Kind(
        {"a.csv": "text,label\ngood,pos,\nbad,neg,\nfine,pos,\n"},
        texts=["good", "bad", "fine"], labels=["pos", "neg", "pos"],
    ),
    "columns in another order, and other case": Kind(
        {"a.csv": "Label ,id,TEXT\npos,7,good\nneg,8,bad\npos,9,fine\n"},
        texts=["good", "bad", "fine"], labels=["pos", "neg", "pos"], said=("text from TEXT, label from Label",),
    ),
    "line ends of Windows and a mark": Kind({"a.csv": b"\xef\xbb\xbf" + table(end="\r\n").encode()}),
    # Encodings
    "cp1252": Kind(
        {"a.csv": table(texts=[*TEXTS[:4], "5 € – “so”", "déjà"]).encode("cp1252")},
        refused=("UTF-8", "in cp1252 it reads '5 € – “so”,neg'", "--encoding cp1252"),
    ),
    "cp1252 that is named": Kind(
        {"a.csv": table(texts=[*TEXTS[:4], "5 € – “so”", "déjà"]).encode("cp1252")}, {"encoding": "cp1252"},
        texts=[*TEXTS[:4], "5 € – “so”", "déjà"], said=("encoding cp1252",),
    ),
    "cp1252 in jsonl": Kind(
        {"a.jsonl": '{"text": "naïve – yes", "label": "a"}\n{"text": "b", "label": "b"}\n'.encode("cp1252") * 2},
        {"encoding": "cp1252"}, texts=["naïve – yes", "b"] * 2, labels=["a", "b"] * 2, said=("encoding cp1252",),
    ),
    "cp1252 taken for latin1": Kind(
        {"a.csv": table(texts=[*TEXTS[:5], "“so”"]).encode("cp1252")}, {"encoding": "latin1"},
        refused=("without control characters", "line 7: U+0093", "--encoding cp1252"),
    ),
    "latin1 that is latin1": Kind(
        {"a.csv": table().encode("latin1")}, {"encoding": "latin1"}, said=("encoding latin1",)
    ),
    "UTF-8 taken for cp1252": Kind(
        {"a.csv": table()}, {"encoding": "cp1252"}, refused=("text in cp1252", "it is UTF-8, 'très bon,pos'", "leave")
    ),
    "Cyrillic in cp1251": Kind(
        {"a.csv": table(texts=["хорошо", *TEXTS[:4], "плохо"]).encode("cp1251")}, {"encoding": "cp1251"},
        texts=["хорошо", *TEXTS[:4], "плохо"], said=("encoding cp1251",),
    ),
    "bytes that cp1252 lacks": Kind(
        {"a.csv": table().encode() + b"\x81\x8d,pos\n"},
        refused=("UTF-8", "while 1 other characters beyond ASCII are in UTF-8", "this line"),
    ),
    "Japanese in Shift JIS without a word about it": Kind(
        {"a.csv": table(texts=[f"とても美味しい{i}" for i in range(6)]).encode("shift_jis")},
        refused=("UTF-8", "line 2: byte 0x82", "--encoding"),
    ),
    "Chinese in GBK": Kind(
        {"a.csv": table(texts=["好", "坏", *TEXTS[:4]]).encode("gbk")}, {"encoding": "gbk"},
        texts=["好", "坏", *TEXTS[:4]], said=("encoding gbk",),
    ),
    "one damaged byte in UTF-8": Kind(
        {"a.csv": table().encode() + b"caf\xe9,pos\n"},
        refused=("UTF-8", "line 8: byte 0xe9, while 1 other characters", "this line"),
    ),
    "UTF-16 with its mark": Kind({"a.csv": table("\t").encode("utf-16")}, said=("encoding UTF-16", "separator tab")),
    "UTF-16, big end first": Kind(
        {"a.tsv": b"\xfe\xff" + table("\t").encode("utf-16-be")}, said=("encoding UTF-16",)
    ),
    "UTF-16 without its mark": Kind(
        {"a.csv": table().encode("utf-16-le")}, {"encoding": "utf-16-le"}, said=("encoding utf-16-le",)
    ),
    "half of UTF-16": Kind(
        {"a.csv": table().encode("utf-16")[:-1]}, refused=("as its first bytes say", "a.csv, line", "damaged")
    ),
    "an encoding that is none": Kind(
        {"a.csv": table()}, {"encoding": "cp1250x"}, refused=("--encoding", "did you mean cp1250?", "name")
    ),
    # Labels
    "labels that differ in case and blanks": Kind(
        {"a.csv": table(labels=["Pos", "neg ", "pos", "NEG", "neg", "pos"])},
        said=("'neg' (2) = 'NEG' (1)", "'pos' (2) = 'Pos' (1)"),
    ),
    "labels with underscores": Kind(
        {"a.csv": table(labels=["a_b", "c", "a b", "c", "a_b", "c"])}, labels=["a_b", "c"] * 3, said=("= 'a b' (1)",)
    ),
    "0 and 0.0": Kind(
        {"a.csv": table(labels=["0", "1", "0.0", "1.0", "0", "1"])}, labels=["0", "1"] * 3,
        said=("'0' (2) = '0.0' (1)",),
    ),
    "0 in train, 0.0 in dev": Kind(
        {"train.csv": table(labels=[0, 1, 0, 1, 0, 1]), "dev.csv": table(labels=[0.0, 1.0, 0.0, 1.0, 0.0, 1.0])},
        texts=TEXTS * 2, labels=["0", "1"] * 6, said=("dev rows from",),
    ),
    "names in train, numbers in dev": Kind(
        {"train.csv": table(), "dev.csv": table(labels=[1, 0, 1, 0, 0, 1])},
        refused=("one of neg, pos", "dev.csv, row 1: label '1'", "--columns label="),
    ),
    "a list of one label": Kind(
        {"a.jsonl": "".join(json.dumps({"text": t, "label": [n]}) + "\n" for t, n in ROWS)},
        said=("one in each row",),
    ),
    "a list of one label in parquet": Kind(
        {"a.parquet": arrow(pyarrow.parquet.write_table, {"text": TEXTS, "label": [[name] for name in NAMES]})},
        said=("one in each row",),
    ),
    "a list of one label, as Python writes it": Kind(
        {"a.csv": table(labels=[f"['{name}']" for name in NAMES])}, said=("one in each row",)
    ),
    # fastText
    "fastText": Kind({"a.txt": fasttext(*(f"__label__{name}" for name in NAMES))}, said=("fastText's lines",)),
    "fastText, another suffix": Kind(
        {"a.train": fasttext(*(f"__label__{name}" for name in NAMES))}, said=("fastText's lines",)
    ),
    "fastText, a folder": Kind(
        {"x.train": fasttext(*(f"__label__{name}" for name in NAMES)), "x.valid": "__label__pos fun\n__label__neg no"},
        texts=[*TEXTS, "fun", "no"], labels=[*NAMES, "pos", "neg"], said=("dev rows from",),
    ),
    "fastText without a text": Kind(
        {"a.txt": "__label__a x\n__label__b\n"}, refused=("a text in every line", "row 2: '__label__b'", "the line")
    ),
    "fastText without a label": Kind(
        {"a.txt": "__label__a x\nwords\n"}, refused=("in front of every line", "row 2: 'words'", "the line")
    ),
    # Archives and binary files
    "a zip of one csv": Kind({"a.zip": zipped(b__csv=table(";"))}, said=("a.zip/b.csv: separator ;",)),
    "a zip as macOS makes it": Kind({"a.csv.zip": zipped(x_in_b__tsv=table("\t"), __MACOSX_in_b__csv="x")}),
    "a zip of several": Kind(
        {"a.zip": zipped(train__csv=table(), test__csv=table())},
        refused=("one file of rows", "train.csv, test.csv", "unpack"),
    ),
    "a zip of nothing": Kind({"a.zip": zipped(readme__md="x")}, refused=("one file of rows", "readme.md", "unpack")),
    "half of a zip": Kind({"a.zip": zipped(b__csv=table())[:60]}, refused=("complete zip", "a.zip: ", "download")),
    "an Arrow file": Kind({"a.arrow": arrow(arrow_file)}),
    "an Arrow stream": Kind({"a.arrow": arrow(stream)}),
    "Feather": Kind({"a.feather": arrow(pyarrow.feather.write_feather)}),
    "half of an Arrow file": Kind({"a.arrow": arrow(arrow_file)[:200]}, refused=("an Arrow file", "damaged", "again")),
    "JSON as pandas writes it": Kind(
        {"a.json": json.dumps({"text": dict(enumerate(TEXTS)), "label": dict(enumerate(NAMES))})}, said=("columns of",)
    ),
    "JSON, split": Kind(
        {"a.json": json.dumps({"columns": ["text", "label"], "index": [0], "data": ROWS})}, said=("columns of",)
    ),
    "JSON, a list for each column": Kind({"a.json": json.dumps({"text": TEXTS, "label": NAMES})}, said=("columns of",)),
    # Folders
    "another name of dev": Kind(
        {"train.csv": table(), "eval.csv": table()}, texts=TEXTS * 2, labels=NAMES * 2, said=("dev rows from",)
    ),
    "devel, and what is not used": Kind(
        {"train.csv": table(), "devel.tsv": table("\t"), "notes.csv": "x", "labels.pdf": "x"},
        texts=TEXTS * 2, labels=NAMES * 2, said=("dev rows from", "not used: labels.pdf, notes.csv"),
    ),
    "train and test": Kind(
        {"train.csv": table(), "test.csv": table()}, texts=TEXTS * 2, labels=NAMES * 2,
        said=("reported on the test rows of",),
    ),
    "train and a test without labels": Kind(
        {"train.csv": table(), "test.csv": "text\ngood\n"}, said=("test.csv, whose labels are hidden", "rows cut from")
    ),
    "train, dev and test": Kind(
        {"train.csv": table(), "dev.csv": table(), "test.csv": table()}, texts=TEXTS * 2, labels=NAMES * 2,
        said=("dev rows from", "not used: test.csv (--keep best, or --test-file"),
    ),
    "two dev splits": Kind(
        {"train.csv": table(), "dev.csv": table(), "eval.csv": table()}, texts=TEXTS * 2, labels=NAMES * 2,
        said=("not used: eval.csv", "dev rows from"),
    ),
    "files by any names": Kind(
        {"first.csv": table(), "held_out.tsv": table("\t")}, {"train_file": "first.csv", "dev_file": "held_out.tsv"},
        texts=TEXTS * 2, labels=NAMES * 2,
    ),
    "a dev file beside a folder": Kind(
        {"train.csv": table(), "dev.csv": table(), "mine.csv": table(labels=NAMES[::-1])}, {"dev_file": "mine.csv"},
        texts=TEXTS * 2, labels=NAMES + NAMES[::-1], said=("not used: ", "/dev.csv"),
    ),
    "a dev file, and no train rows": Kind(
        {"dev.csv": table()}, {"dev_file": "dev.csv", "data": "sample"},
        refused=("--train-file FILE or --data PATH", "neither", "--train-file"),
    ),
    "a train file that is not there": Kind(
        {"first.csv": table()}, {"train_file": "frist.csv"}, refused=("path", "did you mean first.csv?", "path")
    ),
    "shards": Kind(
        {
            f"train-0000{i}-of-00002.parquet": arrow(
                pyarrow.parquet.write_table, {"text": TEXTS[3 * i :][:3], "label": NAMES[3 * i :][:3]}
            )
            for i in range(2)
        },
        said=("train-*-of-00002.parquet: 2 files",),
    ),
    "shards in a folder, of jsonl": Kind(
        {
            "data/train-00000-of-00002.jsonl": '{"text": "a b", "label": "x"}\n' * 2,
            "data/train-00001-of-00002.jsonl": '{"text": "c d", "label": "y"}\n' * 2,
            "README.md": "words",
        },
        texts=["a b", "a b", "c d", "c d"], labels=["x", "x", "y", "y"], said=("rows from ", "not used: README.md"),
    ),
    "a shard that is missing": Kind(
        {"train-00000-of-00002.parquet": arrow(pyarrow.parquet.write_table)},
        refused=("all 2 files of train-*-of-00002.parquet", "1 of them", "download"),
    ),
    "shards of different columns": Kind(
        {
            "train-00000-of-00002.csv": table(),
            "train-00001-of-00002.csv": table(header=("text", "stars")),
        },
        refused=("the same columns", "text, stars", "files that do not belong"),
    ),
    "a folder for each split": Kind(
        {"train/one.csv": table(), "train/two.csv": table(), "validation/one.csv": table()},
        texts=TEXTS * 3, labels=NAMES * 3, said=("train: 2 files",),
    ),
    "two configurations": Kind(
        {"a/train.csv": table(), "b/train.csv": table()}, refused=("one folder with", "a, b", "--data ")
    ),
    "a folder of texts for each label": Kind(
        {f"train/{name}/{i}.txt": text for i, (text, name) in enumerate(ROWS)} | {"train/unsup/0.txt": "x"},
        texts=BY_NAME, labels=sorted(NAMES),
        said=("a file for each text, a folder for each label: neg, pos", "not used: unsup"),
    ),
    "folders of texts, no splits, no suffixes": Kind(
        {f"{name}/{i}": text for i, (text, name) in enumerate(ROWS)},
        texts=BY_NAME, labels=sorted(NAMES),
        said=("a folder for each label",),
    ),
    "a text that is empty": Kind(
        {"train/a/1.txt": "x", "train/a/2.txt": " ", "train/b/1.txt": "y"},
        refused=("a text", "train/a/2.txt: an empty file", "remove"),
    ),
}  # fmt: skip


def load(folder: Path, kind: Kind) -> Splits:
    for name, content in kind.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    flags = {name: str(folder / value) if name.endswith("_file") else value for name, value in kind.flags.items()}
    single = len(kind.files) == 1 and "/" not in next(iter(kind.files)) and "-of-" not in next(iter(kind.files))
    if "train_file" not in flags:
        flags = {"data": str(folder / next(iter(kind.files)) if single else folder)} | flags
    return load_splits(make_task(kind.task_labels, Columns(text="text", label="label")), Settings(**flags))


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_of_file_is_read_rightly_or_refused_in_words(name: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    if kind.refused:
        with pytest.raises(InputError) as refusal:
            load(tmp_path, kind)
        parts = (refusal.value.expected, refusal.value.found, refusal.value.change)
        for part, wanted in zip(parts, kind.refused, strict=True):
            assert wanted in part, refusal.value
        return
    loaded = load(tmp_path, kind)
    names = loaded.train.labels
    found = [
        (text, label if names is None else names[label])
        for rows in (loaded.train, loaded.dev)
        for text, label in zip(rows.columns["text"], rows.columns["label"], strict=True)
    ]
    # Dev rows that are cut off come after the train rows.
    assert sorted(found) == sorted(zip(kind.texts, kind.labels, strict=True))
    for part in kind.said:
        assert any(part in note for note in loaded.notes), loaded.notes
    surprising = ("separator", "encoding", "comment", "decimal", "dev rows from", "not used", "one in each")
    for note in loaded.notes:
        if not note.startswith("columns:") and any(word in note for word in surprising):
            assert any(part in note for part in kind.said), note
