"""Adapters in a network: heard from the first update on, beside weights that do not move."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
from torch import nn

from tests.recipe_runs import begin
from tests.training.test_loop import same_bits, weights
from tests.transfer.adapted import (
    BATCH,
    EVERYWHERE,
    IDS,
    LIKE_PEFT,
    OPTIONS,
    adapted,
    answer,
    begin_adapted,
    load,
    stir,
)
from tlnlp.acceleration.fast_dropout import FastDropout
from tlnlp.training.loop import train
from tlnlp.transfer.adapter_strategies import ADAPTERS
from tlnlp.transfer.adapters import Bottleneck, install
from tlnlp.transfer.phases import AdapterSpec

# --- right after it was put in


@pytest.mark.parametrize(("kind", "architecture"), EVERYWHERE)
def test_a_network_with_a_new_adapter_answers_as_before_unless_the_adapter_stands_among_the_tokens(
    kind: str, architecture: str, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(architecture)
    before = answer(load(folder))
    model, installed = adapted(folder, kind)
    assert torch.equal(answer(model), before) is (kind not in ("prompt", "prefix"))
    stir(model, installed.parameters)
    assert (answer(model) - before).abs().max() > 1e-3, "the adapter is not heard"
    assert type(model) is type(load(folder))


@pytest.mark.parametrize(("kind", "architecture"), EVERYWHERE)
def test_padding_changes_nothing_with_an_adapter(kind: str, architecture: str, request: pytest.FixtureRequest) -> None:
    model, installed = adapted(request.getfixturevalue(architecture), kind)
    stir(model, installed.parameters)
    (alone,) = answer(model, {name: value[1:, :3] for name, value in BATCH.items()})
    assert torch.allclose(alone, answer(model)[1], atol=1e-5)


def test_every_token_has_an_answer_and_the_prompt_has_none(bert: Path) -> None:
    model, _ = adapted(bert, "prompt", auto_class="AutoModelForTokenClassification")
    assert answer(model).shape[:2] == IDS.shape


def test_a_layer_may_answer_with_more_than_its_states() -> None:
    bottleneck = Bottleneck(4, 2)
    nn.init.ones_(bottleneck.up.bias)
    states = torch.randn(1, 3, 4)
    assert torch.equal(bottleneck.add_to(bottleneck, (), states), states + 1)
    found, other = bottleneck.add_to(bottleneck, (), (states, "attention"))
    assert torch.equal(found, states + 1) and other == "attention"


def test_the_same_seed_draws_the_same_weights(bert: Path) -> None:
    found = []
    for seed in (3, 3, 4):
        model = load(bert)
        installed = install(model, AdapterSpec("lora", OPTIONS["lora"]), seed)
        found.append({name: tensor for name, tensor in weights(model).items() if name in installed.parameters})
    assert same_bits(found[0], found[1])
    assert not same_bits(found[0], found[2])


LAYER = {
    "bert": ("bert.encoder.layer.", ["attention.self.query", "attention.self.key", "attention.self.value",
             "attention.output.dense"], ["intermediate.dense", "output.dense"]),
    "modernbert": ("model.layers.", ["attn.Wqkv", "attn.Wo"], ["mlp.Wi", "mlp.Wo"]),
    "gpt2": ("transformer.h.", ["attn.c_attn", "attn.c_proj"], ["mlp.c_fc", "mlp.c_proj"]),
}  # fmt: skip
IA3 = {
    "bert": ["attention.self.key", "attention.self.value", "output.dense"],
    "modernbert": ["attn.Wqkv", "mlp.Wo"],
    "gpt2": ["attn.c_attn", "mlp.c_proj"],
}


@pytest.mark.parametrize("architecture", LAYER)
def test_lora_stands_at_every_matrix_of_the_layers_or_of_attention(
    architecture: str, request: pytest.FixtureRequest
) -> None:
    start, attention, others = LAYER[architecture]
    for targets, expected in (("all", attention + others), ("attention", attention)):
        model = load(request.getfixturevalue(architecture))
        installed = install(model, AdapterSpec("lora", {**OPTIONS["lora"], "targets": targets}), 0)
        places = {name.split(".lora_")[0] for name in installed.parameters}
        assert places == {f"{start}{layer}.{name}" for layer in range(2) for name in expected}
        assert all(3 in dict(model.named_parameters())[name].shape for name in installed.parameters)


@pytest.mark.parametrize("architecture", IA3)
def test_ia3_stands_at_keys_values_and_inside_the_feed_forward_part(
    architecture: str, request: pytest.FixtureRequest
) -> None:
    model, installed = adapted(request.getfixturevalue(architecture), "ia3")
    start, own = LAYER[architecture][0], dict(model.named_parameters())
    places = {name.split(".ia3_l")[0]: own[name].shape for name in installed.parameters}
    assert set(places) == {f"{start}{layer}.{name}" for layer in range(2) for name in IA3[architecture]}
    # What goes into the last part is scaled, and what comes out of the others.
    assert all((shape[0] == 1) is name.endswith(IA3[architecture][-1]) for name, shape in places.items())


# --- the oracle: the same adapter as peft itself puts it there


def as_peft_has_it(folder: Path, kind: str, model: Any, installed: Any) -> Any:
    """`model` as a PeftModel with the same weights."""
    config = copy.deepcopy(installed.config)
    config.task_type = "SEQ_CLS"
    theirs = peft.get_peft_model(load(folder), config).eval()
    own = dict(model.named_parameters())
    with torch.no_grad():
        if kind in ("prompt", "prefix"):
            theirs.prompt_encoder["default"].embedding.weight.copy_(own[installed.parameters[0]])
        else:
            there = dict(theirs.named_parameters())
            for name in installed.parameters:
                there[f"base_model.model.{name}"].copy_(own[name])
    return theirs


@pytest.mark.parametrize(("kind", "architecture"), LIKE_PEFT)
def test_logits_and_gradients_are_those_of_peft(kind: str, architecture: str, request: pytest.FixtureRequest) -> None:
    folder = request.getfixturevalue(architecture)
    model, installed = adapted(folder, kind)
    stir(model, installed.parameters)
    theirs = as_peft_has_it(folder, kind, model, installed)
    # With a prompt peft's GPT-2 reads the last place of the rectangle, padding or not.
    batch = {name: value[:1] for name, value in BATCH.items()} if architecture == "gpt2" else BATCH
    if architecture == "bert":  # a pair: the second text begins behind the first separator
        batch = {**batch, "token_type_ids": (IDS == 13).long().cumsum(1)}
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    found, expected = answer(model, batch), answer(theirs, batch)
    assert torch.allclose(found, expected, atol=1e-5)
    found.square().sum().backward()
    expected.square().sum().backward()
    own = dict(model.named_parameters())
    if kind in ("prompt", "prefix"):
        pairs = [(own[installed.parameters[0]], theirs.prompt_encoder["default"].embedding.weight)]
    else:
        there = dict(theirs.named_parameters())
        pairs = [(own[name], there[f"base_model.model.{name}"]) for name in installed.parameters]
    for ours, other in pairs:
        assert ours.grad is not None and ours.grad.abs().max() > 0
        assert torch.allclose(ours.grad, other.grad, rtol=1e-4, atol=1e-5)


# --- while it learns


@pytest.mark.parametrize(("kind", "architecture"), EVERYWHERE)
def test_frozen_weights_do_not_move_by_a_bit_and_adapter_and_head_do(
    kind: str, architecture: str, reviews: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    work = begin_adapted(kind, request.getfixturevalue(architecture), reviews, tmp_path)
    network, before = work.training.model, weights(work.training.model)
    assert [group.name for group in work.groups] == ["embeddings", "layer 1", "layer 2", "adapter", "head"]
    assert sorted(name for group in work.groups for name in group.parameters) == sorted(
        dict(network.named_parameters())
    )
    list(train(work.training))
    learning = {name for group in work.groups[-2:] for name in group.parameters}
    after = weights(network)
    assert {name for name, _ in network.named_parameters() if not torch.equal(before[name], after[name])} == learning
    assert {name for name, p in network.named_parameters() if p in work.training.optimizer.state} == learning


@pytest.mark.parametrize("kind", ADAPTERS)
def test_what_is_frozen_rests_and_the_adapter_has_its_dropout(
    kind: str, bert: Path, reviews: Path, tmp_path: Path
) -> None:
    work = begin_adapted(kind, bert, reviews, tmp_path)
    work.training.phase = work.training.phases[0]
    work.training.set_trainable()
    for name, module in work.training.model.named_modules():
        own = list(module.parameters(recurse=False))
        if own:
            assert module.training is own[0].requires_grad, name
        if "lora_dropout.default" in name:
            assert type(module) is FastDropout and module.training and module.p == 0.1
    layer = work.training.model.bert.encoder.layer[0]
    assert layer.training is (kind not in ("prompt", "prefix"))
    assert not work.training.model.bert.embeddings.dropout.training


def test_scales_do_not_decay_towards_nothing(bert: Path, reviews: Path, tmp_path: Path) -> None:
    work = begin_adapted("ia3", bert, reviews, tmp_path, weight_decay=0.1)
    (group,) = (each for each in work.training.optimizer.param_groups if each["group"] == "adapter")
    assert group["weight_decay"] == 0.0


@pytest.mark.parametrize(("kind", "packs"), [(kind, kind != "prefix") for kind in ADAPTERS])
def test_rows_are_packed_beside_an_adapter(kind: str, packs: bool, bert: Path, reviews: Path, tmp_path: Path) -> None:
    """A prefix has keys that belong to no token: there rows run padded."""
    assert (begin_adapted(kind, bert, reviews, tmp_path).packing is not None) is packs


def test_a_prefix_is_not_packed_where_most_sequences_are_cut_to_one_length(bert: Path, tmp_path: Path) -> None:
    """Packing must have been tried on padding: here only few of the rows' many endings have any."""
    work = begin("copa", tmp_path, model=str(bert), data="sample", train_rows=41, strategy="prefix")
    lengths = work.training.encoded.features["input_ids"].lengths
    assert np.median(lengths) == lengths.max() > lengths.min()
    assert work.packing is None


