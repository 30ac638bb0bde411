"""Splits a text into words with their places, as BERT's tokenizers first do: at spaces and around punctuation."""

from __future__ import annotations

import re
import unicodedata

# A word, its first character and the one behind its last, counted from 0.
Word = tuple[str, int, int]
_PIECE = re.compile(r"\w+|[^\w\s]")
# Scripts without spaces, each character of which is a word of its own: Chinese and Japanese characters, Hiragana and
# Katakana.
_IDEOGRAPH = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_JOINERS = "\u200c\u200d"


def split_words(text: str) -> list[Word]:
    """Returns the words of a text: what stands between spaces, without the punctuation, each character of which is a
    word of its own. Marks that combine with a letter (in Hindi, or of decomposed accents) belong to its word."""
    pieces = [(match.group(), match.start(), match.end()) for match in _PIECE.finditer(text)]
    if text.isascii():
        return pieces
    words: list[Word] = []
    goes_on = False  # the next piece belongs to the word before, if nothing stands between them
    for piece, first, last in pieces:
        combines = unicodedata.category(piece[0]).startswith("M") or piece[0] in _JOINERS
        if words and words[-1][2] == first and (combines or (goes_on and piece[0].isalnum())):
            words[-1] = text[words[-1][1] : last], words[-1][1], last
        else:
            words.extend(_ideographs_apart(piece, first))
        goes_on = combines
    return words


def _ideographs_apart(piece: str, first: int) -> list[Word]:
    words: list[Word] = []
    at = 0
    for match in _IDEOGRAPH.finditer(piece):
        if match.start() > at:
            words.append((piece[at : match.start()], first + at, first + match.start()))
        words.append((match.group(), first + match.start(), first + match.end()))
        at = match.end()
    if at < len(piece):
        words.append((piece[at:], first + at, first + len(piece)))
    return words
