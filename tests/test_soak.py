"""The command that stops runs at random moments: a short run of it, and its judgement of runs that went wrong."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from tests.recipe_runs import ROOT, Ended


@pytest.fixture(scope="module")
def soak() -> ModuleType:
    """The command as a module."""
    spec = importlib.util.spec_from_file_location("soak", ROOT / "benchmarks" / "soak.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["soak"] = module  # its dataclasses look there for their types
    spec.loader.exec_module(module)
    return module


def test_two_stops_and_the_tally_which_goes_on_where_it_was(
    soak: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--work", str(tmp_path), "--cases", "sst2-full-1", "--page", str(tmp_path / "soak.md")]
    assert soak.main([*arguments, "--kills", "2"]) == 0
    assert "2 of 2 stops" in capsys.readouterr().out
    page = (tmp_path / "soak.md").read_text()
    assert "No run ended otherwise" in page
    notes = (tmp_path / "soak.jsonl").read_text()
    assert sum(len(json.loads(line)["stops"]) for line in notes.splitlines()) == 2
    assert soak.main([*arguments, "--kills", "2"]) == 0
    assert (tmp_path / "soak.jsonl").read_text() == notes, "what is done is not repeated"


def test_what_went_wrong_is_found(soak: ModuleType, short_run: Callable[[str], Ended], tmp_path: Path) -> None:
    alone = short_run("sst2")

    def other(name: str) -> Ended:
        return Ended(0, "", Path(shutil.copytree(alone.folder, tmp_path / name)))

    assert list(soak.compare(other("same"), alone)) == []
    weights = other("weights")
    content = bytearray((weights.folder / "model" / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (weights.folder / "model" / "model.safetensors").write_bytes(content)
    assert list(soak.compare(weights, alone)) == ["other weights"]
    answers = other("answers")
    (answers.folder / "predictions.jsonl").write_text("")
    assert list(soak.compare(answers, alone)) == ["other predictions"]
    scores = other("scores")
    (scores.folder / "result.json").write_text(json.dumps(alone.result | {"metrics": {"accuracy": 0.0}}))
    assert list(soak.compare(scores, alone)) == ["another metrics"]
    left = other("left")
    (left.folder / ".writing-result.json").write_text("{")
    (left.folder / "checkpoints").mkdir()
    assert list(soak.compare(left, alone)) == ["left behind: .writing-result.json, checkpoints"]
    (crashed,) = soak.compare(Ended(1, "Traceback ...", tmp_path), alone)
    assert "status 1" in crashed
    note = {"case": "sst2-full-1", "chain": 0, "stops": [], "problems": ["other weights"]}
    assert "- sst2-full-1, run 0: other weights" in soak.tally([note], soak.CASES, 1, 0)


@pytest.mark.long
def test_every_case_survives_a_stop(soak: ModuleType, tmp_path: Path) -> None:
    names = [case.name for case in soak.CASES]
    assert soak.main(["--work", str(tmp_path), "--kills", str(len(names)), "--seed", "3"]) == 0
