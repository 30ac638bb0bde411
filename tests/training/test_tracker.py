"""--tracker: the loss as it falls, in the form of a tracker that people use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.recipe_runs import run_recipe

pytestmark = pytest.mark.long


def test_tensorboard_has_the_loss_of_each_update(tmp_path: Path) -> None:
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    flags = ("--train-rows", 64, "--epochs", 2, "--batch-size", 16)
    ended = run_recipe("sst2", *flags, "--tracker", "tensorboard", folder=tmp_path / "run")
    assert ended.status == 0, ended.output
    (written,) = {file.parent for file in (tmp_path / "run" / "tracker").rglob("events.*")}
    read = events.EventAccumulator(str(written)).Reload()
    assert {"loss", "learning_rate"} <= set(read.Tags()["scalars"])
    points = [(each.step, each.value) for each in read.Scalars("loss")]
    assert points == [(step, pytest.approx(loss, rel=1e-4)) for step, loss in ended.result["curve"]]
    alone = run_recipe("sst2", *flags, folder=tmp_path / "alone")
    assert alone.weights == ended.weights, "looking on changes nothing"
