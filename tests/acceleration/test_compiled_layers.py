"""Compiled layers: few graphs, whatever the shapes, and the same outputs and gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._dynamo.testing import CompileCounterWithBackend

from tests.acceleration.test_padding_free import CONFIGS, ask, batch_of, build, logits_and_gradients
from tests.recipe_runs import begin
from tests.training.test_loop import weights, without_dropout
from tlnlp.acceleration import compiled_layers
from tlnlp.acceleration.compiled_layers import compile_layers
from tlnlp.acceleration.padding_free import PaddingFree
from tlnlp.training.loop import train

SHAPES = [[4, 7, 2], [3, 9, 2, 9, 17], [5, 4], [12, 12, 12, 1], [8, 8, 8], [6, 20, 3, 3, 3, 2], [31, 2], [9, 9, 10]]


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Iterator[CompileCounterWithBackend]:
    """Traces as torch.compile does, and counts; what is traced runs as it is, without a compiler."""
    torch._dynamo.reset()
    counts = CompileCounterWithBackend("eager")
    monkeypatch.setattr(compiled_layers, "BACKEND", counts)
    yield counts
    torch._dynamo.reset()


@pytest.mark.parametrize(
    ("name", "is_packed"),
    [("bert", True)]
    + [
        pytest.param(*case, marks=pytest.mark.long)
        for case in [("bert", False), ("gpt2", True), ("gpt2", False), ("modernbert", True), ("modernbert", False)]
    ],
)
def test_all_layers_and_shapes_share_a_few_graphs(
    name: str, is_packed: bool, counter: CompileCounterWithBackend
) -> None:
    model = build(CONFIGS[name])
    expected = [logits_and_gradients(model, batch_of(lengths)) for lengths in SHAPES]
    if is_packed:
        assert PaddingFree.install(model, ask(batch_of([4, 7, 2]))) is not None
    assert compile_layers(model, ask(batch_of([4, 7, 2])))
    first = []
    for lengths, (logits_of, gradients_of) in zip(SHAPES, expected, strict=True):
        logits, gradients = logits_and_gradients(model, batch_of(lengths))
        torch.testing.assert_close(logits, logits_of, rtol=1e-8, atol=1e-11)
        assert gradients.keys() == gradients_of.keys()
        for parameter, gradient in gradients.items():
            torch.testing.assert_close(gradient, gradients_of[parameter], rtol=1e-8, atol=1e-11, msg=parameter)
        first.append(counter.frame_count)
    # Without a gradient and with one, rows with padding and without, kinds of layers; parts before and after attention.
    assert first[-1] <= 24
    assert first[-1] == first[4], "the last three shapes brought new graphs"


def test_layers_that_compile_to_something_else_are_left_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = build(CONFIGS["bert"]), batch_of([3, 9, 2])
    expected = model(**batch).logits
    monkeypatch.setattr(torch, "compile", lambda run, **options: lambda *some, **named: 1.5 * run(*some, **named))
    reasons: list[str] = []
    assert not compile_layers(model, ask(batch), reasons.append)
    assert "other outputs" in reasons[0]

    def fail(*arguments: Any, **options: Any) -> Any:
        def run(*some: Any, **named: Any) -> Any:
            raise RuntimeError("no compiler here\nand more")

        return run

    monkeypatch.setattr(torch, "compile", fail)
    assert not compile_layers(model, ask(batch), reasons.append)
    assert reasons[1] == "RuntimeError: no compiler here"
    torch.testing.assert_close(model(**batch).logits, expected, rtol=0, atol=0)


@pytest.mark.long
def test_a_run_learns_the_same(
    counter: CompileCounterWithBackend, rows_for: Callable[[str], dict[str, Any]], tmp_path: Path, bert: Path
) -> None:
    """Also with layers that are frozen and skipped for a phase."""
    learnt = []
    for is_compiled in (False, True):
        work = begin(
            "sst2", tmp_path / str(is_compiled), model=str(bert), strategy="top_layers:k=1", seed=3,
            compile=is_compiled, learning_rate=1e-3, **rows_for("sst2"),
        )  # fmt: skip
        without_dropout(work.training.model)
        before = weights(work.training.model)
        for _ in train(work.training):
            pass
        after = weights(work.training.model)
        learnt.append(torch.cat([(after[name] - before[name]).flatten() for name in after]))
        assert not [note for note in work.notes if "compiled" in note]
    assert counter.frame_count > 0
    assert float((learnt[1] - learnt[0]).norm()) <= 0.01 * float(learnt[0].norm())
