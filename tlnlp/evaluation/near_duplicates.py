"""Near-duplicates: rows that share most of their wording, by MinHash (Broder 1997; Lee et al. 2022, section 4.2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from datasketch import MinHash, MinHashLSH

from tlnlp.data.rows import Rows
from tlnlp.evaluation.data_profile import fold, text_of

SIMILARITY = 0.8  # of the sets of shingles (Jaccard): Lee et al. 2022, section 4.2
HASHES = 128
# Words in a row: short texts have few, and one that differs changes them all; longer ones would be exact copies.
SHINGLE = 3
# Texts of fewer words are alike by chance.
LEAST_WORDS = 8


def find_near(
    train: Rows, dev: Rows, advance: Callable[[int], None] = lambda rows: None
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Pairs of rows that are nearly the same, by their places: (in train, in train) and (in dev, in train); each row
    with the first that is like it. Rows that are the same once folded are not among them.

    Args:
        advance: told the number of rows after each.
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
    """Each `SHINGLE` words in a row of a folded text; nothing where it is too short to tell."""
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
    """The first row whose shingles are near, looked at themselves: the index only proposes."""
    for other in sorted(index.query(drawn)):
        shared = len(shingled & texts[other])
        if keys[other] != key and shared >= SIMILARITY * (len(shingled) + len(texts[other]) - shared):
            return other
    return None
