"""Arrays that grow at their end while rows are encoded. A large one lies in a file without a name instead of memory, so
that what encoding takes of it does not grow with the number of rows."""

from __future__ import annotations

import mmap
import tempfile
from collections.abc import Iterable
from typing import IO, Any

import numpy as np

from tlnlp.heads.encoded import Ragged

# An array of more bytes goes to a file.
IN_MEMORY_BYTES = 64 * 2**20
# Bytes of a file that are read at once.
READ_BYTES = 8 * 2**20


class GrowingArray:
    """A flat array to append to.

    Args:
        folder: where the file of a large array goes, which is freed with the array; the system's folder for temporary
            files if None.
    """

    def __init__(self, dtype: Any, folder: str | None = None) -> None:
        self.dtype, self._folder = np.dtype(dtype), folder
        self._parts: list[np.ndarray] = []
        self._bytes_in_memory = 0
        self._file: IO[bytes] | None = None

    def append(self, values: np.ndarray) -> None:
        """Appends `values`."""
        part = np.ascontiguousarray(values, dtype=self.dtype)
        self._parts.append(part)
        self._bytes_in_memory += part.nbytes
        if self._bytes_in_memory > IN_MEMORY_BYTES:
            self._move_to_file()

    def finish(self) -> np.ndarray:
        """Returns the whole array; one in a file cannot be written to."""
        if self._file is None:
            return np.concatenate(self._parts) if self._parts else np.zeros(0, dtype=self.dtype)
        self._move_to_file()
        if self._file is None:  # there was no room for the last part
            return np.concatenate(self._parts)
        with self._file as file:
            file.flush()
            return np.asarray(np.memmap(file, dtype=self.dtype, mode="r"))

    def _move_to_file(self) -> None:
        """Appends the parts in memory to the file. Without room for them everything stays in memory, from then on."""
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed when the array is finished
            written = self._file.tell()
            for part in self._parts:
                self._file.write(part.data)
            self._file.flush()
        except OSError:
            if self._file is not None:
                self._file.seek(0)
                self._parts = [np.frombuffer(self._file.read(written), dtype=self.dtype), *self._parts]
                self._file.close()
            self._file, self._bytes_in_memory = None, -(2**63)
            return
        self._parts, self._bytes_in_memory = [], 0


class GrowingRagged:
    """Sequences to append to; see `GrowingArray`."""

    def __init__(self, dtype: Any = np.int32, folder: str | None = None) -> None:
        self._flat, self._lengths = GrowingArray(dtype, folder), GrowingArray(np.int64, folder)

    def append(self, flat: np.ndarray, lengths: np.ndarray) -> None:
        """Appends concatenated sequences of these lengths."""
        self._flat.append(flat)
        self._lengths.append(lengths)

    def finish(self) -> Ragged:
        """Returns all sequences."""
        return Ragged(self._flat.finish(), np.concatenate([[0], np.cumsum(self._lengths.finish())]))


def slices(array: np.ndarray) -> Iterable[np.ndarray]:
    """Yields the array in slices along its first axis. Of an array in a file, no more than a slice stays in memory."""
    step = max(1, READ_BYTES // max(1, array[:1].nbytes))
    for first in range(0, len(array), step):
        yield array[first : first + step]
        forget_pages(array)


def forget_pages(array: np.ndarray) -> None:
    """Tells the system that the pages of an array in a file, once read, need not stay in memory; they are read again
    when they are used."""
    owner: Any = array
    while owner is not None and not isinstance(owner, mmap.mmap):
        owner = owner.obj if isinstance(owner, memoryview) else getattr(owner, "base", None)
    if owner is not None and hasattr(mmap, "MADV_DONTNEED"):
        owner.madvise(mmap.MADV_DONTNEED)
