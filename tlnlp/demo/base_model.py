"""The model of a run before fine-tuning: the checkpoint with the new head, initialised with the run's seed."""

from __future__ import annotations

import copy
import json
from pathlib import Path

from tlnlp.errors import InputError
from tlnlp.inference.predictor import Predictor
from tlnlp.models import checkpoint, loading
from tlnlp.recipe import NEW
from tlnlp.runs.folder import RESULT
from tlnlp.settings import Settings


def load_before(answerer: Predictor, folder: Path) -> Predictor:
    """Loads the model of the run in `folder` with its initial weights.

    Raises:
        InputError: the run does not record them, or its checkpoint is missing.
    """
    path = folder / RESULT
    if not path.is_file():
        raise InputError(
            expected=f"{RESULT} beside the model", found=f"{folder} without it", change="--run runs/TASK/NAME"
        )
    given = json.loads(path.read_text(encoding="utf-8"))["settings"]
    if given["strategy"].startswith("shallow") or given["model"] == NEW:
        raise InputError(
            expected="a run with a head that existed before training",
            found=f"strategy {given['strategy']}, model {given['model']}",
            change="a run with another strategy",
        )
    begun = {name: given[name] for name in ("model", "strategy", "seed", "new_head", "max_length")}
    settings = Settings(**begun, max_tokens=answerer.settings.max_tokens)
    task = answerer.task
    place = checkpoint.find_checkpoint(settings.model, weights_needed=settings.strategy != "from_scratch")
    config = checkpoint.read_config(place, settings.model)
    labels = tuple(task.labels) if isinstance(task.labels, tuple) else ()
    before = copy.copy(answerer)
    network = loading.load_model(place, config, task, settings, labels, answerer.tokenizer)
    before.model = network.eval().to(answerer.accelerator.device)
    before.temperature = before.threshold = None  # they were fitted after training
    before.packing = None
    return before
