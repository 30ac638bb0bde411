"""Rows are encoded once: what a head makes of them is kept in the cache folder, and mapped into memory by every
process, seed, resume and run that needs the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import tokenizers
import transformers

from tlnlp import heads
from tlnlp.data.cache_folder import CacheFolder, key_of
from tlnlp.data.rows import Rows
from tlnlp.heads.encoded import EncodedDataset
from tlnlp.heads.encoded_files import load_encoded, save_encoded
from tlnlp.runs.versions import __version__
from tlnlp.settings import Settings
from tlnlp.task import Task

# Rows with fewer characters are encoded in about a second, and anew at every start.
LEAST_CHARACTERS = 2_000_000
# The settings that the heads of this package read while they encode. A head that reads another is not kept.
ENCODING_SETTINGS = (
    *("max_length", "truncate", "windows", "window_overlap", "max_tokens"),
    *("class_weights", "loss", "focal_gamma", "mask_fraction", "lm_weight", "max_answer"),
)
# Read for messages only.
IN_MESSAGES = ("model",)


class WatchedSettings(Settings):
    """Settings that record which of them are read."""

    @classmethod
    def of(cls, settings: Settings) -> WatchedSettings:
        """Returns the same settings, watched from now on."""
        watched = object.__new__(cls)
        vars(watched).update(vars(settings), read_names=set())
        return watched

    def __getattribute__(self, name: str) -> Any:
        own: dict[str, Any] = object.__getattribute__(self, "__dict__")
        if name in own and name != "read_names":
            own["read_names"].add(name)
        return object.__getattribute__(self, name)


def encode(rows: Rows, task: Task, tokenizer: Any, settings: Settings) -> EncodedDataset:
    """Returns the rows as the task's head encodes them: from the cache, if they are many.

    Raises:
        InputError: as the head does.
    """
    if settings.no_cache or not can_be_kept(task, tokenizer) or not _are_many(rows):
        return task.head.encode(rows, task, tokenizer, settings)
    made: list[EncodedDataset] = []

    def make(folder: Path) -> None:
        watched = WatchedSettings.of(settings)
        made.append(task.head.encode(rows, task, tokenizer, watched))
        if unknown := vars(watched)["read_names"] - {*ENCODING_SETTINGS, *IN_MESSAGES}:
            raise RuntimeError(f"{task.head} encodes by {', '.join(sorted(unknown))}: not in ENCODING_SETTINGS")
        save_encoded(made[0], folder)

    about = {
        "rows": len(rows),
        "origin": rows.origin,
        "task": task.name,
        "tokenizer": Path(tokenizer.name_or_path).name or type(tokenizer).__name__,
        "max_length": settings.max_length,
    }
    folder = CacheFolder().find_or_make("encoded", encoding_key(rows, task, tokenizer, settings), about, make)
    if folder is not None:
        return load_encoded(folder)
    return made[0] if made else task.head.encode(rows, task, tokenizer, settings)


def can_be_kept(task: Task, tokenizer: Any) -> bool:
    """Returns whether everything that the encoding depends on is known: a head of this package, whose code is digested,
    and a tokenizer that can be written as one text."""
    return getattr(task.head, "__name__", "").startswith(f"{heads.__name__}.") and tokenizer.is_fast


def encoding_key(rows: Rows, task: Task, tokenizer: Any, settings: Settings) -> str:
    """Returns a digest of everything that the encoding of `rows` depends on."""
    return key_of(
        {
            "versions": [__version__, transformers.__version__, tokenizers.__version__],
            "code": _digest_of_code(),
            "head": task.head.__name__,  # type: ignore[attr-defined]
            "labels": [type(task.labels).__name__, repr(task.labels)],
            "task": [task.pair_is_symmetric, task.unanswerable, sorted(task.columns.by_role())],
            "settings": {
                # The budget is only named in notes, and only those on windows.
                name: None if name == "max_tokens" and settings.windows == "none" else getattr(settings, name)
                for name in ENCODING_SETTINGS
            },
            "tokenizer": digest_of_tokenizer(tokenizer),
            "rows": rows.digests,
            "row labels": rows.labels,
            "origin": rows.origin,  # in the notes
        }
    )


def digest_of_tokenizer(tokenizer: Any) -> str:
    """Returns a digest of a fast tokenizer: of all that it does to a text, wherever it was loaded from."""
    content = json.loads(tokenizer.backend_tokenizer.to_str())
    # How the last texts were padded and truncated; the heads ask for neither.
    content |= {"padding": None, "truncation": None}
    names = ("unk", "pad", "mask", "bos", "eos", "cls", "sep")
    rest = {
        "class": type(tokenizer).__name__,
        "special": [getattr(tokenizer, f"{name}_token_id", None) for name in names],
        "all special": list(tokenizer.all_special_ids),
        "inputs": list(tokenizer.model_input_names),
        "splits special": getattr(tokenizer, "split_special_tokens", None),
    }
    return key_of(content, rest)


@cache
def _digest_of_code() -> str:
    """Returns a digest of the heads' code, so that a change to it makes the encodings before it unknown."""
    digest = hashlib.sha256()
    for path in sorted(Path(heads.__path__[0]).glob("*.py")):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _are_many(rows: Rows) -> bool:
    """Returns whether the rows have so many characters that reading what was made of them is faster."""
    characters = 0
    for values in rows.columns.values():
        for value in values:
            characters += _characters_of(value)
            if characters >= LEAST_CHARACTERS:
                return True
    return False


def _characters_of(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    parts: Iterable[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return sum(_characters_of(part) for part in parts)
