"""`tlnlp fill-mask`: which words a masked-word model puts in the place of [MASK]."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence

import tyro

from tlnlp.commands.arguments import FillMaskArguments
from tlnlp.display.bars import lines_of
from tlnlp.display.quiet import quiet_libraries
from tlnlp.errors import InputError
from tlnlp.inference.masked_words import FilledMask, MaskFiller


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
    """The text of each JSON line.

    Raises:
        InputError: a line that is no object with a "text" in it.
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
                change="the line, or give the text itself after the command",
            )
        yield text
