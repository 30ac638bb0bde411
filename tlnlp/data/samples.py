"""The bundled samples as tables, to look at and to try things on."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from tlnlp.data.splits import SAMPLES
from tlnlp.errors import InputError, did_you_mean


def load_sample(name: str, split: str = "train", language: str | None = None) -> pd.DataFrame:
    """Returns the rows of a bundled sample as a DataFrame.

    Args:
        name: "reviews", "entailment", "entities", ...
        split: "train" or "validation".
        language: "de", "es", "fa", "fr" or "ru", if the sample has been translated; English if None.

    Raises:
        InputError: there is no such sample; the message lists those that exist.
    """
    folder = _pick("sample", name, SAMPLES)
    if language is not None:
        folder = _pick("language", language, folder)
    file = folder / f"{split}.jsonl"
    if not file.is_file():
        there = sorted(path.stem for path in folder.glob("*.jsonl"))
        where = name if language is None else f"{name} in {language}"
        raise InputError(expected=f"a split of {where}: {', '.join(there)}", found=repr(split), change="split")
    return pd.read_json(file, lines=True, dtype=False)


def _pick(what: str, name: str, folder: Path) -> Path:
    known = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if name not in known:
        raise InputError(
            expected=f"a {what} that is bundled: {', '.join(known) or 'none here'}",
            found=f"{name!r}{did_you_mean(name, known)}",
            change="the name",
        )
    return folder / name
