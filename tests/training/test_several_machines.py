"""Processes on machines that share no folders, and runs that go on with more or fewer processes."""

from __future__ import annotations

import os
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.recipe_runs import CHECKPOINTS, ROOT, Ended, Running, newest_update, run_recipe, start_function, start_recipe
from tests.training.test_distributed import TWO_THREADS, assert_same_answers

FLAGS = ["--max-length", 32, "--batch-size", 16, "--epochs", 8, "--learning-rate", 1e-2, "--no-report"]


def run_on_own_disk(recipe: str, arguments: list[str], folder: str, data: str | None) -> None:
    """Runs a recipe as the only process of a machine, whose files are in a folder of its own."""
    own = Path(folder) / f"machine {os.environ['RANK']}"
    own.mkdir(parents=True, exist_ok=True)
    os.environ |= {"LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
    os.chdir(own)
    more = [] if data is None else ["--data", str(own / data)]
    sys.argv = [f"recipes/{recipe}.py", *arguments, *more, "--output-dir", "run"]
    runpy.run_path(str(ROOT / sys.argv[0]), run_name="__main__")


def start_on_two_machines(recipe: str, *flags: object, folder: Path, data: str | None = None) -> Running:
    """The run's folder is that of the first machine; the second has none of its files."""
    running = start_function(
        run_on_own_disk, recipe, list(map(str, flags)), str(folder), data, processes=2, environment=TWO_THREADS
    )
    running.folder = folder / "machine 0" / "run"
    return running


def kill(running: Running) -> None:
    for each in running.processes:
        each.kill()
    running.wait()


def files_of_second_machine(folder: Path) -> set[str]:
    return {path.name for path in (folder / "machine 1").rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def flags(bert: Path, reviews: Path) -> list[Any]:
    return ["--model", bert, "--data", reviews, *FLAGS]


@pytest.fixture(scope="module")
def whole(flags: list[Any], tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """The run in two processes that share a folder, and that nobody stopped."""
    return run_recipe(
        "sst2", *flags, folder=tmp_path_factory.mktemp("whole") / "run", processes=2, environment=TWO_THREADS
    )


UNSHARED = [
    ("sst2", []),
    ("sst2", ["--strategy", "head_only"]),
    ("sst2", ["--keep", "best", "--strategy", "lora"]),
]


@pytest.mark.parametrize(
    ("recipe", "more"), [UNSHARED[0], *(pytest.param(*each, marks=pytest.mark.long) for each in UNSHARED[1:])]
)
def test_a_run_whose_machines_share_no_folder_goes_on_with_the_same_bits(
    recipe: str, more: list[Any], flags: list[Any], whole: Ended, tmp_path: Path
) -> None:
    expected = (
        whole
        if not more
        else run_recipe(recipe, *flags, *more, folder=tmp_path / "whole", processes=2, environment=TWO_THREADS)
    )
    running = start_on_two_machines(recipe, *flags, *more, "--save-every", 2, folder=tmp_path)
    running.wait_for_update(5)
    kill(running)
    saved = newest_update(running.folder)
    assert saved >= 4
    ended = start_on_two_machines(recipe, *flags, *more, "--resume", folder=tmp_path).wait()
    assert f"going on after update {saved}\n" in ended.output
    assert ended.output.count("not shared by all processes") == 1
    assert ended.result["resumed"] == 1
    assert ended.weights == expected.weights
    assert ended.predictions == expected.predictions
    assert files_of_second_machine(tmp_path) == set()


@pytest.mark.long
def test_machines_that_have_changed_places_do_not_begin_with_less_than_there_is(
    flags: list[Any], tmp_path: Path
) -> None:
    running = start_on_two_machines("sst2", *flags, "--save-every", 2, folder=tmp_path)
    running.wait_for_update(5)
    kill(running)
    (tmp_path / "machine 0").rename(tmp_path / "machine 2")
    (tmp_path / "machine 1").rename(tmp_path / "machine 0")
    (tmp_path / "machine 2").rename(tmp_path / "machine 1")
    again = start_on_two_machines("sst2", *flags, "--resume", folder=tmp_path)
    ended = again.wait()
    assert [each.exitcode for each in again.processes] == [2, 2], ended.output
    assert "as the first one, or copy" in ended.output


def test_processes_that_share_a_folder_are_not_told_otherwise(whole: Ended) -> None:
    assert whole.status == 0, whole.output
    assert "not shared" not in whole.output


@pytest.mark.long
def test_a_new_vocabulary_is_sent_to_machines_that_do_not_share_the_folder(reviews: Path, tmp_path: Path) -> None:
    flags = [
        "--model",
        "new",
        "--data",
        reviews,
        "--columns",
        "text=sentence",
        *FLAGS[:4],
        "--epochs",
        1,
        "--no-report",
    ]
    ended = start_on_two_machines("pretrain_gpt", *flags, folder=tmp_path).wait()
    assert ended.status == 0, ended.output
    expected = run_recipe("pretrain_gpt", *flags, folder=tmp_path / "shared", processes=2, environment=TWO_THREADS)
    assert ended.weights == expected.weights
    assert files_of_second_machine(tmp_path) == set()


@pytest.mark.parametrize("way", ["other rows", "no rows"])
def test_machines_with_other_files_are_refused_and_nobody_waits(
    way: str, bert: Path, reviews: Path, tmp_path: Path
) -> None:
    shutil.copytree(reviews, tmp_path / "machine 0" / "rows")
    if way == "other rows":
        rows = shutil.copytree(reviews, tmp_path / "machine 1" / "rows") / "train.jsonl"
        rows.write_text("".join(rows.read_text().splitlines(keepends=True)[1:]))
    running = start_on_two_machines("sst2", "--model", bert, *FLAGS, folder=tmp_path, data="rows")
    ended = running.wait()
    assert [each.exitcode for each in running.processes] == [2, 2], ended.output
    said = {"other rows": "the same rows and the same checkpoint", "no rows": "seen by process 1"}
    assert ended.output.count(said[way]) == 1, ended.output
    assert not (running.folder / CHECKPOINTS).exists()


# --- the number of processes, and that of micro-batches


def test_each_process_has_a_part_of_each_update(flags: list[Any], whole: Ended, tmp_path: Path) -> None:
    assert whole.result["settings"]["micro_batches"] == 2
    assert "cut in 2 micro-batches or more, one a process (--micro-batches 2)" in whole.output
    alone = run_recipe("sst2", *flags, folder=tmp_path / "alone")
    assert alone.result["settings"]["micro_batches"] == 1
    assert "micro-batches" not in alone.output
    same = run_recipe("sst2", *flags, "--micro-batches", 2, folder=tmp_path / "same")
    assert same.result["identity"] == whole.result["identity"] != alone.result["identity"]
    assert_same_answers(same, whole)


@pytest.mark.parametrize(("before", "after"), [(2, 1), pytest.param(1, 2, marks=pytest.mark.long)])
def test_a_run_that_goes_on_with_other_processes_keeps_its_cut(
    before: int, after: int, flags: list[Any], whole: Ended, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    run = {"folder": folder, "processes": before}
    saved = start_recipe_and_kill(flags, run)
    expected = whole if before == 2 else run_recipe("sst2", *flags, folder=tmp_path / "whole")
    ended = run_recipe("sst2", *flags, "--resume", folder=folder, processes=after)
    assert saved >= 4
    assert ended.result["resumed"] == 1
    assert ended.result["settings"]["micro_batches"] == before
    assert ended.result["identity"] == expected.result["identity"]
    now = "1 process has all" if after == 1 else f"{after} processes share them"
    assert f"cut in {before} micro-batches or more, as when the run began; now {now}" in ended.output
    assert ("1 of 2 processes are idle" in ended.output) is (after == 2)
    assert_same_answers(ended, expected)


def start_recipe_and_kill(flags: list[Any], how: dict[str, Any]) -> int:
    """Returns the update of the newest checkpoint of a run that was killed."""
    running = start_recipe("sst2", *flags, "--save-every", 2, **how)
    running.wait_for_update(4)
    kill(running)
    return newest_update(running.folder)


@pytest.mark.long
def test_processes_without_work_are_said(flags: list[Any], tmp_path: Path) -> None:
    ended = run_recipe("sst2", *flags, "--micro-batches", 1, folder=tmp_path / "run", processes=3)
    note = "2 of 3 processes are idle: 1 micro-batches an update; --micro-batches 3 uses all"
    assert ended.output.count(note) == 1, ended.output
    assert note in ended.result["notes"]
