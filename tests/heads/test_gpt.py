"""The gpt head against the paper's transformations, worked out by hand on GPT-2 (Radford et al. 2018, figure 1)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from torch.nn.functional import cross_entropy

from tests.heads.conftest import SECOND_TEXTS, SETTINGS, TEXTS, Read, ReadOptions, as_choices, as_rows, as_task
from tlnlp.heads import gpt
from tlnlp.task import Columns, Data, Regression, Task

ONE, VALUES = ("bad", "good"), [1, 0, 0, 1, 0, 1, 0]
SCORES = [4.5, 1.0, 0.0, 5.0, 2.25, 3.0, 1.75]
CHOICES = Task("tests", Data(), Columns(text="text", endings="endings", label="label"), gpt)
SHORT = [0, 2, 3, 5]  # rows that no kind of reading cuts


def ids_of(reading: ReadOptions, *parts: str) -> list[int]:
    """Token ids, special tokens written as they are."""
    return [token for part in parts for token in reading.tokenizer(part, add_special_tokens=False)["input_ids"]]


def states(reading: ReadOptions, ids: list[int]) -> torch.Tensor:
    """What GPT-2's body says at each token: [tokens, width]."""
    with torch.no_grad():
        return reading.model.transformer(torch.tensor([ids])).last_hidden_state[0]


def language_loss(reading: ReadOptions, ids: list[int]) -> float:
    """Mean over tokens, by transformers' own language model with the same weights."""
    speaker = transformers.GPT2LMHeadModel(reading.model.config).eval()
    speaker.transformer.load_state_dict(reading.model.transformer.state_dict())
    speaker.tie_weights()
    with torch.no_grad():
        return speaker(torch.tensor([ids]), labels=torch.tensor([ids])).loss.item()


def of_extract(reading: ReadOptions, ids: list[int]) -> torch.Tensor:
    assert ids[-1] == reading.tokenizer.convert_tokens_to_ids("<|extract|>")
    return reading.model.score(states(reading, ids)[-1]).detach()


def sequences_of(reading: ReadOptions, row: int) -> list[list[int]]:
    found = reading.encoded.features["input_ids"]
    return [found[int(i)].tolist() for i in reading.encoded.sequences_of(np.array([row]))]


def test_classification_reads_start_text_extract(read: Read, padded_gpt2: Path) -> None:
    reading = read(padded_gpt2, gpt, as_task(gpt, ONE), as_rows(ONE, VALUES))
    for row in SHORT:
        ids = ids_of(reading, "<|start|>", TEXTS[row], "<|extract|>")
        assert sequences_of(reading, row) == [ids]
        np.testing.assert_allclose(reading.forward(reading.batch)[row], of_extract(reading, ids), atol=1e-5)


def test_entailment_sets_a_delimiter_between_premise_and_hypothesis(read: Read, padded_gpt2: Path) -> None:
    reading = read(padded_gpt2, gpt, as_task(gpt, ONE), as_rows(ONE, VALUES, pairs=True))
    for row in SHORT:
        ids = ids_of(reading, "<|start|>", TEXTS[row], "<|delimiter|>", SECOND_TEXTS[row], "<|extract|>")
        assert sequences_of(reading, row) == [ids]
        np.testing.assert_allclose(reading.forward(reading.batch)[row], of_extract(reading, ids), atol=1e-5)


def test_similarity_reads_both_orders_and_adds_up_before_the_linear_layer(read: Read, padded_gpt2: Path) -> None:
    task = as_task(gpt, Regression(0, 5), pair_is_symmetric=True)
    reading = read(padded_gpt2, gpt, task, as_rows(Regression(0, 5), SCORES, pairs=True))
    for row in SHORT:
        first = ids_of(reading, "<|start|>", TEXTS[row], "<|delimiter|>", SECOND_TEXTS[row], "<|extract|>")
        second = ids_of(reading, "<|start|>", SECOND_TEXTS[row], "<|delimiter|>", TEXTS[row], "<|extract|>")
        assert sequences_of(reading, row) == [first, second]
        summed = states(reading, first)[-1] + states(reading, second)[-1]
        np.testing.assert_allclose(
            reading.forward(reading.batch)[row], reading.model.score(summed).detach(), rtol=1e-4, atol=1e-4
        )


def test_each_ending_is_scored_and_the_softmax_is_over_the_rows_own(read: Read, padded_gpt2: Path) -> None:
    reading = read(padded_gpt2, gpt, CHOICES, as_choices())
    for row in SHORT:
        endings = reading.rows.columns["endings"][row]
        sequences = [
            ids_of(reading, "<|start|>", TEXTS[row], "<|delimiter|>", ending, "<|extract|>") for ending in endings
        ]
        assert sequences_of(reading, row) == sequences
        logits = torch.cat([of_extract(reading, ids) for ids in sequences])
        np.testing.assert_allclose(reading.forward(reading.batch)[row][: len(endings)], logits, atol=1e-5)
        assert reading.answers()[row].score == pytest.approx(float(logits.softmax(0).max()), abs=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("kind", ["label", "both orders", "endings"])
def test_the_loss_is_the_tasks_plus_the_weighted_language_models(
    kind: str, weight: float, read: Read, padded_gpt2: Path
) -> None:
    cases: dict[str, tuple[Task, Any]] = {
        "label": (as_task(gpt, ONE), as_rows(ONE, VALUES)),
        "both orders": (as_task(gpt, ONE, pair_is_symmetric=True), as_rows(ONE, VALUES, pairs=True)),
        "endings": (CHOICES, as_choices()),
    }
    task, rows = cases[kind]
    reading = read(padded_gpt2, gpt, task, rows)
    encoded = gpt.encode(rows, task, reading.tokenizer, replace(SETTINGS, lm_weight=weight))
    batch = gpt.collate(encoded, np.asarray(SHORT), reading.tokenizer, np.random.default_rng(0))
    expected = 0.0
    for place, row in enumerate(SHORT):
        logits = torch.from_numpy(reading.forward(batch)[place])
        expected += cross_entropy(logits[None], torch.tensor([rows.columns["label"][row]])).item()
        told = [language_loss(reading, ids) for ids in sequences_of(reading, row)]
        expected += weight * sum(told) / len(told)
    assert reading.loss(batch) == pytest.approx(expected, rel=1e-4)


def test_the_language_model_learns_through_the_piece_table(read: Read, padded_gpt2: Path) -> None:
    reading = read(padded_gpt2, gpt, as_task(gpt, ONE), as_rows(ONE, VALUES))
    there = set(reading.encoded.features["input_ids"].flat.tolist())
    never = sorted(set(range(reading.model.config.vocab_size)) - there)
    table = reading.model.get_input_embeddings().weight
    for weight, moved in ((0.5, True), (0.0, False)):
        encoded = gpt.encode(reading.rows, reading.task, reading.tokenizer, replace(SETTINGS, lm_weight=weight))
        reading.model.zero_grad()
        gpt.loss(reading.model, gpt.collate(encoded, reading.items, reading.tokenizer, np.random.default_rng(0)),
                 reading.task).backward()  # fmt: skip
        assert bool(table.grad[never].abs().sum() > 0) is moved, "words that no row has are pushed away as outputs"
