"""Loads the models of the page by their names and folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tlnlp.demo.base_model import load_before
from tlnlp.demo.explain import find_model
from tlnlp.demo.page import LoadedRun, build
from tlnlp.errors import InputError
from tlnlp.inference.masked_words import MaskFiller
from tlnlp.inference.next_words import NextWordPredictor
from tlnlp.inference.predictor import Predictor

NONE = "none"


def load_all(model: str, gpt: str, runs: Sequence[Path]) -> Any:
    """Returns the page with the requested models.

    Raises:
        InputError: one of them cannot be loaded.
    """
    masked = None if model == NONE else MaskFiller.load(model)
    following = None if gpt == NONE else NextWordPredictor.load(gpt)
    return build(masked, following, [load_run(folder) for folder in runs])


def load_run(folder: Path) -> LoadedRun:
    """Loads a run's model, and the model before fine-tuning if possible."""
    place = find_model(folder)
    predictor = Predictor(place)
    try:
        return LoadedRun(predictor.task.name, predictor, load_before(predictor, place.parent))
    except InputError as error:
        return LoadedRun(predictor.task.name, predictor, None, f"{error.expected}; found: {error.found}")
