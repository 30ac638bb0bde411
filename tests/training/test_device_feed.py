"""Batches built ahead are the same as those built when they are asked for, and nothing is left running."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.recipe_runs import begin
from tests.training.test_loop import same_bits, weights
from tlnlp.evaluation.predict import predict
from tlnlp.training.device_feed import DeviceFeed, HostCopy, compute_ahead
from tlnlp.training.loop import train


def _threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("batches")]


def test_values_computed_ahead_come_in_order_and_not_too_early() -> None:
    made: list[int] = []

    def values() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            yield number

    ahead = []
    for number, value in enumerate(compute_ahead(values(), 3)):
        assert value == number
        time.sleep(0.01)
        ahead.append(len(made) - (number + 1))
    assert max(ahead) == 3, "as many as asked, beside the one in the caller's hands"
    assert made == list(range(20))
    assert not _threads()


def test_an_error_is_raised_where_its_value_would_have_come() -> None:
    def values() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("the third")

    ahead = compute_ahead(values(), 2)
    assert [next(ahead), next(ahead)] == [1, 2]
    with pytest.raises(ValueError, match="the third"):
        next(ahead)
    assert not _threads()


def test_a_loop_that_is_left_early_leaves_no_thread() -> None:
    ahead = compute_ahead(iter(range(1_000)), 2)
    next(ahead)
    assert _threads()
    ahead.close()
    assert not _threads()


def test_a_copy_has_the_values_of_its_tensor() -> None:
    tensor = torch.arange(6.0).reshape(2, 3)
    assert (HostCopy(tensor).numpy() == tensor.numpy()).all()


@pytest.mark.parametrize(
    ("recipe", "network", "strategy"),
    [
        ("pretrain", "bert", "full"),
        ("conll2003", "modernbert", "head_then_full:head_epochs=2"),
        ("copa", "bert", "lora"),
    ],
)
def test_a_run_with_batches_built_ahead_learns_and_predicts_the_same(
    recipe: str,
    network: str,
    strategy: str,
    rows_for: Callable[[str], dict[str, Any]],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """Dropout on, and masked words drawn anew in each update; also from the middle of the run."""
    model = request.getfixturevalue(network)
    learnt, said, losses = [], [], []
    for ahead in (0, 2):
        work = begin(recipe, tmp_path / str(ahead), model=str(model), strategy=strategy, seed=3, **rows_for(recipe))
        training = work.training
        training.feed = DeviceFeed(training.accelerator.device, ahead)
        losses.append([float(step.loss) for step in train(training)])
        found = predict(
            training.model, work.encoded_eval, work.eval_rows, training.task, training.tokenizer,
            training.settings.max_tokens, training.accelerator, frozen=training.frozen, feed=training.feed,
        )  # fmt: skip
        learnt.append(weights(training.model))
        said.append([(each.prediction, each.score) for each in found])
        assert not _threads()
    assert losses[0] == losses[1]
    assert same_bits(*learnt)
    assert said[0] == said[1]
