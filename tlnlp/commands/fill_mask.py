"""`tlnlp fill-mask`: predicts the words for [MASK] with a masked language model."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import tyro

from tlnlp.commands.arguments import FillMaskArguments
from tlnlp.display.bars import lines_of
from tlnlp.display.quiet import quiet_libraries
from tlnlp.errors import InputError
from tlnlp.inference.masked_words import FilledMask, MaskFiller


def main(arguments: list[str]) -> int:
    """The command line of `tlnlp fill-mask`."""
    asked = tyro.cli(FillMaskArguments, args=arguments, prog="tlnlp fill-mask", config=(tyro.conf.FlagCreatePairsOff,))
    quiet_libraries()
    fill = partial(fill_texts, model=asked.model, top=asked.top, pieces=asked.pieces, words=asked.words)
    if not asked.text:
        for line, found in fill(read_lines(sys.stdin)):
            answers = [{"words": list(each.words), "probability": each.probability} for each in found]
            print(json.dumps({"text": line, "answers": answers}, ensure_ascii=False), flush=True)
        return 0
    for text, found in fill(asked.text):
        print(text)
        print("\n".join(lines_of([(" ... ".join(each.words), each.probability) for each in found])))
    return 0


def fill_texts(
    texts: Iterable[str], *, model: str, top: int, pieces: int, words: Sequence[str]
) -> Iterator[tuple[str, list[FilledMask]]]:
    """Each text with the likeliest words, or with all of `words`, in the place of its masks.

    Raises:
        InputError: a number that cannot be, before the model is loaded; or a text that cannot be filled.
    """
    for name, value in (("top", top), ("pieces", pieces)):
        if value < 1:
            raise InputError(expected=f"--{name}: at least 1", found=str(value), change=f"--{name}")
    filler = MaskFiller.load(model)
    for text in texts:
        yield text, filler.compare(text, words) if words else filler.fill(text, top=top, pieces=pieces)


def read_lines(source: Iterator[str]) -> Iterator[str]:
    """Yields the text of each JSON line.

    Raises:
        InputError: a line is not an object with a "text".
    """
    for number, line in enumerate(source, start=1):
        if not line.strip():
            continue
        try:
            text = json.loads(line)["text"]
        except (json.JSONDecodeError, KeyError, TypeError):
            text = None
        if not isinstance(text, str):
            raise InputError(
                expected='JSON lines such as {"text": "..."}',
                found=f"standard input, line {number}: {line.strip()[:60]}",
                change="the line, or pass the text after the command",
            )
        yield text
