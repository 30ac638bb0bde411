"""Which tokens of a vocabulary start a word, continue one or end one: there are four conventions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

SENTENCEPIECE, BYTE_LEVEL, WORDPIECE = "▁", "Ġ", "##"  # space before a word, the same, no space before a token
WORD_END = "</w>"  # a space after a token: openai-gpt, XLM


@dataclass(frozen=True)
class WordPieceKinds:
    """The tokens of a vocabulary by their role in a text, as boolean masks [vocabulary].

    Args:
        begins: tokens that start a word, or a punctuation mark after a space.
        continues: tokens that continue a word.
        marks: punctuation marks that follow a word without a space: , . ! ?
        begins_text: tokens that start the first word of a text, which may have no space before it.
        ends: tokens that end their word, if the vocabulary marks them (openai-gpt); None if a word ends where another
            one begins.
    """

    begins: np.ndarray
    continues: np.ndarray
    marks: np.ndarray
    begins_text: np.ndarray
    ends: np.ndarray | None = None


def sort_pieces(tokenizer: Any, size: int) -> WordPieceKinds:
    """Classifies the vocabulary of `tokenizer`. Special tokens, and ids beyond the vocabulary up to `size`, have no
    role."""
    names = [name or "" for name in tokenizer.convert_ids_to_tokens(range(min(size, len(tokenizer))))]
    begins, continues, marks = (np.zeros(size, dtype=bool) for _ in range(3))
    blank = next((mark for mark in (SENTENCEPIECE, BYTE_LEVEL) if sum(name[:1] == mark for name in names) > 3), None)
    special = set(tokenizer.all_special_ids)
    if blank is None and sum(name.endswith(WORD_END) for name in names) > 3:
        return _sort_by_ends(names, special, size)
    for piece, name in enumerate(names):
        if piece in special:
            continue
        if blank is None:
            is_start, bare = not name.startswith(WORDPIECE), name.removeprefix(WORDPIECE)
        else:
            is_start, bare = name.startswith(blank), name.removeprefix(blank)
        if not bare:
            continue
        is_word = any(map(str.isalnum, bare)) or (blank == BYTE_LEVEL and not bare.isascii())
        if is_start and (blank is not None or is_word):
            begins[piece] = True
        elif is_word:
            continues[piece] = True
        else:
            marks[piece] = True
    return WordPieceKinds(begins, continues, marks, begins | continues if blank == BYTE_LEVEL else begins)


def _sort_by_ends(names: Sequence[str], special: Collection[int], size: int) -> WordPieceKinds:
    """Classifies a vocabulary that marks the tokens at which a word ends. Every token may start a word."""
    begins, marks, ends = (np.zeros(size, dtype=bool) for _ in range(3))
    for piece, name in enumerate(names):
        bare = name.removesuffix(WORD_END)
        if piece in special or not bare:
            continue
        ends[piece] = name.endswith(WORD_END)
        is_mark = ends[piece] and not any(map(str.isalnum, bare))
        (marks if is_mark else begins)[piece] = True
    return WordPieceKinds(begins, begins, marks, begins, ends)
