"""`tlnlp.compare`: the grid of `tlnlp compare`, on rows in memory, and what it found as Python has it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tlnlp
from tests.recipe_runs import start_server
from tlnlp.commands import compare
from tlnlp.experiments.workers import Stopped


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
    assert found.table[["strategy", "rows"]].values.tolist() == [["from_scratch", 16], ["full", 16]]
    assert [len(scores) for scores in found.table["scores"]] == [2, 2]
    assert found.plot_learning_curves().axes[0].get_xlabel() == "labelled train rows (logarithmic)"
    shown = f"Comparison(sst2: {found.result['models'][0]}, accuracy on 13 dev rows, 2 seeds; {tmp_path / 'grid'})"
    assert repr(found) == shown
    assert found.verdicts and all(isinstance(each, str) for each in found.verdicts)
    # The same call runs nothing again.
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "grid").rglob("result.json")}
    assert len(before) == 4
    again = tlnlp.compare(
        "sst2", rows, strategies=["from_scratch", "full"], models=[bert], rows=[16], seeds=2, epochs=1, max_length=32,
        output_dir=tmp_path / "grid",
    )  # fmt: skip
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "grid").rglob("result.json")} == before
    assert again.table.equals(found.table)


def test_a_grid_that_cannot_be_is_refused_in_words(reviews: Path) -> None:
    with pytest.raises(tlnlp.InputError, match="did you mean lora"):
        tlnlp.compare("sst2", reviews, strategies=["lorra"], rows=[16])


def test_a_grid_that_was_stopped_says_that_the_same_call_goes_on(
    reviews: Path, bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*arguments: object) -> None:
        raise Stopped

    monkeypatch.setattr(compare, "make_runs", stopped)
    with pytest.raises(KeyboardInterrupt, match="stopped after run 0 of 6; the same call goes on") as interrupted:
        tlnlp.compare("sst2", reviews, models=[bert], rows=[16], seeds=2, output_dir=tmp_path / "grid", quiet=True)
    assert isinstance(interrupted.value, tlnlp.Interrupted)
    assert capsys.readouterr().out == ""
    monkeypatch.chdir(tmp_path)
    assert compare.main(["sst2", "--data", str(reviews), "--models", str(bert), "--rows", "16", "--seeds", "2"]) == 130
    assert "Stopped: 0 of 6 runs are done. To continue:\n  tlnlp compare sst2 --data" in capsys.readouterr().out
