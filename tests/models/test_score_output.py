"""A network that answers with a number starts in the unit of the scores; one that was trained stays as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

from tlnlp.models.score_output import start_at_scores

SCORES = [310.0, 325.0, 340.0, 400.0]


@pytest.mark.parametrize("kind", ["bert", "modernbert", "gpt2"])
def test_a_new_output_answers_around_the_scores(kind: str, request: pytest.FixtureRequest) -> None:
    folder: Path = request.getfixturevalue(kind)
    network = transformers.AutoModelForSequenceClassification.from_pretrained(
        folder, num_labels=1, pad_token_id=0
    ).eval()
    ids = torch.arange(5, 13).reshape(4, 2)
    with torch.no_grad():
        before = network(input_ids=ids).logits[:, 0].numpy()
    assert start_at_scores(network, SCORES, [name for name, _ in network.named_parameters()])
    with torch.no_grad():
        after = network(input_ids=ids).logits[:, 0].numpy()
    spread, mean = float(np.std(SCORES)), float(np.mean(SCORES))
    if kind == "gpt2":  # its output has no bias
        np.testing.assert_allclose(after, before * mean, rtol=1e-4)
    else:
        np.testing.assert_allclose(after, before * spread + mean, rtol=1e-4)


def test_an_output_of_a_checkpoint_is_left_alone() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(3, 1))
    before = network[0].weight.clone()
    assert not start_at_scores(network, SCORES, ["1.weight"])
    assert not start_at_scores(network, [2.0, 2.0], ["0.weight", "0.bias"])
    assert torch.equal(network[0].weight, before)
    assert start_at_scores(network, SCORES, ["0.weight", "0.bias"])
