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
from tlnlp.transfer.parse_strategy import find_strategy


def load_before(predictor: Predictor, folder: Path) -> Predictor:
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
    task, new_weights = predictor.task, find_strategy(given["strategy"]).is_from_scratch
    place = checkpoint.find_checkpoint(given["model"], weights_needed=not new_weights)
    config = checkpoint.read_config(place, given["model"])
    labels = tuple(task.labels) if isinstance(task.labels, tuple) else ()
    before = copy.copy(predictor)
    network = loading.load_model(
        checkpoint.Checkpoint(given["model"], place, config, labels, ""), task, predictor.tokenizer,
        seed=given["seed"], new_head=given["new_head"], new_weights=new_weights,
    )  # fmt: skip
    before.model = network.eval().to(predictor.accelerator.device)
    before.temperature = before.threshold = None  # they were fitted after training
    before.packing = None
    return before
