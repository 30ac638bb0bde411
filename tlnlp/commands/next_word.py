"""`tlnlp next-word`: the most probable next words, from which you can choose interactively in a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import tyro

from tlnlp.commands.arguments import NextWordArguments
from tlnlp.commands.fill_mask import read_lines
from tlnlp.display.bars import lines_of
from tlnlp.display.quiet import quiet_libraries
from tlnlp.errors import InputError
from tlnlp.inference.next_words import NextWord, NextWordPredictor


def main(arguments: list[str]) -> int:
    """The command line of `tlnlp next-word`."""
    asked = tyro.cli(NextWordArguments, args=arguments, prog="tlnlp next-word", config=(tyro.conf.FlagCreatePairsOff,))
    if asked.top < 1:
        raise InputError(expected="--top: at least 1", found=str(asked.top), change="--top")
    quiet_libraries()
    model = NextWordPredictor.load(asked.model)
    if asked.text is None:
        for line in read_lines(sys.stdin):
            found = model.follow(line, top=asked.top)
            answers = [{"word": each.word, "probability": each.probability} for each in found]
            print(json.dumps({"text": line, "answers": answers}, ensure_ascii=False), flush=True)
    elif asked.once or not sys.stdin.isatty():
        _show(asked.text, model.follow(asked.text, top=asked.top), numbered=False)
    else:
        _go_on(asked.text, model, asked.top)
    return 0


def _show(text: str, found: Sequence[NextWord], *, numbered: bool) -> None:
    print(text)
    print("\n".join(lines_of([(each.word, each.probability) for each in found], numbered=numbered)))


def _go_on(text: str, model: NextWordPredictor, top: int) -> None:
    """Continues interactively until an empty line or the end of the input."""
    texts = [text]
    while True:
        found = model.follow(texts[-1], top=top)
        _show(texts[-1], found, numbered=True)
        try:
            print("a number, your own words, u to undo, or Enter to quit: ", end="", flush=True)
            chosen = input().strip()
        except EOFError:
            print()
            return
        if not chosen:
            return
        if chosen == "u":
            texts = texts[:-1] or texts
        elif chosen.isdecimal() and 1 <= int(chosen) <= len(found):
            texts.append(found[int(chosen) - 1].joined)
        elif chosen.isdecimal():
            print(f"a number from 1 to {len(found)}")
        else:
            texts.append(f"{texts[-1]} {chosen}")
