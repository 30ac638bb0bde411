"""What a run leaves behind, and what a person sees of it."""

from __future__ import annotations

import json
import math
import re
import statistics
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import transformers
from huggingface_hub import ModelCard

from tests.fixtures import DEV_ROWS, TRAIN_ROWS
from tests.offline import Offline, run_offline
from tests.recipe_runs import ROOT, Ended, run_recipe
from tlnlp.runs.result import RunResult
from tlnlp.runs.summary import summary

FLAGS = ("--epochs", 3, "--max-length", 48, "--batch-size", 8, "--learning-rate", "1e-3")
NUMBERS = ("padding_fraction", "rows_per_second", "tokens_per_second", "updates")


def _flags(bert: Path, reviews: Path) -> tuple[object, ...]:
    return ("--model", bert, "--data", reviews, *FLAGS)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, bert: Path, reviews: Path) -> tuple[Path, Offline]:
    """`python recipes/sst2.py`, as a person types it."""
    folder = tmp_path_factory.mktemp("plain")
    flags = (*_flags(bert, reviews), "--output-dir", folder / "out")
    ended = run_offline(folder, "recipes/sst2.py", *flags)
    assert ended.status == 0, ended.err
    return folder / "out", ended


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory, bert: Path, reviews: Path) -> Ended:
    folder = tmp_path_factory.mktemp("seeds") / "out"
    ended = run_recipe("sst2", *_flags(bert, reviews), "--seeds", 2, folder=folder)
    assert ended.status == 0, ended.output
    return ended


