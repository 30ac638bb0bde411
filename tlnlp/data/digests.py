"""Digests of rows: equal for equal values, wherever these were read and however they are held."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

# Values digested at once.
DIGESTED_ROWS = 10_000


def digest_of_column(values: Sequence[Any]) -> str:
    """Returns a digest of a column's values: texts, integers, or whatever JSON can write."""
    known = getattr(values, "digest", None)
    if isinstance(known, str):
        return known
    kinds = set(map(type, values))
    if kinds <= {str}:
        return digest_of_texts(
            [text.encode("utf-8", "surrogatepass") for text in values[first : first + DIGESTED_ROWS]]
            for first in range(0, len(values), DIGESTED_ROWS)
        )
    digest = new_digest()
    if kinds == {int} and min(values) >= -(2**63) and max(values) < 2**63:
        digest.update(b"integers")
        digest.update(np.asarray(values, dtype=np.int64))
        return digest.hexdigest()
    digest.update(b"values")
    # Part of the digest: a list for every `DIGESTED_ROWS` values.
    for first in range(0, len(values), DIGESTED_ROWS):
        text = json.dumps(values[first : first + DIGESTED_ROWS], ensure_ascii=False)
        digest.update(text.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def digest_of_texts(batches: Iterable[list[bytes]]) -> str:
    """Returns a digest of texts in UTF-8, however they are divided into batches."""
    of_lengths, of_texts = new_digest(), new_digest()
    for texts in batches:
        of_lengths.update(np.fromiter(map(len, texts), np.int64, len(texts)))
        of_texts.update(b"".join(texts))
    digest = new_digest()
    digest.update(b"texts" + of_lengths.digest() + of_texts.digest())
    return digest.hexdigest()


def new_digest() -> Any:
    """Returns the hash that all digests of rows are made with."""
    return hashlib.blake2b(digest_size=16)
