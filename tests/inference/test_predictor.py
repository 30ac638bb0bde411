"""`tlnlp predict`: a saved model answers new rows as it did at the end of its run, whatever the head."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.recipe_runs import ROOT, Ended
from tlnlp import cli
from tlnlp.inference import predictor

SAMPLES = ROOT / "tlnlp" / "bundled" / "samples"
# One recipe for each head and shape of answer.
RECIPES = ["sst2", "copa", "conll2003", "squad_v2", "gpt_sst2"]
RECIPES += [pytest.param(name, marks=pytest.mark.long) for name in ("stsb", "rte", "squad", "gpt_copa")]


@pytest.fixture(scope="module", params=RECIPES)
def trained(request: pytest.FixtureRequest, short_run: Callable[[str], Ended]) -> tuple[str, Path]:
    """A recipe's name and the folder of a short run of it."""
    return request.param, short_run(request.param).folder


def told(output: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in output.splitlines()]


SAMPLE_OF = {
    "sst2": "reviews", "stsb": "similarity", "rte": "entailment_two_way", "copa": "choices",
    "conll2003": "entities", "squad": "passages", "squad_v2": "passages", "gpt_sst2": "reviews", "gpt_copa": "choices",
}  # fmt: skip


def test_new_answers_are_those_of_the_run(trained: tuple[str, Path], capsys: pytest.CaptureFixture[str]) -> None:
    name, folder = trained
    rows = SAMPLES / SAMPLE_OF[name] / "validation.jsonl"
    capsys.readouterr()
    assert cli.main(["predict", str(folder / "model"), str(rows)]) == 0
    found = {each["row"]: each for each in told(capsys.readouterr().out)}
    expected = told((folder / "predictions.jsonl").read_text())
    assert expected
    for answer in expected:
        again = found[answer["row"]]
        if name == "squad_v2":  # the threshold that was found is applied from then on
            assert again["n_best"][0]["text"] == answer["n_best"][0]["text"]
        else:
            assert again["prediction"] == pytest.approx(answer["prediction"], abs=1e-4)
            assert again["score"] == pytest.approx(answer["score"], abs=1e-4)
    if name != "squad":  # which leaves out questions without an answer
        assert len(found) == len(expected)


def test_probabilities_are_calibrated_by_what_the_dev_rows_taught(
    trained: tuple[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    name, folder = trained
    temperature = json.loads((folder / "model" / "tlnlp.json").read_text())["temperature"]
    assert (temperature is not None) == (name in ("sst2", "rte", "copa", "gpt_sst2", "gpt_copa"))
    capsys.readouterr()
    assert cli.main(["predict", str(folder / "model"), str(SAMPLES / SAMPLE_OF[name] / "validation.jsonl")]) == 0
    for answer in told(capsys.readouterr().out):
        if temperature is None:
            assert "calibrated" not in answer
            continue
        scores = answer["scores"]
        values = np.array(list(scores.values()) if isinstance(scores, dict) else scores)
        assert values.max() == pytest.approx(answer["score"], rel=1e-5)
        powers = values ** (1 / temperature)
        assert answer["calibrated"] == pytest.approx(powers.max() / powers.sum(), rel=1e-4)


def test_rows_come_from_standard_input_without_labels(
    trained: tuple[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, folder = trained
    lines = (SAMPLES / SAMPLE_OF[name] / "validation.jsonl").read_text().splitlines()[:5]
    bare = [{k: v for k, v in json.loads(line).items() if k not in ("label", "tags", "answers")} for line in lines]
    monkeypatch.setattr(sys, "stdin", io.StringIO("".join(json.dumps(row) + "\n" for row in bare)))
    capsys.readouterr()
    assert cli.main(["predict", str(folder / "model")]) == 0
    answers = told(capsys.readouterr().out)
    assert [each["row"] for each in answers] == [1, 2, 3, 4, 5]
    assert all("prediction" in each for each in answers)


def test_a_missing_column_is_refused_in_three_parts(
    trained: tuple[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, folder = trained
    (tmp_path / "rows.jsonl").write_text('{"txt": "A film to see twice."}\n')
    assert cli.main(["predict", str(folder / "model"), str(tmp_path / "rows.jsonl")]) == 2
    said = capsys.readouterr().err
    assert all(part in said for part in ("expected:", "found:", "change:", "rows.jsonl", "txt"))


def test_a_folder_that_no_run_wrote_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predict", str(tmp_path)]) == 2
    assert "tlnlp.json" in capsys.readouterr().err


def test_an_unknown_command_is_refused_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["predcit"]) == 2
    assert "did you mean predict?" in capsys.readouterr().err


def test_help_is_quick_and_lists_the_commands() -> None:
    ended = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "tlnlp.cli", "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert "predict" in ended.stdout
    assert "torch" not in {line.rpartition("|")[2].strip() for line in ended.stderr.splitlines()}


def test_a_long_file_is_predicted_in_parts(
    trained: tuple[str, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of which no answer depends on the others' rows, but by rounding."""
    name, folder = trained
    command = ["predict", str(folder / "model"), str(SAMPLES / SAMPLE_OF[name] / "validation.jsonl")]
    capsys.readouterr()
    assert cli.main(command) == 0
    whole = told(capsys.readouterr().out)
    monkeypatch.setattr(predictor, "ROWS_OF_A_PART", 7)
    assert cli.main(command) == 0
    parts = told(capsys.readouterr().out)
    assert [each["row"] for each in parts] == [each["row"] for each in whole] and len(whole) > 14
    for one, other in zip(parts, whole, strict=True):
        assert one["prediction"] == pytest.approx(other["prediction"], abs=1e-5)
        assert one["score"] == pytest.approx(other["score"], abs=1e-5)
