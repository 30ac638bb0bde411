"""No network unless a Hub id is asked for, and no code from a checkpoint or a data set, ever."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.offline import Offline, run_offline, run_offline_forked
from tests.recipe_runs import load_recipe
from tlnlp.data import load_splits

# A module that a checkpoint may bring: whoever imports it leaves a trace.
PLANTED = """
from pathlib import Path
Path(__file__).with_name("MARKER").write_text("code from the checkpoint was run")
(Path({folder!r}) / "MARKER").write_text("code from the checkpoint was run")
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer
class PlantedConfig(BertConfig):
    model_type = "planted"
class PlantedModel(BertForSequenceClassification):
    config_class = PlantedConfig
class PlantedTokenizer(BertTokenizer):
    pass
"""
AUTO_MAP = {
    "AutoConfig": "planted.PlantedConfig",
    "AutoModelForSequenceClassification": "planted.PlantedModel",
    "AutoTokenizer": ["planted.PlantedTokenizer", None],
}


def plant(folder: Path, checkpoint: Path, **config: Any) -> Path:
    """A copy of `checkpoint` that brings code of its own."""
    shutil.copytree(checkpoint, folder)
    (folder / "planted.py").write_text(PLANTED.format(folder=str(folder)))
    for name, changes in (("config.json", config), ("tokenizer_config.json", {})):
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps({**content, **changes, "auto_map": AUTO_MAP}))
    return folder


def run_sst2(folder: Path, model: Path, reviews: Path) -> Offline:
    """A whole run on `model`, with "yes" typed in at whatever is asked."""
    flags = ("--model", model, "--data", reviews, "--epochs", 1, "--max-length", 48, "--output-dir", folder / "out")
    return run_offline_forked(folder, "sst2", *flags, answer="y\n" * 20)


@pytest.fixture(scope="module")
def known_architecture(tmp_path_factory: pytest.TempPathFactory, bert: Path, reviews: Path) -> tuple[Path, Offline]:
    folder = tmp_path_factory.mktemp("known")
    return folder, run_sst2(folder, plant(folder / "planted", bert), reviews)


def test_a_whole_run_asks_for_no_address(known_architecture: tuple[Path, Offline]) -> None:
    folder, ended = known_architecture
    assert ended.status == 0, ended.err
    assert ended.asked_for == ""
    assert (folder / "out" / "result.json").is_file()
    assert (folder / "out" / "model" / "model.safetensors").is_file()


def test_the_refusal_of_addresses_works(tmp_path: Path) -> None:
    """Else the test above could not fail."""
    code = "import urllib.request; urllib.request.urlopen('http://huggingface.co')"
    ended = run_offline(tmp_path, "-c", code)
    assert ended.status == 1
    assert "huggingface.co" in ended.asked_for


def test_code_beside_a_known_architecture_is_not_run(known_architecture: tuple[Path, Offline]) -> None:
    folder, ended = known_architecture
    assert ended.status == 0, ended.err
    assert not list(folder.rglob("MARKER"))
    config = json.loads((folder / "out" / "model" / "config.json").read_text())
    assert config["architectures"] == ["BertForSequenceClassification"]


def test_an_architecture_that_needs_its_own_code_is_refused_whatever_is_typed_in(
    tmp_path: Path, bert: Path, reviews: Path
) -> None:
    model = plant(tmp_path / "planted", bert, model_type="planted")
    ended = run_sst2(tmp_path, model, reviews)
    assert not list(tmp_path.rglob("MARKER"))
    assert ended.status == 2, ended.err
    assert [line.split(":")[0] for line in ended.err.splitlines()] == ["expected", "found", "change"], ended.err
    assert "[y/N]" not in ended.out, "nobody is asked"
    assert ended.asked_for == ""


def test_code_beside_the_rows_is_not_run(tmp_path: Path, reviews: Path) -> None:
    """The `datasets` library once ran a script named as its folder."""
    folder = Path(shutil.copytree(reviews, tmp_path / "reviews"))
    for name in ("reviews.py", "train.py", "__init__.py"):
        (folder / name).write_text(PLANTED.format(folder=str(folder)))
    recipe = load_recipe("sst2")
    splits = load_splits(recipe.task, recipe.settings(data=str(folder)))
    assert len(splits.train) > 10
    assert not (folder / "MARKER").exists()
