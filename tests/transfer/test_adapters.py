"""Adapters in a network: heard from the first update on, beside weights that do not move; in peft's form on disk."""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
import transformers
from torch import nn

from tests.runs import Ended, begin, load_recipe, run_recipe
from tests.training.test_loop import same_bits, weights
from tlnlp.answering import Answerer
from tlnlp.data.objects import table_of_lines
from tlnlp.dropout import CheapDropout
from tlnlp.errors import InputError
from tlnlp.evaluation.report import describe, write
from tlnlp.heads import sentence
from tlnlp.learn import Record
from tlnlp.prepare import Work
from tlnlp.saved import load_network
from tlnlp.settings import Settings
from tlnlp.training.loop import train
from tlnlp.transfer.adapters import Bottleneck, check, install
from tlnlp.transfer.adding import ADAPTERS, MERGEABLE
from tlnlp.transfer.groups import Group
from tlnlp.transfer.options import find_strategy
from tlnlp.transfer.phases import Adapter

OPTIONS: dict[str, dict[str, Any]] = {
    "lora": {"r": 3, "alpha": 6.0, "dropout": 0.5, "targets": "all"},
    "ia3": {},
    "prefix": {"tokens": 4},
    "prompt": {"tokens": 4},
    "adapter": {"size": 5},
}
IDS = torch.tensor([[2, 9, 11, 13, 3], [2, 17, 3, 0, 0]])
BATCH = {"input_ids": IDS, "attention_mask": (IDS != 0).long()}
EVERYWHERE = [(kind, each) for kind in ADAPTERS for each in ("bert", "modernbert", "gpt2")]
EVERYWHERE.remove(("prefix", "modernbert"))


def load(folder: Path, auto_class: str = "AutoModelForSequenceClassification") -> Any:
    """A network whose answers differ from row to row, without dropout's randomness."""
    torch.manual_seed(0)
    model = getattr(transformers, auto_class).from_pretrained(folder, pad_token_id=0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter), alpha=0.2)
    return model.eval()


def answer(model: Any, batch: dict[str, torch.Tensor] = BATCH) -> torch.Tensor:
    return model(**batch).logits


def stir(model: nn.Module, names: Any) -> None:
    """Gives new weights values that are heard."""
    torch.manual_seed(1)
    own = dict(model.named_parameters())
    with torch.no_grad():
        for name in names:
            own[name].add_(torch.randn_like(own[name]), alpha=0.3)


def adapted(folder: Path, kind: str, **how: Any) -> tuple[Any, Any]:
    model = load(folder, **how)
    return model, install(model, Adapter(kind, OPTIONS[kind]), seed=0)


def begin_adapted(strategy: str, model: Path, reviews: Path, folder: Path, **more: Any) -> Work:
    asked = {"model": str(model), "data": str(reviews), "strategy": strategy, "learning_rate": 1e-3}
    return begin("sst2", folder, **(asked | more))


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
        installed = install(model, Adapter("lora", OPTIONS["lora"]), seed)
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
        installed = install(model, Adapter("lora", {**OPTIONS["lora"], "targets": targets}), 0)
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


LIKE_PEFT = [(kind, architecture) for kind, architecture in EVERYWHERE if kind != "adapter"]
# There peft reads the first place for the answer, the prompt's own; ours reads the row's.
LIKE_PEFT.remove(("prompt", "modernbert"))


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
    work.training.set_learning()
    for name, module in work.training.model.named_modules():
        own = list(module.parameters(recurse=False))
        if own:
            assert module.training is own[0].requires_grad, name
        if "lora_dropout.default" in name:
            assert type(module) is CheapDropout and module.training and module.p == 0.1
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
    assert (begin_adapted(kind, bert, reviews, tmp_path).training.packing is not None) is packs


def test_a_prefix_is_not_packed_where_most_sequences_are_cut_to_one_length(bert: Path, tmp_path: Path) -> None:
    """Packing must have been tried on padding: here only few of the rows' many endings have any."""
    work = begin("copa", tmp_path, model=str(bert), data="sample", train_rows=41, strategy="prefix")
    lengths = work.training.encoded.features["input_ids"].lengths
    assert np.median(lengths) == lengths.max() > lengths.min()
    assert work.training.packing is None


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


# --- on disk


def save(work: Work, folder: Path) -> Path:
    """Saves as a run does; the folder of the model."""
    record = Record(train_seconds=1.0)
    rows = work.reported_rows
    scores = {name: float(name == rows.labels[0]) for name in rows.labels}
    answers = [{"prediction": rows.labels[0], "score": 1.0, "scores": scores}] * len(rows)
    write(work, describe(work, record, answers, {}, folder, "", ""), answers, {}, folder, "tests")
    return folder / "model"


def batch_of(work: Work) -> dict[str, torch.Tensor]:
    training = work.training
    return training.head.collate(work.reported, np.arange(6), training.tokenizer, np.random.default_rng(0))


