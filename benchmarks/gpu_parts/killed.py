"""Resume on the GPU: a run that is killed and resumed, compared with an uninterrupted one, with dropout."""

from __future__ import annotations

import multiprocessing
import runpy
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from gpu_parts.bench import REPOSITORY, Bench, TrainingLog, attempt

PRECISIONS = ("fp32", "bf16")


def run(bench: Bench) -> Iterator[TrainingLog]:
    """Runs twice without interruption, and once killed and resumed, in each precision."""
    for precision in bench.size(PRECISIONS, PRECISIONS[1:]):
        yield {"kind": "resume", "precision": precision} | attempt(lambda: compare(precision, bench))  # noqa: B023


def compare(precision: str, bench: Bench) -> TrainingLog:
    """Returns whether the weights of the three runs are bit-identical, and their largest difference."""
    alone, again, killed = (bench.work / "killed" / f"{precision}-{name}" for name in ("alone", "again", "killed"))
    left_alone = [start(folder, precision, bench) for folder in (alone, again)]
    killed_after = kill_and_resume(killed, precision, bench)
    for process in left_alone:
        wait(process)
    first, second, resumed = (load_file(folder / "model" / "model.safetensors") for folder in (alone, again, killed))
    return {
        "killed_after_update": killed_after,
        "same_again": difference(first, second) == 0,
        "same_resumed": difference(first, resumed) == 0,
        "largest_difference": difference(first, resumed),
    }


def difference(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> float:
    """Returns the largest difference of any weight."""
    return max(float(np.abs(one[name] - other[name]).max()) for name in one)


def start(folder: Path, precision: str, bench: Bench, *further: str) -> Any:
    """Starts `recipes/sst2.py` in its own process."""
    flags = [
        "--model", str(bench.work / "small-bert"), "--data", str(bench.work / "sst2"), "--output-dir", str(folder),
        "--train-rows", str(bench.size(2400, 40)), "--batch-size", str(bench.size(32, 8)), "--epochs", "2",
        "--precision", precision, "--save-every", str(bench.size(20, 2)), "--no-report", "--quiet", *further,
    ]  # fmt: skip
    # This process has not used the GPU, but a forked process would share any state that it may have initialised.
    context: Any = multiprocessing.get_context(bench.size("spawn", "fork"))
    process = context.Process(target=run_recipe, args=(flags,))
    process.start()
    return process


def run_recipe(flags: list[str]) -> None:
    """Executes the recipe in the process of the run."""
    sys.argv = [str(REPOSITORY / "recipes" / "sst2.py"), *flags]
    sys.path.insert(0, str(REPOSITORY))
    runpy.run_path(sys.argv[0], run_name="__main__")


def kill_and_resume(folder: Path, precision: str, bench: Bench) -> int:
    """Kills a run after its first checkpoint, resumes it, and returns the update after which it was killed."""
    process = start(folder, precision, bench)
    while process.is_alive() and not checkpoints(folder):
        time.sleep(0.002)
    process.kill()
    process.join()
    if process.exitcode == 0 or not checkpoints(folder):
        raise RuntimeError(f"the run ended with {process.exitcode} before it was killed")
    newest = checkpoints(folder)[-1]
    wait(start(folder, precision, bench, "--resume"))
    return newest


def checkpoints(folder: Path) -> list[int]:
    """Returns the updates that have a checkpoint."""
    return sorted(int(path.name) for path in (folder / "checkpoints").glob("[0-9]*"))


def wait(process: Any) -> None:
    """Waits until the process has ended, and raises an error if it failed."""
    process.join()
    if process.exitcode != 0:
        raise RuntimeError(f"a run ended with {process.exitcode}")
