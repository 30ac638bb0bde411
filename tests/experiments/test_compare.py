"""`tlnlp compare`: the grid is run once, and goes on after whatever stopped it."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from tests.experiments.command import SST2, STRATEGIES, Said, compare, flags, read
from tests.fixtures import DEV_ROWS, TRAIN_ROWS
from tests.recipe_runs import ROOT
from tlnlp import cli
from tlnlp.experiments.grid import differing_settings
from tlnlp.experiments.workers import find_places
from tlnlp.runs.folder import plain
from tlnlp.settings import Settings

# A checkpoint after each update: there is always one to go on from. All have the flag, since a model's card has it too.
GRID = (*STRATEGIES, "--rows", "12", "41", "--seeds", "2", "--save-every", "1")
# What differs from one run to the next of the very same thing.
MEASURED = {"seconds", "peak_mib", "folders", "command"}


def without_measurements(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_measurements(each) for key, each in value.items() if key not in MEASURED}
    return [without_measurements(each) for each in value] if isinstance(value, list) else value


def written(folder: Path) -> dict[str, int]:
    """When each result under `folder` was written."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("result.json")}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, bert: Path, reviews: Path) -> tuple[Path, Said]:
    folder = tmp_path_factory.mktemp("undisturbed") / "out"
    said = compare(SST2, *GRID, *flags(bert, reviews), "--output-dir", folder)
    assert said.status == 0, said.err + said.out
    return folder, said


def test_every_run_of_the_grid_is_an_ordinary_run_where_a_person_looks_for_it(
    undisturbed: tuple[Path, Said], bert: Path
) -> None:
    folder, _ = undisturbed
    wanted = {
        f"{bert.name}/{strategy}/{rows}-rows/seed{seed}/result.json"
        for strategy in ("from_scratch", "full")
        for rows in (12, 41)
        for seed in (0, 1)
    }
    assert set(written(folder)) == wanted
    result = json.loads((folder / bert.name / "full" / "12-rows" / "seed1" / "result.json").read_text())
    assert (result["strategy"], result["seed"], result["rows"]) == ("full", 1, {"train": 12, "dev": DEV_ROWS})
    assert result["command"].startswith("python ") and "--strategy full" in result["command"]
    assert not list(folder.rglob("*.log")), "what a run said is kept where it failed"


def test_the_record_has_each_score_its_cost_and_all_pairs(undisturbed: tuple[Path, Said]) -> None:
    folder, _ = undisturbed
    found = read(folder)
    assert (found["task"], found["metric"], found["sizes"], found["dev_rows"]) == ("sst2", "accuracy", [12, 41], 13)
    for curve in found["curves"]:
        for point in curve["points"]:
            results = [json.loads((Path(each) / "result.json").read_text()) for each in point["folders"]]
            assert point["scores"] == [each["metrics"]["accuracy"] for each in results]
            assert point["mean"] == pytest.approx(sum(point["scores"]) / 2)
            assert point["peak_mib"] == max(each["peak_mib"] for each in results) > 50
            assert point["trainable_parameters"] == results[0]["parameters"]["trainable"]
            model = Path(point["folders"][0]) / "model"
            assert point["saved_bytes"] == sum(path.stat().st_size for path in model.iterdir())
    assert [(each["first"], each["second"], each["rows"]) for each in found["comparisons"]] == [
        ("from_scratch", "full", 12), ("from_scratch", "full", 41),
    ]  # fmt: skip


def test_a_run_that_diverged_is_said_and_its_score_not_counted(
    undisturbed: tuple[Path, Said], bert: Path, reviews: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(undisturbed[0], tmp_path / "out"))
    path = folder / bert.name / "full" / "12-rows" / "seed1" / "result.json"
    result = json.loads(path.read_text())
    assert result["diverged"] is None
    path.write_text(json.dumps(result | {"diverged": 3}))
    said = compare(SST2, *GRID, *flags(bert, reviews), "--output-dir", folder)
    assert said.status == 0, said.err
    assert "diverged: weights are NaN or infinite after update 3" in " ".join(said.out.split())
    found = read(folder)
    assert [each["kind"] for each in found["failures"]] == ["diverged"]
    points = [(curve["arm"], point) for curve in found["curves"] for point in curve["points"]]
    seeds = {(arm, point["rows"]): point["seeds"] for arm, point in points}
    assert seeds == {
        ("from_scratch", 12): [0, 1],
        ("from_scratch", 41): [0, 1],
        ("full", 12): [0],
        ("full", 41): [0, 1],
    }


