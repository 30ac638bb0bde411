"""Which weights are kept is decided on dev rows alone: those that a run reports on have no say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tlnlp
from tests.fixtures import write_rows
from tests.recipe_runs import ROOT

SIMILARITY = ROOT / "tlnlp" / "bundled" / "samples" / "similarity"


def test_rows_that_are_reported_on_have_no_say_in_which_weights_are_kept(bert: Path, tmp_path: Path) -> None:
    """By turning their scores round: what was the best epoch for them is then the worst."""
    train, dev = ([json.loads(line) for line in (SIMILARITY / f"{split}.jsonl").read_text().splitlines()]
                  for split in ("train", "validation"))  # fmt: skip
    reported = dev[20:40]
    turned = [{**row, "label": 5 - row["label"]} for row in reported]
    runs = []
    for name, test in (("plain", reported), ("turned", turned)):
        for split, rows in {"train": train[:40], "validation": dev[:20], "test": test}.items():
            write_rows(tmp_path / name / "data" / f"{split}.jsonl", rows)
        run = tlnlp.train(
            "stsb", tmp_path / name / "data", model=bert, output_dir=tmp_path / name / "run", keep="best", epochs=6,
            learning_rate=3e-3, max_length=32, batch_size=16, no_report=True, quiet=True,
        )  # fmt: skip
        runs.append(run)
    plain, other = (run.result for run in runs)
    assert other["metrics"]["pearson"] == pytest.approx(-plain["metrics"]["pearson"], abs=1e-6), "they are reported on"
    assert plain["metrics"]["pearson"] != plain["best"]["score"]
    assert [entry["metrics"] for entry in other["history"]] == [entry["metrics"] for entry in plain["history"]]
    assert other["best"] == plain["best"]
    weights = [(run.folder / "model" / "model.safetensors").read_bytes() for run in runs]
    assert weights[0] == weights[1]
