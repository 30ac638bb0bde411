"""Focal loss and weights of labels: closed forms, gradients by finite differences, and sums over items."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from tests.heads.conftest import SETTINGS, Read, as_rows, as_task, as_words
from tests.heads.test_sentence import KINDS
from tlnlp.heads import sentence, tag
from tlnlp.heads.encoded import NOT_SCORED
from tlnlp.heads.losses import binary_losses, label_losses, positive_weights
from tlnlp.task import Columns, Data, Task

FOCAL = replace(SETTINGS, loss="focal", focal_gamma=1.5, class_weights="balanced")


def logits_of(lines: int, labels: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=(lines, labels)) * 2).requires_grad_()


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_is_its_closed_form_and_its_gradient_that_of_finite_differences(gamma: float) -> None:
    found, targets, power = logits_of(5, 3), torch.tensor([0, 2, 1, 1, 0]), torch.tensor(gamma)
    right = found.softmax(-1).gather(1, targets[:, None])[:, 0]
    torch.testing.assert_close(label_losses(found, targets, power), -((1 - right) ** gamma) * right.log())
    assert torch.autograd.gradcheck(lambda x: label_losses(x, targets, power), (found,))
    held = torch.tensor([[1.0, 0.0, 1.0]] * 5, dtype=torch.float64)
    chance = torch.where(held > 0, found.sigmoid(), 1 - found.sigmoid())
    torch.testing.assert_close(binary_losses(found, held, power), -((1 - chance) ** gamma) * chance.log())
    assert torch.autograd.gradcheck(lambda x: binary_losses(x, held, power), (found,))


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_a_sure_answer_has_a_finite_gradient(gamma: float) -> None:
    found = torch.tensor([[200.0, -200.0], [-200.0, 200.0]], requires_grad=True)
    label_losses(found, torch.tensor([0, 0]), torch.tensor(gamma)).sum().backward()
    assert found.grad is not None and torch.isfinite(found.grad).all()
    assert found.grad[0].abs().max() < 1e-5 < found.grad[1].abs().max()


def test_without_gamma_it_is_the_cross_entropy() -> None:
    found, targets = logits_of(4, 3), torch.tensor([0, 2, 1, 1])
    assert torch.equal(label_losses(found, targets), cross_entropy(found, targets, reduction="none"))
    torch.testing.assert_close(label_losses(found, targets, torch.tensor(0.0)), label_losses(found, targets))


def test_several_labels_weigh_as_torchs_pos_weight(bert_with_types: Path, read: Read) -> None:
    labels, values = KINDS["several"]
    settings = replace(SETTINGS, class_weights="balanced")
    reading = read(bert_with_types, sentence, as_task(sentence, labels), as_rows(labels, values), settings)
    held = torch.tensor(sentence.row_targets(reading.rows, reading.task))
    weights = torch.tensor([(7 - count) / count for count in held.sum(0).tolist()])
    assert weights.tolist() == pytest.approx(positive_weights(held.numpy()).tolist())
    found = torch.from_numpy(reading.forward(reading.batch))
    theirs = binary_cross_entropy_with_logits(found, held, pos_weight=weights, reduction="none")
    assert reading.loss(reading.batch) == pytest.approx(theirs.mean(-1).sum().item(), rel=1e-5)
    assert reading.encoded.counts.sum() == pytest.approx(torch.where(held > 0, weights, 1.0).mean(-1).sum().item())
    assert positive_weights(np.array([[0.0, 1.0], [0.0, 1.0]])).tolist() == [1.0, 0.0]


def test_tags_weigh_as_scikit_learns_balanced_labels(bert_with_types: Path, read: Read) -> None:
    task = Task("tests", Data(), Columns(words="words", tags="tags"), tag, ("NOUN", "PUNCT", "VERB"))
    reading = read(bert_with_types, tag, task, as_words(), replace(SETTINGS, class_weights="balanced"))
    flat = np.concatenate([np.asarray(tags) for tags in reading.rows.columns["tags"]])
    weights = compute_class_weight("balanced", classes=np.arange(3), y=flat)
    assert reading.encoded.counts.sum() == pytest.approx(weights[flat].sum())
    labels = reading.batch["labels"]
    with torch.no_grad():
        found = reading.model(**{name: reading.batch[name] for name in ("input_ids", "attention_mask")}).logits
    theirs = cross_entropy(
        found[labels != NOT_SCORED].double(), labels[labels != NOT_SCORED], torch.from_numpy(weights), reduction="sum"
    )
    assert reading.loss(reading.batch) == pytest.approx(theirs.item(), rel=1e-4)


@pytest.mark.parametrize("kind", ["one", "several", "tags"])
def test_the_loss_is_a_sum_over_items_and_so_is_what_it_is_divided_by(
    kind: str, bert_with_types: Path, read: Read
) -> None:
    if kind == "tags":
        task: Any = Task("tests", Data(), Columns(words="words", tags="tags"), tag, ("NOUN", "PUNCT", "VERB"))
        reading = read(bert_with_types, tag, task, as_words(), FOCAL)
    else:
        labels, values = KINDS[kind]
        reading = read(bert_with_types, sentence, as_task(sentence, labels), as_rows(labels, values), FOCAL)
    alone = [reading.loss(reading.collate([i])) for i in reading.items]
    assert sum(alone) == pytest.approx(reading.loss(reading.batch), rel=1e-5)
    assert "focal_gamma" in reading.batch and len(set(np.round(reading.encoded.counts, 6))) > 1