def test_every_option_shapes_what_is_put_in(bert: Path, reviews: Path, tmp_path: Path) -> None:
    sizes = {}
    for strategy in (
        "lora:r=2", "lora:r=4", "lora:r=4,targets=attention", "prefix:tokens=2", "prompt:tokens=2", "adapter:size=2",
    ):  # fmt: skip
        work = begin_adapted(strategy, bert, reviews, tmp_path)
        sizes[strategy] = work.groups[-2].size
    attention, all_parts = 4 * (16 + 16), 4 * (16 + 16) + 2 * (16 + 32)
    assert sizes == {
        "lora:r=2": 2 * 2 * all_parts, "lora:r=4": 2 * 4 * all_parts, "lora:r=4,targets=attention": 2 * 4 * attention,
        "prefix:tokens=2": 2 * 2 * 2 * 16, "prompt:tokens=2": 2 * 16, "adapter:size=2": 2 * (2 * 16 * 2 + 2 + 16),
    }  # fmt: skip
    for strategy, scale in (("lora:alpha=4,r=8", 0.5), ("lora:alpha=16,r=8", 2.0)):
        model = begin_adapted(strategy, bert, reviews, tmp_path).training.model
        assert model.bert.encoder.layer[0].output.dense.scaling == {"default": scale}
