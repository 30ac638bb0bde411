"""Near-duplicates: rows that share most of their wording, by MinHash and locality-sensitive hashing (Broder 1997; Lee
et al. 2022, section 4.2), of many rows at a time. In memory are some numbers for each row, never the texts."""

from __future__ import annotations

import hashlib
import heapq
from collections import defaultdict
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice

import numpy as np

from tlnlp.data.rows import Rows
from tlnlp.evaluation.data_profile import fold, text_of, texts_of

SIMILARITY = 0.8  # of the sets of shingles (Jaccard): Lee et al. 2022, section 4.2
# Two rows are compared if all hashes of a band are the same: of pairs with 80 % in common 40 % in each band of 13, of
# those with 60 % one in a hundred. The numbers that datasketch chooses for this similarity and 128 hashes.
BANDS, HASHES_OF_A_BAND = 9, 13
# Words per shingle. Longer shingles would find exact copies only: in a short text, one changed word changes them all.
SHINGLE = 3
# Shorter texts are similar by chance.
LEAST_WORDS = 8
ROWS_AT_ONCE = 2_000


def find_near(
    train: Rows, dev: Rows, advance: Callable[[int], None] = lambda rows: None
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Returns pairs of near-duplicates as row indices, (train, train) and (dev, train), each row with the first similar
    one. Rows that are equal after `fold` are left out.

    Args:
        advance: called with the number of rows after each step, for a progress bar.
    """

    @lru_cache(maxsize=ROWS_AT_ONCE)
    def of_train(row: int) -> tuple[str, frozenset[str]]:
        key = fold(text_of(train, row))
        return key, shingles(key)

    inside: list[tuple[int, int]] = []
    across: list[tuple[int, int]] = []
    for row, others in _candidates(np.concatenate([_bands(train, advance), _bands(dev, advance)]), len(train)):
        is_of_train = row < len(train)
        key = fold(text_of(train, row) if is_of_train else text_of(dev, row - len(train)))
        shingled = shingles(key)
        for other in others:
            its_key, its_shingles = of_train(other)
            shared = len(shingled & its_shingles)
            if its_key != key and shared >= SIMILARITY * (len(shingled) + len(its_shingles) - shared):
                pairs, place = (inside, row) if is_of_train else (across, row - len(train))
                pairs.append((place, other))
                break
    return inside, across


def shingles(folded: str) -> frozenset[str]:
    """Returns the word n-grams (n = `SHINGLE`) of a folded text; none if it is too short."""
    words = folded.split()
    if len(words) < LEAST_WORDS:
        return frozenset()
    return frozenset(" ".join(words[i : i + SHINGLE]) for i in range(len(words) - SHINGLE + 1))


def _candidates(bands: np.ndarray, of_train: int) -> Iterator[tuple[int, Iterator[int]]]:
    """Yields each row that shares a band with an earlier row of train, and these rows, ascending.

    Args:
        bands: [rows, bands] a hash of each band, 0 for a row without shingles; the first `of_train` are those of train.
    """
    alike: dict[int, list[np.ndarray]] = defaultdict(list)
    for band in bands.T:
        order = np.argsort(band, kind="stable")
        order = order[np.searchsorted(band, 0, side="right", sorter=order) :]
        firsts = np.flatnonzero(np.diff(band[order], prepend=0))
        sizes = np.diff(firsts, append=len(order))
        for first, size in zip(firsts[sizes > 1].tolist(), sizes[sizes > 1].tolist(), strict=True):
            group = order[first : first + size]  # ascending
            for row in group[1:].tolist() if group[0] < of_train else ():
                alike[row].append(group)
    for row in sorted(alike):
        merged = heapq.merge(*(group.tolist() for group in alike.pop(row)))
        yield row, _once_below(merged, min(row, of_train))


def _once_below(ascending: Iterator[int], bound: int) -> Iterator[int]:
    last = -1
    for each in ascending:
        if each >= bound:
            return
        if each != last:
            yield each
        last = each


def _bands(rows: Rows, advance: Callable[[int], None]) -> np.ndarray:
    """Returns a hash of each band of each row: [rows, bands]; 0 for a row without shingles."""
    # The permutations h -> a * h + b of 32 bits; an odd `a` makes them bijective.
    draw = np.random.default_rng(0)
    factors = draw.integers(0, 2**31, BANDS * HASHES_OF_A_BAND, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    added = draw.integers(0, 2**32, BANDS * HASHES_OF_A_BAND, dtype=np.uint32)
    mixing = draw.integers(0, 2**63, HASHES_OF_A_BAND, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    found, texts, first = np.zeros((len(rows), BANDS), dtype=np.uint64), texts_of(rows), 0
    while some := list(islice(texts, ROWS_AT_ONCE)):
        words = [fold(text).split() for text in some]
        long = [i for i, each in enumerate(words) if len(each) >= LEAST_WORDS]
        if long:
            hashes, firsts = _shingle_hashes([words[i] for i in long])
            least = np.minimum.reduceat(hashes[:, None] * factors + added, firsts, axis=0)
            of_bands = least.reshape(len(long), BANDS, HASHES_OF_A_BAND).astype(np.uint64)
            found[first + np.asarray(long)] = np.maximum(_mix((_mix(of_bands) * mixing).sum(axis=2)), np.uint64(1))
        first += len(some)
        advance(len(some))
    return found


def _shingle_hashes(words: list[list[str]]) -> tuple[np.ndarray, np.ndarray]:
    """Returns 32-bit hashes of the shingles of texts, concatenated, and where those of each text begin."""
    counts = np.array([len(each) for each in words])
    flat = np.fromiter((_word_hash(word) for each in words for word in each), np.uint64, int(counts.sum()))
    whole = flat[: len(flat) - SHINGLE + 1].copy()
    for place in range(1, SHINGLE):
        whole = _mix(whole) + flat[place : len(flat) - SHINGLE + 1 + place]
    # Those at the last words of a text would reach into the next one.
    ends = np.cumsum(counts)
    crossing = (ends[:-1, None] - np.arange(1, SHINGLE)).ravel()
    hashes = (_mix(np.delete(whole, crossing)) >> np.uint64(32)).astype(np.uint32)
    return hashes, np.cumsum(counts - SHINGLE + 1) - (counts - SHINGLE + 1)


@lru_cache(maxsize=100_000)
def _word_hash(word: str) -> int:
    # Not hash(), which differs from process to process, and with it what is found.
    return int.from_bytes(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def _mix(values: np.ndarray) -> np.ndarray:
    """Mixes the bits of 64-bit numbers (the finaliser of MurmurHash3)."""
    values = values ^ (values >> np.uint64(33))
    values = values * np.uint64(0xFF51AFD7ED558CCD)
    values = values ^ (values >> np.uint64(33))
    values = values * np.uint64(0xC4CEB9FE1A85EC53)
    return values ^ (values >> np.uint64(33))