@pytest.mark.long
def test_a_strategy_without_updates_stands_beside_others_whose_updates_are_steered(
    tmp_path: Path, bert: Path, reviews: Path
) -> None:
    """By itself it refuses --least-updates; in a comparison that is for the others."""
    few = ("--strategies", "full", "shallow", "--rows", "12", "--seeds", "1", "--least-updates", 7)
    said = compare(SST2, *few, *flags(bert, reviews), "--output-dir", tmp_path / "out")
    assert said.status == 0, said.err + said.out
    full, fitted = (
        json.loads((tmp_path / "out" / bert.name / strategy / "12-rows" / "seed0" / "result.json").read_text())
        for strategy in ("full", "shallow")
    )
    assert (full["updates"], fitted["updates"]) == (8, 0), "four epochs of two updates; none"
    assert full["data_fingerprint"] == fitted["data_fingerprint"]


def test_a_comparison_of_a_version_with_fewer_flags_is_gone_on_with() -> None:
    here = plain(Settings(epochs=4))
    there = {name: value for name, value in here.items() if name not in ("languages", "few_shot")}
    assert differing_settings(there, here) == []
    assert differing_settings(there, {**here, "few_shot": 3}) == ["--few-shot None there, 3 here"]
    assert differing_settings({**there, "epochs": 5}, here) == ["--epochs 5 there, 4 here"]


def test_both_strategies_learn_from_the_same_rows_of_a_seed(undisturbed: tuple[Path, Said], bert: Path) -> None:
    folder, _ = undisturbed
    prints = {
        json.loads((folder / bert.name / strategy / "12-rows" / f"seed{seed}" / "result.json").read_text())[
            "data_fingerprint"
        ]
        for strategy in ("from_scratch", "full")
        for seed in (0, 1)
    }
    assert len(prints) == 2, "one for each seed"


def test_the_terminal_shows_progress_table_and_verdicts_and_the_page_has_the_picture(
    undisturbed: tuple[Path, Said],
) -> None:
    folder, said = undisturbed
    assert "8/8  full, 41 rows, seed 1: accuracy" in said.out
    assert "Did transfer help?" in said.out and "Which is best?" in said.out
    shown = said.out[said.out.index("sst2:") :].split(str(folder))[0]
    assert max(map(len, shown.splitlines())) <= 80
    assert {"compare.json", "compare.md", "compare.svg", "compare.png"} <= {path.name for path in folder.iterdir()}
    assert "compare.svg" in (folder / "compare.md").read_text()


def test_what_is_there_is_not_run_again_and_more_is_added(
    undisturbed: tuple[Path, Said], tmp_path: Path, bert: Path, reviews: Path
) -> None:
    """Another strategy and another seed, in the folder of the first comparison."""
    folder = shutil.copytree(undisturbed[0], tmp_path / "out")
    before = written(folder)
    more = ("--strategies", "from_scratch", "full", "head_only", "--rows", "41", "--seeds", "2")
    said = compare(SST2, *more, *flags(bert, reviews), "--output-dir", folder)
    assert said.status == 0, said.err + said.out
    assert "6 runs, 4 of them already finished" in said.out
    after = written(folder)
    assert {path: after[path] for path in before} == before
    assert len(after) == len(before) + 2
    assert [curve["arm"] for curve in read(folder)["curves"]] == ["from_scratch", "full", "head_only"]


