"""Atomic files, folder locks, and a clear error for a full disk."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from tlnlp.display.json_numbers import name_numbers
from tlnlp.errors import InputError

LOCK = ".lock"


@contextlib.contextmanager
def room_wanted(folder: Path) -> Iterator[None]:
    """Converts errors of a full disk to a clear message.

    Raises:
        InputError: instead of the system's error.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        raise InputError(
            expected=f"free disk space in {folder}",
            found=str(error),
            change="free some space, then continue with --resume; existing files are intact",
        ) from error


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


def write_json(path: Path, content: Any) -> None:
    """Writes atomically (temporary file, sync, rename): readers see either the old or the new file. Infinity and NaN,
    which JSON does not have, are written as texts."""
    text = json.dumps(name_numbers(content), indent=2, ensure_ascii=False, default=str, allow_nan=False)
    write_text(path, text + "\n")


def write_text(path: Path, text: str) -> None:
    """Same as `write_json`, for text."""
    aside = path.with_name(f".writing-{path.name}")
    with aside.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
