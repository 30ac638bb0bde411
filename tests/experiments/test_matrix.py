"""`tlnlp matrix`: learnt from each language by itself, answered in all; gone on with, refused, drawn."""

from __future__ import annotations

import io
import json
import shutil
import xml.etree.ElementTree as ET
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures import DEV_ROWS, TARGET_ROWS
from tests.recipe_runs import ROOT, start_server
from tlnlp import cli
from tlnlp.experiments.matrix_table import matrix_table, zero_shot

RECIPE = str(ROOT / "recipes" / "sentiment_zero_shot.py")


def matrix(*arguments: object) -> tuple[int, str, str]:
    """`tlnlp matrix ARGUMENTS`, in this process: exit status, standard output and error."""
    start_server()
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = cli.main(["matrix", *map(str, arguments)])
    return status, out.getvalue(), err.getvalue()


def flags(model: Path, data: Path) -> tuple[object, ...]:
    small = ("--epochs", 1, "--max-length", 32, "--batch-size", 8, "--learning-rate", "3e-3")
    return ("--model", model, "--data", data, *small, "--languages", "en", "de", "fa")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, bert: Path, many_languages: Path) -> tuple[Path, str]:
    """Two languages, two seeds."""
    folder = tmp_path_factory.mktemp("matrix") / "out"
    asked = (RECIPE, "--train-languages", "en", "de", "--seeds", 2, "--output-dir", folder)
    status, out, err = matrix(*asked, *flags(bert, many_languages))
    assert status == 0, out + err
    return folder, out


def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "matrix.json").read_text())


def test_each_cell_is_what_the_ordinary_runs_say(made: tuple[Path, str]) -> None:
    folder, _ = made
    content = read(folder)
    assert (content["sources"], content["targets"]) == (["en", "de"], ["en", "de", "fa"])
    assert len(content["cells"]) == 6
    for cell in content["cells"]:
        scores = []
        for seed in (0, 1):
            model = next(path for path in folder.iterdir() if path.is_dir())
            result = json.loads((model / cell["source"] / f"seed{seed}" / "result.json").read_text())
            languages = result["languages"]
            parts = {each["language"]: each for each in (languages["source"], *languages["targets"])}
            scores.append(parts[cell["target"]]["metrics"]["accuracy"])
            rows = DEV_ROWS if cell["target"] == "en" else TARGET_ROWS
            assert cell["rows"] == parts[cell["target"]]["rows"] == rows
        assert cell["scores"] == scores
        assert cell["mean"] == pytest.approx(sum(scores) / 2)
        assert cell["low"] <= cell["mean"] <= cell["high"]
        assert cell["covers_seeds"]


def test_the_mean_of_others_leaves_the_language_learnt_from_out(made: tuple[Path, str]) -> None:
    content = read(made[0])
    (model,) = content["models"]
    means = {cell["target"]: cell["mean"] for cell in content["cells"] if cell["source"] == "de"}
    assert zero_shot(content, model, "de") == pytest.approx((means["en"] + means["fa"]) / 2)
    assert matrix_table(content, model)[2][-1] == f"{(means['en'] + means['fa']) / 2:.3f}"


def test_the_same_command_runs_nothing_again_and_writes_the_same(
    made: tuple[Path, str], bert: Path, many_languages: Path
) -> None:
    folder, out = made
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("result.json")}
    picture, content = (folder / "matrix.svg").read_bytes(), read(folder)
    asked = (RECIPE, "--train-languages", "en", "de", "--seeds", 2, "--output-dir", folder)
    status, again, _ = matrix(*asked, *flags(bert, many_languages))
    assert status == 0
    assert "4 runs, 4 of them there already" in again
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("result.json")} == before
    assert (folder / "matrix.svg").read_bytes() == picture
    assert read(folder) == content
    assert again.splitlines()[2:] == out.splitlines()[-len(again.splitlines()) + 2 :]


def test_other_settings_do_not_go_into_the_same_folder(
    made: tuple[Path, str], bert: Path, many_languages: Path
) -> None:
    asked = (RECIPE, "--train-languages", "en", "--output-dir", made[0], *flags(bert, many_languages))
    status, _, err = matrix(*asked, "--weight-decay", 0.5)
    assert status == 2
    assert "--weight-decay 0.01 there, 0.5 here" in err


def test_other_rows_do_not_go_into_the_same_folder(
    made: tuple[Path, str], bert: Path, many_languages: Path, tmp_path: Path
) -> None:
    """What is finished is not run again: it must have been about the same rows."""
    other = shutil.copytree(many_languages, tmp_path / "data")
    lines = (other / "fa" / "validation.jsonl").read_text().splitlines(keepends=True)
    (other / "fa" / "validation.jsonl").write_text("".join(lines[1:]))
    (made[0] / "grid.json").write_text((made[0] / "grid.json").read_text().replace(str(many_languages), str(other)))
    status, _, err = matrix(RECIPE, "--train-languages", "en", "--output-dir", made[0], *flags(bert, other))
    (made[0] / "grid.json").write_text((made[0] / "grid.json").read_text().replace(str(other), str(many_languages)))
    assert status == 2
    assert "other rows in en" in err


def test_what_is_printed_fits_80_columns_and_the_files_can_be_read(made: tuple[Path, str]) -> None:
    folder, out = made
    table = out[out.index("sentiment_zero_shot: accuracy in each language") : out.rindex("\n/")]
    assert max(map(len, table.splitlines())) <= 80
    picture = ET.parse(folder / "matrix.svg").getroot()
    texts = {each.text for each in picture.iter() if each.tag.endswith("text")}
    assert {"en", "de", "fa", "learnt from", "answered in"} <= texts
    assert f"{read(folder)['cells'][0]['mean']:.3f}" in {(text or "").rstrip("*") for text in texts}
    page = (folder / "matrix.md").read_text()
    assert "![heat map](matrix.svg)" in page
    assert "tlnlp matrix" in page


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--train-languages", "en", "xx"), "some of en, de, fa, each once"),
        (("--train-languages", "en", "en"), "en twice"),
        (("--train-languages", "en", "--seeds", "0"), "--seeds: at least 1"),
        (("--train-languages", "en", "--train-language", "de"), "instead of --train-language"),
        (("--train-languages", "en", "--seed", "3"), "instead of --seed"),
        (("--train-languages", "en", "--models", "mini"), "one of --model and --models"),
        (("--train-languages", "en", "--lanugages", "de"), "did you mean --languages"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(
    asked: tuple[str, ...], said: str, bert: Path, many_languages: Path, tmp_path: Path
) -> None:
    status, _, err = matrix(RECIPE, *asked, "--output-dir", tmp_path / "out", *flags(bert, many_languages))
    assert status == 2
    assert said in err
    assert not list(tmp_path.rglob("result.json"))
