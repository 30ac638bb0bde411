"""Every strategy with every head, on networks of BERT's kind and of GPT's: it runs, and its model answers again; or it
is refused in words before a weight is read. Nothing is left out by silence; the long tests have them all."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.pairwise import long_but_for, pairwise
from tests.recipe_runs import load_recipe
from tlnlp import heads
from tlnlp.display.console import RunConsole
from tlnlp.errors import InputError
from tlnlp.models.task_file import load_network
from tlnlp.recipe import Recipe
from tlnlp.run import run_once
from tlnlp.runs.request import Request
from tlnlp.runs.result import RunResult
from tlnlp.settings import Settings
from tlnlp.training.distributed import start_accelerator
from tlnlp.transfer.adapter_strategies import ADAPTERS, MERGEABLE
from tlnlp.transfer.strategies import STRATEGIES

RECIPE_OF = {
    "sentence": "sst2", "choice": "copa", "tag": "conll2003", "span": "squad", "masked_lm": "pretrain",
    "causal_lm": "pretrain_gpt", "gpt": "gpt_sst2",
}  # fmt: skip
ARCHITECTURES = ("bert", "gpt2")
# Whatever the strategy: transformers has no such head for such a network, or it reads in the wrong direction.
REFUSED = {
    ("choice", "gpt2"): "a checkpoint that AutoModelForMultipleChoice supports",
    ("masked_lm", "gpt2"): "a checkpoint that AutoModelForMaskedLM supports",
    ("causal_lm", "bert"): "is bidirectional",
    ("gpt", "bert"): "is bidirectional",
}
# Whatever the network.
NO_LABELS = "which has no labels"
REFUSED_STRATEGY = {("shallow", head): NO_LABELS for head in ("choice", "span", "masked_lm", "causal_lm")}
CASES = list(itertools.product(STRATEGIES, RECIPE_OF, ARCHITECTURES))


def refusal_of(strategy: str, head: str, architecture: str) -> str | None:
    """What is said of it; None where it runs."""
    return REFUSED_STRATEGY.get((strategy, head)) or REFUSED.get((head, architecture))


def kind_of(strategy: str) -> str:
    """Strategies of layer groups differ in what learns and when, which no head knows of."""
    return strategy if strategy in ADAPTERS or strategy == "shallow" else "layer groups"


RUNNING = [case for case in CASES if refusal_of(*case) is None]
# Every kind of strategy with every head, every strategy and every head with every network; all in the long tests.
CHOSEN = pairwise([(*case, kind_of(case[0])) for case in RUNNING], [(0, 2), (1, 2), (1, 3)])
ALWAYS = {*(case[:3] for case in CHOSEN), *pairwise([case for case in CASES if case not in RUNNING], [(1, 2)])}
RAN: set[tuple[str, str, str]] = set()


def settings_of(
    strategy: str, head: str, model: Path, rows_for: Callable[[str], dict[str, Any]]
) -> tuple[Recipe, Settings]:
    recipe = load_recipe(RECIPE_OF[head])
    asked = {"model": str(model), "strategy": strategy, "max_length": 32, "batch_size": 32, "epochs": 1, "quiet": True}
    return recipe, recipe.settings(**(asked | rows_for(RECIPE_OF[head])))


def run(recipe: Recipe, settings: Settings, folder: Path) -> RunResult:
    request = replace(Request.of(recipe, settings), folder=folder)
    return run_once(request, start_accelerator(), RunConsole(speaks=False, quiet=True))


def saved_files(folder: Path) -> set[str]:
    return {path.name for path in (folder / "model").iterdir()}


@pytest.mark.parametrize(("strategy", "head", "architecture"), long_but_for(ALWAYS, CASES))
def test_a_strategy_runs_and_its_model_is_loaded_again_or_it_is_refused(
    strategy: str,
    head: str,
    architecture: str,
    rows_for: Callable[[str], dict[str, Any]],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    model, folder = request.getfixturevalue(architecture), tmp_path / "run"
    recipe, settings = settings_of(strategy, head, model, rows_for)
    refusal = refusal_of(strategy, head, architecture)
    if refusal is not None:
        with pytest.raises(InputError, match=refusal):
            run(recipe, settings, folder)
    else:
        # The saved model was loaded and its logits compared before there was a result.
        result = run(recipe, settings, folder)
        assert result.adapter == (strategy if strategy in ADAPTERS else None)
        names = saved_files(folder)
        assert ("model.safetensors" in names) is (strategy not in ADAPTERS)
        assert ("classifier.safetensors" in names) is (strategy == "shallow")
        assert ("adapter_model.safetensors" in names) is (strategy in ADAPTERS)
        assert load_network(folder / "model", getattr(heads, head)) is not None
        saved = json.loads((folder / "model" / "tlnlp.json").read_text())["adapter"]
        assert (saved is None) is (strategy not in ADAPTERS)
    RAN.add((strategy, head, architecture))


MERGED = [("sentence", "bert"), ("masked_lm", "bert"), ("tag", "gpt2"), ("gpt", "gpt2")]
MERGED_CASES = [(strategy, *each) for strategy in MERGEABLE for each in MERGED]


@pytest.mark.parametrize(
    ("strategy", "head", "architecture"), long_but_for(pairwise(MERGED_CASES, [(0, 2), (1, 2)]), MERGED_CASES)
)
def test_a_merged_adapter_leaves_a_whole_model(
    strategy: str,
    head: str,
    architecture: str,
    rows_for: Callable[[str], dict[str, Any]],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    model = request.getfixturevalue(architecture)
    recipe, settings = settings_of(strategy, head, model, rows_for)
    result = run(recipe, Settings(**{**vars(settings), "merge": True}), tmp_path / "run")
    assert result.adapter is None
    names = saved_files(tmp_path / "run")
    assert "model.safetensors" in names
    assert not any(name.startswith("adapter") for name in names)


def test_all_combinations_were_tried(request: pytest.FixtureRequest) -> None:
    name = test_a_strategy_runs_and_its_model_is_loaded_again_or_it_is_refused.__name__
    asked = sum(getattr(item, "originalname", None) == name for item in request.session.items)
    if asked not in (len(CASES), len(ALWAYS)):
        pytest.skip("only some were asked for")
    assert (set(CASES) if asked == len(CASES) else ALWAYS) == RAN
    kinds = {(kind_of(strategy), head) for strategy, head, _ in ALWAYS}
    assert kinds >= {(kind_of(strategy), head) for strategy, head, _ in RUNNING}, "every kind with every head"
    assert {strategy for strategy, *_ in ALWAYS} == set(STRATEGIES)
    refused = [case for case in CASES if case[:2] in REFUSED_STRATEGY or case[1:] in REFUSED]
    assert (len(CASES), len(refused)) == (14 * len(STRATEGIES), 4 * len(STRATEGIES) + 5)
    assert {head for _, head, _ in CASES} == {each for each in vars(heads) if each in RECIPE_OF}
