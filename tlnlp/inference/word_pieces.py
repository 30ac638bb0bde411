"""Which pieces of a vocabulary begin a word and which go on with one: three conventions are in use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

SENTENCEPIECE, BYTE_LEVEL, WORDPIECE = "▁", "Ġ", "##"  # blank before a word, the same, no blank before a piece


@dataclass(frozen=True)
class WordPieceKinds:
    """The pieces of a tokenizer, by what they may be in a text.

    Args:
        begins: [pieces] those with which a word, or a mark of punctuation set off by a blank, begins.
        continues: [pieces] those that go on with a word.
        marks: [pieces] those that stand behind a word without a blank and are no part of it: , . ! ?
        begins_text: [pieces] those with which the first word of a text begins, which may have no blank before it.
    """

    begins: np.ndarray
    continues: np.ndarray
    marks: np.ndarray
    begins_text: np.ndarray


def sort_pieces(tokenizer: Any, size: int) -> WordPieceKinds:
    """Sorts the vocabulary of `tokenizer`; pieces beyond it, up to `size`, and special ones are of no kind."""
    names = [name or "" for name in tokenizer.convert_ids_to_tokens(range(min(size, len(tokenizer))))]
    begins, continues, marks = (np.zeros(size, dtype=bool) for _ in range(3))
    blank = next((mark for mark in (SENTENCEPIECE, BYTE_LEVEL) if sum(name[:1] == mark for name in names) > 3), None)
    special = set(tokenizer.all_special_ids)
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
