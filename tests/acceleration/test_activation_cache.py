"""Frozen layers run once: the same results as when they run each time, and nothing stale is ever read."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from accelerate.state import AcceleratorState

from tests.pairwise import pairwise
from tests.recipe_runs import begin, run_recipe
from tests.training.test_loop import weights
from tlnlp.acceleration.activation_cache import frozen_layers
from tlnlp.evaluation.predict import predict
from tlnlp.runs.setup import PreparedRun
from tlnlp.training.loop import train
from tlnlp.training.plan import cut
from tlnlp.transfer.groups import ADAPTER
from tlnlp.transfer.layers import layer_modules

NAMES = ["embeddings", "layer 1", "layer 2", "head"]


@pytest.mark.parametrize(
    ("learning", "count"),
    [
        (["head"], 2), (["layer 2", "head"], 1), (["layer 1", "layer 2", "head"], 0), (NAMES, 0),
        (["embeddings", "head"], 0), (["layer 1", "head"], 0), ([ADAPTER, "head"], 0),
    ],
)  # fmt: skip
def test_layers_are_frozen_from_below_up_to_the_first_weight_that_learns(learning: list[str], count: int) -> None:
    assert frozen_layers(NAMES, dict.fromkeys(learning, 1e-3)) == count


def test_an_adapter_in_the_layers_keeps_them_from_being_frozen() -> None:
    assert frozen_layers([*NAMES[:-1], ADAPTER, "head"], {ADAPTER: 1e-3, "head": 1e-3}) == 0


# (recipe, network, strategy, the tokens whose states are kept)
CASES = [
    ("sst2", "bert", "head_only", "first"),
    ("sst2", "modernbert", "head_only", "first"),
    ("sst2", "gpt2", "head_only", "last"),
    ("sst2", "bert", "top_layers:k=1", "all"),
    ("sst2", "modernbert", "top_layers:k=1", "all"),
    ("sst2", "gpt2", "top_layers:k=1", "all"),
    ("sst2", "bert", "gradual_unfreezing:phase_epochs=2", "first"),
    ("copa", "bert", "head_only", "first"),
    ("conll2003", "bert", "head_only", "all"),
    ("conll2003", "gpt2", "top_layers:k=1", "all"),
    ("squad_v2", "bert", "head_only", "all"),
    ("squad_v2", "modernbert", "top_layers:k=1", "all"),
    ("gpt_sst2", "gpt2", "head_only", "all"),  # the language model's loss reads every token
    ("gpt_copa", "gpt2", "top_layers:k=1", "all"),
    ("pretrain_gpt", "gpt2", "head_only", "all"),
]


def _work(case: Any, rows: dict[str, Any], folder: Path, request: pytest.FixtureRequest, **more: Any) -> PreparedRun:
    recipe, architecture, strategy, _ = case
    model = str(request.getfixturevalue(architecture))
    settings = {"model": model, "strategy": strategy, "epochs": 2, "micro_batches": 2, "learning_rate": 1e-3, "seed": 3}
    return begin(recipe, folder, **(settings | rows | more))


def _run(work: PreparedRun) -> tuple[list[float], set[str | None]]:
    losses, read = [], set()
    for step in train(work.training):
        losses.append(float(step.loss))
        read.add(work.training.frozen.reads if work.training.frozen else None)
    return losses, read


# Each head, each strategy that freezes something, and each kind of network.
ALWAYS = pairwise(CASES, [(0, 0), (1, 1), (2, 2)])


@pytest.mark.parametrize(
    "case", [pytest.param(each, marks=() if each in ALWAYS else pytest.mark.long) for each in CASES]
)
def test_what_is_learnt_is_what_is_learnt_when_frozen_layers_run_each_time(
    case: Any, rows_for: Callable[[str], dict[str, Any]], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    rows = rows_for(case[0])
    kept, plain = (_work(case, rows, tmp_path, request, recompute_frozen=recompute) for recompute in (False, True))
    (losses, read), (expected, none) = _run(kept), _run(plain)
    assert none == {None}
    assert case[3] in read
    assert losses == pytest.approx(expected, rel=1e-5)
    found = weights(kept.training.model)
    for name, tensor in weights(plain.training.model).items():
        if name in ("classifier.bias", "qa_outputs.bias") and case[0] in ("copa", "squad_v2"):
            continue  # added to all of a softmax's inputs alike: no gradient but rounding, of which Adam makes steps
        assert torch.allclose(found[name], tensor, rtol=1e-3, atol=1e-5), name
    answers = [
        predict(
            work.training.model, work.encoded_eval, work.eval_rows, work.training.task, work.training.tokenizer,
            work.training.settings.max_tokens, work.training.accelerator, frozen=work.training.frozen,
        )
        for work in (kept, plain)
    ]  # fmt: skip
    assert [each.prediction for each in answers[0]] == [each.prediction for each in answers[1]]
    scores = [np.array([each.score for each in some], dtype=float) for some in answers]
    assert np.allclose(*scores, atol=1e-5)


def test_the_frozen_layers_see_each_row_once(reviews: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    work = _work(CASES[0], {"data": str(reviews)}, tmp_path, request, epochs=5, max_tokens=128)
    calls: list[int] = []
    attention = next(layer_modules(work.training.model)[0].children())
    attention.register_forward_hook(lambda *_: calls.append(1))
    after_update = [len(calls) for _ in train(work.training)]
    passes = len(cut(np.arange(len(work.training.encoded)), work.training.encoded.lengths, 128))
    assert passes > 5, "or the few rows that are asked both ways would be most of it"
    assert passes < after_update[0] < 2 * passes, "once for each row, and a few to try it out"
    assert set(after_update) == {after_update[0]}, "and never again"


def test_masked_words_differ_from_epoch_to_epoch_so_nothing_is_kept(
    corpus: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    case = ("pretrain", "bert", "head_only", None)
    assert _run(_work(case, {"data": str(corpus)}, tmp_path, request))[1] == {None}


def test_one_epoch_keeps_nothing(reviews: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    assert _run(_work(CASES[0], {"data": str(reviews)}, tmp_path, request, epochs=1))[1] == {None}
    assert not (tmp_path / "frozen").exists()


def _files(folder: Path) -> set[str]:
    return {path.name for path in (folder / "frozen").iterdir()}


def test_nothing_stale_is_read(bert: Path, reviews: Path, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Each change of what the states follow from gives them another name; the same run finds its own."""
    other_weights = shutil.copytree(bert, tmp_path / "other weights")
    model = transformers.AutoModelForMaskedLM.from_pretrained(other_weights)
    with torch.no_grad():
        next(layer_modules(model)[1].parameters()).add_(1e-3)
    model.save_pretrained(other_weights)
    other_tokenizer = shutil.copytree(bert, tmp_path / "other tokenizer")
    tokenizer = json.loads((other_tokenizer / "tokenizer.json").read_text())
    tokenizer["normalizer"] = None  # case is kept: other pieces for the same rows
    (other_tokenizer / "tokenizer.json").write_text(json.dumps(tokenizer))
    other_rows = shutil.copytree(reviews, tmp_path / "other rows")
    train_file = other_rows / "train.jsonl"
    train_file.write_text(train_file.read_text().replace(" a ", " one ", 1))
    same = {"model": str(bert), "data": str(reviews)}
    changes: list[dict[str, Any]] = [
        {"model": str(other_weights)}, {"model": str(other_tokenizer)}, {"data": str(other_rows)}, {"max_length": 8},
        {"precision": "bf16"}, {"strategy": "top_layers:k=1"}, {"max_tokens": 64},
    ]  # fmt: skip
    before: set[str] = set()
    for change in [{}, *changes]:
        AcceleratorState._reset_state()  # one process has one precision
        list(train(_work(CASES[0], same | change, tmp_path, request).training))
        now = _files(tmp_path)
        assert before < now, change
        before = now
    AcceleratorState._reset_state()
    list(train(_work(CASES[0], same | {"seed": 9, "learning_rate": 1e-2, "epochs": 4}, tmp_path, request).training))
    assert _files(tmp_path) == before, "another seed or rate reads what is there"


