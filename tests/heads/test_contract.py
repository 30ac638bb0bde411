"""What every head promises. A new module in tlnlp/heads that has `encode` and `decode` is tested from then on."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from tests.heads.conftest import (
    IN_WINDOWS,
    SETTINGS,
    TEXTS,
    Read,
    ReadOptions,
    as_choices,
    as_questions,
    as_rows,
    as_task,
    as_words,
)
from tlnlp import heads
from tlnlp.data import Rows
from tlnlp.task import Columns, Data, Head, Labels, MultiLabel, Regression, Task

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
Case = Callable[[Any], tuple[Task, Rows]]


def _labelled(labels: Labels, values: list[Any] | None, *, pairs: bool = False, **task: Any) -> Case:
    return lambda head: (as_task(head, labels, **task), as_rows(labels, values, pairs=pairs))


def _shaped(rows: Callable[[], Rows], columns: Columns, **task: Any) -> Case:
    return lambda head: (Task("tests", Data(), columns, head, **task), rows())


ONE_LABEL = _labelled(ONE, [1, 0, 0, 1, 0, 1, 0])
SCORE = (Regression(0, 5), [4.5, 1.0, 0.0, 5.0, 2.25, 3.0, 1.75])
SENTENCE = {
    "one label": ONE_LABEL,
    "several labels": _labelled(
        MultiLabel(("dull", "funny", "sad")), [(1,), (0, 2), (), (1, 2), (0,), (0, 1, 2), (2,)]
    ),
    "a score": _labelled(*SCORE),
}
CHOICES = _shaped(as_choices, Columns(text="text", endings="endings", label="label"))
# For each head, the kinds of rows it must read. A head that is not listed is tried on rows with one label of two.
CASES: dict[str, dict[str, Case]] = {
    "sentence": SENTENCE,
    "masked_lm": {"plain text": _labelled(None, None)},
    "causal_lm": {"plain text": _labelled(None, None)},
    "choice": {"endings": CHOICES},
    "tag": {"words": _shaped(as_words, Columns(words="words", tags="tags"), labels=as_words().labels)},
    "span": {
        "questions": _shaped(
            as_questions, Columns(question="question", context="context", answers="answers"), unanswerable=True
        )
    },
    "gpt": {
        **SENTENCE,
        "a pair": _labelled(ONE, [1, 0, 0, 1, 0, 1, 0], pairs=True),
        "a pair in both orders": _labelled(*SCORE, pairs=True, pair_is_symmetric=True),
        "endings": CHOICES,
    },
}
# Kinds of rows that are read in windows as well, by the heads that `--windows` is for.
WINDOWS = {"sentence": ["one label", "several labels", "a score"], "gpt": ["one label", "a pair in both orders"]}
SPLIT = ", in windows"
# Whose loss is that of the networks' own class, for each item the same number of times.
# (The class for spans takes padding for places to answer with: see test_span.)
LIKE_HUGGINGFACE = ("sentence", "masked_lm", "causal_lm", "tag")


def _reads(name: str, architecture: str, config: Any) -> bool:
    if HEADS[name].causal and architecture != "padded_gpt2":
        return False
    return config in getattr(transformers, HEADS[name].auto_class)._model_mapping


def _fitting(names: Iterable[str], windows: Mapping[str, Sequence[str]]) -> list[Any]:
    """(head, kind of rows, architecture) wherever transformers has such a network."""
    return [
        pytest.param((name, kind, architecture), id=f"{name}, {kind}, {architecture}")
        for name in names
        for kind in [*CASES.get(name, {"one label": ONE_LABEL}), *(f"{each}{SPLIT}" for each in windows.get(name, ()))]
        for architecture, config in ARCHITECTURES.items()
        if _reads(name, architecture, config)
    ]


def _reading(request: pytest.FixtureRequest, read: Read) -> ReadOptions:
    name, kind, architecture = request.param
    head = HEADS[name]
    case = CASES.get(name, {"one label": ONE_LABEL})[kind.removesuffix(SPLIT)]
    settings = IN_WINDOWS if kind.endswith(SPLIT) else SETTINGS
    return read(request.getfixturevalue(architecture), head, *case(head), settings=settings)


@pytest.fixture(scope="module", params=_fitting(HEADS, WINDOWS))
def reading(request: pytest.FixtureRequest, read: Read) -> ReadOptions:
    return _reading(request, read)


@pytest.fixture(scope="module", params=_fitting(LIKE_HUGGINGFACE, {}))
def reading_like_huggingface(request: pytest.FixtureRequest, read: Read) -> ReadOptions:
    return _reading(request, read)


def test_heads_are_found_in_the_folder_and_offered_by_name() -> None:
    files = {path.stem for path in Path(heads.__path__[0]).glob("[a-z]*.py") if "\ndef encode(" in path.read_text()}
    assert files == set(HEADS) >= {"sentence", "choice", "tag", "span", "masked_lm", "causal_lm", "gpt"}
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
        assert isinstance(getattr(head, name), str | tuple | dict | bool), name
    assert hasattr(transformers, head.auto_class)


def test_every_row_is_encoded_with_all_its_tokens(reading: ReadOptions) -> None:
    special = set(reading.tokenizer.all_special_ids)
    flat = [int(token) for token in reading.encoded.features["input_ids"].flat if int(token) not in special]
    stream = " ".join(map(str, [*flat, ""]))
    for row in range(len(reading.rows)):
        expected = []
        for role, values in reading.rows.columns.items():
            if role in ("text", "text_pair", "question", "context"):
                tokens = reading.tokenizer(values[row], add_special_tokens=False)["input_ids"]
            elif role == "words":
                words = values[row]
                if "gpt2" in reading.tokenizer.name_or_path:  # this tokenizer ignores add_prefix_space
                    words = [f" {word}" for word in words]
                tokens = reading.tokenizer(words, add_special_tokens=False, is_split_into_words=True)["input_ids"]
            else:
                continue
            expected.append(" ".join(map(str, [*tokens, ""])))
        if " ".join(expected).count(" ") < reading.settings.max_length - 8:  # long rows are cut, or read in windows
            assert all(tokens in stream for tokens in expected), row
    if len(reading.head.roles) > 1:
        assert sorted(set(reading.encoded.rows.tolist())) == list(range(len(TEXTS)))


def test_lengths_are_those_of_the_attention_mask(reading: ReadOptions) -> None:
    lengths = reading.encoded.sequence_lengths(reading.items)
    assert reading.batch["attention_mask"].sum(1).tolist() == lengths.tolist()
    assert reading.batch["input_ids"].shape == (len(lengths), lengths.max())
    for item in reading.items:
        alone = reading.collate([item])["input_ids"]
        assert reading.encoded.lengths[item] == alone.numel()


def test_the_loss_is_the_mean_of_the_networks_own_class_times_what_is_counted(
    reading_like_huggingface: ReadOptions,
) -> None:
    reading = reading_like_huggingface
    counted = reading.encoded.counts[reading.items].sum()
    assert reading.loss(reading.batch) / counted == pytest.approx(reading.huggingface_loss(), rel=1e-5)


def test_one_answer_is_decoded_for_each_row_and_can_be_judged(reading: ReadOptions) -> None:
    answers = reading.answers()
    assert len(answers) == len(np.unique(reading.encoded.rows))
    assert all({"prediction", "score"} <= set(each.as_json()) for each in answers)
    metric_inputs = reading.head.metric_inputs(answers, reading.rows, reading.task)
    assert len(metric_inputs["predictions"]) == len(metric_inputs["references"]) == len(answers)
    majority_baseline = reading.head.majority_baseline(reading.rows, reading.rows, reading.task)
    assert majority_baseline is None or len(majority_baseline) == len(reading.rows)


def test_answers_differ_between_rows(reading: ReadOptions) -> None:
    """Else the tests below could not fail."""
    outputs = np.nan_to_num(reading.forward(reading.batch), neginf=0)
    assert np.abs(outputs - outputs[0]).max() > 1e-2


def test_padding_changes_nothing(reading: ReadOptions) -> None:
    together = reading.forward(reading.batch)
    losses = 0.0
    for item in reading.items:
        alone = reading.collate([item])
        (found,) = reading.forward(alone)
        np.testing.assert_allclose(found, together[item][tuple(map(slice, found.shape))], atol=1e-5)
        losses += reading.loss(alone)
    assert reading.loss(reading.batch) == pytest.approx(losses, rel=1e-5)


def test_the_order_of_items_changes_nothing(reading: ReadOptions) -> None:
    order = np.random.default_rng(1).permutation(len(reading.encoded))
    shuffled = reading.collate(order)
    np.testing.assert_allclose(reading.forward(shuffled), reading.forward(reading.batch)[order], atol=1e-5)
    assert reading.loss(shuffled) == pytest.approx(reading.loss(reading.batch), rel=1e-5)


def test_the_side_of_the_padding_changes_nothing(reading: ReadOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokenizers for generating text pad on the left; where positions are counted from the left, that must not move
    a row's tokens."""
    before = reading.forward(reading.batch)
    monkeypatch.setattr(reading.tokenizer, "padding_side", "left")
    np.testing.assert_allclose(reading.forward(reading.collate()), before, atol=1e-5)


def test_the_same_draw_gives_the_same_batch(reading: ReadOptions) -> None:
    again = reading.collate()
    assert set(again) == set(reading.batch)
    for name, tensor in reading.batch.items():
        assert torch.equal(tensor, again[name]), name


@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for name in ("sentence", "tag", "span", "gpt") for kind in CASES[name]]
)
def test_a_tokenizer_without_a_pad_token_changes_nothing(
    name: str, kind: str, read: Read, gpt2: Path, padded_gpt2: Path
) -> None:
    """Whatever fills the places that the mask hides, the real tokens answer."""
    padded, bare = (read(folder, HEADS[name], *CASES[name][kind](HEADS[name])) for folder in (padded_gpt2, gpt2))
    assert padded.tokenizer.pad_token is not None
    assert bare.tokenizer.pad_token is None
    expected = padded.forward(padded.batch)
    for item in bare.items:
        alone = bare.collate([item])
        if len(alone["input_ids"]) == 1:  # one row needs no padding
            (found,) = bare.forward(alone)
            np.testing.assert_allclose(found, expected[item][tuple(map(slice, found.shape))], atol=1e-5)
