"""What every head promises. A new module in tlnlp/heads that has `encode` and `decode` is tested from then on."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from tests.heads.conftest import TEXTS, Read, Reading, as_rows, as_task
from tlnlp import heads
from tlnlp.heads import Head
from tlnlp.recipe import Labels, Score, Several

MODULES = [importlib.import_module(f"tlnlp.heads.{each.name}") for each in pkgutil.iter_modules(heads.__path__)]
HEADS = {module.__name__.split(".")[-1]: module for module in MODULES if hasattr(module, "encode")}
# Fixture to the configuration it holds.
ARCHITECTURES = {
    "bert": transformers.BertConfig,
    "roberta": transformers.RobertaConfig,
    "modernbert": transformers.ModernBertConfig,
    "padded_gpt2": transformers.GPT2Config,
}
ONE = ("bad", "good")
# For each head, the kinds of rows it must read. A head that is not listed is tried on rows with one label of two.
CASES: dict[str, dict[str, tuple[Labels, list[Any] | None]]] = {
    "sentence": {
        "one label": (ONE, [1, 0, 0, 1, 0, 1, 0]),
        "several labels": (Several(("dull", "funny", "sad")), [(1,), (0, 2), (), (1, 2), (0,), (0, 1, 2), (2,)]),
        "a score": (Score(0, 5), [4.5, 1.0, 0.0, 5.0, 2.25, 3.0, 1.75]),
    },
    "word": {"plain text": (None, None)},
}
DEFAULT_CASES: dict[str, tuple[Labels, list[Any] | None]] = {"one label": (ONE, [1, 0, 0, 1, 0, 1, 0])}


def _fitting() -> list[Any]:
    """(head, kind of rows, architecture) wherever transformers has such a network."""
    return [
        pytest.param((name, kind, architecture), id=f"{name}, {kind}, {architecture}")
        for name, head in HEADS.items()
        for kind in CASES.get(name, DEFAULT_CASES)
        for architecture, config in ARCHITECTURES.items()
        if config in getattr(transformers, head.auto_class)._model_mapping
    ]


@pytest.fixture(params=_fitting())
def reading(request: pytest.FixtureRequest, read: Read) -> Reading:
    name, kind, architecture = request.param
    labels, values = CASES.get(name, DEFAULT_CASES)[kind]
    head = HEADS[name]
    return read(request.getfixturevalue(architecture), head, as_task(head, labels), as_rows(labels, values))


def test_heads_are_found_in_the_folder_and_offered_by_name() -> None:
    files = {path.stem for path in Path(heads.__path__[0]).glob("[a-z]*.py") if "\ndef decode(" in path.read_text()}
    assert files == set(HEADS) >= {"sentence", "word"}
    for name in HEADS:
        assert hasattr(heads, name), f"tlnlp/heads/__init__.py: add {name} = cast(Head, lazy_module(...))"


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
def test_a_head_offers_every_function_of_the_protocol_with_its_parameters(head: Any) -> None:
    functions = {name: each for name, each in vars(Head).items() if inspect.isfunction(each) and name[0] != "_"}
    assert len(functions) >= 8
    for name, promised in functions.items():
        wanted = list(inspect.signature(promised).parameters)[1:]
        assert list(inspect.signature(getattr(head, name)).parameters) == wanted, name
    for name in Head.__annotations__:
        assert isinstance(getattr(head, name), str | tuple), name
    assert hasattr(transformers, head.auto_class)


def test_every_row_is_encoded_with_all_its_tokens(reading: Reading) -> None:
    special = set(reading.tokenizer.all_special_ids)
    flat = [int(token) for token in reading.encoded.features["input_ids"].flat if int(token) not in special]
    stream = " ".join(map(str, [*flat, ""]))
    for text in TEXTS:
        tokens = reading.tokenizer(text, add_special_tokens=False)["input_ids"]
        assert " ".join(map(str, [*tokens, ""])) in stream, text
    if "label" in reading.head.roles:
        assert sorted(set(reading.encoded.rows.tolist())) == list(range(len(TEXTS)))


def test_lengths_are_those_of_the_attention_mask(reading: Reading) -> None:
    assert reading.batch["attention_mask"].sum(1).tolist() == reading.encoded.lengths.tolist()
    assert reading.batch["input_ids"].shape == (len(reading.encoded), reading.encoded.lengths.max())


def test_the_loss_is_the_mean_of_the_networks_own_class_times_what_is_counted(reading: Reading) -> None:
    counted = reading.encoded.counts[reading.items].sum()
    assert reading.loss(reading.batch) / counted == pytest.approx(reading.huggingface_loss(), rel=1e-5)


def test_one_answer_is_decoded_for_each_row_and_can_be_judged(reading: Reading) -> None:
    answers = reading.answers()
    assert len(answers) == len(np.unique(reading.encoded.rows))
    assert all({"prediction", "score"} <= set(each) for each in answers)
    judged = reading.head.judged(answers, reading.rows, reading.task)
    assert len(judged["predictions"]) == len(judged["references"]) == len(answers)
    majority = reading.head.majority(reading.rows, reading.rows, reading.task)
    assert majority is None or len(majority) == len(reading.rows)


def test_answers_differ_between_rows(reading: Reading) -> None:
    """Else the tests below could not fail."""
    outputs = reading.forward(reading.batch)
    assert np.abs(outputs - outputs[0]).max() > 1e-2


def test_padding_changes_nothing(reading: Reading) -> None:
    together = reading.forward(reading.batch)
    losses = 0.0
    for item, length in enumerate(reading.encoded.lengths):
        alone = _cut(reading.batch, item, int(length))
        np.testing.assert_allclose(reading.forward(alone)[0], together[item], atol=1e-5)
        losses += reading.loss(alone)
    assert reading.loss(reading.batch) == pytest.approx(losses, rel=1e-5)


def _cut(batch: dict[str, torch.Tensor], item: int, length: int) -> dict[str, torch.Tensor]:
    """One item of a batch that is padded on the right, without its padding."""
    longest = batch["input_ids"].shape[-1]
    return {
        name: tensor[item : item + 1, ..., :length] if tensor.dim() > 1 and tensor.shape[-1] == longest
        else tensor[item : item + 1]
        for name, tensor in batch.items()
    }  # fmt: skip


def test_the_order_of_items_changes_nothing(reading: Reading) -> None:
    order = torch.from_numpy(np.random.default_rng(1).permutation(len(reading.encoded)))
    shuffled = {name: tensor[order] for name, tensor in reading.batch.items()}
    np.testing.assert_allclose(reading.forward(shuffled), reading.forward(reading.batch)[order], atol=1e-5)
    assert reading.loss(shuffled) == pytest.approx(reading.loss(reading.batch), rel=1e-5)


def test_the_side_of_the_padding_changes_nothing(reading: Reading) -> None:
    """Tokenizers for generating text pad on the left; where positions are counted from the left, that must not move
    a row's tokens."""
    before = reading.forward(reading.batch)
    reading.tokenizer.padding_side = "left"
    np.testing.assert_allclose(reading.forward(reading.collate()), before, atol=1e-5)


def test_the_same_draw_gives_the_same_batch(reading: Reading) -> None:
    again = reading.collate()
    assert set(again) == set(reading.batch)
    for name, tensor in reading.batch.items():
        assert torch.equal(tensor, again[name]), name


@pytest.mark.parametrize("kind", CASES["sentence"])
def test_a_tokenizer_without_a_pad_token_changes_nothing(kind: str, read: Read, gpt2: Path, padded_gpt2: Path) -> None:
    """Whatever fills the places that the mask hides, the last real token answers."""
    labels, values = CASES["sentence"][kind]
    head, rows = HEADS["sentence"], as_rows(labels, values)
    padded, bare = (read(folder, head, as_task(head, labels), rows) for folder in (padded_gpt2, gpt2))
    assert padded.tokenizer.pad_token is not None
    assert bare.tokenizer.pad_token is None
    expected = padded.forward(padded.batch)
    for item, length in enumerate(bare.encoded.lengths):
        alone = bare.forward(bare.collate(np.array([item])))  # one row needs no padding
        assert bare.collate(np.array([item]))["input_ids"].shape == (1, length)
        np.testing.assert_allclose(alone[0], expected[item], atol=1e-5)
