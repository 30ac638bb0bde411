"""benchmarks/gpu.py at toy size, so that time on a GPU is not spent on slips; and what it does with failures."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import subprocess
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.recipe_runs import ROOT

BENCHMARKS = ROOT / "benchmarks"
HEADS = {"sentence", "pair", "choice", "tag", "span", "gpt", "masked_lm", "causal_lm"}


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("gpu")


def test_a_part_runs_at_toy_size(tmp_path: Path) -> None:
    """That of our loop with a clock in it; the whole is for the long tests."""
    command = [
        sys.executable,
        str(BENCHMARKS / "gpu.py"),
        "--out",
        str(tmp_path),
        "--dry-run",
        "--parts",
        "pretraining",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["failed"] == []
    measured = [each for each in found["records"] if each["kind"] == "pretraining"]
    assert measured and all(each["tokens_per_second"] > 0 for each in measured)


@pytest.mark.long
def test_a_dry_run_has_every_part_shape_arm_and_head(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), "--out", str(tmp_path), "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    log = (tmp_path / "log.txt").read_text()
    assert done.returncode == 0, done.stdout + done.stderr + log
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["failed"] == []
    of_kind: dict[str, list[dict[str, Any]]] = {}
    for record in found["records"]:
        of_kind.setdefault(record["kind"], []).append(record)
    measured = of_kind["speed"]
    assert {each["shape"] for each in measured} == {"sst2", "mnli", "squad", "conll2003"}
    assert {each["batch_size"] for each in measured} == {32, 256}
    assert {each["arm"] for each in measured} == {
        "trainer", "trainer_tuned", "trainer_compiled", "ours_fp32", "ours_bf16", "ours_bf16_no_cudnn",
        "ours_bf16_packed",
    }  # fmt: skip
    assert all(each["rows_per_second"] > 0 for each in measured)
    checks = ("losses", "padding_free", "frozen", "precision", "determinism")
    assert {each["head"] for kind in checks for each in of_kind[kind]} == HEADS
    # What must hold on a CPU too.
    (resumed,) = of_kind["resume"]
    assert resumed["same_again"] and resumed["same_resumed"]
    assert all(each["difference"] < 1e-4 for kind in ("padding_free", "frozen") for each in of_kind[kind])
    assert {each["arm"] for each in of_kind["learning"]} == {"trainer_tuned", "ours_bf16"}
    for kind in ("machine", "product", "copy", "shape", "profile", "pretraining"):
        assert of_kind[kind], kind
    # What is printed is what is kept, and has a table for each part.
    tables = (tmp_path / "tables.md").read_text()
    assert done.stdout.strip() == tables.strip()
    for title in (
        "Ceilings",
        "Speed",
        "Learning",
        "Parity",
        "The same seed",
        "Shortcuts",
        "Scores",
        "Killed",
        "Pre-training",
    ):
        assert f"## {title}" in tables


def started(gpu: Any, out: Path, work: Path, monkeypatch: pytest.MonkeyPatch, run: Any, seconds: float) -> Any:
    """A part made of the generator `run`, in a process of its own, and the results it writes to."""
    importlib.import_module("gpu_parts")
    module = types.ModuleType("gpu_parts.of_this_test")
    module.run = run  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "gpu_parts.of_this_test", module)
    results = gpu.Results(out, work, time.monotonic())
    part = gpu.Part("of_this_test", "run", seconds, 1)
    running = gpu.Running("trial", part, multiprocessing.get_context("fork"), (str(work), True, None), results)
    running.begin(seconds)
    gpu.finish([running], results)
    results.write()
    return results


def first_then(then: Any) -> Any:
    def run(bench: Any) -> Iterator[dict[str, Any]]:
        yield {"kind": "product", "precision": "bf16", "side": 8, "tflops": 1.5}
        then()

    return run


def test_what_a_part_found_before_it_failed_is_kept(gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = started(gpu, tmp_path, tmp_path, monkeypatch, first_then(lambda: 1 / 0), 60)
    assert [record["tflops"] for record in results.records] == [1.5]
    assert results.failed[0].startswith("trial: exit status 1")
    assert "1.5 TFLOP/s" in (tmp_path / "tables.md").read_text()


def test_a_part_is_ended_when_its_time_is_over(gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    began = time.monotonic()
    results = started(gpu, tmp_path, tmp_path, monkeypatch, first_then(lambda: time.sleep(600)), 8)
    assert time.monotonic() - began < 60
    assert [record["tflops"] for record in results.records] == [1.5]
    assert "unfinished" in results.failed[0]


def test_a_part_whose_turn_came_too_late_is_left_out(gpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = started(gpu, tmp_path, tmp_path, monkeypatch, first_then(lambda: None), 0)
    assert results.records == []
    assert "unfinished" in results.failed[0]


def test_time_in_which_a_kernel_ran_and_gaps_between_kernels(gpu: Any) -> None:
    bench = importlib.import_module("gpu_parts.bench")
    # Two that overlap, one inside another, and a pause.
    activity = bench.Activity([(1.0, 3.0), (2.0, 5.0), (2.5, 2.75), (9.0, 10.0)], waits_ms=0.0, wall_ms=12.0)
    assert activity.busy_ms == 5.0
    assert activity.gaps_ms == [4.0]


def test_a_ratio_is_the_median_of_those_within_a_round(gpu: Any) -> None:
    tables = importlib.import_module("gpu_parts.tables")
    speeds = {"trainer": (10.0, 20.0, 5.0), "ours_fp32": (40.0, 20.0, 15.0)}
    cell = [
        {"arm": arm, "round": number, "rows_per_second": rate}
        for arm, learning_rates in speeds.items()
        for number, rate in enumerate(learning_rates)
    ]
    assert tables.ratio(cell, "ours_fp32", "trainer") == "3.00"
    assert (
        tables.ratio([*cell, {"arm": "ours_bf16", "round": 0, "failed": "out of memory"}], "ours_bf16", "trainer")
        == "-"
    )


def test_made_rows_have_the_published_lengths(gpu: Any) -> None:
    inputs = importlib.import_module("gpu_parts.inputs")
    numpy = importlib.import_module("numpy")
    draw, words = numpy.random.default_rng(0), numpy.array(["zuba", "zube"])
    lengths = [len(inputs._words(draw, words, "sst2")) for _ in range(4000)]
    # The five quantiles of 6,400 rows of SST-2, in BERT's word pieces.
    assert numpy.quantile(lengths, [0.25, 0.5, 0.75]).tolist() == pytest.approx([4, 8, 16], abs=1)


def test_sst2_that_is_not_there_is_said_before_anything_starts(tmp_path: Path) -> None:
    command = [sys.executable, str(BENCHMARKS / "gpu.py"), "--out", str(tmp_path / "out"), "--sst2", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "expected train.jsonl.gz" in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_the_wheels_and_the_checkout_are_small_enough_to_travel() -> None:
    done = subprocess.run([str(ROOT / "scripts" / "gpu_wheels.sh")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    wheels = {path.name.partition("-")[0] for path in (ROOT / ".wheels").glob("*.whl")}
    assert {"datasets", "evaluate", "tyro"} <= wheels
