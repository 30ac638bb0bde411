"""The command line: what is refused and how, what --full means, what --help says and how fast."""

from __future__ import annotations

import math
import os
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from tests.recipe_runs import ROOT, load_recipe
from tlnlp.errors import InputError
from tlnlp.recipe import Recipe
from tlnlp.settings import Settings, changed_settings

HELP_SECONDS = 2.0  # of a core: how long a busy machine takes says nothing
# What takes seconds to import; --help must not wait for it.
HEAVY = ("torch", "transformers", "datasets", "accelerate", "evaluate", "peft", "sentencepiece", "pyarrow")
# Flags whose default comes from a paper or is worked out, and says so.
SOURCED = (
    "epochs", "batch_size", "learning_rate", "warmup_fraction", "weight_decay", "max_grad_norm", "max_length",
    "max_tokens", "mask_fraction",
)  # fmt: skip


@pytest.fixture
def sst2() -> Recipe:
    return load_recipe("sst2")


@pytest.fixture
def parse(sst2: Recipe) -> Callable[..., Settings]:
    """parse("--epochs", "2"): the settings of that command line of the sst2 recipe."""
    return lambda *arguments: sst2.parse(list(arguments), "")


def _refusal(**changes: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        Settings(**changes)
    error = caught.value
    assert error.expected
    assert error.found
    assert error.change
    assert [line.split(":")[0] for line in str(error).splitlines()] == ["expected", "found", "change"]
    return error


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0), ("epochs", -1), ("batch_size", 0), ("batch_size", -8), ("max_tokens", 0), ("max_length", 3),
        ("max_length", -1), ("micro_batches", 0), ("seeds", 0), ("seeds", -2), ("seed", -1), ("seed", 2**31),
        ("train_rows", 0), ("train_rows", -5), ("save_every", 0), ("save_every", -1),
        ("learning_rate", 0), ("learning_rate", -2e-5), ("learning_rate", 11), ("learning_rate", math.nan),
        ("learning_rate", math.inf), ("warmup_fraction", -0.1), ("warmup_fraction", 1.1),
        ("warmup_fraction", math.nan), ("weight_decay", -0.01), ("weight_decay", 1.5), ("weight_decay", math.nan),
        ("max_grad_norm", 0), ("max_grad_norm", -1), ("max_grad_norm", math.nan), ("mask_fraction", 0),
        ("mask_fraction", 0.95), ("mask_fraction", -0.15), ("mask_fraction", math.nan),
    ],
)  # fmt: skip
def test_a_number_that_cannot_be_is_refused_with_its_flag_and_value(name: str, value: float) -> None:
    error = _refusal(**{name: value})
    flag = "--" + name.replace("_", "-")
    assert flag in error.expected or flag in error.found
    assert f"{value}" in error.found


def test_every_number_has_a_bound_that_is_held() -> None:
    """A new numeric flag without a bound shows here."""
    kinds = get_type_hints(Settings)
    numeric = [name for name, kind in kinds.items() if {int, float} & {kind, *get_args(kind)}]
    assert len(numeric) >= 13
    for name in numeric:
        _refusal(**{name: -1})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"max_tokens": 64, "max_length": 128}, "--max-tokens 64 below --max-length 128"),
        ({"resume": True, "overwrite": True}, "both"),
        ({"seeds": 3, "seed": 1}, "--seed 1 and --seeds 3"),
        ({"full": True, "data": "mine.csv"}, "--full and --data mine.csv"),
        ({"columns": ("text",)}, "text"),
        ({"columns": ("text=",)}, "text="),
        ({"columns": ("=review",)}, "=review"),
        ({"columns": ("text=review", "text=title")}, "text"),
    ],
)
def test_flags_that_contradict_each_other_are_refused(changes: dict[str, Any], said: str) -> None:
    assert said in _refusal(**changes).found


def test_full_is_refused_where_the_recipe_has_no_published_run() -> None:
    """Else it would quietly run something else."""
    recipe = load_recipe("pretrain")
    assert recipe.published is None
    with pytest.raises(InputError, match="--full"):
        recipe.parse(["--full"], "")


def test_a_recipes_own_defaults_stand_over_the_libraries(parse: Callable[..., Settings], sst2: Recipe) -> None:
    settings = parse()
    for name, default in sst2.defaults.items():
        assert getattr(settings, name) == default.value
    assert changed_settings(settings, Settings()) == {name: each.value for name, each in sst2.defaults.items()}


def test_full_takes_the_published_model_data_and_settings(parse: Callable[..., Settings], sst2: Recipe) -> None:
    settings, published = parse("--full"), sst2.published
    assert published is not None
    assert (settings.model, settings.data, settings.full) == (published.model, "hub", True)
    for name, value in published.settings.items():
        assert getattr(settings, name) == value
    assert settings.epochs != parse().epochs


