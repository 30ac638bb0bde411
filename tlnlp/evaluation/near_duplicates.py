"""Near-duplicates: rows that share most of their wording, by MinHash (Broder 1997; Lee et al. 2022, section 4.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from datasketch import MinHash, MinHashLSH

from tlnlp.data.rows import Rows
from tlnlp.evaluation.data_profile import fold, text_of

SIMILARITY = 0.8  # of the sets of shingles (Jaccard): Lee et al. 2022, section 4.2
HASHES = 128
# Words per shingle. Longer shingles would find exact copies only: in a short text, one changed word changes them all.
SHINGLE = 3
# Shorter texts are similar by chance.
LEAST_WORDS = 8


def find_near(
    train: Rows, dev: Rows, advance: Callable[[int], None] = lambda rows: None
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Returns pairs of near-duplicates as row indices, (train, train) and (dev, train), each row with the first similar
    one. Rows that are equal after `fold` are left out.

    Args:
        advance: called with the number of rows after each step, for a progress bar.
    """
    index = MinHashLSH(threshold=SIMILARITY, num_perm=HASHES)
    keys = [fold(text_of(train, row)) for row in range(len(train))]
    texts = [shingles(key) for key in keys]
    inside = []
    for row, shingled in enumerate(texts):
        if shingled:
            drawn = _draw(shingled)
            if (near := _nearest(drawn, shingled, keys[row], index, texts, keys)) is not None:
                inside.append((row, near))
            index.insert(row, drawn)
        advance(1)
    across = []
    for row in range(len(dev)):
        key = fold(text_of(dev, row))
        if shingled := shingles(key):
            near = _nearest(_draw(shingled), shingled, key, index, texts, keys)
            if near is not None:
                across.append((row, near))
        advance(1)
    return inside, across


def shingles(folded: str) -> frozenset[str]:
    """Returns the word n-grams (n = `SHINGLE`) of a folded text; none if it is too short."""
    words = folded.split()
    if len(words) < LEAST_WORDS:
        return frozenset()
    return frozenset(" ".join(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1))


def _draw(shingled: frozenset[str]) -> MinHash:
    drawn = MinHash(num_perm=HASHES)
    drawn.update_batch([each.encode("utf-8", "surrogatepass") for each in shingled])
    return drawn


def _nearest(
    drawn: MinHash,
    shingled: frozenset[str],
    key: str,
    index: MinHashLSH,
    texts: Sequence[frozenset[str]],
    keys: Sequence[str],
) -> int | None:
    """Returns the first row with similar shingles, by their exact similarity: the index gives only candidates."""
    for other in sorted(index.query(drawn)):
        shared = len(shingled & texts[other])
        if keys[other] != key and shared >= SIMILARITY * (len(shingled) + len(texts[other]) - shared):
            return other
    return None
