"""Rows longer than the network reads, in windows: their logits are averaged, and a row weighs the same however long."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.heads.conftest import IN_WINDOWS, SECOND_TEXTS, TEXTS, Read, ReadOptions, as_rows, as_task
from tlnlp.errors import InputError
from tlnlp.heads import gpt, sentence
from tlnlp.heads.sentence import row_losses
from tlnlp.heads.truncation import Template
from tlnlp.heads.windows import cut_windows, join_windows
from tlnlp.task import Labels, MultiLabel, Regression

KINDS: dict[str, tuple[Labels, list[Any]]] = {
    "one": (("bad", "good"), [1, 0, 0, 1, 0, 1, 0]),
    "several": (MultiLabel(("dull", "funny", "sad")), [(1,), (0, 2), (), (1, 2), (0,), (0, 1, 2), (2,)]),
    "score": (Regression(0, 5), [4.5, 1.0, 0.0, 5.0, 2.25, 3.0, 1.75]),
}


def windows_of_the_tokenizer(
    tokenizer: Any, *texts: str, longer: int, overlap: int = IN_WINDOWS.window_overlap
) -> list[dict[str, torch.Tensor]]:
    """Of one row, as transformers' own tokenizer cuts them: each a batch of one sequence."""
    theirs = tokenizer(
        *texts, truncation=("only_first", "only_second")[longer], max_length=IN_WINDOWS.max_length,
        stride=overlap, return_overflowing_tokens=True,
    )  # fmt: skip
    names = [name for name in ("input_ids", "attention_mask", "token_type_ids") if name in theirs]
    return [{name: torch.tensor([theirs[name][i]]) for name in names} for i in range(len(theirs["input_ids"]))]


def mean_of_windows(reading: ReadOptions, windows: list[dict[str, torch.Tensor]]) -> np.ndarray:
    with torch.no_grad():
        return torch.cat([reading.model(**each).logits for each in windows]).mean(0).numpy()


@pytest.mark.parametrize("kind", KINDS)
def test_logits_are_the_mean_over_the_windows_that_the_tokenizer_cuts(folder: Path, kind: str, read: Read) -> None:
    labels, values = KINDS[kind]
    reading = read(folder, sentence, as_task(sentence, labels), as_rows(labels, values), settings=IN_WINDOWS)
    windows = [windows_of_the_tokenizer(reading.tokenizer, text, longer=0) for text in TEXTS]
    assert len({len(each) for each in windows}) > 2
    assert reading.batch["windows"].tolist() == [len(each) for each in windows]
    expected = np.stack([mean_of_windows(reading, each) for each in windows])
    np.testing.assert_allclose(reading.forward(reading.batch), expected, atol=1e-5)
    losses = row_losses(torch.from_numpy(expected), reading.batch, reading.task)
    assert reading.loss(reading.batch) == pytest.approx(losses.sum().item(), rel=1e-5)
    assert reading.encoded.counts.tolist() == [1.0] * len(TEXTS), "a row weighs the same however long"
    assert len(reading.answers()) == len(TEXTS)


def test_of_a_pair_the_longer_text_is_in_windows_each_with_the_whole_of_the_other(
    bert_with_types: Path, read: Read
) -> None:
    labels, values = KINDS["one"]
    rows = as_rows(labels, values)
    rows.columns["text_pair"] = [*SECOND_TEXTS[:3], TEXTS[1], *SECOND_TEXTS[4:]]
    rows.columns["text"] = [*TEXTS[:3], SECOND_TEXTS[3], *TEXTS[4:]]
    # At most half of what a window has of the longer text is shared, however long the other one is.
    settings = replace(IN_WINDOWS, window_overlap=2)
    reading = read(bert_with_types, sentence, as_task(sentence, labels), rows, settings=settings)
    for row, texts in enumerate(zip(rows.columns["text"], rows.columns["text_pair"], strict=True)):
        pieces = [len(reading.tokenizer.tokenize(text)) for text in texts]
        if min(pieces) > 4:  # half of what special tokens leave: the shorter one is truncated
            continue
        windows = windows_of_the_tokenizer(reading.tokenizer, *texts, longer=int(pieces[1] > pieces[0]), overlap=2)
        found = reading.forward(reading.collate([row]))[0]
        np.testing.assert_allclose(found, mean_of_windows(reading, windows), atol=1e-5)
    assert reading.batch["windows"].max() > 3
    assert int(reading.batch["windows"][3]) > 3, "where the second is the longer one"