def test_each_size_may_have_its_own_number_of_seeds(
    undisturbed: tuple[Path, Said], tmp_path: Path, bert: Path, reviews: Path
) -> None:
    folder = shutil.copytree(undisturbed[0], tmp_path / "out")
    fewer = (*STRATEGIES, "--rows", "41", "12", "--seeds", "1", "2")
    said = compare(SST2, *fewer, *flags(bert, reviews), "--save-every", 1, "--output-dir", folder)
    assert said.status == 0, said.err + said.out
    assert "6 runs, 6 of them already finished" in said.out
    assert "1 to 2 seeds" in said.out
    for curve in read(folder)["curves"]:
        assert {point["rows"]: len(point["scores"]) for point in curve["points"]} == {12: 2, 41: 1}
    said = compare(SST2, *STRATEGIES, "--rows", "41", "12", "--seeds", "1", "2", "2", *flags(bert, reviews))
    assert said.status == 2
    assert "one for each size" in said.err and "3 numbers for 2 sizes (12, 41 train rows)" in said.err


def test_other_settings_or_other_rows_in_the_same_folder_are_refused(
    undisturbed: tuple[Path, Said], bert: Path, reviews: Path, tmp_path: Path
) -> None:
    folder, _ = undisturbed
    said = compare(SST2, *GRID, *flags(bert, reviews), "--learning-rate", "0.1", "--output-dir", folder)
    assert said.status == 2
    assert "--learning-rate 0.001 there, 0.1 here" in said.err
    other = shutil.copytree(reviews, tmp_path / "rows" / reviews.name)
    lines = (other / "train.jsonl").read_text().splitlines()
    (other / "train.jsonl").write_text("\n".join(lines[:-1]) + "\n")
    said = compare(SST2, *STRATEGIES, "--rows", "12", *flags(bert, other), "--output-dir", folder)
    assert said.status == 2


