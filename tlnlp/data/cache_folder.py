"""The cache folder: what is made from large data once and read from then on by every process, seed, resume and run.

An entry is a folder of files under a key that digests everything that they depend on. It is written aside, synced and
renamed, by one process at a time; its files are read only if their digests are still those that were written. Losing an
entry costs time, nothing else: it may be deleted at any moment, and where it cannot be written the run goes on without.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlnlp.data.digests import new_digest

# The folder, and the bound on its size in gigabytes.
FOLDER_VARIABLE, BOUND_VARIABLE = "TLNLP_CACHE", "TLNLP_CACHE_GB"
BOUND_GIGABYTES = 50.0
ENTRY = "entry.json"
ASIDE, LOCK = ".writing-", ".lock"
KEY_DIGITS = 32


def default_folder() -> Path:
    """Returns the folder: $TLNLP_CACHE, or tlnlp in $XDG_CACHE_HOME or ~/.cache."""
    if own := os.environ.get(FOLDER_VARIABLE):
        return Path(own).expanduser()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path("~/.cache").expanduser()) / "tlnlp"


def scratch_folder() -> str | None:
    """Returns the cache folder for files without a name, if it is there; None: the system's temporary folder, which may
    be in memory."""
    folder = default_folder()
    return str(folder) if folder.is_dir() and os.access(folder, os.W_OK) else None


def bound_bytes() -> float:
    """Returns how many bytes the entries may have; the least recently used are deleted above it."""
    try:
        return float(os.environ.get(BOUND_VARIABLE, BOUND_GIGABYTES)) * 1e9
    except ValueError:
        return BOUND_GIGABYTES * 1e9


def key_of(*parts: Any) -> str:
    """Returns a digest of JSON values, a name for an entry."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]


def digest_of_file(path: Path) -> str:
    """Returns a digest of a file's content, a gigabyte in about a second."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, new_digest).hexdigest()


@dataclass(frozen=True)
class Entry:
    """An entry of the cache.

    Args:
        kind: what it holds: "rows", "encoded" or "profile".
        about: what it was made from, for people.
        bytes: size of its files.
        used: when it was last read or written, in seconds of `time.time()`.
    """

    path: Path
    kind: str
    about: Mapping[str, Any]
    bytes: int
    used: float


class CacheFolder:
    """Entries in a folder, which need not exist yet."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or default_folder()

    def find(self, kind: str, key: str) -> Path | None:
        """Returns the folder of an entry; None if it is not there, or not as it was written."""
        path = self.folder / f"{kind}-{key}"
        try:
            written = json.loads((path / ENTRY).read_text())["files"]
            for name, (size, digest) in written.items():
                if (path / name).stat().st_size != size or digest_of_file(path / name) != digest:
                    return None
            os.utime(path / ENTRY)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return path

    def find_or_make(
        self, kind: str, key: str, about: Mapping[str, Any], make: Callable[[Path], object]
    ) -> Path | None:
        """Returns the folder of an entry, which `make` fills with files if it is not there yet. Of several processes
        one does, and the others wait.

        Returns:
            None if the folder cannot be written to: it is not ours, its disk is full.
        """
        if (path := self.find(kind, key)) is not None:
            return path
        path = self.folder / f"{kind}-{key}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._locked(path.name):
                if self.find(kind, key) is None:
                    self._write(path, about, make)
                    self.remove_above(bound_bytes(), keep=path)
        except OSError:
            return None
        return path

    def _write(self, path: Path, about: Mapping[str, Any], make: Callable[[Path], object]) -> None:
        aside = path.with_name(ASIDE + path.name)
        shutil.rmtree(aside, ignore_errors=True)  # of a process that was killed: the lock is ours
        aside.mkdir()
        try:
            make(aside)
            files = {each.name: (each.stat().st_size, digest_of_file(each)) for each in sorted(aside.iterdir())}
            (aside / ENTRY).write_text(json.dumps({"files": files, "about": about}, indent=2, default=str))
            for each in aside.iterdir():
                _sync(each)
            shutil.rmtree(path, ignore_errors=True)  # damaged
            aside.rename(path)
            _sync(self.folder)
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    @contextlib.contextmanager
    def _locked(self, name: str, *, wait: bool = True) -> Iterator[None]:
        """Holds the lock of an entry.

        Raises:
            OSError: the folder cannot be written to; or without `wait`, another process holds the lock.
        """
        with (self.folder / f"{name}{LOCK}").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            yield

    def entries(self) -> list[Entry]:
        """Returns all entries, the most recently used first."""
        found = []
        for path in self.folder.glob("*-*") if self.folder.is_dir() else ():
            with contextlib.suppress(OSError, ValueError, KeyError, AttributeError):
                about = json.loads((path / ENTRY).read_text())["about"]
                size = sum(each.stat().st_size for each in path.iterdir())
                found.append(Entry(path, path.name.partition("-")[0], about, size, (path / ENTRY).stat().st_mtime))
        return sorted(found, key=lambda each: -each.used)

    def remove_above(self, most_bytes: float, keep: Path | None = None) -> list[Entry]:
        """Deletes the least recently used entries until the others have at most `most_bytes`. Returns those deleted. A
        process that reads one of them keeps what it has opened.

        Args:
            keep: an entry that stays whatever its size.
        """
        entries = self.entries()
        whole, gone = sum(each.bytes for each in entries), []
        for each in reversed(entries):
            if whole <= most_bytes:
                break
            if each.path != keep:
                self._remove(each.path)
                whole -= each.bytes
                gone.append(each)
        self._remove_leftovers()
        return gone

    def _remove(self, path: Path) -> None:
        # Renamed first: another process finds all of an entry or nothing.
        aside = path.with_name(f"{ASIDE}{path.name}-{os.getpid()}-{time.monotonic_ns()}")
        with contextlib.suppress(OSError):
            path.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)
        path.with_name(f"{path.name}{LOCK}").unlink(missing_ok=True)

    def _remove_leftovers(self) -> None:
        """Deletes what processes that were killed had not finished."""
        for aside in self.folder.glob(f"{ASIDE}*"):
            name = "-".join(aside.name.removeprefix(ASIDE).split("-")[:2])
            with contextlib.suppress(OSError), self._locked(name, wait=False):
                shutil.rmtree(aside, ignore_errors=True)
            if not (self.folder / name).exists() and not aside.exists():
                (self.folder / f"{name}{LOCK}").unlink(missing_ok=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