def test_the_shorter_text_of_a_pair_leaves_half_of_the_room_to_the_longer(tokenizer: Any) -> None:
    columns = {"text": [TEXTS[3]], "text_pair": [TEXTS[1]]}
    template = Template.of(tokenizer, 2)
    settings = replace(IN_WINDOWS, max_length=10 + template.size, window_overlap=0)
    features, offsets, notes = join_windows(columns, tokenizer, settings, "tests", template)
    short, long = (tokenizer(text, add_special_tokens=False)["input_ids"] for text in (TEXTS[3], TEXTS[1]))
    assert offsets.tolist() == [0, -(-len(long) // 5)]
    lines = [features["input_ids"][i].tolist() for i in range(offsets[-1])]
    start, between = len(template.special[0]), len(template.special[1])
    assert all(line[start : start + 5] == short[:5] for line in lines)
    end = len(template.special[2])
    found = [token for line in lines for token in line[start + 5 + between : len(line) - end]]
    assert found == long, "nothing of the longer text is lost or read twice"
    assert any("text, the shorter of a pair" in note for note in notes)


@pytest.mark.parametrize(("pairs", "symmetric"), [(False, False), (True, False), (True, True)])
def test_the_gpt_head_averages_the_windows_of_each_order_and_adds_up_the_orders(
    padded_gpt2: Path, read: Read, pairs: bool, symmetric: bool
) -> None:
    labels, values = KINDS["one"]
    task = as_task(gpt, labels, pair_is_symmetric=symmetric)
    reading = read(padded_gpt2, gpt, task, as_rows(labels, values, pairs=pairs), settings=IN_WINDOWS)
    assert reading.batch["windows"].max() > 1
    with torch.no_grad():
        of_sequences = gpt.logits(reading.model, reading.batch).numpy()
    firsts, orders = reading.encoded.sequence_offsets, 2 if symmetric else 1
    assert firsts is not None
    for row, found in enumerate(reading.forward(reading.batch)):
        own = of_sequences[firsts[row] : firsts[row + 1]]
        halves = np.split(own, orders)
        np.testing.assert_allclose(found, sum(half.mean(0) for half in halves), atol=1e-5)
    if symmetric:  # the first half has the texts in the order of the columns
        one = read(padded_gpt2, gpt, as_task(gpt, labels), reading.rows, settings=IN_WINDOWS).encoded
        width = np.diff(firsts) // 2
        theirs = [one.features["input_ids"][i].tolist() for i in range(len(one.features["input_ids"]))]
        ours = [
            reading.encoded.features["input_ids"][f + i].tolist()
            for f, w in zip(firsts, width, strict=False)
            for i in range(w)
        ]
        assert ours == theirs


def test_one_line_says_how_many_rows_are_in_how_many_windows(tokenizer: Any) -> None:
    settings = replace(IN_WINDOWS, max_tokens=20)
    _, offsets, notes = join_windows({"text": TEXTS}, tokenizer, settings, "tests")
    counts = np.diff(offsets)
    long = counts[counts > 1]
    first, *others = notes
    assert f"tests: {len(long)} rows" in first
    assert f"split into {long.sum()} windows, at most {long.max()} in a row" in first
    assert any("above --max-tokens 20" in note for note in others)
    assert join_windows({"text": ["Go."]}, tokenizer, settings, "tests")[2] == []


def test_windows_cover_a_text_and_overlap_as_asked() -> None:
    assert cut_windows(10, 10, 4) == [(0, 10)]
    assert cut_windows(20, 10, 4) == [(0, 10), (6, 16), (12, 20)]
    assert cut_windows(0, 10, 4) == [(0, 0)], "an empty text is one window, too"


def test_a_length_without_room_for_text_is_refused(tokenizer: Any) -> None:
    template = Template.of(tokenizer, 2)
    settings = replace(IN_WINDOWS, max_length=max(4, template.size))
    if settings.max_length - template.size < 2:
        with pytest.raises(InputError, match=f"--max-length of at least {template.size + 2}"):
            join_windows({"text": TEXTS, "text_pair": TEXTS}, tokenizer, settings, "tests")