def read_result(folder: Path) -> dict[str, Any]:
    """result.json, in which NaN and Infinity, which are not JSON, are refused."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} in {folder}/result.json")

    return json.loads((folder / "result.json").read_text(), parse_constant=refuse)


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    if not isinstance(value, dict | list):
        yield name, value
    for key, child in children:
        yield from _leaves(child, f"{name}.{key}")


def test_no_address_was_asked_for(plain: tuple[Path, Offline]) -> None:
    assert plain[1].asked_for == ""


def test_every_key_of_the_result_is_on_its_page(plain: tuple[Path, Offline]) -> None:
    table = (ROOT / "docs" / "result.md").read_text().split("| key of `result.json`")[1]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    explained = {key for cell in cells for key in re.findall(r"`(\w+)`", cell)}
    assert set(read_result(plain[0])) <= explained


def test_the_result_says_what_was_run_and_what_came_out(plain: tuple[Path, Offline], bert: Path, reviews: Path) -> None:
    folder, _ = plain
    result = read_result(folder)
    assert (result["task"], result["model"], result["data"]) == ("sst2", str(bert), str(reviews))
    assert (result["strategy"], result["seed"]) == ("full", 0)
    assert result["rows"] == {"train": TRAIN_ROWS, "dev": DEV_ROWS}
    assert result["updates"] == 3 * math.ceil(TRAIN_ROWS / 8)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(folder / "model")
    weights = sum(parameter.numel() for parameter in model.parameters())
    assert result["parameters"] == {"total": weights, "trainable": weights}
    assert set(result["metrics"]) == {"accuracy"} == set(result["majority"])
    assert result["seconds"]["train"] > 0 < result["seconds"]["evaluate"]
    assert result["rows_per_second"] == pytest.approx(3 * TRAIN_ROWS / result["seconds"]["train"])
    assert 0 <= result["padding_fraction"] < 1
    assert result["settings"]["batch_size"] == 8
    assert result["settings"]["learning_rate"] == 1e-3
    assert {"tlnlp", "torch", "transformers"} <= set(result["versions"])
    assert [each["epoch"] for each in result["history"]] == [1, 2, 3]


def test_dev_is_scored_when_as_many_rows_have_been_learnt_from_as_it_has(
    tmp_path: Path, bert: Path, reviews: Path
) -> None:
    """With fewer train rows than dev rows, scoring after each epoch would take longer than learning."""
    few = math.ceil(DEV_ROWS / 3)
    flags = (*_flags(bert, reviews), "--train-rows", few, "--epochs", 8)
    scored = [
        entry["epoch"]
        for entry in run_recipe("sst2", *flags, folder=tmp_path / "run").result["history"]
        if "metrics" in entry
    ]
    assert scored == [3, 6]


def test_numbers_are_plain_json_numbers_with_a_unit_in_the_name(plain: tuple[Path, Offline], seeds: Ended) -> None:
    for result in (read_result(plain[0]), read_result(seeds.folder)):
        numeric = [(name, leaf) for name, leaf in _leaves(result) if isinstance(leaf, int | float)]
        assert len(numeric) > 20
        assert all(math.isfinite(leaf) for _, leaf in numeric)
        for name in NUMBERS:
            assert isinstance(result[name], int | float), name
        assert not [
            name for name, leaf in _leaves(result) if isinstance(leaf, str) and re.fullmatch(r"-?\d+\.\d+", leaf)
        ]


def read_predictions(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]


def test_every_dev_row_is_answered_once_in_the_tasks_words(plain: tuple[Path, Offline], reviews: Path) -> None:
    folder, _ = plain
    predictions = read_predictions(folder)
    rows = [json.loads(line) for line in (reviews / "validation.jsonl").read_text().splitlines()]
    assert [each["row"] for each in predictions] == list(range(1, DEV_ROWS + 1))
    assert [each["label"] for each in predictions] == [("negative", "positive")[row["label"]] for row in rows]
    for each in predictions:
        assert set(each) == {"row", "label", "prediction", "score", "scores"}
        assert sum(each["scores"].values()) == pytest.approx(1, abs=1e-5)
        assert each["scores"][each["prediction"]] == pytest.approx(each["score"], rel=1e-5)
        assert each["prediction"] in ("negative", "positive")
        assert 0.5 <= each["score"] <= 1
    right = statistics.fmean(each["prediction"] == each["label"] for each in predictions)
    assert read_result(folder)["metrics"]["accuracy"] == pytest.approx(right)


def test_the_pipeline_answers_with_the_tasks_names_as_the_predictions_say(
    plain: tuple[Path, Offline], reviews: Path
) -> None:
    folder, _ = plain
    rows = [json.loads(line) for line in (reviews / "validation.jsonl").read_text().splitlines()]
    ask = transformers.pipeline("text-classification", str(folder / "model"), device="cpu")
    for answer, prediction in zip(ask([row["sentence"] for row in rows]), read_predictions(folder), strict=True):
        assert answer["label"] == prediction["prediction"]
        assert answer["score"] == pytest.approx(prediction["score"], abs=1e-4)
    assert ask.model.config.label2id == {"negative": 0, "positive": 1}


def test_a_finished_run_leaves_its_result_and_no_checkpoints(plain: tuple[Path, Offline]) -> None:
    folder, _ = plain
    left = {path.name for path in folder.iterdir()} - {".lock"}
    assert left == {"run.json", "result.json", "predictions.jsonl", "report.html", "model"}
    card = (folder / "model" / "README.md").read_text()
    known = ModelCard(card).data
    assert (known.library_name, known.pipeline_tag) == ("transformers", "text-classification")
    assert f"| accuracy | {read_result(folder)['metrics']['accuracy']:.4f} |" in card
    assert "python recipes/sst2.py --model" in card


def test_the_terminal_is_calm(plain: tuple[Path, Offline]) -> None:
    """No warning and no bar but the one of the run itself."""
    folder, ended = plain
    assert ended.err == ""
    usage = [f'  from transformers import pipeline; ask = pipeline("text-classification", "{folder / "model"}")']
    lines = ended.out.splitlines()
    assert [line for line in lines if "pipeline(" in line] == usage, "whole, so that it can be copied"
    # So small a network may learn nothing, and that is said.
    own = [line for line in lines if line.startswith("warning") and "one answer" in line]
    others = "\n".join(line for line in lines if line not in [*usage, *own]).lower()
    for word in ("warn", "shard", "loading", "transformers", "torch", "accelerate", "datasets", "deprecat", "it/s"):
        assert word not in others, ended.out
    assert len(lines) < 40


def test_the_table_says_score_majority_control_and_speed(plain: tuple[Path, Offline]) -> None:
    folder, ended = plain
    result = read_result(folder)
    words = " ".join(ended.out.split())
    assert f"accuracy, {DEV_ROWS} dev rows {result['metrics']['accuracy']:.4g}" in words
    assert f"majority class {result['majority']['accuracy']:.4g}" in words
    assert "same network from scratch not run yet: add --strategy from_scratch" in words
    assert f"rows per second {result['rows_per_second']:,.0f}" in words
    assert "published" not in words, "the published score is of the published rows"


def test_the_published_score_stands_beside_that_of_the_published_rows(plain: tuple[Path, Offline]) -> None:
    result = RunResult.of({**read_result(plain[0]), "data": "hub"})
    published = result.published or {}
    assert (f"  published ({published['model']})", f"{published['score']['accuracy']:.4g}") in summary(result)


def test_the_control_is_found_where_it_stands_beside_the_run(tmp_path: Path, bert: Path, reviews: Path) -> None:
    """The same flags, a folder each; the control's score is in the table of the second run."""
    control = run_recipe("sst2", *_flags(bert, reviews), "--strategy", "from_scratch", folder=tmp_path / "control")
    assert control.status == 0, control.output
    assert "from scratch not run" not in " ".join(control.output.split())
    ended = run_recipe("sst2", *_flags(bert, reviews), folder=tmp_path / "transfer")
    score = control.result["metrics"]["accuracy"]
    assert f"same network from scratch {score:.4g}" in " ".join(ended.output.split())


