"""Learning goes on from a run's model with rows that have two of its three labels: with all three, in its order."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tlnlp
from tests.fixtures import write_rows
from tlnlp.errors import InputError

WORDS = {"bad": "dull grim", "fair": "plain usual", "good": "warm clever"}


def rows(*labels: str) -> list[dict[str, str]]:
    return [{"text": f"a {WORDS[label]} film, number {i}", "label": label} for i in range(8) for label in labels]


def test_rows_with_two_of_three_labels(bert: Path, tmp_path: Path) -> None:
    settings = {"epochs": 1, "max_length": 32, "no_report": True, "quiet": True}
    for name, labels in {"three": ("good", "bad", "fair"), "two": ("good", "bad")}.items():
        for split in ("train", "validation"):
            write_rows(tmp_path / name / f"{split}.jsonl", rows(*labels))
    first = tlnlp.train("own_classification", tmp_path / "three", model=bert, output_dir=tmp_path / "first", **settings)
    model = first.folder / "model"
    second = tlnlp.train(
        "own_classification", tmp_path / "two", model=model, output_dir=tmp_path / "second", **settings
    )
    assert any("knows 1 more" in note and "fair" in note for note in second.result.notes)
    config = json.loads((second.folder / "model" / "config.json").read_text())
    assert [config["id2label"][str(i)] for i in range(3)] == ["bad", "fair", "good"]
    (told,) = tlnlp.load(second.folder).predict(["a plain usual film"])
    assert set(told.scores) == set(WORDS)
    write_rows(tmp_path / "other" / "train.jsonl", [{**row, "label": row["label"].replace("bad", "poor")}
                                                    for row in rows("good", "bad")])  # fmt: skip
    with pytest.raises(InputError, match="new_head") as refused:
        tlnlp.train("own_classification", tmp_path / "other", model=model, output_dir=tmp_path / "x", **settings)
    assert "not poor" in refused.value.found
