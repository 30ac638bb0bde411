"""A disk that fills up: what is written stays whole, the run ends in words, and goes on when there is room again.

Room comes back a little at a time, so that the run fails in one place after the other: its own note, the tokenizer, the
cache, checkpoints, the model, the predictions, the result, the page.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.recipe_runs import Ended, fill_disk, load_recipe, run_function, run_recipe
from tlnlp.commands import predict
from tlnlp.data import load_splits
from tlnlp.errors import InputError
from tlnlp.models.task_file import FILE as TASK_FILE
from tlnlp.runs.setup import make_vocabulary
from tlnlp.training.files import ASIDE

CASES: dict[str, tuple[str, list[Any]]] = {
    "cached layers": ("sst2", ["--strategy", "head_only", "--epochs", 3, "--save-every", 2]),
    "best epoch": ("sst2", ["--keep", "best", "--epochs", 3, "--save-every", 2]),
    "adapter": ("sst2", ["--strategy", "lora", "--epochs", 2, "--save-every", 2]),
    "classifier": ("sst2", ["--strategy", "shallow"]),
    "languages": ("sentiment_zero_shot", ["--epochs", 1]),
}


@pytest.fixture
def flags_of(
    bert: Path, reviews: Path, many_languages: Path, rows_for: Callable[[str], dict[str, Any]]
) -> Callable[[str], tuple[str, list[Any]]]:
    def flags(case: str) -> tuple[str, list[Any]]:
        recipe, more = CASES[case]
        data = reviews if recipe == "sst2" else many_languages
        return recipe, ["--model", bert, "--data", data, "--max-length", 32, "--batch-size", 16, *more]

    return flags


def assert_said(ended: Ended) -> None:
    assert ended.status == 2, ended.output
    assert "free disk space in" in ended.output
    assert "Traceback" not in ended.output
    assert not list(ended.folder.rglob(f"{ASIDE}*")), "nothing half written remains"


def assert_same(ended: Ended, alone: Ended) -> None:
    assert ended.status == alone.status == 0, ended.output + alone.output
    assert ended.weights == alone.weights
    assert ended.predictions == alone.predictions
    assert ended.result["metrics"] == alone.result["metrics"]
    assert (ended.folder / "report.html").is_file()
    assert (ended.folder / "model" / TASK_FILE).is_file()


# Below the size of the run's note (1.3 KB), the cached states, a checkpoint, the tokenizer, and the page (50 KB).
LIMITS = {"few": (3_000, 30_000), "many": (1_000, 3_000, 9_000, 30_000, 45_000)}


@pytest.mark.parametrize(
    ("case", "limits"),
    [("cached layers", "few"), *(pytest.param(each, "many", marks=pytest.mark.long) for each in CASES)],
)
def test_files_that_may_grow_little_by_little_are_all_written_in_the_end(
    case: str, limits: str, flags_of: Callable[[str], tuple[str, list[Any]]], tmp_path: Path
) -> None:
    recipe, flags = flags_of(case)
    alone = run_recipe(recipe, *flags, folder=tmp_path / "alone")
    flags = [*flags, "--resume"]
    for limit in LIMITS[limits]:
        page = limits == "many"  # it takes longer than the run
        assert_said(run_recipe(recipe, *flags, folder=tmp_path / "run", report=page, largest_file_bytes=limit))
    assert_same(run_recipe(recipe, *flags, folder=tmp_path / "run", report=True), alone)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def _leave(disk: Path, size: int) -> None:
    """Fills the disk but for `size` bytes."""
    filler = disk / "filler"
    filler.unlink(missing_ok=True)
    state = os.statvfs(disk)
    filler.write_bytes(b"1" * (state.f_bavail * state.f_frsize - size))


@pytest.mark.long
@pytest.mark.parametrize("case", CASES)
def test_on_a_disk_that_is_really_full(
    case: str, flags_of: Callable[[str], tuple[str, list[Any]]], disk: Path, tmp_path: Path
) -> None:
    recipe, flags = flags_of(case)
    alone = run_recipe(recipe, *flags, folder=tmp_path / "alone")
    page, failed = os.statvfs(disk).f_frsize, 0
    for pages in (0, 1, 2, 4, 8, 12, 16, 20, 24, 28, 32, 64, 128, 512):
        _leave(disk, pages * page)
        ended = run_recipe(recipe, *flags, "--resume", folder=disk / "run", report=True)
        if ended.status == 0:
            break
        assert_said(ended)
        failed += 1
    assert failed >= 5
    assert_same(ended, alone)


def test_predictions_for_a_full_disk_are_refused_in_words(short_run: Callable[[str], Ended], tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"sentence": "A film to see twice."}\n')
    model = short_run("sst2").folder / "model"
    with pytest.raises(InputError, match="free disk space in /dev"):
        predict.main([str(model), str(rows), "--output", "/dev/full", "--format", "jsonl"])
    with pytest.raises(InputError, match="a folder that is there"):
        predict.main([str(model), str(rows), "--output", str(tmp_path / "no folder" / "out.jsonl")])


def test_a_vocabulary_is_written_whole_or_not_at_all(corpus: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tokenizer"
    (folder / "old").mkdir(parents=True)
    for limit in (100, 5_000, 100_000):
        run_function(_train_vocabulary, corpus, folder, limit, processes=1)
        assert [path.name for path in tmp_path.rglob("*")] == ["tokenizer", "old"]
    run_function(_train_vocabulary, corpus, folder, None, processes=1)
    assert {"tokenizer.json", "tokenizer_config.json", "sentencepiece.model"} == {
        path.name for path in folder.iterdir()
    }


def _train_vocabulary(corpus: Path, folder: Path, largest_file_bytes: int | None) -> None:
    recipe = load_recipe("pretrain")
    assert recipe.new_model is not None
    recipe = replace(recipe, new_model=replace(recipe.new_model, vocab_size_is_maximum=True))
    rows = load_splits(recipe.task, recipe.settings(data=str(corpus))).train
    if largest_file_bytes is None:
        make_vocabulary(recipe, rows, folder)
        return
    fill_disk(largest_file_bytes)
    with pytest.raises(InputError, match="free disk space"):
        make_vocabulary(recipe, rows, folder)
