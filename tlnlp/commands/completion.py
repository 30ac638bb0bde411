"""`tlnlp completion`: prints a script for shell completion. tyro generates it from the argument classes of the
subcommands. The script is self-contained: it starts neither tlnlp nor torch."""

from __future__ import annotations

import contextlib
import functools
import io
import operator
import re
from collections.abc import Iterable
from dataclasses import make_dataclass
from typing import Annotated, Any

import tyro

from tlnlp.commands.arguments import (
    CacheArguments,
    CheckArguments,
    CompletionArguments,
    ConvertArguments,
    DemoArguments,
    FillMaskArguments,
    MatrixArguments,
    NextWordArguments,
    PredictArguments,
    RecipesArguments,
    ReportArguments,
)
from tlnlp.experiments.arguments import CompareArguments
from tlnlp.recipe import load_recipe, recipe_files
from tlnlp.settings import UncheckedSettings

# The argument class of each subcommand; `run` has one for each recipe.
ARGUMENTS: dict[str, type] = {
    "recipes": RecipesArguments,
    "predict": PredictArguments,
    "fill-mask": FillMaskArguments,
    "next-word": NextWordArguments,
    "convert": ConvertArguments,
    "demo": DemoArguments,
    "report": ReportArguments,
    "check": CheckArguments,
    "compare": CompareArguments,
    "matrix": MatrixArguments,
    "cache": CacheArguments,
    "completion": CompletionArguments,
}
# tyro's functions do not complete positional files. (Its bash function then returns one empty completion.)
FILES_IN_BASH = """
_tlnlp() {{
  {function} "$@"
  [[ -n "${{COMPREPLY[*]}}" ]] || COMPREPLY=()
}}
complete -o default -F _tlnlp tlnlp
"""
FILES_IN_FISH = """
complete --command tlnlp --force-files \\
  --condition '__fish_seen_subcommand_from predict convert report check compare matrix'
"""


def main(arguments: list[str]) -> int:
    """The command line of `tlnlp completion`."""
    asked = tyro.cli(CompletionArguments, args=arguments, prog="tlnlp completion")
    print(script_for(asked.shell))
    return 0


def script_for(shell: str) -> str:
    """Returns the script for bash, zsh or fish."""
    written = io.StringIO()
    with contextlib.redirect_stdout(written), contextlib.suppress(SystemExit):
        config = (tyro.conf.FlagCreatePairsOff,)
        tyro.cli(whole_command(), args=["--tyro-print-completion", shell], prog="tlnlp", config=config)
    script = _write_flags_once(written.getvalue())
    if shell == "bash" and (found := re.search(r"(?m)^complete .*-F (\S+) tlnlp$", script)):
        return script + FILES_IN_BASH.format(function=found[1])
    if shell == "zsh":
        return script.rstrip() + " || _files\n"
    return script + FILES_IN_FISH * (shell == "fish")


def _write_flags_once(script: str) -> str:
    """Deduplicates flags: most are shared by all recipes, and repeated for each they would exceed the maximum length of
    the command line by which fish passes them on. A script in another format, from another version of tyro, is returned
    unchanged."""
    flags: dict[str, str] = {}
    shorter = re.sub(r"\{'flags': [^{}]*\}", lambda each: flags.setdefault(each[0], f"FLAGS[{len(flags)}]"), script)
    return shorter.replace("COMPLETION_SPEC = ", f"FLAGS = [{', '.join(flags)}]\nCOMPLETION_SPEC = ", 1)


def whole_command() -> Any:
    """Returns `tlnlp` with all its subcommands as one type for tyro."""
    recipes = {name: UncheckedSettings(**vars(load_recipe(name).settings())) for name in recipe_files()}
    flags_of_recipe = _one_of(
        Annotated[UncheckedSettings, tyro.conf.subcommand(name, default=default)] for name, default in recipes.items()
    )
    run = make_dataclass("Run", [("recipe", Annotated[flags_of_recipe, tyro.conf.arg(name="")])])
    commands = {"run": run, **ARGUMENTS}
    return _one_of(Annotated[kind, tyro.conf.subcommand(name)] for name, kind in commands.items())


def _one_of(kinds: Iterable[Any]) -> Any:
    return functools.reduce(operator.or_, kinds)
