"""`--config`: settings from a file, in the names of the flags; flags win; what cannot be is refused in words."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.recipe_runs import load_recipe
from tlnlp.errors import InputError


def parse(tmp_path: Path, text: str, *flags: str, name: str = "settings.yaml"):  # type: ignore[no-untyped-def]
    (tmp_path / name).write_text(text)
    return load_recipe("sst2").parse(["--config", str(tmp_path / name), *flags])


def test_a_file_sets_what_flags_set_and_flags_win(tmp_path: Path) -> None:
    text = "epochs: 7\nlearning-rate: 2e-5\ncolumns: [text=review]\nprecision: bf16\nnew_head: true\noutput_dir: here\n"
    read = parse(tmp_path, text, "--epochs", "3")
    assert (read.epochs, read.learning_rate, read.columns) == (3, 2e-5, ("text=review",))
    assert (read.precision, read.new_head, read.output_dir) == ("bf16", True, Path("here"))
    flags = ["--epochs", "3", "--learning-rate", "2e-5", "--columns", "text=review", "--precision", "bf16"]
    flags += ["--new-head", "--output-dir", "here"]
    told = load_recipe("sst2").parse([*flags, f"--config={tmp_path / 'settings.yaml'}"])
    assert replace(told, config=None) == replace(read, config=None)
    assert not load_recipe("sst2").parse([f"--config={tmp_path / 'settings.yaml'}", "--no-new-head"]).new_head


def test_json_is_read_as_well(tmp_path: Path) -> None:
    assert parse(tmp_path, json.dumps({"batch_size": 8, "data": "reviews.csv"}), name="settings.json").batch_size == 8


def test_full_in_a_file_is_the_published_run(tmp_path: Path) -> None:
    read = parse(tmp_path, "full: true\n")
    assert (read.full, read.model, read.epochs) == (False, "google-bert/bert-base-uncased", 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epoch: 3", "did you mean epochs"),
        ("epochs: three", "epochs as int"),
        ("epochs: yes", "epochs: True"),
        ("epochs:", "epochs: None"),
        ("precision: int8", "fp32 or tf32 or bf16 or fp16"),
        ("learning_rate: fast", "learning_rate as float"),
        ("columns: text=review", "columns as tuple"),
        ("- epochs", "a mapping"),
        ("epochs: [", "YAML or JSON"),
        ("epochs: 0", "at least 1"),
        ('{"task": "mnli", "settings": {"epochs": 3}}', "a run of mnli"),
    ],
)
def test_what_cannot_be_is_refused_with_the_file_named(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=said):
        parse(tmp_path, text)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no_such"):
        load_recipe("sst2").parse(["--config", str(tmp_path / "no_such.yaml")])
