"""From names and folders to the page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tlnlp.answering import Answerer
from tlnlp.demo.asking import find_model
from tlnlp.demo.before import load_before
from tlnlp.demo.page import Trained, build
from tlnlp.errors import InputError
from tlnlp.words.following import FollowingWords
from tlnlp.words.masked import MaskedWords

NONE = "none"


def load_all(model: str, gpt: str, runs: Sequence[Path]) -> Any:
    """The page with the models that are asked for.

    Raises:
        InputError: one of them cannot be had.
    """
    masked = None if model == NONE else MaskedWords.load(model)
    following = None if gpt == NONE else FollowingWords.load(gpt)
    return build(masked, following, [load_run(folder) for folder in runs])


def load_run(folder: Path) -> Trained:
    """A run with its model, and with what it was before where that can be had."""
    place = find_model(folder)
    answerer = Answerer(place)
    try:
        return Trained(answerer.task.name, answerer, load_before(answerer, place.parent))
    except InputError as error:
        return Trained(answerer.task.name, answerer, None, f"{error.expected}; found: {error.found}")