@pytest.mark.long
def test_killed_in_the_middle_and_started_again_it_ends_as_if_undisturbed(
    undisturbed: tuple[Path, Said], bert: Path, reviews: Path
) -> None:
    folder = undisturbed[0].with_name("new")  # a path of the same length: it is in the saved model's card
    arguments = [SST2, *GRID, *flags(bert, reviews), "--output-dir", folder]
    command = [sys.executable, "-m", "tlnlp.cli", "compare", *map(str, arguments)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _wait_for(lambda: len(list(folder.rglob("run.json"))) > len(written(folder)) >= 2)
        process.send_signal(signal.SIGKILL)
    before = written(folder)
    assert 2 <= len(before) < 8
    said = compare(*arguments)
    assert said.status == 0, said.err + said.out
    after = written(folder)
    assert {path: after[path] for path in before} == before
    assert without_measurements(read(folder)) == without_measurements(read(undisturbed[0]))


def test_ctrl_c_leaves_a_checkpoint_says_how_to_go_on_and_ends_with_130(
    tmp_path: Path, bert: Path, reviews: Path
) -> None:
    folder = tmp_path / "out"

    def stop() -> None:
        _wait_for(lambda: bool(list(folder.rglob("checkpoints/*"))))
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    watching = threading.Thread(target=stop)
    watching.start()
    long = [str(each) if each != 1 else "400" for each in flags(bert, reviews)]
    said = compare(SST2, *STRATEGIES, "--rows", 41, "--seeds", 1, *long, "--save-every", 5, "--output-dir", folder)
    watching.join()
    assert said.status == 130, said.err + said.out
    assert "Stopped: 0 of 2 runs are done. To continue:\n  tlnlp compare " in said.out
    (begun,) = folder.rglob("run.json")
    newest = max(int(path.name) for path in (begun.parent / "checkpoints").glob("[0-9]*"))
    assert newest > 0
    assert signal.getsignal(signal.SIGINT) is before


def _wait_for(condition: Callable[[], bool], seconds: float = 150) -> None:
    until = time.monotonic() + seconds
    while True:
        with suppress(FileNotFoundError):  # of a folder that a run moved while it was being looked through
            if condition():
                return
        assert time.monotonic() < until, "nothing happened"
        time.sleep(0.005)


@pytest.mark.long
def test_checkpoints_are_compared_each_with_its_own_control(
    bert: Path, modernbert: Path, reviews: Path, tmp_path: Path
) -> None:
    passed = [each for each in flags(bert, reviews) if each not in ("--model", bert)]
    folder = tmp_path / "out"
    said = compare(SST2, "--models", bert, modernbert, *STRATEGIES, "--rows", 41, "--seeds", 1, *passed,
                   "--output-dir", folder)  # fmt: skip
    assert said.status == 0, said.err + said.out
    found = read(folder)
    assert [(each["arm"], each["control"]) for each in found["effects"]] == [
        (f"{model.name} full", f"{model.name} from_scratch") for model in (bert, modernbert)
    ]
    assert len(found["comparisons"]) == 6, "all pairs"
    assert any(line.startswith("One seed") for line in found["verdicts"]["Beware"])


@pytest.mark.long
@pytest.mark.parametrize("recipe", ["stsb", "mrpc", "conll2003", "squad", "pretrain", "own_classification"])
def test_any_task_can_be_compared_whatever_its_metric(
    recipe: str, bert: Path, tmp_path: Path, rows_for: Callable[[str], dict[str, Any]]
) -> None:
    given = [f"--{name.replace('_', '-')}={value}" for name, value in rows_for(recipe).items()]
    rows = 4 if recipe == "squad" else 20
    folder = tmp_path / "out"
    said = compare(ROOT / "recipes" / f"{recipe}.py", *STRATEGIES, "--rows", rows, "--seeds", 2, "--model", bert,
                   "--epochs", 1, *given,
                   "--output-dir", folder)  # fmt: skip
    assert said.status == 0, said.err + said.out
    found = read(folder)
    for curve in found["curves"]:
        (point,) = curve["points"]
        assert point["low"] <= point["mean"] <= point["high"]
    assert found["lower_is_better"] == (recipe == "pretrain")
    (pair,) = found["comparisons"]
    first, second = (curve["points"][0]["mean"] for curve in found["curves"])
    assert pair["advantage"] == pytest.approx((first - second) * (-1 if recipe == "pretrain" else 1))


@pytest.mark.long
def test_rows_that_each_seed_cuts_off_for_itself_are_compared_by_seeds_alone(
    bert: Path, reviews: Path, tmp_path: Path
) -> None:
    data = shutil.copy(reviews / "train.jsonl", tmp_path / "all.jsonl")
    folder = tmp_path / "out"
    said = compare(SST2, "--strategies", "full", "--fractions", 1, "--seeds", 2, *flags(bert, Path(data)),
                   "--output-dir", folder)  # fmt: skip
    assert said.status == 0, said.err + said.out
    found = read(folder)
    assert any(line.startswith("Each seed has its own dev rows") for line in found["verdicts"]["Beware"])
    assert found["sizes"][0] + found["dev_rows"] == TRAIN_ROWS


def test_each_gpu_gets_one_run_at_a_time_and_cores_are_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    cores = os.sched_getaffinity(0)
    (alone,) = find_places(None)
    assert set(alone.cores) == cores and alone.environment == {}
    shared = find_places(2)
    assert len(shared) == 2 and all(place.cores for place in shared)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    assert [place.environment for place in find_places(None)] == [
        {"CUDA_VISIBLE_DEVICES": "3"}, {"CUDA_VISIBLE_DEVICES": "5"},
    ]  # fmt: skip
    assert [place.environment["CUDA_VISIBLE_DEVICES"] for place in find_places(3)] == ["3", "5", "3"]


def test_the_help_says_what_it_is_for_and_how_to_begin() -> None:
    out = io.StringIO()
    with redirect_stdout(out), pytest.raises(SystemExit) as ended:
        cli.main(["compare", "--help"])
    assert ended.value.code == 0
    for word in ("Does transfer help", "--strategies", "--fractions", "--rows", "--seeds", "--models", "from_scratch"):
        assert word in out.getvalue()


def test_saved_models_still_load(undisturbed: tuple[Path, Said]) -> None:
    folder = read(undisturbed[0])["curves"][1]["points"][0]["folders"][0]
    assert transformers.AutoModelForSequenceClassification.from_pretrained(Path(folder) / "model").num_labels == 2
