"""Whole runs of strategy `shallow`: what they leave behind, who may share them, and which are refused."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.fixtures import DEV_ROWS, TRAIN_ROWS
from tests.inference.test_predictor import SAMPLE_OF, SAMPLES, told
from tests.recipe_runs import Ended, begin, load_recipe, run_recipe, start_recipe
from tests.transfer.test_linear_probe import softmax
from tlnlp import cli
from tlnlp.display.console import RunConsole
from tlnlp.models.feature_classifier import FeatureClassifier
from tlnlp.runs.feature_trainer import FeatureTrainer
from tlnlp.runs.result import RunResult
from tlnlp.runs.setup import PreparedRun
from tlnlp.runs.summary import summary
from tlnlp.transfer.linear_probe import fit_classifier


@pytest.fixture(scope="module")
def flags(bert: Path, reviews: Path) -> list[Any]:
    return ["--model", bert, "--data", reviews, "--max-length", 32, "--strategy", "shallow:strength=10"]


@pytest.fixture(scope="module")
def alone(flags: list[Any], tmp_path_factory: pytest.TempPathFactory) -> Ended:
    ended = run_recipe("sst2", *flags, folder=tmp_path_factory.mktemp("alone") / "run")
    assert ended.status == 0, ended.output
    return ended


def numbers_of(ended: Ended) -> bytes:
    return (ended.folder / "model" / "classifier.safetensors").read_bytes()


def test_the_result_has_what_those_of_other_runs_have(alone: Ended, bert: Path, reviews: Path, tmp_path: Path) -> None:
    flags = ["--model", bert, "--data", reviews, "--max-length", 32, "--epochs", 1]
    other = run_recipe("sst2", *flags, folder=tmp_path / "full")
    result = alone.result
    assert set(result) == set(other.result)
    assert set(result["parameters"]) == set(other.result["parameters"])
    assert result["parameters"]["trainable"] == 2 * 16 + 2
    assert (result["updates"], result["history"], result["best"]) == (0, [], None)
    assert result["rows"] == {"train": TRAIN_ROWS, "dev": DEV_ROWS}
    assert result["rows_per_second"] == pytest.approx(TRAIN_ROWS / result["seconds"]["train"])
    assert result["tokens_per_second"] > result["rows_per_second"]
    assert 0 <= result["padding_fraction"] < 1
    assert summary(RunResult.of(result))
    words = " ".join(alone.output.split())
    assert "logistic regression on layer 2" in words
    assert "classifier 34 fitted" in words
    assert f"tlnlp predict {alone.folder}/model rows.jsonl" in words
    assert "pipeline(" not in words, "which would answer with a head that nobody trained"
    card = (alone.folder / "model" / "README.md").read_text()
    assert "epochs" not in card
    assert not result["is_constant"]


def test_answers_are_those_of_the_classifier_on_the_features(alone: Ended, tmp_path: Path) -> None:
    settings = alone.result["settings"]
    work = begin("sst2", tmp_path, **{name: settings[name] for name in ("model", "data", "max_length", "strategy")})
    numbers = load_file(alone.folder / "model" / "classifier.safetensors")
    fit = work.training.phases[0].fit
    assert fit is not None
    features, targets, weights = read(work)
    found = fit_classifier(features, targets, weights, "one", 2, fit, seed=0)
    assert numbers["weight"] == pytest.approx(found.weight, abs=1e-3)
    work.training.encoded = work.encoded_eval
    confidences = softmax(found.logits(read(work)[0]))
    predictions = [json.loads(line) for line in alone.predictions.splitlines()]
    names = ("negative", "positive")
    assert [each["prediction"] for each in predictions] == [names[i] for i in confidences.argmax(1)]
    assert [each["score"] for each in predictions] == pytest.approx(confidences.max(1).tolist(), abs=1e-3)


def read(work: PreparedRun) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    fitter = FeatureTrainer(work, RunConsole(speaks=False, quiet=True), began=0.0)
    with fitter.screen.bar(1, 0) as bar:
        return fitter._read_train_rows(bar)


@pytest.mark.parametrize("processes", [2, pytest.param(3, marks=pytest.mark.long)])
def test_several_processes_give_the_same_answers(
    processes: int, flags: list[Any], alone: Ended, tmp_path: Path
) -> None:
    ended = run_recipe("sst2", *flags, "--max-tokens", 100, folder=tmp_path / "run", processes=processes)
    assert ended.status == 0, ended.output
    assert ended.result["processes"] == processes
    assert ended.result["metrics"] == alone.result["metrics"]
    for line, same in zip(ended.predictions.splitlines(), alone.predictions.splitlines(), strict=True):
        answer, expected = json.loads(line), json.loads(same)
        assert answer.pop("score") == pytest.approx(expected.pop("score"), abs=1e-3)
        assert answer.pop("scores") == pytest.approx(expected.pop("scores"), abs=1e-3)
        assert answer == expected
    assert ended.output.count("accuracy, 13 dev rows") == 1, "only the first process speaks"


def test_a_run_killed_at_any_moment_gives_the_same_bits_when_it_is_gone_on_with(
    flags: list[Any], alone: Ended, tmp_path: Path
) -> None:
    for number, seconds in enumerate((0.0, 0.2)):
        folder = tmp_path / str(number)
        running = start_recipe("sst2", *flags, folder=folder)
        while running.processes[0].is_alive() and not (folder / "run.json").exists():
            time.sleep(0.002)
        time.sleep(seconds)
        with contextlib.suppress(ProcessLookupError):
            running.signal(signal.SIGKILL)
        running.wait()
        ended = run_recipe("sst2", *flags, "--resume", folder=folder)
        assert ended.status == 0, ended.output
        assert (numbers_of(ended), ended.weights) == (numbers_of(alone), alone.weights)
        assert ended.predictions == alone.predictions


def test_a_request_to_stop_is_heard_while_rows_are_read_and_the_command_is_said(
    flags: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextlib.contextmanager
    def stop_soon(accelerator: Any) -> Iterator[Callable[[], bool]]:
        asked = iter([False, True])
        yield lambda: next(asked)

    arguments = [*map(str, flags), "--max-tokens", "64", "--output-dir", str(tmp_path / "run")]
    monkeypatch.setattr("sys.argv", ["recipes/sst2.py", *arguments])
    with monkeypatch.context() as patch:
        patch.setattr("tlnlp.runs.feature_trainer.stop_requests", stop_soon)
        with pytest.raises(SystemExit) as ended:
            load_recipe("sst2").main(arguments)
    said = " ".join(capsys.readouterr().out.split())
    assert ended.value.code == 130
    assert f"of {TRAIN_ROWS}. To continue: python recipes/sst2.py" in said
    assert "Stopped after row" in said
    assert said.endswith("--resume")
    assert not (tmp_path / "run" / "result.json").exists()
    with pytest.raises(SystemExit) as ended:
        load_recipe("sst2").main([*arguments, "--resume"])
    assert ended.value.code == 0


def test_seeds_are_joined(flags: list[Any], tmp_path: Path) -> None:
    """Nothing is drawn but the rows: here the same for both."""
    ended = run_recipe("sst2", *flags, "--seeds", 2, folder=tmp_path / "run")
    assert ended.status == 0, ended.output
    assert ended.result["spread"]["accuracy"]["std"] == 0
    assert len(ended.result["runs"]) == 2


def test_weights_of_rows_and_of_classes_reach_the_classifier(bert: Path, reviews: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in (reviews / "train.jsonl").read_text().splitlines()]
    kept = [row for row in lines if row["label"] == 1 or lines.index(row) % 3 == 0]
    data = tmp_path / "data"
    data.mkdir()
    (data / "train.jsonl").write_text("".join(json.dumps({**row, "w": i % 3}) + "\n" for i, row in enumerate(kept)))
    (data / "validation.jsonl").write_text((reviews / "validation.jsonl").read_text())
    counts = np.bincount([row["label"] for row in kept])
    assert counts[0] < counts[1]
    rare = len(kept) / (2 * counts[[row["label"] for row in kept]])
    some = np.arange(len(kept)) % 3

    def weights(**settings: Any) -> list[float]:
        return read(begin("sst2", tmp_path, model=str(bert), data=str(data), strategy="shallow", **settings))[
            2
        ].tolist()

    assert weights() == [1] * len(kept)
    assert weights(class_weights="balanced") == pytest.approx(rare.tolist())
    assert weights(columns=("weight=w",)) == some.tolist()
    assert weights(class_weights="balanced", columns=("weight=w",)) == pytest.approx((some * rare).tolist())


# --- predict


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        pytest.param("sst2", "layer=mix", marks=pytest.mark.long),
        pytest.param("sst2", "layer=1,classifier=linear_svm,pooling=first", marks=pytest.mark.long),
        ("stsb", "layer=mix"), ("conll2003", "classifier=nearest_centroid"),
        pytest.param("gpt_sst2", "pooling=last", marks=pytest.mark.long),
    ],
)  # fmt: skip
def test_a_saved_model_answers_as_at_the_end_of_its_run(
    recipe: str, options: str, tmp_path: Path, bert: Path, gpt2: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    model = ("--model", gpt2 if recipe.startswith("gpt") else bert, "--max-length", 62)
    ended = run_recipe(recipe, "--strategy", f"shallow:{options}", "--train-rows", 48, *model, folder=folder)
    assert ended.status == 0, ended.output
    capsys.readouterr()
    rows = SAMPLES / SAMPLE_OF[recipe] / "validation.jsonl"
    assert cli.main(["predict", str(folder / "model"), str(rows)]) == 0
    found = {each["row"]: each for each in told(capsys.readouterr().out)}
    expected = told(ended.predictions)
    assert len(found) == len(expected) > 10
    for answer in expected:
        assert found[answer["row"]]["prediction"] == pytest.approx(answer["prediction"], abs=1e-3)
        assert found[answer["row"]]["score"] == pytest.approx(answer["score"], abs=1e-3)
    assert {path.suffix for path in (folder / "model").iterdir()} <= {".json", ".safetensors", ".md", ".model"}


def test_a_model_that_was_spoilt_on_its_way_to_the_disk_is_no_result(
    flags: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = FeatureClassifier.save_pretrained

    def spoil(reader: FeatureClassifier, folder: Path) -> None:
        reader.bias += 1
        save(reader, folder)
        reader.bias -= 1

    monkeypatch.setattr(FeatureClassifier, "save_pretrained", spoil)
    with pytest.raises(RuntimeError, match="does not give the same logits as the trained model"):
        load_recipe("sst2").main([*map(str, flags), "--quiet", "--output-dir", str(tmp_path / "run")])
    assert not (tmp_path / "run" / "result.json").exists()


# --- refused


def test_a_first_token_that_sees_no_other_is_not_read(
    gpt2: Path, reviews: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--model", str(gpt2), "--data", str(reviews), "--max-length", "32", "--output-dir", str(tmp_path / "run")]
    with pytest.raises(SystemExit) as ended:
        load_recipe("sst2").main([*flags, "--strategy", "shallow:pooling=first"])
    assert ended.value.code == 2
    assert "whose first token attends to no other" in capsys.readouterr().err
