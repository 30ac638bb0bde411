"""--push-to: the model on a Hub that speaks huggingface.co's protocol, read back from there by transformers."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers
from huggingface_hub import ModelCard

from tests.hub_server import TOKEN, hub_server
from tests.recipe_runs import Ended, run_function, run_recipe


def read_back(repository: str, answer: Path) -> None:
    """What the model on the Hub answers, by transformers alone."""
    answer.write_text(transformers.pipeline("text-classification", repository)("A film to see twice.")[0]["label"])


@pytest.fixture
def hub(tmp_path: Path) -> Any:
    (tmp_path / "hub" / "models").mkdir(parents=True)
    with hub_server(tmp_path / "hub") as (endpoint, seen):
        yield endpoint, seen, tmp_path / "hub" / "models"


def environment(endpoint: str, home: Path, token: str | None = TOKEN) -> dict[str, str]:
    known = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    known |= {"HF_HUB_OFFLINE": "", "HF_TOKEN": token or "", "HOME": str(home)}
    return known | {"HF_HUB_DISABLE_XET": "1"}  # by git LFS: of the two ways of large files the one a test can speak


@pytest.fixture
def recipe(bert: Path, reviews: Path) -> Callable[..., Ended]:
    """recipe(endpoint, folder, *flags): a short run whose Hub is at that address."""
    short = ("--model", bert, "--data", reviews, "--max-length", 32, "--epochs", 1, "--quiet")

    def run(endpoint: str, folder: Path, *flags: object, token: str | None = TOKEN) -> Ended:
        told = environment(endpoint, folder.parent / "home", token)
        return run_recipe("sst2", *short, *flags, folder=folder, environment=told)

    return run


def test_the_model_goes_to_the_hub_and_comes_back(hub: Any, recipe: Callable[..., Ended], tmp_path: Path) -> None:
    endpoint, seen, models = hub
    ended = recipe(endpoint, tmp_path / "run", "--push-to", "me/reviews")
    assert ended.status == 0, ended.output
    assert f"pushed: {endpoint}/me/reviews" in ended.output
    written = {path.name: path.read_bytes() for path in (models / "me" / "reviews").iterdir()}
    ours = {path.name: path.read_bytes() for path in (tmp_path / "run" / "model").iterdir()}
    assert written == ours
    assert any(each.startswith("PUT /lfs/") for each in seen), "weights go as a large file"
    before_learning = seen.index("GET /api/whoami-v2")
    assert before_learning < seen.index("POST /api/repos/create")
    told, answer = environment(endpoint, tmp_path / "other home"), tmp_path / "answer"
    run_function(read_back, "me/reviews", answer, processes=1, environment=told)
    assert answer.read_text() in ("negative", "positive")


@pytest.mark.parametrize(
    ("repository", "token", "words"),
    [
        ("me/reviews", None, "hf auth login"),
        ("me/reviews", "hf_wrong", "to write to me/reviews"),
        ("reviews", TOKEN, "ORGANISATION/NAME"),
        ("a/b/c", TOKEN, "ORGANISATION/NAME"),
    ],
)
def test_who_may_not_write_hears_it_before_anything_is_learnt(
    repository: str, token: str | None, words: str, hub: Any, recipe: Callable[..., Ended], tmp_path: Path
) -> None:
    ended = recipe(hub[0], tmp_path / "run", "--push-to", repository, token=token)
    assert ended.status == 2, ended.output
    assert words in ended.output
    assert not (tmp_path / "run" / "model").exists()
    assert not [each for each in hub[1] if "create" in each]


def test_a_hub_that_cannot_be_reached_is_one_line_before_anything_is_learnt(
    recipe: Callable[..., Ended], tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
    ended = recipe(nobody, tmp_path / "run", "--push-to", "me/reviews")
    assert ended.status == 2, ended.output
    assert "to write to me/reviews on the Hub" in ended.output and "the network" in ended.output
    assert "Traceback" not in ended.output
    assert not (tmp_path / "run" / "model").exists()


def test_a_push_that_fails_leaves_the_run_and_says_how_to_go_on(
    hub: Any, recipe: Callable[..., Ended], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    ended = recipe(hub[0], folder, "--push-to", "forbidden/reviews")
    assert ended.status == 2
    assert f"hf upload forbidden/reviews {folder / 'model'} ." in ended.output
    assert (folder / "result.json").exists()
    again = recipe(hub[0], folder, "--push-to", "me/reviews", "--resume")
    assert again.status == 0, again.output
    assert (hub[2] / "me" / "reviews" / "model.safetensors").exists()


def test_without_the_flag_nobody_is_asked(hub: Any, recipe: Callable[..., Ended], tmp_path: Path) -> None:
    ended = recipe(hub[0], tmp_path / "run")
    assert ended.status == 0, ended.output
    assert hub[1] == []


@pytest.mark.parametrize("name", ["sst2", "stsb", "conll2003", "squad_v2", "copa", "xnli"])
def test_every_card_is_whole_and_the_hub_can_read_it(name: str, short_run: Callable[[str], Ended]) -> None:
    folder = short_run(name).folder
    text = (folder / "model" / "README.md").read_text(encoding="utf-8")
    card, result = ModelCard(text), json.loads((folder / "result.json").read_text())
    scores = {each.metric_type: each.metric_value for each in card.data.eval_results}
    assert scores == {metric: pytest.approx(value, abs=1e-4) for metric, value in result["metrics"].items()}
    assert card.data.metrics == list(result["metrics"])
    assert card.data.library_name == "transformers"
    assert "needed" not in text.lower() and "None" not in text and "nan" not in text.split()
    assert result["command"] in text
    for section in ("How good it is", "How to use it", "How it was made"):
        assert f"\n## {section}\n" in text
