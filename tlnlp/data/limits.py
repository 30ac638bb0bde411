"""Sizes beyond which input is taken for damaged, forged or misread: it is refused before it takes memory or hours.
`TLNLP_LIMITS=off` in the environment lifts all of them."""

from __future__ import annotations

import os

VARIABLE = "TLNLP_LIMITS"
LIFT = f"if it is right, {VARIABLE}=off in the environment lifts this limit"

# A text in one row. Tokenising so much takes about a minute; the longest novels have a third of it.
LONGEST_TEXT_CHARACTERS = 10_000_000
MOST_WORDS_IN_ROW = 1_000_000
# Texts are compressed 3 to 20 times; a file of one repeated byte, 1,000 times (gzip) or 7,000 times (xz).
MOST_COMPRESSION, ALWAYS_DECOMPRESSED_BYTES = 100, 256 << 20
# Decompressed bytes become texts and rows: at most this share of the memory that is free.
DECOMPRESSED_SHARE_OF_MEMORY = 1 / 3
# Of layers or experts, each of which takes milliseconds to make. The deepest networks have 1,000 (DeepNet, 2022).
MOST_LAYERS = 2_000


def limits_hold() -> bool:
    """Returns whether the limits have not been lifted."""
    return os.environ.get(VARIABLE) != "off"
