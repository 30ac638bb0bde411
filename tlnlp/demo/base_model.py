"""The model of a run before fine-tuning: the checkpoint with the new head, initialised with the run's seed."""

from __future__ import annotations

import copy
from pathlib import Path

from tlnlp.errors import InputError
from tlnlp.inference.predictor import Predictor
from tlnlp.models import checkpoint, loading
from tlnlp.recipe import NEW
from tlnlp.runs.result import read_result
from tlnlp.transfer.parse_strategy import find_strategy
from tlnlp.transfer.strategies import shallow


def load_before(predictor: Predictor, folder: Path) -> Predictor:
    """Loads the model of the run in `folder` with its initial weights.

    Raises:
        InputError: the run does not record them, or its checkpoint is missing.
    """
    given = read_result(folder).settings
    strategy = find_strategy(given["strategy"])
    if strategy.function is shallow or given["model"] == NEW:
        raise InputError(
            expected="a run with a head that existed before training",
            found=f"strategy {given['strategy']}, model {given['model']}",
            change="a run with another strategy",
        )
    task = predictor.task
    place = checkpoint.find_checkpoint(given["model"], weights_needed=not strategy.is_from_scratch)
    config = checkpoint.read_config(place, given["model"])
    labels = tuple(task.labels) if isinstance(task.labels, tuple) else ()
    before = copy.copy(predictor)
    network = loading.load_model(
        checkpoint.Checkpoint(given["model"], place, config, labels, ""), task, predictor.tokenizer,
        seed=given["seed"], new_head=given["new_head"], new_weights=strategy.is_from_scratch,
    )  # fmt: skip
    before.model = network.eval().to(predictor.accelerator.device)
    before.temperature = before.threshold = None  # they were fitted after training
    before.packing = None
    return before
