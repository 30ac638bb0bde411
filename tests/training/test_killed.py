"""Whole runs, killed, stopped or starved of disk and then resumed: the same bits as the run that was never stopped."""

from __future__ import annotations

import json
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.recipe_runs import CHECKPOINTS, ROOT, Ended, newest_update, run_recipe, start_recipe
from tlnlp.training.checkpoint import checkpoints_in
from tlnlp.training.signals import stop_requests

FLAGS = {"sst2": ["--max-length", 32, "--batch-size", 16, "--epochs", 8, "--learning-rate", 1e-3]}
FLAGS["pretrain"] = [*FLAGS["sst2"], "--strategy", "full"]
FLAGS |= dict.fromkeys(("copa", "conll2003", "gpt_copa"), FLAGS["sst2"])
FLAGS["squad_v2"] = ["--max-length", 62, "--window-overlap", 8, "--batch-size", 4, "--epochs", 2]


@pytest.fixture(scope="module")
def flags_of(bert: Path, gpt2: Path, rows_for: Callable[[str], dict[str, Any]]) -> Callable[[str], list[Any]]:
    """Recipe to the flags of a run that is long enough to be stopped in many places."""
    model = {"gpt_copa": gpt2}
    return lambda recipe: [
        "--model", model.get(recipe, bert), "--data", rows_for(recipe)["data"], *FLAGS[recipe]
    ]  # fmt: skip


