"""Runs of this library's recipes inside a part, and its timed arms."""

from __future__ import annotations

import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from gpu_parts.bench import REPOSITORY, Bench, Window, bytes_of, start_afresh
from tlnlp.acceleration.padding_free import PaddingFree
from tlnlp.display.console import ProgressBar, RunConsole
from tlnlp.evaluation.scoring import measure
from tlnlp.recipe import Recipe
from tlnlp.runs.checks import check_run
from tlnlp.runs.folder import drop_checkpoints
from tlnlp.runs.request import Request
from tlnlp.runs.setup import PreparedRun, prepare
from tlnlp.runs.trainer import Trainer
from tlnlp.training.distributed import start_accelerator
from tlnlp.training.loop import Step


def load_recipe(name: str) -> Recipe:
    """Returns the recipe in `recipes/NAME.py`."""
    return runpy.run_path(str(REPOSITORY / "recipes" / f"{name}.py"))["recipe"]


def begin(name: str, folder: Path, **settings: Any) -> PreparedRun:
    """All that a run of `recipes/NAME.py` has in hand before its first update. What it finds out about the rows for
    the report is left out: it takes seconds, and nothing here reads it."""
    start_afresh()
    recipe = load_recipe(name)
    asked = recipe.settings(**{"precision": "fp32"} | settings)
    run = check_run(replace(Request.of(recipe, asked), folder=folder))
    folder.mkdir(parents=True, exist_ok=True)
    with patch("tlnlp.runs.setup.profile", return_value=None):
        return prepare(run, start_accelerator(asked.precision))


def learn(work: PreparedRun) -> dict[str, float]:
    """Trains completely and returns the metrics, without saving anything."""
    record, answers, _ = Trainer(work, RunConsole(speaks=False, quiet=True), 0.0).learn()
    drop_checkpoints(work.run.request.folder)
    scores = measure(work.training.task, answers, work.eval_rows)
    return {**scores, "rows_per_second": record.rows_seen / record.train_seconds}


def pack_on_device(work: PreparedRun) -> bool:
    """Installs padding-free layers with attention in groups, which runs use on a CPU only; returns whether the outputs
    are the same."""
    training = work.training
    device = training.accelerator.device
    items = np.argsort(training.encoded.lengths, kind="stable")[:: max(1, len(training.encoded) // 8)]
    batch = training.head.collate(training.encoded, items, training.tokenizer, np.random.default_rng(0))
    batch = {name: value.to(device) for name, value in batch.items()}
    packing = PaddingFree.install(training.model, lambda network: training.head.logits(network, batch))
    if packing is not None:
        training.slots = packing.places
    return packing is not None


class _Over(Exception):
    """Raised when the window has closed, to end the run."""


class _Timed(Trainer):
    """An ordinary run (progress bar, notes, stop requests) with a clock."""

    window: Window

    def log_step(self, step: Step, bar: ProgressBar) -> None:
        super().log_step(step, bar)
        self.window.tick(step.updates_done)
        if step.updates_done == self.window.updates:
            raise _Over


class OursArm:
    """A recipe on the generated rows, with bert-base unless the settings have another `model`.

    Args:
        rows: folder of the rows, if its name differs from the recipe's.
        settings: flags of the recipe; in fp32 unless they say otherwise.
    """

    def __init__(
        self,
        recipe: str,
        bench: Bench,
        *,
        rows: str | None = None,
        **settings: Any,
    ) -> None:
        self.folder = bench.work / "ours"
        told = {"model": str(bench.work / "bert"), "learning_rate": 5e-5, "epochs": 1, "precision": "fp32"} | settings
        self.precision = told["precision"]
        self.work = begin(recipe, self.folder, data=str(bench.work / (rows or recipe)), **told)

    @property
    def lengths(self) -> np.ndarray:
        """Lengths of the train rows in tokens [sequences]."""
        return self.work.training.encoded.features["input_ids"].lengths

    @property
    def held_bytes(self) -> int:
        """Returns the GPU memory that it uses between runs."""
        return bytes_of(self.work.training.model, self.work.training.optimizer)

    def run(self, batch_size: int, window: Window) -> None:
        """Runs updates of `batch_size` rows until the window closes."""
        start_afresh()
        training = self.work.training
        training.settings = replace(training.settings, batch_size=batch_size, precision=self.precision)
        training.accelerator = start_accelerator(self.precision)
        learner = _Timed(self.work, RunConsole(speaks=False, quiet=True), 0.0)
        learner.window = window
        try:
            learner.learn()
        except _Over:
            return
        raise RuntimeError(f"{len(self.lengths)} rows make fewer than {window.updates} updates of {batch_size}")
