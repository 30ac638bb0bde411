"""Texts that stay in Arrow until they are asked for, and what can be known of a column without reading it as Python
objects."""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from tlnlp.data.digests import DIGESTED_ROWS, digest_of_texts

if TYPE_CHECKING:
    import pyarrow

# Texts that are read at once.
READ_ROWS = DIGESTED_ROWS
# Columns of fewer rows are lists.
LEAST_ROWS = 50_000
# A column with more different values is read value by value.
MOST_DISTINCT = 10_000


class TextColumn(Sequence[str]):
    """Texts in Arrow, read like a list.

    Args:
        array: a `pyarrow.ChunkedArray` of texts without nulls.
        positions: the places in `array` of the texts, in order; None: all of them.
        mapped: the file that the array lies in, if it is mapped into memory. What was read of it is forgotten as the
            texts are gone through.
    """

    def __init__(
        self, array: pyarrow.ChunkedArray, positions: np.ndarray | None = None, mapped: mmap.mmap | None = None
    ) -> None:
        self.array, self.positions, self.mapped = array, positions, mapped

    def __len__(self) -> int:
        return len(self.array) if self.positions is None else len(self.positions)

    @overload
    def __getitem__(self, place: int) -> str: ...

    @overload
    def __getitem__(self, place: slice) -> list[str]: ...

    def __getitem__(self, place: int | slice) -> str | list[str]:
        if isinstance(place, slice):
            first, last, step = place.indices(len(self))
            if step != 1:
                return [self[i] for i in range(first, last, step)]
            return self._part(first, last).to_pylist()
        places = range(len(self))
        return self.array[places[place] if self.positions is None else int(self.positions[places[place]])].as_py()

    def __iter__(self) -> Iterator[str]:
        for part in self.parts():
            yield from part.to_pylist()

    def parts(self) -> Iterator[pyarrow.ChunkedArray]:
        """Yields the texts in order, `READ_ROWS` at a time, in Arrow."""
        for first in range(0, len(self), READ_ROWS):
            yield self._part(first, min(first + READ_ROWS, len(self)))
            self.forget()

    def most_bytes(self) -> int:
        """Returns the length of the longest text in bytes, of which a character takes one or more."""
        from pyarrow import compute  # noqa: PLC0415 - it is there: the array is one of it

        return max((compute.max(compute.binary_length(part)).as_py() or 0 for part in self.parts()), default=0)

    def _part(self, first: int, last: int) -> pyarrow.ChunkedArray:
        if self.positions is None:
            return self.array.slice(first, max(0, last - first))
        places = self.positions[first:last]
        if not len(places):
            return self.array.slice(0, 0)
        import pyarrow  # noqa: PLC0415 - it is there: the array is one of it

        low, high = int(places.min()), int(places.max()) + 1
        if high - low <= 4 * len(places) + READ_ROWS:
            return self.array.slice(low, high - low).take(pyarrow.array(places - low))
        return pyarrow.chunked_array([[self.array[int(place)].as_py() for place in places]], type=self.array.type)

    def forget(self) -> None:
        """Tells the system that what was read of the file need not stay in memory; it is read again when it is used."""
        if self.mapped is not None and hasattr(mmap, "MADV_DONTNEED"):
            self.mapped.madvise(mmap.MADV_DONTNEED)

    def take(self, positions: Sequence[int] | np.ndarray) -> TextColumn:
        """Returns the texts at `positions`, in that order."""
        places = np.asarray(positions, dtype=np.int64)
        return TextColumn(self.array, places if self.positions is None else self.positions[places], self.mapped)

    @cached_property
    def digest(self) -> str:
        """The digest of the texts, as `digest_of_column` computes it from a list."""
        return digest_of_texts(part.cast("large_binary").to_pylist() for part in self.parts())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list | TextColumn):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    def __hash__(self) -> int:
        raise TypeError("a column of texts has no hash, as a list has none")

    def __add__(self, other: Sequence[str]) -> list[str]:
        return [*self, *other]

    def __radd__(self, other: Sequence[str]) -> list[str]:
        return [*other, *self]

    def __repr__(self) -> str:
        return f"TextColumn of {len(self):,} texts"

    def __reduce__(self) -> Any:
        return TextColumn, (self.array, self.positions)


def text_column(values: Any, mapped: mmap.mmap | None = None) -> TextColumn | None:
    """Returns a large Arrow column of texts as such; None for any other column."""
    if isinstance(values, list) or len(values) < LEAST_ROWS or values.null_count:
        return None
    return TextColumn(values, mapped=mapped) if str(values.type) in ("string", "large_string") else None


def is_free_of_blanks(texts: TextColumn) -> bool | None:
    """Returns True if every text has a character that is not whitespace, and None if only Python can tell: what begins
    with a printable ASCII character has one; of other texts, each is asked."""
    for part in texts.parts():
        for chunk in part.chunks:
            if len(chunk) and not _chunk_is_free_of_blanks(chunk):
                return None
    return True


def _chunk_is_free_of_blanks(chunk: Any) -> bool:
    width = np.int64 if str(chunk.type) == "large_string" else np.int32
    _, offsets, data = chunk.buffers()
    bounds = np.frombuffer(offsets, dtype=width)[chunk.offset : chunk.offset + len(chunk) + 1]
    if (bounds[1:] == bounds[:-1]).any():
        return False
    first = np.frombuffer(data, dtype=np.uint8)[bounds[:-1]]
    others = np.flatnonzero((first <= 0x20) | (first >= 0x7F))
    return not any(chunk[int(i)].as_py().isspace() for i in others)


def distinct_values(values: Any) -> tuple[list[Any], np.ndarray] | None:
    """Returns the different values of a large Arrow column and, for each row, which of them it has: [rows]. None if
    there are many, nulls, or values that are neither texts nor integers."""
    if isinstance(values, list) or len(values) < LEAST_ROWS or values.null_count:
        return None
    kind = str(values.type)
    if kind not in ("string", "large_string", "int64", "int32", "int16", "int8"):
        return None
    found: dict[Any, int] = {}
    codes = np.empty(len(values), dtype=np.int32)
    first = 0
    for chunk in values.chunks:
        encoded = chunk.dictionary_encode()
        if len(encoded.dictionary) + len(found) > 2 * MOST_DISTINCT:
            return None
        of_chunk = [found.setdefault(each, len(found)) for each in encoded.dictionary.to_pylist()]
        codes[first : first + len(chunk)] = np.asarray(of_chunk, dtype=np.int32)[encoded.indices.to_numpy()]
        first += len(chunk)
    return (list(found), codes) if len(found) <= MOST_DISTINCT else None
