"""`tlnlp completion`: a script by which a shell completes the command. tyro writes it, from the classes that the
subcommands are read by; the script knows all and asks nobody: it starts neither tlnlp nor torch."""

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
    CheckArguments,
    CompletionArguments,
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

# What each subcommand is read by; `run` has one of its own for each recipe.
ARGUMENTS: dict[str, type] = {
    "recipes": RecipesArguments,
    "predict": PredictArguments,
    "fill-mask": FillMaskArguments,
    "next-word": NextWordArguments,
    "demo": DemoArguments,
    "report": ReportArguments,
    "check": CheckArguments,
    "compare": CompareArguments,
    "matrix": MatrixArguments,
    "completion": CompletionArguments,
}
# tyro's functions say nothing of files that are no flag's value. (Its bash function then gives one empty answer.)
FILES_IN_BASH = """
_tlnlp() {{
  {function} "$@"
  [[ -n "${{COMPREPLY[*]}}" ]] || COMPREPLY=()
}}
complete -o default -F _tlnlp tlnlp
"""
FILES_IN_FISH = """
complete --command tlnlp --force-files --condition '__fish_seen_subcommand_from predict report check compare matrix'
"""


def main(arguments: list[str]) -> int:
    """The command line of `tlnlp completion`."""
    asked = tyro.cli(CompletionArguments, args=arguments, prog="tlnlp completion")
    print(script_for(asked.shell))
    return 0


def script_for(shell: str) -> str:
    """The script for bash, zsh or fish."""
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
    """Most flags are those of every recipe: written out for each, they are more than a command line may hold, by which
    fish hands them on. A script of another form, by another tyro, stays as it is."""
    flags: dict[str, str] = {}
    shorter = re.sub(r"\{'flags': [^{}]*\}", lambda each: flags.setdefault(each[0], f"FLAGS[{len(flags)}]"), script)
    return shorter.replace("COMPLETION_SPEC = ", f"FLAGS = [{', '.join(flags)}]\nCOMPLETION_SPEC = ", 1)


def whole_command() -> Any:
    """`tlnlp` with all its subcommands as one type, in tyro's terms."""
    recipes = {name: UncheckedSettings(**vars(load_recipe(name).settings())) for name in recipe_files()}
    flags_of_recipe = _one_of(
        Annotated[UncheckedSettings, tyro.conf.subcommand(name, default=default)] for name, default in recipes.items()
    )
    run = make_dataclass("Run", [("recipe", Annotated[flags_of_recipe, tyro.conf.arg(name="")])])
    commands = {"run": run, **ARGUMENTS}
    return _one_of(Annotated[kind, tyro.conf.subcommand(name)] for name, kind in commands.items())


def _one_of(kinds: Iterable[Any]) -> Any:
    return functools.reduce(operator.or_, kinds)