@pytest.mark.parametrize("order", [("--full", "--epochs", "5"), ("--epochs", "5", "--full")])
def test_a_flag_that_is_given_wins_over_full(parse: Callable[..., Settings], order: tuple[str, ...]) -> None:
    settings = parse(*order)
    assert settings.epochs == 5
    assert settings.learning_rate == 2e-5


@pytest.mark.parametrize("order", [("--small-data", "--epochs", "5"), ("--epochs", "5", "--small-data")])
def test_the_preset_for_few_rows_gives_way_to_what_is_given(
    parse: Callable[..., Settings], order: tuple[str, ...]
) -> None:
    """Mosbach et al. 2021, section 6: 20 epochs, the first tenth of the updates with a rising rate, then linear."""
    settings = parse("--small-data")
    assert (settings.epochs, settings.warmup_fraction, settings.schedule) == (20, 0.1, "linear")
    assert settings.small_data
    assert settings.learning_rate == parse().learning_rate
    assert parse(*order).epochs == 5


def test_every_kind_of_flag_is_read_from_the_command_line(parse: Callable[..., Settings]) -> None:
    settings = parse(
        "--model", "folder/bert", "--data", "mine.csv", "--columns", "text=review", "label=stars", "--epochs", "2",
        "--learning-rate", "2e-5", "--train-rows", "100", "--precision", "bf16", "--keep", "best", "--new-head",
        "--output-dir", "out", "--save-every", "10", "--quiet",
    )  # fmt: skip
    assert settings.model == "folder/bert"
    assert settings.columns_by_role() == {"text": "review", "label": "stars"}
    assert (settings.epochs, settings.learning_rate, settings.train_rows) == (2, 2e-5, 100)
    assert (settings.precision, settings.keep, settings.new_head, settings.quiet) == ("bf16", "best", True, True)
    assert (settings.output_dir, settings.save_every) == (Path("out"), 10)
    assert (settings.resume, settings.overwrite, settings.tracker) == (False, False, None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--epoch", "3"], "--epochs"),
        (["--learning_rate_", "3"], "--learning-rate"),
        (["--epochs", "three"], "three"),
        (["--precision", "fp8"], "fp8"),
        (["--keep", "first"], "first"),
    ],
)
def test_an_unknown_flag_or_choice_ends_with_status_2_and_names_what_is_near(
    parse: Callable[..., Settings], arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(*arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def _ask_for_help() -> tuple[str, float]:
    """What a process of its own prints, and how many seconds it computes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "recipes/sst2.py", "--help"]
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, env={**os.environ, "COLUMNS": "120"}
    )
    assert ended.stderr == ""
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_comes_within_two_seconds_with_unit_and_source_of_each_flag() -> None:
    text, seconds = _ask_for_help()
    assert seconds < HELP_SECONDS
    words = " ".join(text.replace("│", " ").split())
    kinds = get_type_hints(Settings)
    for each in fields(Settings):
        flag = "--" + each.name.replace("_", "-")
        assert flag in words
        if kinds[each.name] is not bool:
            assert re.search(rf" {flag} [A-Za-z|=_0-9]*[A-Za-z]", words), f"{flag} says no unit"
    for name in SOURCED:
        described = words.split(f" --{name.replace('_', '-')} ")[-1].split(" --")[0]
        assert "Source: " in described, name
    for unit in ("EPOCHS", "ROWS", "TOKENS", "FRACTION", "UPDATES", "SEED", "COUNT", "FOLDER", "ROLE=COLUMN"):
        assert unit in words


@pytest.mark.parametrize("recipe", sorted(path.stem for path in (ROOT / "recipes").glob("*.py")))
def test_help_says_the_recipes_own_defaults_and_their_sources(
    recipe: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    declared = load_recipe(recipe)
    with pytest.raises(SystemExit) as ended:
        declared.main(["--help"])
    assert ended.value.code == 0
    words = " ".join(capsys.readouterr().out.split())
    for name, default in declared.defaults.items():
        assert f"--{name.replace('_', '-')} {default.value}: {default.source}" in words
    if declared.published is not None:
        assert f"--full: {declared.published.model}" in words


def test_help_imports_nothing_heavy() -> None:
    """The recipe is executed as a person does it, then the modules that came with it are looked at."""
    code = (
        "import runpy, sys\n"
        "sys.argv = ['recipes/sst2.py', '--help']\n"
        "try: runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 0\n"
        f"print('HEAVY', [name for name in {HEAVY} if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ended.stdout.rstrip().endswith("HEAVY []"), ended.stdout[-200:]
