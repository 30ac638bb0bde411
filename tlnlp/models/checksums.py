"""Checksums of the weights of a saved model, stored in its task file: a flipped bit on a disk or on the way is noticed.

CRC-32 finds each burst of up to 32 damaged bits and misses other damage once in four billion times. It reads 400 MB in
a quarter of a second of one core, a sixth of what SHA-256 takes (`python benchmarks/checksums.py`); nobody is kept from
changing weights on purpose.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from tlnlp.errors import InputError
from tlnlp.models.checkpoint_files import TASK_FILE, read_json

# The key in the task file.
KEY = "checksums"
_CHUNK_BYTES = 1 << 20


def checksums_of(folder: Path) -> dict[str, str]:
    """Returns {file: CRC-32 of its content, as in `crc32 FILE`} of the weights in a folder."""
    return {path.name: _checksum(path) for path in sorted(folder.glob("*.safetensors"))}


def check_weights(folder: Path) -> None:
    """Compares the weights in a folder with the checksums in its task file, if it has them.

    Raises:
        InputError: they are not those that were saved.
    """
    checksums = read_json(folder / TASK_FILE).get(KEY)
    for name, checksum in (checksums if isinstance(checksums, Mapping) else {}).items():
        path = folder / Path(name).name
        found = _checksum(path) if path.is_file() else "no such file"
        if found != checksum:
            raise InputError(
                expected=f"{path}, as it was saved (CRC-32 {checksum})",
                found=found,
                change=f"copy the folder again; if the weights were changed on purpose, delete {KEY} from "
                f"{folder / TASK_FILE}",
            )


def _checksum(path: Path) -> str:
    state = path.stat()
    return _checksum_of(path, (state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns))


@lru_cache
def _checksum_of(path: Path, state: tuple[int, ...]) -> str:
    """Returns the checksum of a file, which is read once while its `state` stays the same: a folder is checked wherever
    it is looked up."""
    checksum = 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            checksum = zlib.crc32(chunk, checksum)
    return f"{checksum:08x}"