@pytest.fixture(scope="module")
def uninterrupted(
    flags_of: Callable[[str], list[Any]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Ended]:
    """The run that nobody stopped; run once for each recipe and flags."""
    ended: dict[tuple[Any, ...], Ended] = {}

    def run(recipe: str, *more: Any) -> Ended:
        if (recipe, *more) not in ended:
            folder = tmp_path_factory.mktemp("uninterrupted") / "run"
            ended[recipe, *more] = run_recipe(recipe, *flags_of(recipe), *more, folder=folder)
            assert ended[recipe, *more].status == 0, ended[recipe, *more].output
            assert ended[recipe, *more].result["resumed"] == 0
        return ended[recipe, *more]

    return run


def assert_same_run(one: Ended, other: Ended) -> None:
    assert one.status == other.status == 0, one.output + other.output
    assert one.weights == other.weights
    assert one.predictions == other.predictions
    for name in ("metrics", "history", "curve", "best", "updates", "padding_fraction", "is_constant", "identity"):
        assert one.result[name] == other.result[name], name


KILLED: list[tuple[str, list[Any]]] = [
    ("sst2", []),
    ("conll2003", ["--strategy", "prompt", "--micro-batches", 2]),
]
KILLED_IN_LONG_TESTS: list[tuple[str, list[Any]]] = [
    *KILLED,
    ("pretrain", ["--strategy", "from_scratch", "--max-tokens", 100]),
    ("squad_v2", []),
    ("sst2", ["--strategy", "head_only", "--micro-batches", 3]),
    ("sst2", ["--strategy", "from_scratch", "--keep", "best"]),
    ("pretrain", []),
    ("copa", []),
    ("conll2003", ["--strategy", "head_only"]),
    ("sst2", ["--strategy", "gradual_unfreezing:phase_epochs=3", "--schedule", "slanted"]),
    ("sst2", ["--strategy", "head_then_full:head_epochs=6", "--patience", 2]),
    ("gpt_copa", []),
    ("sst2", ["--strategy", "lora"]),
]


@pytest.mark.parametrize(
    ("recipe", "more", "kills"),
    [(*each, 2 if each == KILLED[0] else 1) for each in KILLED]
    + [pytest.param(*each, 3, marks=pytest.mark.long) for each in KILLED_IN_LONG_TESTS],
)
def test_a_run_killed_at_random_moments_ends_with_the_same_bits(
    recipe: str,
    more: list[Any],
    kills: int,
    flags_of: Callable[[str], list[Any]],
    uninterrupted: Callable[..., Ended],
    tmp_path: Path,
) -> None:
    expected = uninterrupted(recipe, *more)
    updates = expected.result["updates"]
    draw = random.Random(f"{recipe} {more}")
    folder, killed = tmp_path / "run", 0
    for moment in sorted(draw.sample(range(2, updates - 4), kills)):
        running = start_recipe(recipe, *flags_of(recipe), *more, "--save-every", 2, "--resume", folder=folder)
        running.wait_for_update(max(moment, newest_update(folder) + 2))
        time.sleep(draw.uniform(0, 0.03))
        running.signal(signal.SIGKILL)
        killed += running.wait().status == -signal.SIGKILL
    ended = run_recipe(recipe, *flags_of(recipe), *more, "--save-every", 2, "--resume", folder=folder)
    assert killed == kills
    assert ended.result["resumed"] >= 1
    assert_same_run(ended, expected)
    assert not (folder / CHECKPOINTS).exists(), "a finished run needs no checkpoints"


def _cut_in_half(checkpoint: Path) -> None:
    file = checkpoint / "optimizer.safetensors"
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def _flip_a_bit(checkpoint: Path) -> None:
    content = bytearray((checkpoint / "model.safetensors").read_bytes())
    content[-100] ^= 1
    (checkpoint / "model.safetensors").write_bytes(content)


def _lose_a_file(checkpoint: Path) -> None:
    (checkpoint / "optimizer.safetensors").unlink()


@pytest.mark.parametrize(
    "damage",
    [_cut_in_half, *(pytest.param(each, marks=pytest.mark.long) for each in (_flip_a_bit, _lose_a_file))],
)
def test_a_run_whose_newest_checkpoint_is_damaged_goes_on_from_the_one_before(
    damage: Callable[[Path], None],
    flags_of: Callable[[str], list[Any]],
    uninterrupted: Callable[..., Ended],
    tmp_path: Path,
) -> None:
    folder = tmp_path / "run"
    running = start_recipe("sst2", *flags_of("sst2"), "--save-every", 2, folder=folder)
    running.wait_for_update(8)
    running.signal(signal.SIGKILL)
    running.wait()
    *_, before, newest = checkpoints_in(folder / CHECKPOINTS)
    shutil.copytree(newest, newest.with_name(f".writing-{newest.name}"))
    damage(newest)
    ended = run_recipe("sst2", *flags_of("sst2"), "--resume", folder=folder)
    assert f"going on after update {int(before.name)}\n" in ended.output
    assert "a damaged checkpoint is passed over for the one before: " in ended.output
    assert f"{newest}: " in ended.output.replace("\n", "")
    assert_same_run(ended, uninterrupted("sst2"))


# --- asked to stop


@pytest.mark.parametrize(
    ("number", "flag"),
    [(signal.SIGTERM, "--overwrite"), pytest.param(signal.SIGINT, "--quiet", marks=pytest.mark.long)],
)
def test_a_run_asked_to_stop_says_the_command_that_goes_on_with_it(
    number: signal.Signals,
    flag: str,
    flags_of: Callable[[str], list[Any]],
    uninterrupted: Callable[..., Ended],
    tmp_path: Path,
) -> None:
    folder = tmp_path / "run with a space"
    running = start_recipe("sst2", *flags_of("sst2"), "--save-every", 4, flag, folder=folder)
    running.wait_for_update(4)
    running.signal(number)
    stopped = running.wait()
    assert stopped.status == 130, stopped.output
    found = re.search(r"Stopped after update (\d+) of 24\. To continue:\n  (.+)\n", stopped.output)
    assert found, stopped.output
    assert newest_update(folder) == int(found[1])
    command = shlex.split(found[2])
    assert command[:2] == ["python", "recipes/sst2.py"]
    assert command.count("--resume") == 1
    place = command.index("--output-dir")
    assert command[place + 1] == str(folder)
    told = [flag for flag in (*command[2:place], *command[place + 2 :]) if flag != "--no-report"]
    finished = run_recipe("sst2", *told, folder=folder)
    assert_same_run(finished, uninterrupted("sst2"))
    assert finished.result["resumed"] == 1


@pytest.mark.long
def test_of_several_seeds_the_one_at_hand_is_gone_on_with(
    flags_of: Callable[[str], list[Any]], uninterrupted: Callable[..., Ended], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    flags = [*flags_of("sst2"), "--seeds", 2, "--save-every", 2]
    running = start_recipe("sst2", *flags, folder=folder)
    while running.processes[0].is_alive() and newest_update(folder / "seed1") < 4:
        time.sleep(0.002)
    running.signal(signal.SIGTERM)
    stopped = running.wait()
    assert stopped.status == 130, stopped.output
    first = (folder / "seed0" / "result.json").read_text()
    ended = run_recipe("sst2", *flags, "--resume", folder=folder)
    assert ended.status == 0, ended.output
    assert (folder / "seed0" / "result.json").read_text() == first
    assert Ended(0, "", folder / "seed0").weights == uninterrupted("sst2").weights
    assert Ended(0, "", folder / "seed1").weights == uninterrupted("sst2", "--seed", 1).weights
    assert json.loads((folder / "seed1" / "result.json").read_text())["resumed"] == 1


def test_a_second_ctrl_c_stops_at_once() -> None:
    class OneProcess:
        num_processes = 1

    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, where tests run in the background
    try:
        with stop_requests(OneProcess()) as stop_asked:  # type: ignore[arg-type]
            assert not stop_asked()
            signal.raise_signal(signal.SIGINT)
            assert stop_asked()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)


MOMENTS = {"few": 3, "many": 25}


@pytest.mark.parametrize("count", ["few", pytest.param("many", marks=pytest.mark.long)])
def test_a_run_asked_to_stop_at_any_moment_and_twice_loses_nothing(
    count: str, flags_of: Callable[[str], list[Any]], uninterrupted: Callable[..., Ended], tmp_path: Path
) -> None:
    """While it starts, encodes, loads, learns, saves, scores, and writes its result."""
    expected, flags = uninterrupted("sst2"), [*flags_of("sst2"), "--save-every", 1, "--resume"]
    draw, stopped = random.Random(0), 0
    for turn in range(MOMENTS[count]):
        (tmp_path / "run" / ".lock").unlink(missing_ok=True)
        running = start_recipe("sst2", *flags, folder=tmp_path / "run")
        # By then the forked process has come to the recipe.
        while not (tmp_path / "run" / ".lock").exists() and running.processes[0].is_alive():
            time.sleep(0.001)
        time.sleep(draw.uniform(0, 1.5))
        for number in draw.choice([[signal.SIGTERM], [signal.SIGINT], [signal.SIGTERM, signal.SIGTERM]]):
            if running.processes[0].is_alive():
                running.signal(number)
            time.sleep(draw.uniform(0, 0.05))
        ended = running.wait()
        assert ended.status in (0, 130, -signal.SIGTERM), (turn, ended.status, ended.output)
        assert "Traceback" not in ended.output, turn
        if ended.status == 130:
            assert re.search(r"Stopped.* To continue:\n  .* --resume\n", ended.output), ended.output
            assert not list((tmp_path / "run").rglob(".writing-*"))
        if ended.status == 0:
            assert_same_run(ended, expected)
            shutil.rmtree(tmp_path / "run")
        stopped += ended.status != 0
    assert stopped
    assert_same_run(run_recipe("sst2", *flags, folder=tmp_path / "run"), expected)


def test_a_request_before_torch_is_imported_is_said_in_words(
    flags_of: Callable[[str], list[Any]], tmp_path: Path
) -> None:
    program = (
        "import os, signal, sys, tlnlp.recipe\n"
        "from tlnlp.runs.request import Request\n"
        "Request.read_rows = lambda request: os.kill(os.getpid(), signal.SIGTERM)\n"
        "recipe = tlnlp.recipe.load_recipe('sst2')\n"
        "recipe.main(sys.argv[1:])\n"
    )
    flags = [*map(str, flags_of("sst2")), "--output-dir", str(tmp_path / "run")]
    ended = subprocess.run(
        [sys.executable, "-c", program, *flags], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (130, "")
    assert "Stopped. To continue:" in ended.stdout
    assert "--resume" in ended.stdout


# --- a full disk


def test_a_full_disk_ends_the_run_in_words_and_leaves_the_checkpoint_before(
    flags_of: Callable[[str], list[Any]], uninterrupted: Callable[..., Ended], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    running = start_recipe("sst2", *flags_of("sst2"), "--save-every", 4, folder=folder)
    running.wait_for_update(4)
    running.signal(signal.SIGTERM)
    assert running.wait().status == 130
    before = checkpoints_in(folder / CHECKPOINTS)
    largest = before[-1].joinpath("model.safetensors").stat().st_size // 2
    full = run_recipe(
        "sst2", *flags_of("sst2"), "--save-every", 1, "--resume", folder=folder, largest_file_bytes=largest
    )
    assert full.status == 2, full.output
    assert "free disk space" in full.output
    assert "--resume" in full.output
    assert "Traceback" not in full.output
    assert checkpoints_in(folder / CHECKPOINTS) == before
    assert not list((folder / CHECKPOINTS).glob(".writing-*"))
    assert_same_run(run_recipe("sst2", *flags_of("sst2"), "--resume", folder=folder), uninterrupted("sst2"))


def test_a_disk_that_is_full_when_the_model_is_saved_is_said_in_words_too(
    flags_of: Callable[[str], list[Any]], uninterrupted: Callable[..., Ended], tmp_path: Path
) -> None:
    full = run_recipe("sst2", *flags_of("sst2"), folder=tmp_path / "run", largest_file_bytes=20_000)
    assert full.status == 2, full.output
    assert "Traceback" not in full.output
    assert not (tmp_path / "run" / "result.json").exists()
    ended = run_recipe("sst2", *flags_of("sst2"), "--resume", folder=tmp_path / "run")
    assert_same_run(ended, uninterrupted("sst2"))


@pytest.mark.long
def test_a_resume_of_nothing_is_a_start(
    flags_of: Callable[[str], list[Any]], uninterrupted: Callable[..., Ended], tmp_path: Path
) -> None:
    ended = run_recipe("sst2", *flags_of("sst2"), "--resume", folder=tmp_path / "run")
    assert ended.result["resumed"] == 0
    assert_same_run(ended, uninterrupted("sst2"))


def test_the_uninterrupted_run_learns(uninterrupted: Callable[..., Ended]) -> None:
    """Were the loss to stand still, the tests above would say nothing."""
    history = uninterrupted("sst2").result["history"]
    assert history[-1]["loss"] < history[0]["loss"] - 0.005
    assert torch.isfinite(torch.tensor([entry["loss"] for entry in history])).all()
    curve = uninterrupted("sst2").result["curve"]
    per_epoch = history[0]["updates"]
    first = [loss for updates, loss in curve if updates <= per_epoch]
    assert [updates for updates, _ in curve] == list(range(1, history[-1]["updates"] + 1)), "few updates: each"
    assert sum(first) / per_epoch == pytest.approx(history[0]["loss"], rel=1e-5)
