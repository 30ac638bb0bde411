"""Atomic files, folder locks, and a clear error for a full disk."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from safetensors import SafetensorError

from tlnlp.display.json_numbers import name_numbers
from tlnlp.errors import InputError

LOCK = ".lock"
# What is being written has this prefix until it is complete.
ASIDE = ".writing-"


@contextlib.contextmanager
def room_wanted(folder: Path, then: str = "continue with --resume; existing files are intact") -> Iterator[None]:
    """Converts errors of a full disk to a clear message.

    Args:
        then: what to do when there is space again.

    Raises:
        InputError: instead of the system's error.
    """
    try:
        yield
    except Exception as error:
        if isinstance(error, InputError) or not _is_of_the_disk(error):
            raise
        raise InputError(
            expected=f"free disk space in {folder}",
            found=str(error),
            change=f"free some space, then {then}",
        ) from error


def _is_of_the_disk(error: Exception) -> bool:
    # tokenizers, which is written in Rust, raises bare exceptions: "No space left on device (os error 28)".
    return isinstance(error, OSError | SafetensorError) or "(os error " in str(error)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Locks the folder for this process; the system releases the lock however the process ends.

    Raises:
        InputError: another process has locked it, or it cannot be created.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("w")
    except OSError as error:
        raise InputError(
            expected="--output-dir: a writable folder",
            found=str(error),
            change="another --output-dir",
        ) from error
    with lock as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(
                expected=f"{folder} used by this run only",
                found="another process that uses it",
                change="wait for it, or use another --output-dir",
            ) from error
        yield


def remove_unfinished(*folders: Path) -> None:
    """Removes what killed processes were writing in folders that this process has locked: nobody else is writing."""
    for path in (path for folder in folders for path in folder.glob(f"{ASIDE}*")):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def remove_abandoned(folder: Path) -> None:
    """Removes what killed processes were writing in a folder that several runs share, each file locked by its writer
    (`write_locked`)."""
    for path in folder.glob(f"{ASIDE}*"):
        # A file that another process removes or locks at this moment is not ours to remove.
        with contextlib.suppress(OSError), path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()


@contextlib.contextmanager
def write_locked(path: Path) -> Iterator[IO[bytes]]:
    """Opens a new file, locked while it is open; the system releases the lock however the process ends."""
    while True:
        with path.open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # Between its creation and the lock, another process may have taken it for abandoned.
            if _is_at(file, path):
                yield file
                return


@contextlib.contextmanager
def written_whole(folder: Path) -> Iterator[Path]:
    """Yields a folder to write to, which then gets the name of `folder` and replaces it: readers see all of it or
    nothing. If writing fails, nothing is left."""
    aside = folder.with_name(f"{ASIDE}{folder.name}")
    shutil.rmtree(aside, ignore_errors=True)
    try:
        aside.mkdir(parents=True)
        yield aside
        shutil.rmtree(folder, ignore_errors=True)
        aside.rename(folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


@contextlib.contextmanager
def file_written_whole(path: Path) -> Iterator[Path]:
    """Same as `written_whole`, for a file: what is there stays until the new one is complete. A link stays a link; what
    is no file (a device, a named pipe) is written to as it comes, and never replaced."""
    path = path.resolve()
    if path.exists() and not path.is_file():
        yield path
        return
    aside = path.with_name(f"{ASIDE}{path.name}")
    try:
        yield aside
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def _is_at(file: IO[bytes], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def write_json(path: Path, content: Any) -> None:
    """Writes atomically (temporary file, sync, rename): readers see either the old or the new file. Infinity and NaN,
    which JSON does not have, are written as texts."""
    text = json.dumps(name_numbers(content), indent=2, ensure_ascii=False, default=str, allow_nan=False)
    write_text(path, text + "\n")


def write_text(path: Path, text: str) -> None:
    """Same as `write_json`, for text."""
    aside = path.with_name(f"{ASIDE}{path.name}")
    try:
        with aside.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
