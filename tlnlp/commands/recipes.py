"""`tlnlp recipes`: lists the recipes, one line each."""

from __future__ import annotations

import ast

import tyro

from tlnlp.commands.arguments import RecipesArguments
from tlnlp.lazy import path_of
from tlnlp.recipe import load_recipe, recipe_files


def main(arguments: list[str]) -> int:
    """The command line of `tlnlp recipes`."""
    tyro.cli(RecipesArguments, args=arguments, prog="tlnlp recipes")
    for name, file in recipe_files().items():
        head = path_of(load_recipe(name).task.head).rpartition(".")[2]
        said = (ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or "").partition("\n")[0]
        print(f"{name:20} {head:10} {said}")
    return 0
