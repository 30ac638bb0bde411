"""Rows are encoded once; what was kept is what would be encoded, bit for bit, or it is not used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from tests.heads.conftest import (  # noqa: F401 - fixtures
    IN_WINDOWS,
    SETTINGS,
    TEXTS,
    bert_with_types,
    padded_gpt2,
    roberta,
)
from tests.heads.test_contract import CASES, HEADS
from tests.recipe_runs import begin
from tlnlp.data import Rows
from tlnlp.data.cache_folder import CacheFolder
from tlnlp.heads.encoded import EncodedDataset, Ragged
from tlnlp.heads.encoded_files import load_encoded, save_encoded
from tlnlp.runs import encoding_cache
from tlnlp.runs.encoding_cache import encode, encoding_key
from tlnlp.settings import Settings
from tlnlp.task import Task
from tlnlp.training.loop import train

# For every setting another value than its default.
OTHERS: dict[str, Any] = {
    "model": "other", "data": "hub", "train_file": "a", "dev_file": "b", "test_file": "c", "dev_fraction": 0.3,
    "separator": ";", "encoding": "cp1252", "no_header": True, "columns": ("text=other",),
    "label_names": ("no", "yes"),
    "train_language": ("de",), "languages": ("de",),
    "transfer_data": "there", "few_shot": 5, "show_oracle": True, "full": True, "strategy": "lora", "epochs": 7,
    "batch_size": 7, "learning_rate": 1e-3, "warmup_fraction": 0.5, "schedule": "cosine", "least_updates": 9,
    "small_data": True, "weight_decay": 0.5, "max_grad_norm": 3.0, "max_length": 14, "truncate": ("text=start",),
    "windows": "mean", "max_tokens": 70, "micro_batches": 3, "precision": "bf16", "load_in": "bf16",
    "compile": True, "compute_padding": True,
    "gradient_checkpointing": True, "seed": 5, "seeds": 2, "train_rows": 4, "class_weights": "balanced",
    "several_labels": "yes", "label_separator": ";", "thresholds": "0.5", "merge": True,
    "loss": "focal", "focal_gamma": 1.0, "metrics": ("f1",), "positive": "yes",
    "new_head": True, "resize_embeddings": True, "fix_answers": True, "keep": "best", "patience": 2,
    "mask_fraction": 0.5, "lm_weight": 0.1, "window_overlap": 2, "max_answer": 1, "recompute_frozen": True,
    "frozen_dir": Path("x"), "no_cache": True, "output_dir": Path("x"), "resume": True, "overwrite": True,
    "save_every": 3, "tracker": "tensorboard", "push_to": "a/b", "no_report": True, "quiet": True, "config": Path("x"),
}  # fmt: skip
# A head's shapes of rows, and the settings that they are read with.
KINDS = [(name, kind) for name in HEADS for kind in CASES.get(name, {})]
CASES_AND_SETTINGS = [
    pytest.param(each, settings, id=", ".join((*each, said)))
    for each in KINDS
    for settings, said in ((SETTINGS, "whole"), (IN_WINDOWS, "in windows"))
    if settings is SETTINGS or getattr(HEADS[each[0]], "takes_windows", False)
]
Case = tuple[Task, Rows, Any]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> CacheFolder:
    """An empty cache, into which the few rows of these tests go, too."""
    monkeypatch.setenv("TLNLP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(encoding_cache, "LEAST_CHARACTERS", 0)
    return CacheFolder()


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    name, kind = request.param
    head = HEADS[name]
    folder = request.getfixturevalue("padded_gpt2" if head.causal else "bert_with_types")
    return *CASES[name][kind](head), transformers.AutoTokenizer.from_pretrained(folder, **head.tokenizer_options)


def flat(encoded: EncodedDataset) -> Iterator[tuple[str, Any]]:
    """Everything in an `EncodedDataset`, arrays with their types."""
    for each in fields(encoded):
        value = getattr(encoded, each.name)
        parts = value.items() if isinstance(value, dict) else [("", value)]
        for name, part in parts:
            arrays = (part.flat, part.offsets) if isinstance(part, Ragged) else (part,)
            for i, array in enumerate(arrays):
                is_array = isinstance(array, np.ndarray)
                yield f"{each.name}.{name}.{i}", (array.dtype, array.tolist()) if is_array else array


def same(one: EncodedDataset, other: EncodedDataset) -> bool:
    return list(flat(one)) == list(flat(other))


@pytest.mark.parametrize(("case", "settings"), CASES_AND_SETTINGS, indirect=["case"])
def test_what_is_kept_is_what_was_encoded(case: Case, settings: Settings, kept: CacheFolder) -> None:
    task, rows, tokenizer = case
    expected = task.head.encode(rows, task, tokenizer, settings)
    for _ in range(2):
        assert same(encode(rows, task, tokenizer, settings), expected)
    (entry,) = kept.entries()
    assert entry.about["rows"] == len(rows) and entry.about["origin"] == "tests"


@pytest.mark.parametrize(("case", "settings"), CASES_AND_SETTINGS, indirect=["case"])
def test_a_setting_that_changes_the_encoding_changes_its_key(case: Case, settings: Settings) -> None:
    task, rows, tokenizer = case
    assert set(OTHERS) == {each.name for each in fields(Settings)}, "name another value for each new setting"
    before, key = task.head.encode(rows, task, tokenizer, settings), encoding_key(rows, task, tokenizer, settings)
    for name, other in OTHERS.items():
        changed = object.__new__(Settings)  # unchecked: some do not go together
        vars(changed).update(vars(settings) | {name: other})
        try:
            differs = not same(task.head.encode(rows, task, tokenizer, changed), before)
        except ValueError:  # refused, such as class weights of numbers: nothing is kept
            continue
        new_key = encoding_key(rows, task, tokenizer, changed)
        assert new_key != key if differs else name not in ("seed", "epochs", "model") or new_key == key, name


def test_every_setting_of_the_key_changes_some_encoding(request: pytest.FixtureRequest) -> None:
    """Or runs would not share what they could."""
    tokenizers = {
        causal: transformers.AutoTokenizer.from_pretrained(request.getfixturevalue(folder))
        for causal, folder in ((False, "bert_with_types"), (True, "padded_gpt2"))
    }
    matter = set()
    for name, kind in KINDS:
        task, rows = CASES[name][kind](HEADS[name])
        tokenizer = tokenizers[HEADS[name].causal]
        if name == "gpt":
            tokenizer.add_special_tokens(HEADS[name].tokenizer_options)
        for settings in (SETTINGS, IN_WINDOWS):
            before = HEADS[name].encode(rows, task, tokenizer, settings)
            for setting in encoding_cache.ENCODING_SETTINGS:
                changed = object.__new__(Settings)
                vars(changed).update(vars(settings) | {setting: {"max_tokens": 10}.get(setting, OTHERS[setting])})
                try:
                    after = HEADS[name].encode(rows, task, tokenizer, changed)
                except ValueError:
                    continue
                matter |= {setting} if not same(before, after) else set()
    assert matter == set(encoding_cache.ENCODING_SETTINGS)


@pytest.fixture
def simple(request: pytest.FixtureRequest) -> Case:
    folder = request.getfixturevalue("bert_with_types")
    task, rows = CASES["sentence"]["one label"](HEADS["sentence"])
    return task, rows, transformers.AutoTokenizer.from_pretrained(folder)


def test_rows_labels_task_and_tokenizer_are_in_the_key(
    simple: Case, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    task, rows, tokenizer = simple
    other = request.getfixturevalue("roberta")
    key = encoding_key(rows, task, tokenizer, SETTINGS)
    columns = rows.columns
    others = [
        replace(rows, columns={**columns, "text": [*TEXTS[:-1], TEXTS[-1] + "!"]}),
        replace(rows, columns={**columns, "text": ["".join(TEXTS[:2]), "", *TEXTS[2:]]}),
        replace(rows, columns={**columns, "label": [0] * len(TEXTS)}),
        replace(rows, columns={**columns, "weight": [1.0] * len(TEXTS)}),
        replace(rows, labels=("good", "bad")),
        rows.select(range(3)),
    ]
    keys = {encoding_key(other, task, tokenizer, SETTINGS) for other in others}
    keys.add(encoding_key(rows, replace(task, pair_is_symmetric=True), tokenizer, SETTINGS))
    keys.add(encoding_key(rows, task, transformers.AutoTokenizer.from_pretrained(other), SETTINGS))
    tokenizer.save_pretrained(tmp_path)
    again = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert encoding_key(rows, task, again, SETTINGS) == key
    again.add_tokens(["typewriter"])
    keys.add(encoding_key(rows, task, again, SETTINGS))
    assert key not in keys and len(keys) == len(others) + 3


def test_asking_the_tokenizer_does_not_change_the_key(simple: Case) -> None:
    task, rows, tokenizer = simple
    key = encoding_key(rows, task, tokenizer, SETTINGS)
    tokenizer(TEXTS, padding=True, truncation=True, max_length=5)
    assert encoding_key(rows, task, tokenizer, SETTINGS) == key


def test_a_flipped_bit_is_noticed(simple: Case, kept: CacheFolder) -> None:
    task, rows, tokenizer = simple
    encode(rows, task, tokenizer, SETTINGS)
    (entry,) = kept.entries()
    file = entry.path / "features.input_ids.flat.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    assert same(encode(rows, task, tokenizer, SETTINGS), task.head.encode(rows, task, tokenizer, SETTINGS))
    assert same(load_encoded(entry.path), task.head.encode(rows, task, tokenizer, SETTINGS))


def test_a_head_of_ones_own_is_not_kept(simple: Case, kept: CacheFolder) -> None:
    """Its code may change from run to run."""
    task, rows, tokenizer = simple

    class Own:
        def __getattr__(self, name: str) -> Any:
            return getattr(HEADS["sentence"], name)

        __name__ = "my.head"

    own = replace(task, head=Own())  # type: ignore[arg-type]
    assert same(encode(rows, own, tokenizer, SETTINGS), encode(rows, task, tokenizer, replace(SETTINGS, no_cache=True)))
    assert kept.entries() == []


def test_a_setting_that_is_not_in_the_key_cannot_be_read(
    simple: Case, kept: CacheFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    task, rows, tokenizer = simple
    monkeypatch.setattr(encoding_cache, "ENCODING_SETTINGS", ("max_length", "windows", "class_weights"))
    with pytest.raises(RuntimeError, match="truncate"):
        encode(rows, task, tokenizer, SETTINGS)
    assert kept.entries() == []


def test_few_rows_are_not_kept(simple: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    task, rows, tokenizer = simple
    monkeypatch.setenv("TLNLP_CACHE", str(tmp_path / "cache"))
    encode(rows, task, tokenizer, SETTINGS)
    assert not (tmp_path / "cache").exists()
    monkeypatch.setattr(encoding_cache, "LEAST_CHARACTERS", sum(map(len, TEXTS)) + 1)
    encode(rows, task, tokenizer, SETTINGS)
    assert not (tmp_path / "cache").exists()
    monkeypatch.setattr(encoding_cache, "LEAST_CHARACTERS", sum(map(len, TEXTS)))
    encode(rows, task, tokenizer, SETTINGS)
    assert len(CacheFolder().entries()) == 1


def test_a_field_that_would_be_forgotten_is_refused(simple: Case, tmp_path: Path) -> None:
    from dataclasses import dataclass  # noqa: PLC0415 - what a later release might add

    @dataclass(frozen=True)
    class More(EncodedDataset):
        more: int = 0

    task, rows, tokenizer = simple
    encoded = task.head.encode(rows, task, tokenizer, SETTINGS)
    known = {each.name: getattr(encoded, each.name) for each in fields(encoded)}
    with pytest.raises(TypeError, match="more"):
        save_encoded(More(**known), tmp_path)


@pytest.mark.parametrize("recipe", ["sst2", "conll2003"])
def test_the_same_is_learnt_with_and_without_the_cache(
    recipe: str, rows_for: Callable[[str], dict[str, Any]], tmp_path: Path, bert: Path, kept: CacheFolder
) -> None:
    """To the last bit: encoded, written and mapped, mapped again, and never kept."""
    rows, learnt = rows_for(recipe), []
    for i, no_cache in enumerate((False, False, True)):
        work = begin(recipe, tmp_path / str(i), model=str(bert), learning_rate=1e-3, no_cache=no_cache, **rows)
        for _ in train(work.training):
            pass
        learnt.append({name: each.detach().clone() for name, each in work.training.model.named_parameters()})
        assert len(kept.entries()) == 2  # train and dev
    for name, weights in learnt[2].items():
        assert torch.equal(learnt[0][name], weights) and torch.equal(learnt[1][name], weights), name
