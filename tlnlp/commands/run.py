"""`tlnlp run`: runs a recipe by its name or its file, from any folder."""

from __future__ import annotations

import ast

from tlnlp.errors import InputError
from tlnlp.recipe import load_recipe, recipe_files

USAGE = """usage: tlnlp run RECIPE [flags of the recipe]

RECIPE: a name (tlnlp recipes lists them), or the file of your own recipe. tlnlp run RECIPE --help has its flags.
Several processes: accelerate launch -m tlnlp run RECIPE ..., or torchrun -m tlnlp run RECIPE ..."""


def main(arguments: list[str]) -> int:
    """The command line of `tlnlp run`, equivalent to `python recipes/RECIPE.py`."""
    if not arguments or arguments[0] in ("--help", "-h"):
        print(USAGE)
        return 0
    name, *flags = arguments
    if name.startswith("-"):
        raise InputError(expected="tlnlp run RECIPE, then flags", found=f"tlnlp run {name}", change="the recipe first")
    recipe, file = load_recipe(name), recipe_files().get(name, name)
    with open(file, encoding="utf-8") as text:
        said = ast.get_docstring(ast.parse(text.read())) or recipe.task.name
    recipe.main(flags, said)  # ends the process
    return 0
