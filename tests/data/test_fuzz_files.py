"""Damaged files are read rightly or refused in words (`benchmarks/fuzz_files.py`), which would see if they were not."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks import fuzz_files
from tests.recipe_runs import ROOT


@pytest.mark.parametrize("files", [100, pytest.param(2000, marks=pytest.mark.long)])
def test_no_damaged_file_is_misread_and_none_ends_in_a_traceback(files: int) -> None:
    command = [sys.executable, "benchmarks/fuzz_files.py", "--files", str(files), "--seed", "2"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    print(ended.stdout)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    last = ended.stdout.splitlines()[-1].split("|")
    assert int(last[2].replace(",", "")) == files
    assert int(last[3].replace(",", "")) >= files / 5, "nearly all are refused: what is read rightly is hardly tried"


WRITTEN = [["one", "good"], ["two", "bad"], ["three", "good"], ["four", "bad"], ["five", "good"]]


@pytest.mark.parametrize(
    ("damage", "found", "is_right"),
    [
        ("flipped", [["ome", "good"], *WRITTEN[1:]], True),
        ("flipped", [["ome", "good"], ["twa", "bad"], ["thrie", "good"], *WRITTEN[3:]], False),
        ("flipped", WRITTEN[:2], False),
        ("cut", [*WRITTEN[:2], ["thr", "good"]], True),
        ("cut", [*WRITTEN[:1], *WRITTEN[2:]], False),
        ("encoded", WRITTEN, True),
        ("encoded", [*WRITTEN[:4], ["f√¶ve", "good"]], False),
        ("left out", WRITTEN[:1], True),
        ("swapped", [["one two", "good"]], False),
    ],
)
def test_rows_that_nobody_wrote_are_seen(damage: str, found: list[list[str]], is_right: bool) -> None:
    assert (fuzz_files.judge(found, WRITTEN, damage) is None) == is_right