def test_what_a_killed_run_left_half_written_is_not_read(
    reviews: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    expected = _run(_work(CASES[0], {"data": str(reviews)}, tmp_path / "one", request))[0]
    (name,) = _files(tmp_path / "one")
    (tmp_path / "two" / "frozen").mkdir(parents=True)
    (tmp_path / "two" / "frozen" / f".writing-{name}-host-1").write_bytes(b"\1" * 100)
    assert _run(_work(CASES[0], {"data": str(reviews)}, tmp_path / "two", request))[0] == expected
    assert _files(tmp_path / "two") == {name}, "and it is removed"


def _flags(bert: Path, reviews: Path) -> list[Any]:
    return ["--model", bert, "--data", reviews, "--max-length", 32, "--batch-size", 16, "--strategy", "head_only"]


def test_a_run_says_how_much_was_kept_and_removes_it_at_the_end(bert: Path, reviews: Path, tmp_path: Path) -> None:
    ended = run_recipe("sst2", *_flags(bert, reviews), "--epochs", 3, "--seeds", 2, folder=tmp_path / "run")
    assert ended.status == 0, ended.output
    kept = json.loads((tmp_path / "run" / "seed1" / "result.json").read_text())["frozen_bytes"]
    assert kept == (41 + 13) * 16 * 4, "one state for each train and dev row"
    assert "frozen layers" in ended.output
    assert not list(tmp_path.rglob("frozen"))


def test_a_folder_that_is_given_is_shared_and_stays(bert: Path, reviews: Path, tmp_path: Path) -> None:
    for run in ("one", "two"):
        flags = [*_flags(bert, reviews), "--epochs", 3, "--frozen-dir", tmp_path / "shared"]
        assert run_recipe("sst2", *flags, folder=tmp_path / run).status == 0
    assert len(list((tmp_path / "shared").iterdir())) == 2, "train and dev rows"
    assert (tmp_path / "one/model/model.safetensors").read_bytes() == (
        tmp_path / "two/model/model.safetensors"
    ).read_bytes()


def test_a_disk_that_is_full_when_the_cache_is_written_costs_time_and_not_the_run(
    reviews: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, _ = _run(_work(CASES[0], {"data": str(reviews)}, tmp_path / "one", request, recompute_frozen=True))

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    work = _work(CASES[0], {"data": str(reviews)}, tmp_path / "two", request)
    losses, read = _run(work)
    assert (losses, read) == (expected, {None})
    assert any("frozen layers run in every epoch" in note and "No space left" in note for note in work.notes)
    assert _files(tmp_path / "two") == set(), "nothing half written remains"


def test_a_full_disk_is_said_in_words(bert: Path, reviews: Path, tmp_path: Path) -> None:
    flags = [*_flags(bert, reviews), "--epochs", 3]
    ended = run_recipe("sst2", *flags, folder=tmp_path / "run", largest_file_bytes=1500)
    assert ended.status == 2, ended.output
    assert "free disk space in" in ended.output
    assert "Traceback" not in ended.output
