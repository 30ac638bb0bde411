"""The profile of many rows is made once, like their encoding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tlnlp.data.cache_folder import CacheFolder, key_of
from tlnlp.data.digests import new_digest
from tlnlp.data.rows import Rows, Splits
from tlnlp.evaluation import data_profile
from tlnlp.evaluation.data_profile import describe_data
from tlnlp.runs.encoding_cache import digest_of_tokenizer
from tlnlp.runs.versions import __version__
from tlnlp.settings import Settings

# Fewer rows are profiled in a second.
LEAST_ROWS = 50_000
PROFILE = "profile.json"


def profile(splits: Splits, tokenizer: Any, settings: Settings) -> dict[str, Any]:
    """Returns `describe_data` of the rows: from the cache, if they are many."""
    if settings.no_cache or len(splits.train) < LEAST_ROWS or not tokenizer.is_fast:
        return describe_data(splits, tokenizer, settings.max_length)

    def make(folder: Path) -> None:
        found = describe_data(splits, tokenizer, settings.max_length)
        (folder / PROFILE).write_text(json.dumps(found, ensure_ascii=False), encoding="utf-8")

    parts = {"train": splits.train, "dev": splits.dev, "test": splits.test, **splits.extra_splits}
    key = key_of(
        [__version__, Path(data_profile.__file__).read_text(encoding="utf-8")],
        {name: _facts_of(rows) for name, rows in parts.items() if rows is not None},
        digest_of_tokenizer(tokenizer),
        settings.max_length,
    )
    about = {"rows": len(splits.train), "origin": splits.train.origin}
    folder = CacheFolder().find_or_make("profile", key, about, make)
    if folder is None:
        return describe_data(splits, tokenizer, settings.max_length)
    return json.loads((folder / PROFILE).read_text(encoding="utf-8"))


def _facts_of(rows: Rows) -> list[Any]:
    """Returns what a profile depends on: the rows' content, and how they are named in its findings."""
    numbers = new_digest()
    numbers.update(rows.numbers)
    return [rows.digests, rows.labels, rows.origin, numbers.hexdigest()]