def test_several_seeds_give_their_mean_their_spread_and_each_run(seeds: Ended) -> None:
    result = read_result(seeds.folder)
    alone = [read_result(seeds.folder / f"seed{seed}") for seed in (0, 1)]
    scores = [each["metrics"]["accuracy"] for each in alone]
    assert [run["seed"] for run in result["runs"]] == [0, 1] == result["seed"]
    assert [run["metrics"]["accuracy"] for run in result["runs"]] == scores
    assert result["metrics"]["accuracy"] == pytest.approx(statistics.fmean(scores))
    assert result["spread"]["accuracy"] == {
        "std": pytest.approx(statistics.stdev(scores)), "min": min(scores), "max": max(scores), "runs": 2,
    }  # fmt: skip
    assert result["degenerate"] == [each["seed"] for each in alone if each["is_constant"]]
    weights = [(seeds.folder / f"seed{seed}" / "model" / "model.safetensors").read_bytes() for seed in (0, 1)]
    assert weights[0] != weights[1]
    assert "over 2 seeds" in " ".join(seeds.output.split())


def test_one_answer_for_all_rows_is_said_to_be_degenerate(plain: tuple[Path, Offline]) -> None:
    folder, _ = plain
    answers = {each["prediction"] for each in read_predictions(folder)}
    assert read_result(folder)["is_constant"] == (len(answers) == 1)


def test_quiet_prints_one_line_with_score_and_folder(tmp_path: Path, bert: Path, reviews: Path) -> None:
    ended = run_recipe("sst2", *_flags(bert, reviews), "--epochs", 1, "--quiet", folder=tmp_path / "out")
    assert ended.status == 0, ended.output
    score = ended.result["metrics"]["accuracy"]
    (line,) = ended.output.splitlines()
    plain, _, warning = line.partition("; warning: ")
    assert plain == f"accuracy {score:.4f}  {tmp_path / 'out'}"
    assert warning.startswith("one answer") == ended.result["is_constant"]
