"""The span head against Hugging Face's own: logits, loss and gradients, from the same weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from tests.heads.conftest import Read, ReadOptions, as_questions
from tests.heads.spans import WITH_NONE, asked, collate, encode
from tlnlp.heads import span
from tlnlp.heads.encoded import EncodedDataset, model_inputs


def unwindowed(reading: ReadOptions) -> ReadOptions:
    """The same with room for each context in one piece: byte-level pieces are many."""
    encoded = encode(reading.rows, reading.tokenizer, asked(100), reading.task)
    assert len(encoded) == len(reading.rows)
    return replace(reading, encoded=encoded, batch=collate(encoded, reading.tokenizer))


def test_logits_and_loss_are_those_of_the_networks_own_call(folder: Path, read: Read) -> None:
    rows = as_questions()
    reading = unwindowed(read(folder, span, WITH_NONE, rows))
    logits, losses = [], 0.0
    for question, context, answers in zip(*(rows.columns[role] for role in span.roles), strict=True):
        theirs = reading.tokenizer(question, context, return_tensors="pt")
        first = last = 0
        if answers["text"]:
            begins = answers["answer_start"][0]
            first, last = (
                theirs.char_to_token(0, place, sequence_index=1)
                for place in (begins, begins + len(answers["text"][0]) - 1)
            )
        with torch.no_grad():
            found = reading.model(**theirs, start_positions=torch.tensor([first]), end_positions=torch.tensor([last]))
        logits.append(torch.stack([found.start_logits[0], found.end_logits[0]], dim=-1))
        losses += found.loss.item()
    with torch.no_grad():
        np.testing.assert_allclose(span.logits(reading.model, reading.batch), torch.cat(logits), atol=1e-5)
    assert reading.loss(reading.batch) == pytest.approx(losses, rel=1e-5)
    assert losses > 1


def test_the_gradient_is_that_of_the_networks_own_loss(folder: Path, read: Read) -> None:
    reading = read(folder, span, WITH_NONE, as_questions())
    expected: dict[str, torch.Tensor] = {}
    for item in reading.items:  # one by one: their class takes padding for places where an answer might be
        batch = reading.collate([item])
        first, last = batch["labels"].T
        reading.model.zero_grad()
        reading.model(**model_inputs(batch), start_positions=first, end_positions=last).loss.backward()
        for name, parameter in reading.model.named_parameters():
            if parameter.grad is not None:
                expected[name] = expected.get(name, 0) + parameter.grad.clone()
    reading.model.zero_grad()
    span.loss(reading.model, reading.batch, WITH_NONE).backward()
    assert len(expected) > 10
    for name, parameter in reading.model.named_parameters():
        if name in expected:
            torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-3, atol=1e-4)


def test_a_checkpoint_that_told_three_labels_apart_gets_two_outputs(bert_with_types: Path, read: Read) -> None:
    config = transformers.AutoConfig.from_pretrained(bert_with_types, num_labels=3)
    for name, value in span.config_changes(WITH_NONE, ()).items():
        setattr(config, name, value)
    model = transformers.AutoModelForQuestionAnswering.from_config(config)
    assert model(input_ids=torch.tensor([[1, 2, 3]])).start_logits.shape == (1, 3)


def test_padding_of_any_width_changes_neither_loss_nor_answers(folder: Path, read: Read) -> None:
    reading = unwindowed(read(folder, span, WITH_NONE, as_questions()))
    wider = dict(reading.batch)
    for name in (*model_inputs(wider), "starts", "ends"):
        filling = torch.full((len(reading.encoded), 3), 5 if name == "input_ids" else 0)
        wider[name] = torch.cat([wider[name], filling.to(wider[name].dtype)], dim=1)
    np.testing.assert_allclose(reading.forward(wider), reading.forward(reading.batch), atol=1e-5)
    assert reading.loss(wider) == pytest.approx(reading.loss(reading.batch), rel=1e-6)
    told = reading.answers()
    reading.tokenizer.padding_side = "left"
    for item, answer in zip(reading.items, told, strict=True):
        alone = reading.head.forward(reading.model, reading.collate([item])).detach().numpy()
        one = replace(reading.encoded, rows=np.zeros(1, int), alignment=_only(reading.encoded, item))
        (found,) = span.decode(list(alone), one, reading.rows.select([item]), WITH_NONE)
        assert found.prediction == answer.prediction
        assert found.more["null_odds"] == pytest.approx(answer.more["null_odds"], abs=1e-4)


def _only(encoded: EncodedDataset, item: int) -> dict[str, Any]:
    return {name: type(each).from_lists([each[item]]) for name, each in encoded.alignment.items()}
