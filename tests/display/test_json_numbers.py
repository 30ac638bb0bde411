"""Infinity and NaN in files: every reader of JSON takes them, and they come back."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from tests.recipe_runs import run_recipe
from tlnlp.data.rows import Rows
from tlnlp.display.json_numbers import name_numbers, restore_numbers
from tlnlp.evaluation.predictions import lines_of, read_predictions
from tlnlp.reporting.page import save_page
from tlnlp.runs.result import read_result
from tlnlp.task import Prediction
from tlnlp.training.files import write_json


def strict(text: str) -> Any:
    """Reads JSON as everything but Python does."""

    def refuse(name: str) -> NoReturn:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_numbers_come_back_from_a_file_that_is_json(tmp_path: Path) -> None:
    content = {"a": math.inf, "b": [-math.inf, 0.5, {"c": math.nan}], "d": (1, None), "e": "text"}
    write_json(tmp_path / "file.json", content)
    written = strict((tmp_path / "file.json").read_text())
    assert written == {"a": "Infinity", "b": ["-Infinity", 0.5, {"c": "NaN"}], "d": [1, None], "e": "text"}
    found = restore_numbers(written)
    assert found["a"] == math.inf and found["b"][0] == -math.inf and math.isnan(found["b"][2]["c"])
    assert found["d"] == [1, None] and found["e"] == "text"
    assert name_numbers({"x": 1.5}) == {"x": 1.5}


def test_a_label_called_nan_stays_a_label(tmp_path: Path) -> None:
    rows = Rows({"text": ["a", "b"], "label": [0, 1]}, "here", np.array([1, 2]), ("NaN", "other"))
    answers = [Prediction("NaN", math.nan, {"NaN": math.nan, "other": 0.5}), Prediction("other", 0.5)]
    (tmp_path / "lines").write_text(lines_of(rows, answers))
    assert [strict(line)["label"] for line in (tmp_path / "lines").read_text().splitlines()] == ["NaN", "other"]
    first, second = read_predictions(tmp_path / "lines")
    assert first.prediction == "NaN" and math.isnan(first.score) and math.isnan(first.scores["NaN"])
    assert second.score == 0.5
    number = [Prediction(math.inf, math.inf), Prediction(1.0, 1.0)]
    (tmp_path / "lines").write_text(lines_of(Rows({"text": ["a", "b"]}, "here", np.array([1, 2])), number))
    assert read_predictions(tmp_path / "lines")[0].prediction == math.inf


def test_a_diverged_run_ends_with_an_infinite_perplexity(bert: Path, corpus: Path, tmp_path: Path) -> None:
    ended = run_recipe(
        "pretrain", "--model", bert, "--data", corpus, "--max-length", 32, "--epochs", 2, "--batch-size", 2,
        "--learning-rate", 10, "--max-grad-norm", 1e9, "--schedule", "constant", "--strategy", "full",
        folder=tmp_path / "run",
    )  # fmt: skip
    assert ended.status == 0, ended.output
    assert "inf" in ended.output
    strict((ended.folder / "result.json").read_text())
    for line in (ended.folder / "predictions.jsonl").read_text().splitlines():
        strict(line)
    assert read_result(ended.folder).metrics["perplexity"] == math.inf
    save_page([ended.folder], tmp_path / "report.html")
    assert "inf" in (tmp_path / "report.html").read_text()
