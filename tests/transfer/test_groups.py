"""Layer groups: found by structure and by running, the same way in each architecture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from tlnlp.transfer.groups import layer_groups

ORDER = ["embeddings", "layer 1", "layer 2", "head"]


def _load(folder: Path, kind: str = "AutoModelForSequenceClassification") -> Any:
    torch.manual_seed(0)
    return getattr(transformers, kind).from_pretrained(folder)


def _members(model: nn.Module) -> dict[str, set[str]]:
    return {group.name: set(group.parameters) for group in layer_groups(model)}


def test_every_parameter_is_in_exactly_one_group_from_input_to_output(any_checkpoint: Path) -> None:
    model = _load(any_checkpoint)
    groups = layer_groups(model)
    assert [group.name for group in groups] == ORDER
    names = [name for group in groups for name in group.parameters]
    assert sorted(names) == sorted(name for name, _ in model.named_parameters())
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    assert [group.size for group in groups] == [sum(sizes[name] for name in group.parameters) for group in groups]


# What each architecture's own code runs before the first layer and after the last one.
EXPECTED = {
    "bert": ({"bert.embeddings."}, {"bert.pooler.", "classifier."}),
    "modernbert": ({"model.embeddings."}, {"model.final_norm.", "head.", "classifier."}),
    "gpt2": ({"transformer.wte.", "transformer.wpe."}, {"transformer.ln_f.", "score."}),
}


@pytest.mark.parametrize("architecture", EXPECTED)
def test_what_runs_after_the_last_layer_is_the_head(architecture: str, request: pytest.FixtureRequest) -> None:
    model = _load(request.getfixturevalue(architecture))
    members = _members(model)
    before, after = EXPECTED[architecture]
    for group, starts in (("embeddings", before), ("head", after)):
        assert all(any(name.startswith(start) for start in starts) for name in members[group])
        assert all(any(name.startswith(start) for name in members[group]) for start in starts)


@pytest.mark.parametrize("architecture", ["bert", "modernbert"])
def test_a_matrix_that_reads_and_writes_stands_with_the_embeddings(
    architecture: str, request: pytest.FixtureRequest
) -> None:
    model = _load(request.getfixturevalue(architecture), "AutoModelForMaskedLM")
    tied = model.get_input_embeddings().weight
    assert model.get_output_embeddings().weight is tied
    owner = {name: group for group, names in _members(model).items() for name in names}
    (name,) = (name for name, parameter in model.named_parameters() if parameter is tied)
    assert owner[name] == "embeddings"
    assert "head" in owner.values()


def test_looking_leaves_the_network_as_it_was(any_checkpoint: Path) -> None:
    model = _load(any_checkpoint)
    for training in (True, False):
        model.train(training)
        before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        layer_groups(model)
        assert {module.training for module in model.modules()} == {training}
        assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
        assert all(parameter.grad is None for parameter in model.parameters())


def test_a_network_without_a_list_of_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="Sequential has no list of layers"):
        layer_groups(nn.Sequential(nn.Linear(2, 2)))