@pytest.mark.parametrize(("kind", "architecture"), EVERYWHERE)
def test_what_is_saved_is_loaded_with_the_same_logits(
    kind: str, architecture: str, reviews: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    base = request.getfixturevalue(architecture)
    work = begin_adapted(kind, base, reviews, tmp_path, learning_rate=1e-2)
    list(train(work.training))
    folder, batch = save(work, tmp_path), batch_of(work)
    with torch.no_grad():
        expected = sentence.logits(work.training.model.eval(), batch)
        found = sentence.logits(load_network(folder, sentence).eval(), batch)
    assert torch.allclose(found, expected, atol=1e-5)
    assert (folder / "adapter_model.safetensors").stat().st_size < (base / "model.safetensors").stat().st_size
    assert json.loads((folder / "tlnlp.json").read_text())["adapter"]["base"] == str(base)
    if (kind, architecture) not in LIKE_PEFT:
        return
    names = [work.labels[0], work.labels[1]]
    fresh = transformers.AutoModelForSequenceClassification.from_pretrained(
        base, id2label=dict(enumerate(names)), label2id={name: i for i, name in enumerate(names)},
        pad_token_id=work.training.tokenizer.pad_token_id,
    )  # fmt: skip
    theirs = peft.PeftModel.from_pretrained(fresh, folder).eval()
    given = {name: batch[name] for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        if architecture == "gpt2":  # see above: one row at a time, without padding
            lengths = given["attention_mask"].sum(1).tolist()
            rows = [{name: value[i : i + 1, :n] for name, value in given.items()} for i, n in enumerate(lengths)]
            told = torch.cat([answer(theirs, row) for row in rows])
        else:
            told = answer(theirs, given)
    assert torch.allclose(told, expected, atol=1e-5)


@pytest.mark.parametrize("kind", MERGEABLE)
def test_merged_and_unmerged_the_network_answers_alike(
    kind: str, any_checkpoint: Path, reviews: Path, tmp_path: Path
) -> None:
    work = begin_adapted(kind, any_checkpoint, reviews, tmp_path, learning_rate=1e-2, merge=True)
    plain = set(dict(load(any_checkpoint).named_parameters()))
    batch = batch_of(work)
    list(train(work.training))
    with torch.no_grad():
        expected = sentence.logits(work.training.model.eval(), batch)
    folder = save(work, tmp_path)
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    with torch.no_grad():
        assert torch.allclose(sentence.logits(loaded, batch), expected, atol=1e-5)
    assert set(dict(loaded.named_parameters())) == plain
    assert json.loads((folder / "tlnlp.json").read_text())["adapter"] is None


def test_a_new_pieces_row_is_saved_with_the_adapter(gpt2: Path, reviews: Path, tmp_path: Path) -> None:
    work = begin("gpt_sst2", tmp_path, model=str(gpt2), data=str(reviews), strategy="lora")
    table = work.training.model.get_input_embeddings().weight.detach().clone()
    folder = save(work, tmp_path)
    assert torch.equal(load_network(folder, work.training.head).get_input_embeddings().weight, table)


# --- whole runs


@pytest.fixture(scope="module")
def base(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint that may be moved."""
    return shutil.copytree(bert, tmp_path_factory.mktemp("base") / "bert")


@pytest.fixture(scope="module")
def trained(base: Path, reviews: Path, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    ended = run_recipe(
        "sst2", "--model", base, "--data", reviews, "--strategy", "adapter:size=4", "--max-length", 32, "--epochs", 1,
        folder=tmp_path_factory.mktemp("trained") / "run",
    )  # fmt: skip
    assert ended.status == 0, ended.output
    return ended


def test_a_run_shows_the_adapter_in_its_table_and_how_to_use_it(trained: Ended) -> None:
    table = trained.output.split("strategy adapter:size=4")[1].split("answering")[0]
    lines = [line.split() for line in table.splitlines() if line.startswith(("layer 1", "adapter ", "head"))]
    assert [line[0] for line in lines] == ["layer", "adapter", "head"]
    assert lines[1][1:3] == [str(2 * (2 * 16 * 4 + 4 + 16)), "learns,"]
    assert "pipeline" not in trained.output
    assert f"tlnlp predict {trained.folder / 'model'}" in trained.output
    assert trained.result["adapter"] == "adapter"
    learning = int(lines[1][1]) + int(lines[2][1])
    assert trained.result["parameters"]["learning"] == learning


def test_predict_answers_as_the_run_did(trained: Ended, reviews: Path) -> None:
    lines = (reviews / "validation.jsonl").read_text()
    found = Answerer(trained.folder / "model").answer(table_of_lines(lines, "tests", 1), {"text": "sentence"})
    expected = [json.loads(line) for line in trained.predictions.splitlines()]
    assert [each["prediction"] for each in found] == [each["prediction"] for each in expected]
    assert [each["score"] for each in found] == pytest.approx([each["score"] for each in expected], abs=1e-5)


def refusal(act: Callable[[], Any]) -> str:
    with pytest.raises(InputError) as caught:
        act()
    return str(caught.value)


def test_a_base_checkpoint_that_is_gone_or_another_one_is_said(trained: Ended, base: Path, modernbert: Path) -> None:
    away = base.rename(base.with_name("away"))
    try:
        said = refusal(lambda: Answerer(trained.folder / "model"))
        assert "no such folder" in said and str(base) in said and "put it back" in said
        shutil.copytree(modernbert, base)
        assert "other weights" in refusal(lambda: Answerer(trained.folder / "model"))
        shutil.rmtree(base)
    finally:
        away.rename(base)
    Answerer(trained.folder / "model")


def test_an_adapter_that_was_cut_short_is_said(trained: Ended, tmp_path: Path) -> None:
    folder = shutil.copytree(trained.folder / "model", tmp_path / "model")
    record = json.loads((folder / "tlnlp.json").read_text())
    record["adapter"]["modules"] = record["adapter"]["modules"][:1]
    (folder / "tlnlp.json").write_text(json.dumps(record))
    assert "too few or too many" in refusal(lambda: load_network(folder, sentence))


# --- what is refused, before weights are read


def begun(reviews: Path, tmp_path: Path, recipe: str = "sst2", **settings: Any) -> str:
    return refusal(lambda: begin(recipe, tmp_path, **{"data": str(reviews), **settings}))


@pytest.mark.parametrize("strategy", ["full", "head_only", "prefix", "prompt", "adapter:size=8"])
def test_what_cannot_be_merged_is_refused(strategy: str, bert: Path, reviews: Path, tmp_path: Path) -> None:
    said = begun(reviews, tmp_path, model=str(bert), strategy=strategy, merge=True)
    assert "--strategy lora or ia3" in said and f"--merge with --strategy {strategy}" in said


def test_a_prefix_on_a_network_without_a_place_for_it_is_refused(
    modernbert: Path, reviews: Path, tmp_path: Path
) -> None:
    (modernbert / "model.safetensors").stat()
    said = begun(reviews, tmp_path, model=str(modernbert), strategy="prefix")
    assert "take no keys and values from elsewhere (modernbert)" in said and "--strategy lora or adapter" in said


@pytest.mark.parametrize("kind", ["prompt", "prefix"])
def test_a_prompt_that_leaves_no_room_for_the_rows_is_refused(
    kind: str, bert: Path, reviews: Path, tmp_path: Path
) -> None:
    said = begun(reviews, tmp_path, model=str(bert), strategy=f"{kind}:tokens=100", max_length=48)
    assert "--max-length of at most 28" in said and f"without the 100 of --strategy {kind}:tokens=100" in said


def test_an_adapter_of_a_network_that_has_learnt_nothing_is_refused(corpus: Path, tmp_path: Path) -> None:
    assert load_recipe("pretrain_gpt").settings().model == "new"
    said = begun(corpus, tmp_path, "pretrain_gpt", strategy="lora")
    assert "--model new" in said and "--strategy full" in said


def test_an_adapter_given_as_a_checkpoint_is_refused(trained: Ended, reviews: Path, tmp_path: Path) -> None:
    said = begun(reviews, tmp_path, model=str(trained.folder / "model"))
    assert "a whole checkpoint" in said and "--merge" in said


def test_layers_without_linear_parts_have_no_place_for_lora_and_ia3() -> None:
    config = transformers.BertConfig(
        hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8, vocab_size=9
    )
    model = transformers.BertForSequenceClassification(config)
    # As wide inside as outside: nothing says which part leads back.
    assert "cannot be told apart" in refusal(lambda: check(model, Adapter("ia3", {})))
    for layer in model.bert.encoder.layer:
        for name in list(layer._modules):
            delattr(layer, name)
    assert "no linear parts" in refusal(lambda: check(model, Adapter("lora", OPTIONS["lora"])))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lora:r=0", "lora:r=N with N at least 1"),
        ("lora:alpha=0", "alpha=F with F above 0"),
        ("lora:dropout=1", "below 1"),
        ("lora:targets=atention", "targets=all or attention"),
        ("prefix:tokens=0", "at least 1"),
        ("prompt:factor=0", "above 0"),
        ("adapter:size=0", "at least 1"),
        ("ia3:head_factor=-1", "above 0"),
    ],
)
def test_an_option_that_cannot_be_is_refused(text: str, expected: str) -> None:
    groups = [Group(name, (name,), 1) for name in ("embeddings", "layer 1", "head")]
    assert expected in refusal(lambda: find_strategy(text).plan(groups, Settings()))
