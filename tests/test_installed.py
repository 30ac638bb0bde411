"""The wheel, away from the repository: it carries recipes and samples, and every way to start a recipe works."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.recipe_runs import ROOT
from tlnlp.runs.versions import __version__

QUICK = ("--train-rows", "40", "--epochs", "1", "--quiet", "--no-report")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that the repository stays as it is."""
    place = tmp_path_factory.mktemp("wheel")
    for name in ("tlnlp", "recipes"):
        shutil.copytree(ROOT / name, place / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place / "source")
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(place), "."]
    done = subprocess.run(build, cwd=place / "source", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (file,) = place.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its content in a folder, as an installation has it."""
    place = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as file:
        file.extractall(place)
    return place


def test_the_wheel_carries_recipes_samples_checkpoints_and_types(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as file:
        names = set(file.namelist())
    recipes = {f"tlnlp/recipes/{path.name}" for path in (ROOT / "recipes").glob("*.py")}
    files = [path for path in (ROOT / "tlnlp" / "bundled").rglob("*") if path.is_file()]
    bundled = {str(path.relative_to(ROOT)) for path in files}
    assert recipes <= names and bundled <= names and "tlnlp/py.typed" in names
    assert len(recipes) > 20 and len(bundled) > 20
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "research/", "docs/"))]
    assert __version__ in wheel.name


def away(unpacked: Path, place: Path, command: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `command` in `place` with the unpacked wheel in front of all else."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ACCELERATE"))}
    clean |= {"PYTHONPATH": str(unpacked), "HF_HUB_OFFLINE": "1", **environment}
    return subprocess.run(command, cwd=place, env=clean, capture_output=True, text=True, check=False)


@pytest.mark.long
def test_a_recipe_runs_by_its_name(unpacked: Path, tmp_path: Path) -> None:
    tlnlp = [sys.executable, "-m", "tlnlp"]
    first = away(unpacked, tmp_path, [*tlnlp, "run", "sst2", *QUICK, "--output-dir", "first"])
    assert first.returncode == 0, first.stderr
    result = json.loads((tmp_path / "first" / "result.json").read_text())
    assert result["command"].startswith("python -m tlnlp run sst2 --train-rows 40")
    where = away(unpacked, tmp_path, [sys.executable, "-c", "import tlnlp; print(tlnlp.__file__)"])
    assert where.stdout.startswith(str(unpacked))


@pytest.mark.long
def test_a_result_repeats_its_run(unpacked: Path, tmp_path: Path) -> None:
    tlnlp = [sys.executable, "-m", "tlnlp"]
    first = away(unpacked, tmp_path, [*tlnlp, "run", "sst2", *QUICK, "--output-dir", "first"])
    assert first.returncode == 0, first.stderr
    again = away(
        unpacked, tmp_path, [*tlnlp, "run", "sst2", "--config", "first/result.json", "--output-dir", "again", "--quiet"]
    )
    assert again.returncode == 0, again.stderr
    weights = [(tmp_path / name / "model" / "model.safetensors").read_bytes() for name in ("first", "again")]
    assert weights[0] == weights[1]


def test_the_command_lists_recipes_and_says_its_version(unpacked: Path, tmp_path: Path) -> None:
    tlnlp = [sys.executable, "-m", "tlnlp"]
    listed = away(unpacked, tmp_path, [*tlnlp, "recipes"])
    names = [line.split()[0] for line in listed.stdout.splitlines()]
    assert names == sorted(path.stem for path in (ROOT / "recipes").glob("*.py"))
    assert away(unpacked, tmp_path, [*tlnlp, "--version"]).stdout.strip() == f"tlnlp {__version__}"
    wrong = away(unpacked, tmp_path, [*tlnlp, "run", "sst3"])
    assert wrong.returncode == 2 and "did you mean sst2" in wrong.stderr


@pytest.mark.long
@pytest.mark.parametrize(
    "start", [("accelerate", "launch", "-m", "tlnlp"), ("torchrun", "--nproc_per_node", "2", "-m", "tlnlp")]
)
def test_launchers_start_a_recipe_by_its_name(start: tuple[str, ...], unpacked: Path, tmp_path: Path) -> None:
    launcher = str(Path(sys.executable).parent / start[0])
    done = away(unpacked, tmp_path, [launcher, *start[1:], "run", "sst2", *QUICK], OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    (result,) = tmp_path.glob("runs/sst2/*/result.json")
    assert json.loads(result.read_text())["command"].startswith(" ".join(start))


@pytest.mark.long
def test_the_wheel_installs_into_an_empty_environment_and_runs_there(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True)
    bin_folder = tmp_path / "env" / "bin"
    pip = [str(bin_folder / "python"), "-m", "pip", "install", "-q", "--constraint", str(ROOT / "constraints.txt")]
    for asked in ("torch", str(wheel)):  # torch by itself first, as the Makefile has it
        done = subprocess.run([*pip, asked], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    clean = {"PATH": f"{bin_folder}:/usr/bin:/bin", "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    run = ["tlnlp", "run", "sst2", *QUICK]
    done = subprocess.run(run, cwd=tmp_path, env=clean, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (result,) = tmp_path.glob("runs/sst2/*/result.json")
    assert json.loads(result.read_text())["command"].startswith("tlnlp run sst2")
