"""The `tlnlp` command, with its subcommands."""

from __future__ import annotations

import sys
from collections.abc import Callable

from tlnlp.display.closed_pipe import end_quietly
from tlnlp.errors import InputError, did_you_mean, say_error
from tlnlp.lazy import lazy_module
from tlnlp.runs.versions import __version__

# {name: (description, module with its `main`)}. Heavy modules are imported when the command is called.
COMMANDS = {
    "run": ("fine-tune a model: tlnlp run RECIPE, with any flag of the recipe", lazy_module("tlnlp.commands.run")),
    "recipes": ("list the recipes", lazy_module("tlnlp.commands.recipes")),
    "predict": ("predict new rows with a saved model: jsonl in, jsonl out", lazy_module("tlnlp.commands.predict")),
    "fill-mask": ("predict the words for [MASK]", lazy_module("tlnlp.commands.fill_mask")),
    "next-word": ("predict the next word; choose, continue, undo", lazy_module("tlnlp.commands.next_word")),
    "convert": (
        "write the weights of pytorch_model.bin as safetensors, without executing code from them",
        lazy_module("tlnlp.commands.convert"),
    ),
    "demo": ("serve a web page on this machine to try models", lazy_module("tlnlp.commands.demo")),
    "report": ("write an HTML report on one or more runs", lazy_module("tlnlp.commands.report")),
    "check": ("profile the data before training", lazy_module("tlnlp.commands.check")),
    "compare": (
        "does transfer help, and which strategy is best? a grid of runs",
        lazy_module("tlnlp.commands.compare"),
    ),
    "matrix": (
        "transfer from each language to each other: a table and a heat map",
        lazy_module("tlnlp.commands.matrix"),
    ),
    "cache": ("what is kept of large data for all runs; --clear deletes it", lazy_module("tlnlp.commands.cache")),
    "completion": ("a script by which bash, zsh or fish complete tlnlp", lazy_module("tlnlp.commands.completion")),
}


@end_quietly()
def main(arguments: list[str] | None = None) -> int:
    """Runs `tlnlp COMMAND ...`. Returns the exit status: 0, 2 if the input is invalid, 130 if the run was stopped, 141
    if the reader of standard output closed it."""
    arguments = sys.argv[1:] if arguments is None else arguments
    name, *rest = arguments or ["--help"]
    if name == "--version":
        print(f"tlnlp {__version__}")
        return 0
    if name in ("--help", "-h"):
        print("usage: tlnlp COMMAND [--help]\n       tlnlp --version\n")
        print("\n".join(f"  {command:10} {text}" for command, (text, _) in COMMANDS.items()))
        return 0
    try:
        run = _find(name)
        return run(rest)
    except InputError as error:
        say_error(error)
        return 2
    except KeyboardInterrupt:
        return 130


def _find(name: str) -> Callable[[list[str]], int]:
    if name not in COMMANDS:
        raise InputError(
            expected=f"one of the commands {', '.join(COMMANDS)}",
            found=f"tlnlp {name}{did_you_mean(name, COMMANDS)}",
            change="the word after tlnlp",
        )
    return COMMANDS[name][1].main


if __name__ == "__main__":
    sys.exit(main())
