"""Attention of a packed micro-batch in one call: what surrounds the GPU's kernel, with a plain one in its place."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.acceleration.test_padding_free import CONFIGS, ask, batch_of, build, logits_and_gradients
from tests.recipe_runs import begin
from tests.training.test_loop import weights, without_dropout
from tlnlp.acceleration import padding_free, varlen_attention
from tlnlp.acceleration.packed_rows import PackedBatch, describe_packing
from tlnlp.acceleration.padding_free import PaddingFree
from tlnlp.acceleration.varlen_attention import attend_at_once, feed_of, flash_attention
from tlnlp.training.loop import train


def kernel(
    query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, batch: PackedBatch, dropout: float,
    scaling: float | None, causal: bool,
) -> torch.Tensor:  # fmt: skip
    """What `flash_attention` computes, by torch's own attention on one row after the other."""
    assert batch.starts is not None and batch.starts.dtype == torch.int32
    assert dropout == 0
    starts = batch.starts.tolist()
    assert starts[-1] == len(query) and max(np.diff(starts)) <= batch.longest
    answers = []
    for first, end in itertools.pairwise(starts):
        row = (states[first:end].transpose(0, 1).unsqueeze(0) for states in (query, key, value))
        answer = torch.nn.functional.scaled_dot_product_attention(*row, scale=scaling, is_causal=causal)
        answers.append(answer[0].transpose(0, 1))
    return torch.cat(answers)


@pytest.fixture(autouse=True)
def _plain_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(varlen_attention, "flash_attention", kernel)


def install(model: Any) -> PaddingFree:
    question = ask(batch_of([4, 7, 2]))
    packing = PaddingFree.install(model, question)
    assert packing is not None
    assert attend_at_once(packing, model, question) == ""
    return packing


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("lengths", [[3, 9, 2, 9, 17], [12, 12, 12, 1]])
def test_logits_and_gradients_are_those_of_padded_rows(name: str, lengths: list[int]) -> None:
    model, batch = build(CONFIGS[name]), batch_of(lengths)
    expected_logits, expected = logits_and_gradients(model, batch)
    packing = install(model)
    logits, gradients = logits_and_gradients(model, batch)
    torch.testing.assert_close(logits, expected_logits, rtol=1e-9, atol=1e-12)
    assert gradients.keys() == expected.keys()
    for parameter, gradient in gradients.items():
        torch.testing.assert_close(gradient, expected[parameter], rtol=1e-9, atol=1e-12, msg=parameter)
    assert packing.places(np.asarray(lengths)) == sum(lengths)


def test_nothing_is_counted_on_the_device_where_the_feed_has_described_the_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Counting there would wait for it."""
    model = build(CONFIGS["bert"])
    packing = install(model)
    expected = model(**batch_of([3, 9, 2])).logits
    feed = feed_of(packing, torch.device("cpu"))
    staged = feed.stage(batch_of([3, 9, 2]))

    def refuse(*arguments: Any, **options: Any) -> None:
        raise AssertionError("counted on the device")

    monkeypatch.setattr(padding_free, "describe_packing", refuse)
    torch.testing.assert_close(model(**feed.move(staged)).logits, expected)
    with pytest.raises(AssertionError, match="counted"):
        model(**batch_of([3, 9, 2]))


def test_rows_without_padding_are_not_looked_at_on_the_device_either(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(CONFIGS["bert"])
    packing = install(model)
    feed = feed_of(packing, torch.device("cpu"))
    batch = feed.move(feed.stage(batch_of([6, 6])))
    monkeypatch.setattr(padding_free, "describe_packing", None)
    model(**batch)


def test_rows_without_padding_and_rows_beyond_a_window_are_not_described() -> None:
    assert describe_packing(torch.ones(3, 5, dtype=torch.long), grouped=False) is None
    packing = install(build(CONFIGS["bert"]))
    packing.window = 8
    staged = feed_of(packing, torch.device("cpu")).stage(batch_of([3, 9, 2]))
    assert staged.keys() == {"input_ids", "attention_mask"}


def test_a_kernel_that_answers_otherwise_or_fails_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    model = build(CONFIGS["bert"])
    question = ask(batch_of([4, 7, 2]))
    packing = PaddingFree.install(model, question)
    assert packing is not None
    monkeypatch.setattr(varlen_attention, "flash_attention", lambda *arguments: 2 * kernel(*arguments))
    assert "other outputs" in attend_at_once(packing, model, question)
    assert packing.attend is None
    monkeypatch.setattr(varlen_attention, "flash_attention", flash_attention)  # which a CPU does not have
    assert "Error" in attend_at_once(packing, model, question)
    assert packing.attend is None
    packing.remove(model)
    assert model.config._attn_implementation == "sdpa"


def test_masks_with_a_wrong_direction_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that takes a decoder for an encoder gives other outputs."""
    model = build(CONFIGS["llama"])
    question = ask(batch_of([4, 7, 2]))
    packing = PaddingFree.install(model, question)
    assert packing is not None
    monkeypatch.setattr(varlen_attention, "flash_attention", lambda *some: kernel(*some[:-1], False))
    assert "other outputs" in attend_at_once(packing, model, question)


@pytest.mark.parametrize(
    ("recipe", "network", "strategy"),
    [
        ("conll2003", "bert", "head_then_full:head_epochs=2"),
        ("sst2", "gpt2", "full"),
        ("squad_v2", "bert", "lora"),
    ],
)
def test_a_run_learns_the_same(
    recipe: str,
    network: str,
    strategy: str,
    rows_for: Callable[[str], dict[str, Any]],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    """With batches built ahead, as on a GPU; also while layers are frozen and skipped."""
    model = request.getfixturevalue(network)
    learnt = []
    for way in ("groups", "at once"):
        work = begin(recipe, tmp_path / way, model=str(model), strategy=strategy, seed=3, **rows_for(recipe))
        training = work.training
        without_dropout(training.model)
        training.model.double()
        if way == "at once":
            assert work.packing is not None
            work.packing.attend = kernel
            feed = feed_of(work.packing, training.accelerator.device)
            training.feed = replace(feed, ahead=2)
        before = weights(training.model)
        for _ in train(training):
            pass
        after = weights(training.model)
        learnt.append(torch.cat([(after[name] - before[name]).flatten().double() for name in after]))
    assert float(learnt[0].norm()) > 0
    assert float((learnt[1] - learnt[0]).norm()) <= 1e-6 * float(learnt[0].norm())
