"""The word head: how it joins rows, which words it masks, and what guessing them costs."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from tests.heads.conftest import SETTINGS, TEXTS, Read, ReadOptions, as_task
from tlnlp.data import Rows
from tlnlp.errors import InputError
from tlnlp.heads import masked_lm as word
from tlnlp.heads.masked_lm import NOT_SCORED

DRAWS = 60


def rows_of(texts: list[str]) -> Rows:
    return Rows({"text": texts}, "tests", np.arange(1, len(texts) + 1))


@pytest.fixture(params=["bert", "roberta", "modernbert"])
def reading(request: pytest.FixtureRequest, read: Read) -> ReadOptions:
    return read(request.getfixturevalue(request.param), word, as_task(word), rows_of(TEXTS * 4))


@pytest.fixture
def draws(bert: Path, read: Read) -> tuple[ReadOptions, list[dict[str, Any]]]:
    """The same sequences, masked many times."""
    reading = read(bert, word, as_task(word), rows_of(TEXTS * 4))
    return reading, [reading.collate(draw=draw) for draw in range(DRAWS)]


def test_rows_are_joined_into_full_sequences_in_order(reading: ReadOptions) -> None:
    tokenizer, ids = reading.tokenizer, reading.encoded.features["input_ids"]
    stream = [token for text in TEXTS * 4 for token in tokenizer(text, add_special_tokens=False)["input_ids"]]
    inner = SETTINGS.max_length - 2
    assert [ids[i].tolist() for i in range(len(ids))] == [
        [tokenizer.cls_token_id, *stream[first : first + inner], tokenizer.sep_token_id]
        for first in range(0, len(stream), inner)
    ]
    assert set(ids.lengths[:-1]) == {SETTINGS.max_length}


def test_loss_is_the_networks_own_though_the_head_runs_on_the_scored_places_only(reading: ReadOptions) -> None:
    for draw in range(3):
        reading.batch = reading.collate(draw=draw)
        places = int((reading.batch["labels"] != NOT_SCORED).sum())
        expected = reading.huggingface_loss()
        assert reading.loss(reading.batch) == pytest.approx(expected * places, rel=1e-5)
        assert reading.forward(reading.batch)[:, 0].sum() == pytest.approx(expected * places, rel=1e-5)


def test_words_guessed_right_are_counted_as_the_networks_own_logits_have_them(reading: ReadOptions) -> None:
    labels = reading.batch["labels"]
    with torch.no_grad():
        guessed = reading.model(**{k: v for k, v in reading.batch.items() if k != "labels"}).logits.argmax(-1)
    right = ((guessed == labels) & (labels != NOT_SCORED)).sum(1)
    assert reading.forward(reading.batch)[:, 2].tolist() == right.tolist()
    answers = reading.answers()
    assert [each.prediction for each in answers] == right.tolist()
    assert [each.more["places"] for each in answers] == (labels != NOT_SCORED).sum(1).tolist()


def test_the_network_is_left_as_it_was(reading: ReadOptions) -> None:
    reading.loss(reading.batch)
    logits = reading.model(reading.batch["input_ids"]).logits
    assert logits.shape == (*reading.batch["input_ids"].shape, reading.model.config.vocab_size)


def test_the_share_of_masked_tokens_is_exact(draws: tuple[ReadOptions, list[dict[str, Any]]]) -> None:
    reading, batches = draws
    expected = [max(1, round((int(length) - 2) * SETTINGS.mask_fraction)) for length in reading.encoded.lengths]
    assert reading.encoded.counts.tolist() == expected
    for batch in batches:
        assert (batch["labels"] != NOT_SCORED).sum(1).tolist() == expected


def test_of_the_masked_tokens_eight_in_ten_are_hidden_one_replaced_one_kept(
    draws: tuple[ReadOptions, list[dict[str, Any]]],
) -> None:
    """Devlin et al. 2019, A.1; a replacement is drawn from all pieces, so that one in 300 is the piece itself."""
    reading, batches = draws
    fates: Counter[str] = Counter()
    for batch in batches:
        labels, ids = batch["labels"], batch["input_ids"]
        chosen = labels != NOT_SCORED
        hidden, kept = ids == reading.tokenizer.mask_token_id, ids == labels
        fates["hidden"] += int((chosen & hidden).sum())
        fates["kept"] += int((chosen & kept).sum())
        fates["replaced"] += int((chosen & ~hidden & ~kept).sum())
    total = sum(fates.values())
    assert total > 3000
    # Four standard deviations of a binomial share.
    for fate, share in {"hidden": 0.8, "replaced": 0.1, "kept": 0.1}.items():
        assert fates[fate] / total == pytest.approx(share, abs=4 * (share * (1 - share) / total) ** 0.5), fates


def test_special_tokens_and_padding_are_never_masked_and_other_tokens_never_touched(
    draws: tuple[ReadOptions, list[dict[str, Any]]],
) -> None:
    reading, batches = draws
    plain = torch.from_numpy(
        reading.encoded.features["input_ids"].padded(reading.items, reading.tokenizer.pad_token_id)
    )
    special = torch.isin(plain, torch.tensor(reading.tokenizer.all_special_ids))
    assert special.sum() > 2 * len(reading.encoded) - 1
    for batch in batches:
        chosen = batch["labels"] != NOT_SCORED
        assert not (chosen & special).any()
        assert torch.equal(batch["input_ids"][~chosen], plain[~chosen])
        assert torch.equal(batch["labels"][chosen], plain[chosen])


def test_every_place_is_masked_sooner_or_later(draws: tuple[ReadOptions, list[dict[str, Any]]]) -> None:
    _, batches = draws
    ever = torch.stack([batch["labels"] != NOT_SCORED for batch in batches]).sum(0)
    inner = ever[0, 1 : SETTINGS.max_length - 1]
    assert (inner > 0).all()


def test_the_same_draw_masks_the_same_words_and_another_draw_others(reading: ReadOptions) -> None:
    first, again, other = reading.collate(draw=3), reading.collate(draw=3), reading.collate(draw=4)
    assert torch.equal(first["input_ids"], again["input_ids"])
    assert torch.equal(first["labels"], again["labels"])
    assert not torch.equal(first["labels"], other["labels"])


def test_what_is_counted_is_what_is_masked_even_where_the_vocabulary_knows_no_word(
    bert_with_types: Path, read: Read
) -> None:
    """Unknown words are special tokens: they are not asked for, so that they must not be counted either."""
    unknown = ["映画は素晴らしい", "二度と見たくない"] * 20
    reading = read(bert_with_types, word, as_task(word), rows_of([*TEXTS, *unknown]))
    masked = (reading.batch["labels"] != NOT_SCORED).sum(1)
    assert masked.tolist() == reading.encoded.counts.tolist()
    for answer in reading.answers():
        json.dumps(answer.as_json(), allow_nan=False)


def test_a_checkpoint_without_a_mask_token_is_refused(gpt2: Path, read: Read) -> None:

    tokenizer = transformers.AutoTokenizer.from_pretrained(gpt2)
    with pytest.raises(InputError, match="its tokenizer has no mask token"):
        word.encode(rows_of(TEXTS), as_task(word), tokenizer, SETTINGS)
