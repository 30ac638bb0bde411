"""Recipes: short, documented by commands that can be run, and made of the library's own parts."""

from __future__ import annotations

import ast
import importlib.util
import shlex
from pathlib import Path

import pytest

from tests.recipe_runs import ROOT, load_recipe
from tlnlp.recipe import Recipe

RECIPES = sorted((ROOT / "recipes").glob("*.py"))
LEAST_LINES, MOST_LINES = 20, 40

each_recipe = pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)


def commands_in(path: Path) -> list[list[str]]:
    """The command lines in the recipe's docstring, without their comments."""
    docstring = ast.get_docstring(ast.parse(path.read_text()), clean=False) or ""
    lines = [line.split("  #")[0].strip() for line in docstring.splitlines() if line.startswith("    ")]
    return [shlex.split(line) for line in lines if line]


def test_all_recipes_are_checked_here() -> None:
    assert {"sst2", "pretrain"} <= {path.stem for path in RECIPES}
    assert sum(len(commands_in(path)) for path in RECIPES) >= 2 * len(RECIPES)


@each_recipe
def test_a_recipe_has_20_to_40_lines(path: Path) -> None:
    assert LEAST_LINES <= len(path.read_text().splitlines()) <= MOST_LINES


@each_recipe
def test_a_recipe_imports_nothing_but_the_library(path: Path) -> None:
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module or ".")
    assert imported == {"tlnlp"}


@each_recipe
def test_a_recipes_docstring_says_what_it_does_and_how_to_run_it(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text())) or ""
    assert len(docstring.splitlines()[0]) > 20
    commands = commands_in(path)
    assert len(commands) >= 2
    for command in commands:
        assert f"recipes/{path.name}" in command, command


@each_recipe
def test_the_commands_of_a_recipes_docstring_are_understood(path: Path) -> None:
    recipe = load_recipe(path.stem)
    for command in commands_in(path):
        arguments = command[command.index(f"recipes/{path.name}") + 1 :]
        recipe.parse(arguments, "")  # a SystemExit or InputError fails the test


@each_recipe
def test_a_recipe_is_named_as_its_task_and_is_whole(path: Path) -> None:
    recipe = load_recipe(path.stem)
    assert isinstance(recipe, Recipe)
    task = recipe.task
    assert task.name == path.stem
    assert task.metrics
    roles = set(task.columns.by_role())
    assert set(task.head.roles) <= roles <= {*task.head.roles, *task.head.optional_roles}
    assert all(default.source for default in recipe.defaults.values())
    if recipe.published is not None:
        assert task.data.hub
        assert recipe.published.source
    if task.data.sample is not None:
        sample = ROOT / "tlnlp" / "bundled" / "samples" / task.data.sample
        assert {"train", "validation"} <= {each.stem for each in sample.iterdir()}


@each_recipe
def test_a_recipe_is_not_named_as_a_library(path: Path) -> None:
    """Its folder comes first on the path of whoever runs it: `datasets.py` there would hide the library."""
    found = importlib.util.find_spec(path.stem)
    assert found is None or str(found.origin).startswith(str(ROOT / "recipes"))
