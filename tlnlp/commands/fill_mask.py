"""`tlnlp fill-mask`: predicts the words for [MASK] with a masked language model."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import tyro

from tlnlp.display.bars import lines_of
from tlnlp.display.quiet import quiet_libraries
from tlnlp.errors import InputError
from tlnlp.inference.masked_words import FilledMask, MaskFiller


@dataclass(frozen=True)
class FillMaskArguments:
    """Predict the words for [MASK] with a masked language model, with probabilities.

    tlnlp fill-mask "Berlin is the capital of [MASK]."

    tlnlp fill-mask "The [MASK] barked at the [MASK]." --top 3

    tlnlp fill-mask "The child [MASK] in the garden." --words was were

    [MASK] stands for the checkpoint's mask token. Without a text, JSON lines {"text": "... [MASK] ..."} are read from
    standard input, and predictions are written as JSON lines.
    """

    text: Annotated[
        tuple[str, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="TEXT", help="Text with [MASK] in place of a word."),
    ] = ()
    model: Annotated[
        str, tyro.conf.arg(metavar="NAME|FOLDER|HUB_ID", help="Name of a bundled model, local folder, or Hub id.")
    ] = "mini"
    top: Annotated[int, tyro.conf.arg(metavar="COUNT", help="Number of predictions.")] = 5
    pieces: Annotated[int, tyro.conf.arg(metavar="COUNT", help="Maximum number of tokens per word.")] = 2
    words: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="WORD ...", help="Compare the probabilities of these words.")
    ] = ()


def main(arguments: list[str]) -> int:
    """The command line of `tlnlp fill-mask`."""
    asked = tyro.cli(FillMaskArguments, args=arguments, prog="tlnlp fill-mask", config=(tyro.conf.FlagCreatePairsOff,))
    for name in ("top", "pieces"):
        if getattr(asked, name) < 1:
            raise InputError(expected=f"--{name}: at least 1", found=str(getattr(asked, name)), change=f"--{name}")
    quiet_libraries()
    filler = MaskFiller.load(asked.model)
    if not asked.text:
        for line in read_lines(sys.stdin):
            found = _find(filler, line, asked)
            answers = [{"words": list(each.words), "probability": each.probability} for each in found]
            print(json.dumps({"text": line, "answers": answers}, ensure_ascii=False), flush=True)
        return 0
    for text in asked.text:
        print(text)
        print(
            "\n".join(lines_of([(" ... ".join(each.words), each.probability) for each in _find(filler, text, asked)]))
        )
    return 0


def _find(filler: MaskFiller, text: str, asked: FillMaskArguments) -> Sequence[FilledMask]:
    if asked.words:
        return filler.compare(text, asked.words)
    return filler.fill(text, top=asked.top, pieces=asked.pieces)


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
