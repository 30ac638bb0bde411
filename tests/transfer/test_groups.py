"""Layer groups: found by structure and by running, the same way in each architecture."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn

from tests.architectures.checkpoints import build
from tlnlp.transfer.groups import layer_groups
from tlnlp.transfer.layers import find_layers, layer_modules

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


# Networks whose layers do not stand in one list: how many they have, and weights whose group was once another.
OF_THEIR_OWN_KIND = {
    # layers of both stacks; a norm between them belongs to the layer that follows
    "t5": (8, {"transformer.shared.weight": "embeddings", "transformer.encoder.final_layer_norm.weight": "layer 5",
               "transformer.decoder.block.3.layer.2.DenseReluDense.wo.weight": "layer 8",
               "transformer.decoder.final_layer_norm.weight": "head"}),
    "bart": (4, {"model.decoder.layers.1.fc2.weight": "layer 4", "model.decoder.embed_positions.weight": "layer 3"}),
    # blocks of layers, each a list
    "funnel": (3, {"funnel.encoder.blocks.2.0.ffn.linear_2.weight": "layer 3"}),
    # `layer.forward` is called, which runs no hooks
    "squeezebert": (2, {"transformer.pooler.dense.weight": "head", "classifier.weight": "head"}),
    # lists of attentions, norms and feed-forward parts
    "xlm": (2, {"transformer.attentions.1.q_lin.weight": "layer 2", "transformer.ffns.0.lin1.weight": "layer 1",
                "transformer.layer_norm_emb.weight": "embeddings"}),
    # one layer, called twice
    "albert": (1, {"albert.embeddings.word_embeddings.weight": "embeddings", "albert.pooler.weight": "head"}),
    "canine": (4, {"canine.chars_to_molecules.conv.weight": "layer 2", "canine.projection.conv.weight": "layer 4"}),
}  # fmt: skip


@pytest.mark.parametrize("architecture", OF_THEIR_OWN_KIND)
def test_layers_are_found_in_stacks_lists_of_lists_and_parallel_lists(architecture: str, tmp_path: Path) -> None:
    layers, expected = OF_THEIR_OWN_KIND[architecture]
    model = _load(build(architecture, tmp_path))
    ids = torch.tensor([[*range(5, 16), model.config.eos_token_id or 8]])
    groups = layer_groups(model, lambda network: network(input_ids=ids, attention_mask=torch.ones_like(ids)))
    assert [group.name for group in groups][1:-1] == [f"layer {number}" for number in range(1, layers + 1)]
    owner = {name: group.name for group in groups for name in group.parameters}
    assert {name: owner[name] for name in expected} == expected


def test_a_layer_whose_forward_is_called_runs_its_hooks_also_in_a_copy(tmp_path: Path) -> None:
    model = _load(build("squeezebert", tmp_path)).eval()
    ids = torch.tensor([[5, 6, 7]])
    expected = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
    layer_groups(model)
    for network in (model, copy.deepcopy(model)):
        called: list[Any] = []
        first = layer_modules(network)[0]
        hook = first.register_forward_hook(lambda module, given, output, called=called: called.append(module))
        found = network(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        hook.remove()
        assert called == [first]
        assert torch.equal(found, expected)


def test_parallel_lists_are_layers_without_modules_of_their_own(tmp_path: Path) -> None:
    model = _load(build("xlm", tmp_path))
    assert [len(layer.parts) for layer in find_layers(model)] == [4, 4]
    with pytest.raises(ValueError, match="parts in parallel lists"):
        layer_modules(model)
