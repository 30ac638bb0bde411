"""Every recipe runs on its bundled sample, with a network of BERT's kind and, where its head allows, one of GPT's."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.recipe_runs import ROOT, Ended, load_recipe, run_recipe

RECIPES = {
    "cola", "sst2", "mrpc", "qqp", "stsb", "mnli", "qnli", "rte", "wnli", "swag", "copa", "squad", "squad_v2",
    "conll2003", "wnut17", "udpos", "gpt_sst2", "gpt_rte", "gpt_copa",
    "own_classification", "own_score", "own_choice", "own_tagging", "own_answering",
    "xnli", "pawsx", "xquad", "panx", "udpos_zero_shot", "sentiment_zero_shot",
}  # fmt: skip
# Heads whose networks come in GPT's kind too; the gpt head's own recipes use nothing else.
BOTH_KINDS = ("sentence", "tag", "span")
BUNDLED_LANGUAGES = ("de", "fr", "es", "ru", "fa")  # that samples are translated into
SHORT = ("--epochs", 1, "--train-rows", 32)
RAN: set[str] = set()


def head_of(name: str) -> str:
    return load_recipe(name).task.head.__name__.rpartition(".")[2]


def check(ended: Any, name: str, folder: Path) -> dict[str, Any]:
    assert ended.status == 0, ended.output
    result: dict[str, Any] = json.loads((folder / "result.json").read_text())
    assert result["task"] == name
    assert result["metrics"]
    assert all(math.isfinite(value) for value in result["metrics"].values())
    predictions = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    assert len(predictions) == result["rows"]["dev"] > 0
    assert all({"row", "label", "prediction", "score"} <= set(each) for each in predictions)
    if target_languages := load_recipe(name).task.target_languages:
        found = [each["language"] for each in result["languages"]["targets"]]
        assert found == [language for language in target_languages if language in BUNDLED_LANGUAGES]
        assert len(found) == len(BUNDLED_LANGUAGES)
    assert (folder / "model" / "model.safetensors").is_file()
    assert (folder / "model" / "tlnlp.json").is_file()
    return result


def test_the_recipes_are_those_that_are_tested() -> None:
    assert {path.stem for path in (ROOT / "recipes").glob("*.py")} == RECIPES | {"pretrain", "pretrain_gpt"}


def of_each_shape() -> set[str]:
    """The first recipe of each head and sample: others have the same rows under other names."""
    tasks = {name: load_recipe(name).task for name in sorted(RECIPES)}
    return set({(head_of(name), task.data.sample): name for name, task in reversed(tasks.items())}.values())


ALWAYS = of_each_shape()


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in ALWAYS else pytest.mark.long) for name in sorted(RECIPES)]
)
def test_a_recipe_runs_on_its_sample(name: str, short_run: Callable[[str], Ended]) -> None:
    ended = short_run(name)
    result = check(ended, name, ended.folder)
    published = load_recipe(name).published
    if published is not None:
        assert set(published.score) <= set(result["metrics"]), "a published score that no metric of ours is beside"
    RAN.add(name)


@pytest.mark.long  # every head with a network of either kind: test_every_strategy.py
@pytest.mark.parametrize("name", sorted(name for name in RECIPES if head_of(name) in BOTH_KINDS))
def test_a_recipe_runs_with_a_network_of_gpts_kind(name: str, gpt2: Path, tmp_path: Path) -> None:
    length = ("--max-length", 62, "--window-overlap", 16)
    ended = run_recipe(name, *SHORT, *length, "--model", gpt2, folder=tmp_path / "run")
    check(ended, name, tmp_path / "run")


def test_all_of_them_ran(request: pytest.FixtureRequest) -> None:
    asked = {
        item.callspec.params["name"]
        for item in request.session.items
        if getattr(item, "function", None) is test_a_recipe_runs_on_its_sample
    }
    if asked not in (RECIPES, ALWAYS):
        pytest.skip("only some were asked for")
    assert asked == RAN


@pytest.mark.long
@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_is_launched_as_its_docstring_says(name: str, tmp_path: Path) -> None:
    ended = subprocess.run(
        [
            sys.executable, "-m", "accelerate.commands.launch", "--config_file", "launch/one_gpu.yaml",
            f"recipes/{name}.py",
            "--output-dir", str(tmp_path / "run"),
        ],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert json.loads((tmp_path / "run" / "result.json").read_text())["task"] == name


def test_mismatched_rows_are_reported_beside_the_matched_ones(bert: Path, tmp_path: Path) -> None:
    rows = (ROOT / "tlnlp/bundled/samples/entailment/train.jsonl").read_text().splitlines(keepends=True)
    data = tmp_path / "mnli"
    data.mkdir()
    for name, some in (("train", rows[:60]), ("dev_matched", rows[60:90]), ("validation_mismatched", rows[90:110])):
        (data / f"{name}.jsonl").write_text("".join(some))
    flags = ("--epochs", 1, "--model", bert, "--max-length", 48)
    ended = run_recipe("mnli", *flags, "--data", data, folder=tmp_path / "run")
    assert ended.status == 0, ended.output
    result = ended.result
    assert (result["rows"]["dev"], result["extra_splits"]["mismatched"]["rows"]) == (30, 20)
    assert 0 <= result["extra_splits"]["mismatched"]["metrics"]["accuracy"] <= 1
    assert "accuracy, 20 mismatched rows" in ended.output
    without = run_recipe("mnli", *flags, "--data", data / "train.jsonl", folder=tmp_path / "one")
    assert without.result["extra_splits"] == {}
