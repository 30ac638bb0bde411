"""`tlnlp.compare`: the grid of `tlnlp compare`, on rows in memory, and what it found as Python has it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tlnlp
from tests.recipe_runs import start_server


def test_a_grid_on_rows_in_memory_gives_a_table_and_verdicts(reviews: Path, bert: Path, tmp_path: Path) -> None:
    start_server()
    rows = {
        split: [json.loads(line) for line in (reviews / f"{split}.jsonl").read_text().splitlines()]
        for split in ("train", "validation")
    }
    found = tlnlp.compare(
        "sst2", rows, strategies=["from_scratch", "full"], models=[bert], rows=[16], seeds=2, epochs=1, max_length=32,
        output_dir=tmp_path / "grid",
    )  # fmt: skip
    assert [(line["strategy"], line["rows"]) for line in found.table] == [("from_scratch", 16), ("full", 16)]
    assert found.verdicts and all(isinstance(each, str) for each in found.verdicts)
    # The same call runs nothing again.
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "grid").rglob("result.json")}
    assert len(before) == 4
    again = tlnlp.compare(
        "sst2", rows, strategies=["from_scratch", "full"], models=[bert], rows=[16], seeds=2, epochs=1, max_length=32,
        output_dir=tmp_path / "grid",
    )  # fmt: skip
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "grid").rglob("result.json")} == before
    assert again.table == found.table


def test_a_grid_that_cannot_be_is_refused_in_words(reviews: Path) -> None:
    with pytest.raises(tlnlp.InputError, match="did you mean lora"):
        tlnlp.compare("sst2", reviews, strategies=["lorra"], rows=[16])
