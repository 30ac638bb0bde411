"""Files by any names: what each is used for, what is said, and what does not go together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import tlnlp
from tests.data.conftest import make_task, said, sentences, to_jsonl
from tlnlp.commands.python_calls import ask, call_text
from tlnlp.data import load_splits
from tlnlp.errors import InputError
from tlnlp.recipe import Recipe, load_recipe
from tlnlp.settings import Settings
from tlnlp.task import Columns, Data

TASK = make_task(labels=("a", "b"))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    for name in ("one", "two", "three"):
        (tmp_path / f"{name}.jsonl").write_text(to_jsonl(sentences([0, 1] * 10, name)))
    (tmp_path / "my").mkdir()
    for name in ("train", "dev", "test"):
        (tmp_path / "my" / f"{name}.jsonl").write_text(to_jsonl(sentences([0, 1] * 10, f"my {name}")))
    return tmp_path


def first(files: Path, **flags: Any) -> tuple[list[str], list[str]]:
    """The source of the first row of train, dev, test and the extra split test; and the notes."""
    paths = {name: str(files / value) if "file" in name or name == "data" else value for name, value in flags.items()}
    splits = load_splits(TASK, Settings(**paths))
    parts = [splits.train, splits.dev, splits.test, splits.extra_splits.get("test")]
    return ["-" if part is None else part.columns["text"][0].rpartition(" ")[0] for part in parts], splits.notes


ONE, TWO, THREE = "one.jsonl", "two.jsonl", "three.jsonl"
USED: list[tuple[dict[str, Any], list[str]]] = [
    ({"train_file": ONE}, ["one", "one", "-", "-"]),
    ({"train_file": ONE, "dev_file": TWO}, ["one", "two", "-", "-"]),
    ({"train_file": ONE, "test_file": THREE}, ["one", "three", "-", "-"]),
    ({"train_file": ONE, "dev_file": TWO, "test_file": THREE}, ["one", "two", "-", "three"]),
    ({"train_file": ONE, "dev_file": TWO, "test_file": THREE, "keep": "best"}, ["one", "two", "three", "-"]),
    ({"train_file": ONE, "dev_file": TWO, "keep": "best"}, ["one", "one", "two", "-"]),
    ({"train_file": ONE, "test_file": THREE, "keep": "best"}, ["one", "one", "three", "-"]),
    ({"data": ONE, "dev_file": TWO}, ["one", "two", "-", "-"]),
    ({"data": "my"}, ["my train", "my dev", "-", "-"]),
    ({"data": "my", "keep": "best"}, ["my train", "my dev", "my test", "-"]),
    ({"data": "my", "test_file": THREE}, ["my train", "my dev", "-", "three"]),
    ({"data": "my", "dev_file": TWO}, ["my train", "two", "-", "-"]),
    ({"data": "my", "dev_file": TWO, "test_file": THREE, "keep": "best"}, ["my train", "two", "three", "-"]),
]


@pytest.mark.parametrize(("flags", "expected"), USED, ids=[" ".join(f"{k}={v}" for k, v in f.items()) for f, _ in USED])
def test_each_file_is_used_for_what_its_flag_says(flags: dict[str, Any], expected: list[str], files: Path) -> None:
    found, notes = first(files, **flags)
    assert found == expected
    if flags.get("data") == "my":
        unused = {"dev": "my dev" not in found, "test": "my test" not in found}
        for name, is_unused in unused.items():
            assert said(notes, "not used", f"{name}.jsonl") == is_unused, notes


REFUSED = [
    ({"train_file": ONE, "data": "my"}, "one of them", "--train-file"),
    ({"dev_file": TWO}, "rows to learn from", "neither"),
    ({"train_file": "my"}, "one split", "my"),
    ({"train_file": "four.jsonl"}, "the path", "nothing at"),
]


@pytest.mark.parametrize(("flags", "expected", "found"), REFUSED)
def test_what_does_not_go_together_is_refused(flags: dict[str, Any], expected: str, found: str, files: Path) -> None:
    if flags == {"train_file": "my"}:
        for file in (files / "my").iterdir():
            file.rename(files / f"moved-{file.name}")
    with pytest.raises(InputError) as refusal:
        first(files, **flags)
    assert expected in refusal.value.expected and found in refusal.value.found


def test_rows_in_memory_and_languages_have_no_files_of_splits(files: Path) -> None:
    rows = sentences([0, 1] * 10)
    with pytest.raises(InputError, match="rows in memory"):
        tlnlp.train(Recipe(TASK), rows, dev_file=files / TWO)
    task = make_task(labels=("a", "b"), data=Data(), columns=Columns(text="sentence", label="label"))
    with pytest.raises(InputError, match="several languages"):
        load_splits(task, Settings(train_file=str(files / ONE), transfer_data=str(files)))


def test_test_rows_in_memory_are_reported_on_where_there_is_no_dev() -> None:
    rows = {"train": sentences([0, 1] * 10), "test": sentences([1, 0], "last"), "eval": sentences([1], "eval")}
    settings, given = ask(Recipe(TASK), rows, None, None, None)
    splits = load_splits(TASK, settings, given)
    assert splits.dev.columns["text"] == ["eval 1"]
    assert said(splits.notes, "not used: test")
    settings, given = ask(Recipe(TASK), {name: rows[name] for name in ("train", "test")}, None, None, None)
    splits = load_splits(TASK, settings, given)
    assert splits.dev.columns["text"] == ["last 1", "last 2"]
    assert said(splits.notes, "reported on the test rows")


def test_the_python_call_takes_the_same_flags(files: Path) -> None:
    recipe = load_recipe("own_classification")
    told = {"train_file": files / ONE, "separator": ";", "encoding": "cp1252", "no_header": True, "dev_fraction": 0.3}
    settings, given = ask(recipe, None, {"text": "2", "label": "1"}, None, None, **told)
    assert given is None and settings.train_file == str(files / ONE)
    assert "separator=';'" in call_text(recipe, settings, False)
    flags = ["--train-file", str(files / ONE), "--separator", ";", "--encoding", "cp1252", "--no-header"]
    parsed = recipe.parse([*flags, "--dev-fraction", "0.3", "--columns", "text=2", "label=1"])
    assert parsed == settings
    # The folder is named after the file, and holds no separators.
    assert recipe.default_folder(parsed).name == "mini-one-full-dev_fraction=0.3"


@pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5])
def test_the_split_that_is_cut_off_has_its_fraction(fraction: float, tmp_path: Path) -> None:
    names = [f"intent {i:03}" for i in range(150)]
    (tmp_path / "rows.jsonl").write_text(to_jsonl(sentences(names * 2)))
    task = make_task(labels=None)
    splits = load_splits(task, Settings(data=str(tmp_path / "rows.jsonl"), dev_fraction=fraction))
    assert len(splits.dev) == round(300 * fraction)
    assert len(set(splits.train.columns["label"])) == 150
    missing = 150 - len(set(splits.dev.columns["label"]))
    assert said(splits.notes, f"without {missing} of 150 labels") == (missing > 0)


def test_a_fraction_that_is_asked_for_is_not_capped(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(to_jsonl(sentences([0, 1] * 10_500)))
    for fraction, rows in ((None, 2000), (0.1, 2100)):
        splits = load_splits(TASK, Settings(data=str(tmp_path / "rows.jsonl"), dev_fraction=fraction))
        assert len(splits.dev) == rows


@pytest.mark.parametrize(
    ("flag", "value", "expected"),
    [
        ("separator", "ab", "one character"),
        ("separator", '"', "one character"),
        ("encoding", "base64", "text encoding"),
    ],
)
def test_a_separator_or_an_encoding_that_is_none_is_refused(flag: str, value: str, expected: str, files: Path) -> None:
    with pytest.raises(InputError, match=expected):
        load_splits(TASK, Settings(data=str(files / ONE), **{flag: value}))


@pytest.mark.parametrize("fraction", [0, 1.0, -0.1])
def test_a_fraction_beyond_its_range_is_refused(fraction: float) -> None:
    with pytest.raises(InputError, match="--dev-fraction"):
        Settings(dev_fraction=fraction)


def test_without_openpyxl_an_excel_file_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (tmp_path / "rows.xlsx").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match="openpyxl") as refusal:
        load_splits(TASK, Settings(data=str(tmp_path / "rows.xlsx")))
    assert "tlnlp[excel]" in refusal.value.change and "CSV UTF-8" in refusal.value.change


def test_an_excel_file_is_read_with_its_types(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    import pandas  # noqa: PLC0415 - takes a second

    frame = pandas.DataFrame({"sentence": [f"row {i}" for i in range(10)], "label": ["a", "b"] * 5, "n": [1.5] * 10})
    frame.to_excel(tmp_path / "rows.xlsx", index=False)
    splits = load_splits(TASK, Settings(data=str(tmp_path / "rows.xlsx")))
    assert len(splits.train) + len(splits.dev) == 10
    with pandas.ExcelWriter(tmp_path / "two.xlsx") as book:
        frame.to_excel(book, sheet_name="one")
        frame.to_excel(book, sheet_name="two")
    with pytest.raises(InputError, match="one, two"):
        load_splits(TASK, Settings(data=str(tmp_path / "two.xlsx")))
    (tmp_path / "cut.xlsx").write_bytes((tmp_path / "rows.xlsx").read_bytes()[:900])
    with pytest.raises(InputError, match=r"an Excel file \(\.xlsx\)"):
        load_splits(TASK, Settings(data=str(tmp_path / "cut.xlsx")))


@pytest.mark.parametrize("flag", ["dev_file", "test_file"])
def test_a_folder_of_several_splits_is_not_one_of_them(flag: str, files: Path) -> None:
    with pytest.raises(InputError, match=r"dev\.jsonl, test\.jsonl, train\.jsonl"):
        first(files, train_file=ONE, **{flag: "my"})
