"""What `tlnlp compare` cannot run: whole comparisons before they begin, single runs in words beside the others."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.experiments.command import SST2, STRATEGIES, compare, flags, read
from tests.recipe_runs import ROOT


@pytest.fixture
def refused(bert: Path, reviews: Path, tmp_path: Path) -> Iterator[Callable[..., str]]:
    """What is said where a command line is refused; nothing may have been run."""

    def run(*arguments: object, recipe: object = SST2) -> str:
        said = compare(recipe, *arguments, *flags(bert, reviews), "--output-dir", tmp_path / "out")
        assert said.status == 2, said.out
        assert [line.split(":")[0] for line in said.err.splitlines()][:1] == ["expected"], said.err
        assert not list(tmp_path.rglob("run.json"))
        return said.err

    return run


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--strategies", "ful"), "did you mean full?"),
        (("--strategies", "full", "full"), "full twice"),
        (("--fractions", "0"), "--fractions above 0 and at most 1"),
        (("--fractions", "1.5"), "--rows for numbers of rows"),
        (("--fractions", "0.01"), "found:    0 rows"),
        (("--rows", "1"), "--rows that give 2 to 41 train rows"),
        (("--rows", "42"), "found:    42 rows"),
        (("--rows", "12", "--fractions", "1"), "one of --fractions and --rows"),
        (("--seeds", "0"), "--seeds: at least 1"),
        (("--workers", "0"), "--workers: at least 1"),
        (("--seed", "3"), "instead of --seed: --seeds N"),
        (("--strategy", "full"), "instead of --strategy: --strategies"),
        (("--train-rows", "5"), "instead of --train-rows: --rows"),
        (("--overwrite",), "delete the folder"),
        (("--models", "mini"), "one of --model and --models"),
        (("--fraction", "1"), "did you mean --fractions?"),
        (("--learning-rat", "1"), "did you mean --learning-rate?"),
        (("--learning-rate", "-1"), "--learning-rate: a number above 0"),
    ],
)
def test_what_cannot_be_right_is_refused_in_words_before_anything_is_run(
    refused: Callable[..., str], arguments: tuple[object, ...], words: str
) -> None:
    assert words in refused(*arguments)


def test_a_path_that_leads_to_no_recipe_is_refused_in_words(refused: Callable[..., str], tmp_path: Path) -> None:
    assert "(did you mean sst2.py?)" in refused(recipe=SST2.replace("sst2", "sst22"))
    assert "which is a folder" in refused(recipe=ROOT / "recipes")
    other = tmp_path / "other.py"
    other.write_text("1 / 0\n")
    assert "ZeroDivisionError" in refused(recipe=other)
    other.write_text("recipes = []\n")
    assert "0 recipes in it" in refused(recipe=other)


@pytest.fixture
def without_weights(bert: Path, tmp_path: Path) -> Path:
    """A checkpoint of which only the network's shape is there: good for from_scratch alone."""
    folder = Path(shutil.copytree(bert, tmp_path / "no_weights"))
    (folder / "model.safetensors").unlink()
    return folder


def test_a_run_that_is_refused_is_said_in_words_and_the_others_go_on(
    without_weights: Path, reviews: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    said = compare(SST2, *STRATEGIES, "--rows", 41, "--seeds", 1, *flags(without_weights, reviews),
                   "--output-dir", folder)  # fmt: skip
    assert said.status == 0, said.err
    (failure,) = read(folder)["failures"]
    assert (failure["run"], failure["kind"]) == ("full, 41 rows, seed 0", "refused")
    assert "expected: weights (model.safetensors)" in failure["words"]
    assert "Runs without a result" in said.out
    assert [curve["arm"] for curve in read(folder)["curves"]] == ["from_scratch"]


def test_where_all_runs_are_refused_the_status_is_2(without_weights: Path, reviews: Path, tmp_path: Path) -> None:
    said = compare(SST2, "--strategies", "full", "--rows", 41, "--seeds", 1, *flags(without_weights, reviews),
                   "--output-dir", tmp_path / "out")  # fmt: skip
    assert said.status == 2
    assert "expected: weights (model.safetensors)" in said.out


def test_a_run_that_crashes_is_said_in_words_the_others_go_on_and_the_status_is_1(
    bert: Path, reviews: Path, tmp_path: Path
) -> None:
    recipe = tmp_path / "breaking.py"
    crash = "import os, sys\nif 'from_scratch' in sys.argv: os.kill(os.getpid(), 9)\n"
    recipe.write_text(crash + Path(SST2).read_text())
    argv, sys.argv = sys.argv, ["tlnlp"]
    folder = tmp_path / "out"
    try:
        said = compare(recipe, *STRATEGIES, "--rows", 41, "--seeds", 1, *flags(bert, reviews), "--output-dir", folder)
    finally:
        sys.argv = argv
    assert said.status == 1
    (failure,) = read(folder)["failures"]
    assert failure["kind"] == "crashed" and "killed by SIGKILL" in failure["words"]
    assert [curve["arm"] for curve in read(folder)["curves"]] == ["full"]
