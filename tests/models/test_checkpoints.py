"""Checkpoints: which are refused and in which words, what is taken from them, and that what is saved loads again."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from accelerate import Accelerator
from safetensors.torch import load_file, save_file

from tests.architectures.checkpoints import build
from tests.recipe_runs import begin, load_recipe, run_recipe
from tlnlp import load as tlnlp_load
from tlnlp.data import Splits, load_splits
from tlnlp.errors import InputError
from tlnlp.evaluation.predict import predict
from tlnlp.models import checkpoint, loading, saving
from tlnlp.models.positions import count_positions
from tlnlp.recipe import Recipe
from tlnlp.runs.checks import check_length, check_run
from tlnlp.runs.request import Request
from tlnlp.settings import Settings
from tlnlp.training.plan import plan_updates
from tlnlp.transfer.groups import layer_groups

OWN = ("negative", "positive")
WEIGHTS = "model.safetensors"


@pytest.fixture
def sst2() -> Recipe:
    return load_recipe("sst2")


@pytest.fixture
def copy(bert: Path, tmp_path: Path) -> Path:
    """A checkpoint that a test may spoil."""
    return Path(shutil.copytree(bert, tmp_path / "checkpoint"))


def save_classifier(folder: Path, tokenizer_from: Path, labels: tuple[str, ...]) -> Any:
    """A BERT fine-tuned for these labels, whose answers differ from text to text."""
    config = transformers.AutoConfig.from_pretrained(tokenizer_from)
    config.id2label, config.label2id = dict(enumerate(labels)), {name: i for i, name in enumerate(labels)}
    config.initializer_range = 0.3
    torch.manual_seed(7)
    model = transformers.BertForSequenceClassification(config).eval()
    model.save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(tokenizer_from).save_pretrained(folder)
    return model


def load(recipe: Recipe, settings: Settings, splits: Splits) -> tuple[Any, Any, Splits]:
    """Network, tokenizer and rows as a run has them."""
    request = replace(Request.of(recipe, settings), splits=splits)
    run = check_run(request)
    tokenizer = loading.load_tokenizer(run.checkpoint.place, settings.model)
    model = loading.load_model(
        run.checkpoint, recipe.task, tokenizer, seed=settings.seed, new_head=settings.new_head,
        new_weights=request.strategy.is_from_scratch,
    )  # fmt: skip
    return model.eval(), tokenizer, run.splits


def refusal(recipe: Recipe, reviews: Path, folder: Path | str, **changes: Any) -> str:
    settings = recipe.settings(model=str(folder), data=str(reviews), max_length=48, **changes)
    with pytest.raises(InputError) as caught:
        load(recipe, settings, load_splits(recipe.task, settings))
    return str(caught.value)


def test_a_folder_that_is_not_there_is_refused_with_the_near_name(copy: Path) -> None:
    with pytest.raises(InputError, match=r"no folder \(did you mean checkpoint\?\)"):
        checkpoint.find_checkpoint(str(copy.with_name("chekpoint")))


def test_a_file_in_place_of_a_folder_is_refused(copy: Path) -> None:
    with pytest.raises(InputError, match=r"config\.json, which is a file"):
        checkpoint.find_checkpoint(str(copy / "config.json"))


def test_a_misspelt_bundled_name_is_refused_with_the_near_name(
    copy: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It could be an id of the Hub: what the Hub says, and the near name, are said together."""
    copy.rename(tmp_path / "mini")
    monkeypatch.setattr(checkpoint, "BUNDLED", tmp_path)
    assert checkpoint.find_checkpoint("mini") == str(tmp_path / "mini")
    assert checkpoint.find_checkpoint("mimi") == "mimi"
    with pytest.raises(InputError, match=r"--model mimi \(did you mean mini\?\): "):
        checkpoint.read_config("mimi", "mimi")


@pytest.mark.parametrize("name", sorted(checkpoint.bundled_models()))
def test_a_bundled_checkpoint_is_whole(name: str) -> None:
    folder = checkpoint.find_checkpoint(name)
    assert checkpoint.read_config(folder, name).model_type
    assert loading.load_tokenizer(folder, name).pad_token


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nothing"):
        checkpoint.find_checkpoint(str(tmp_path))


def test_a_folder_without_weights_is_refused_unless_none_are_needed(copy: Path) -> None:
    (copy / WEIGHTS).unlink()
    with pytest.raises(InputError, match="--strategy from_scratch") as caught:
        checkpoint.find_checkpoint(str(copy))
    assert "config.json" in caught.value.found
    assert checkpoint.find_checkpoint(str(copy), weights_needed=False) == str(copy)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt"])
def test_a_pickle_is_refused_and_not_read(copy: Path, name: str) -> None:
    (copy / WEIGHTS).rename(copy / name)
    with pytest.raises(InputError, match="cannot execute code when they are loaded") as caught:
        checkpoint.find_checkpoint(str(copy))
    assert f"tlnlp convert {copy}" in caught.value.change


def test_a_pickle_beside_safetensors_is_left_alone(copy: Path, sst2: Recipe, reviews: Path) -> None:
    (copy / "pytorch_model.bin").write_bytes(b"not to be read")
    settings = sst2.settings(model=str(copy), data=str(reviews), max_length=48)
    load(sst2, settings, load_splits(sst2.task, settings))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_a_broken_file_of_a_checkpoint_is_refused(name: str, copy: Path, sst2: Recipe, reviews: Path) -> None:
    (copy / name).write_text("{ not json")
    assert "a checkpoint that transformers" in refusal(sst2, reviews, copy)


def test_a_checkpoint_without_a_tokenizer_is_refused(copy: Path, sst2: Recipe, reviews: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (copy / name).unlink()
    assert "tokenizer" in refusal(sst2, reviews, copy)


def test_a_network_that_transformers_has_itself_is_loaded_without_the_code_beside_it(
    copy: Path, sst2: Recipe, reviews: Path
) -> None:
    config = json.loads((copy / "config.json").read_text())
    code = {name: f"modeling.{name}" for name in ("AutoConfig", "AutoModelForSequenceClassification")}
    (copy / "config.json").write_text(json.dumps({**config, "auto_map": code}))
    (copy / "modeling.py").write_text("raise SystemExit('this must not be run')")
    settings = sst2.settings(model=str(copy), data=str(reviews), max_length=48)
    model, _, _ = load(sst2, settings, load_splits(sst2.task, settings))
    assert type(model) is transformers.BertForSequenceClassification


def test_a_tokenizer_that_needs_a_package_is_refused_with_its_name(copy: Path, sst2: Recipe, reviews: Path) -> None:
    """RoFormer's own tokenizer cuts Chinese words with a package that is rarely there."""
    (copy / "tokenizer.json").unlink()
    (copy / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n")
    (copy / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "RoFormerTokenizer"}))
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "model_type": "roformer"}))
    assert "pip install rjieba" in refusal(sst2, reviews, copy)


@pytest.mark.parametrize("kind", [AttributeError, TypeError, RuntimeError, IndexError, ImportError, UnicodeError])
def test_whatever_transformers_raises_is_said_in_words(
    kind: type[Exception], copy: Path, sst2: Recipe, reviews: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise kind("what went wrong\nand where")

    for owner in ("AutoConfig", "AutoTokenizer", "AutoModelForSequenceClassification"):
        with monkeypatch.context() as patched:
            patched.setattr(getattr(transformers, owner), "from_pretrained", fail)
            said = refusal(sst2, reviews, copy)
        assert f"--model {copy}: what went wrong\n" in said
        assert "and where" not in said


def test_a_tokenizer_with_more_pieces_than_the_network_has_is_refused(copy: Path, sst2: Recipe, reviews: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps({**config, "vocab_size": 200}))
    tensors = load_file(copy / WEIGHTS)
    tensors = {name: each[:200] if each.shape[0] == config["vocab_size"] else each for name, each in tensors.items()}
    save_file({name: each.contiguous() for name, each in tensors.items()}, copy / WEIGHTS, metadata={"format": "pt"})
    assert "200" in refusal(sst2, reviews, copy)


def test_weights_that_are_cut_short_are_refused(copy: Path, sst2: Recipe, reviews: Path) -> None:
    whole = (copy / WEIGHTS).read_bytes()
    (copy / WEIGHTS).write_bytes(whole[: len(whole) // 2])
    assert str(copy) in refusal(sst2, reviews, copy)


def test_missing_weights_of_the_body_are_refused_by_name(copy: Path, sst2: Recipe, reviews: Path) -> None:
    tensors = load_file(copy / WEIGHTS)
    lost = "bert.encoder.layer.1.attention.self.query.weight"
    del tensors[lost]
    save_file(tensors, copy / WEIGHTS, metadata={"format": "pt"})
    said = refusal(sst2, reviews, copy)
    assert lost in said
    assert "the weights of a BertForSequenceClassification" in said


def test_weights_of_another_architecture_are_refused(copy: Path, modernbert: Path, sst2: Recipe, reviews: Path) -> None:
    shutil.copy(modernbert / WEIGHTS, copy / WEIGHTS)
    assert str(copy) in refusal(sst2, reviews, copy)


def test_a_checkpoint_without_a_head_gets_one_drawn_by_the_seed_and_keeps_its_body(
    bert: Path, sst2: Recipe, reviews: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def state(seed: int) -> dict[str, torch.Tensor]:
        settings = sst2.settings(model=str(bert), data=str(reviews), max_length=48, seed=seed)
        return load(sst2, settings, load_splits(sst2.task, settings))[0].state_dict()

    first, again, other = state(0), state(0), state(1)
    assert torch.equal(first["classifier.weight"], again["classifier.weight"])
    assert not torch.equal(first["classifier.weight"], other["classifier.weight"])
    body = load_file(bert / WEIGHTS)
    shared = [name for name in body if name.startswith("bert.")]
    assert len(shared) > 20
    assert all(torch.equal(body[name], first[name]) for name in shared)
    assert capfd.readouterr() == ("", ""), "a fresh head is expected: nothing is to be said about it"


@pytest.mark.parametrize("with_head", [True, False])
def test_a_language_model_that_begins_with_a_random_head_says_so(
    with_head: bool, bert: Path, copy: Path, corpus: Path, tmp_path: Path
) -> None:
    if not with_head:
        transformers.AutoModel.from_pretrained(bert).save_pretrained(copy)
    ended = run_recipe(
        "pretrain", "--model", copy, "--data", corpus, "--max-length", 32, "--epochs", 1, "--strategy", "full",
        folder=tmp_path / "run",
    )  # fmt: skip
    assert ended.status == 0, ended.output
    said = " ".join(ended.output.split())
    assert ("has no language-model head: a new one is learnt, from random weights" in said) is not with_head


def test_a_checkpoint_with_other_labels_is_refused_with_both(
    bert: Path, tmp_path: Path, sst2: Recipe, reviews: Path
) -> None:
    save_classifier(tmp_path / "other", bert, ("joy", "anger"))
    said = refusal(sst2, reviews, tmp_path / "other")
    assert "one with the labels negative, positive" in said
    assert "whose head has the labels joy, anger" in said
    assert "--new-head" in said


@pytest.mark.parametrize(
    ("own", "expected", "said"),
    [
        (("POSITIVE", "NEGATIVE"), ("positive", "negative"), "POSITIVE = positive, NEGATIVE = negative"),
        (("LABEL_0", "LABEL_1"), OWN, "LABEL_0 = negative, LABEL_1 = positive is assumed"),
        (("positive", "neutral", "Negative"), ("positive", "neutral", "negative"), "keeps them: neutral"),
    ],
)
def test_labels_that_are_written_otherwise_or_more_than_the_rows_have_go_on_and_it_is_said(
    own: tuple[str, ...], expected: tuple[str, ...], said: str, bert: Path, tmp_path: Path, sst2: Recipe, reviews: Path
) -> None:
    theirs = save_classifier(tmp_path / "trained", bert, own)
    settings = sst2.settings(model=str(tmp_path / "trained"), data=str(reviews), max_length=48)
    splits = load_splits(sst2.task, settings)
    run = check_run(replace(Request.of(sst2, settings), splits=splits))
    assert said in " ".join(run.checkpoint.notes)
    model, _, followed = load(sst2, settings, splits)
    assert followed.train.labels == expected
    assert [expected[i] for i in followed.train.columns["label"]] == [OWN[i] for i in splits.train.columns["label"]]
    assert model.config.id2label == dict(enumerate(expected))
    assert torch.equal(model.classifier.weight, theirs.classifier.weight)


def test_a_run_goes_on_with_all_labels_of_a_checkpoint(bert: Path, tmp_path: Path, reviews: Path) -> None:
    save_classifier(tmp_path / "trained", bert, ("neutral", "negative", "positive"))
    ended = run_recipe(
        "sst2", "--model", tmp_path / "trained", "--data", reviews, "--max-length", 32, "--epochs", 1,
        folder=tmp_path / "run",
    )  # fmt: skip
    assert ended.status == 0, ended.output
    assert "keeps them: neutral" in ended.output.replace("\n", " ")
    saved = transformers.AutoConfig.from_pretrained(tmp_path / "run" / "model")
    assert saved.id2label == {0: "neutral", 1: "negative", 2: "positive"}
    (answer,) = tlnlp_load(tmp_path / "run").predict(["A film to see twice."])
    assert set(answer.scores) == {"neutral", "negative", "positive"}


def test_tokens_that_were_added_without_rows_are_refused_with_the_cure_or_get_rows(
    copy: Path, sst2: Recipe, reviews: Path
) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(copy)
    before = transformers.AutoConfig.from_pretrained(copy).vocab_size
    tokenizer.add_tokens([f"[FILLER{i}]" for i in range(before - len(tokenizer))])
    tokenizer.add_tokens(["[hashtag]", "[user]"])
    tokenizer.save_pretrained(copy)
    said = refusal(sst2, reviews, copy)
    assert "[hashtag], [user]" in said and "--resize-embeddings" in said
    settings = sst2.settings(model=str(copy), data=str(reviews), max_length=48, resize_embeddings=True)
    model, _, _ = load(sst2, settings, load_splits(sst2.task, settings))
    table, old = (
        model.get_input_embeddings().weight,
        load_file(copy / WEIGHTS)["bert.embeddings.word_embeddings.weight"],
    )
    assert len(table) == model.config.vocab_size == before + 2
    assert torch.equal(table[:before], old)
    assert (table[before:] - old.mean(0)).abs().max() < 3 * old.std()


@pytest.mark.parametrize("labels", [OWN, OWN[::-1]], ids=["same order", "other order"])
def test_labels_travel_by_name_whatever_their_order_in_the_checkpoint(
    labels: tuple[str, ...], bert: Path, tmp_path: Path, sst2: Recipe, reviews: Path
) -> None:
    theirs = save_classifier(tmp_path / "trained", bert, labels)
    settings = sst2.settings(model=str(tmp_path / "trained"), data=str(reviews), max_length=48)
    splits = load_splits(sst2.task, settings)
    model, tokenizer, followed = load(sst2, settings, splits)
    for before, after in ((splits.train, followed.train), (splits.dev, followed.dev)):
        named = [OWN[i] for i in before.columns["label"]]
        assert [(after.labels or ())[i] for i in after.columns["label"]] == named
    encoded = sst2.task.head.encode(followed.dev, sst2.task, tokenizer, settings)
    answers = predict(model, encoded, followed.dev, sst2.task, tokenizer, settings.max_tokens, Accelerator())
    ask = transformers.pipeline("text-classification", model=theirs, tokenizer=tokenizer, device="cpu")
    expected = ask(followed.dev.columns["text"])
    assert [each.prediction for each in answers] == [each["label"] for each in expected]
    assert {each.prediction for each in answers} == set(OWN), "both must occur, else the order could not show"
    if labels != OWN:
        assert followed.notes[-1] == "labels in the checkpoint's order: positive, negative"


@pytest.mark.parametrize("labels", [("joy", "anger"), ("a", "b", "c"), OWN])
def test_with_new_head_the_old_one_is_dropped_and_the_body_kept(
    labels: tuple[str, ...], bert: Path, tmp_path: Path, sst2: Recipe, reviews: Path
) -> None:
    theirs = save_classifier(tmp_path / "trained", bert, labels).state_dict()
    settings = sst2.settings(model=str(tmp_path / "trained"), data=str(reviews), max_length=48, new_head=True)
    model, _, _ = load(sst2, settings, load_splits(sst2.task, settings))
    own = model.state_dict()
    assert model.config.id2label == dict(enumerate(OWN))
    assert own["classifier.weight"].shape[0] == len(OWN)
    assert not torch.equal(own["classifier.weight"], theirs["classifier.weight"])
    for name in ("bert.embeddings.word_embeddings.weight", "bert.encoder.layer.1.output.dense.weight"):
        assert torch.equal(own[name], theirs[name])


def test_from_scratch_takes_nothing_but_the_configuration(bert: Path, sst2: Recipe, reviews: Path) -> None:
    settings = sst2.settings(model=str(bert), data=str(reviews), max_length=48, strategy="from_scratch")
    model, _, _ = load(sst2, settings, load_splits(sst2.task, settings))
    theirs = load_file(bert / WEIGHTS)
    assert model.config.hidden_size == 16
    for name, own in model.state_dict().items():
        if name in theirs and own.dim() > 1:
            assert not torch.equal(own, theirs[name]), name


def test_redrawing_a_group_changes_its_weights_and_no_others(bert: Path, sst2: Recipe, reviews: Path) -> None:
    settings = sst2.settings(model=str(bert), data=str(reviews), max_length=48)
    model, _, _ = load(sst2, settings, load_splits(sst2.task, settings))
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    (group,) = (each for each in layer_groups(model) if each.name == "layer 2")
    loading.reinitialize(model, group.parameters, sst2.task.head.auto_class, 3, None)
    changed = {name for name, parameter in model.named_parameters() if not torch.equal(before[name], parameter)}
    assert changed == {name for name in group.parameters if before[name].dim() > 1}  # biases and norms begin alike


@pytest.fixture
def saved(bert: Path, sst2: Recipe, reviews: Path, tmp_path: Path) -> tuple[Path, Any, Any, dict[str, Any]]:
    """A folder that was saved, the network, its tokenizer, and a batch to compare on."""
    save_classifier(tmp_path / "trained", bert, OWN)
    settings = sst2.settings(model=str(tmp_path / "trained"), data=str(reviews), max_length=48)
    splits = load_splits(sst2.task, settings)
    model, tokenizer, splits = load(sst2, settings, splits)
    shutil.rmtree(tmp_path / "trained")
    encoded = sst2.task.head.encode(splits.dev, sst2.task, tokenizer, settings)
    batch = sst2.task.head.collate(encoded, np.arange(8), tokenizer, np.random.default_rng(0))
    saving.save_model(tmp_path / "model", model, tokenizer, "# a card\n")
    return tmp_path / "model", model, tokenizer, batch


def test_what_is_saved_loads_and_answers_alike(saved: tuple[Path, Any, Any, dict[str, Any]], sst2: Recipe) -> None:
    folder, model, tokenizer, batch = saved
    saving.check_saved(folder, model, sst2.task.head, batch)
    assert {"config.json", WEIGHTS, "tokenizer.json", "README.md"} <= {path.name for path in folder.iterdir()}
    assert json.loads((folder / "config.json").read_text())["id2label"] == {"0": "negative", "1": "positive"}
    again = transformers.AutoTokenizer.from_pretrained(folder)
    assert again("A film to see twice.")["input_ids"] == tokenizer("A film to see twice.")["input_ids"]
    assert [path.name for path in folder.parent.iterdir()] == ["model"], "nothing is left beside it"


@pytest.mark.parametrize("name", ["classifier.weight", "bert.embeddings.LayerNorm.bias"])
def test_a_saved_tensor_that_differs_is_noticed(
    name: str, saved: tuple[Path, Any, Any, dict[str, Any]], sst2: Recipe
) -> None:
    folder, model, _, batch = saved
    tensors = load_file(folder / WEIGHTS)
    tensors[name] = tensors[name] + 0.1 * torch.randn_like(tensors[name])
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(RuntimeError, match="does not give the same logits as the trained model"):
        saving.check_saved(folder, model, sst2.task.head, batch)


def test_a_saved_tensor_that_is_gone_is_noticed(saved: tuple[Path, Any, Any, dict[str, Any]], sst2: Recipe) -> None:
    folder, model, _, batch = saved
    tensors = load_file(folder / WEIGHTS)
    del tensors["bert.encoder.layer.0.output.dense.weight"]
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(RuntimeError, match="does not give the same logits as the trained model"):
        saving.check_saved(folder, model, sst2.task.head, batch)


def test_another_checkpoint_has_another_fingerprint(bert: Path, copy: Path) -> None:
    config = checkpoint.read_config(str(bert), "bert")
    assert checkpoint.fingerprint(str(bert), config) == checkpoint.fingerprint(str(copy), config)
    tensors = load_file(copy / WEIGHTS)
    tensors["bert.embeddings.LayerNorm.bias"][0] += 1e-3
    save_file(tensors, copy / WEIGHTS, metadata={"format": "pt"})
    assert checkpoint.fingerprint(str(bert), config) != checkpoint.fingerprint(str(copy), config)


@pytest.mark.parametrize(
    ("kind", "positions"),
    [
        ("bert", 512),
        ("roberta", 510),
        ("longformer", 510),
        ("data2vec-text", 510),
        ("mpnet", 510),
        ("gpt2", 512),
        ("opt", 512),
    ],
)
def test_a_length_beyond_the_networks_positions_is_refused_with_the_most_it_reads(kind: str, positions: int) -> None:
    config = transformers.AutoConfig.for_model(kind, pad_token_id=1)
    config.max_position_embeddings = 512
    with torch.device("meta"):
        network = transformers.AutoModel.from_config(config)
    assert count_positions(network) == positions
    check_length(positions, positions, kind)
    with pytest.raises(InputError, match=f"at most {positions},"):
        check_length(positions, positions + 1, kind)


@pytest.mark.parametrize("kind", ["xlnet", "bloom", "mamba"])
def test_a_network_without_a_limit_reads_rows_of_any_length(kind: str) -> None:
    with torch.device("meta"):
        network = transformers.AutoModel.from_config(transformers.AutoConfig.for_model(kind))
    assert count_positions(network) is None
    check_length(None, 10_000, kind)


def test_a_new_head_is_initialised_also_where_transformers_leaves_it_as_it_is_in_memory(
    corpus: Path, tmp_path: Path
) -> None:
    """data2vec's checkpoints have no language-model head; its bias belongs to no ordinary layer."""
    folder = build("data2vec-text", tmp_path / "checkpoint")
    for attempt in range(3):  # whatever memory it gets
        held = [torch.full((1 << 16,), torch.nan) for _ in range(8)]
        del held
        work = begin("pretrain", tmp_path / str(attempt), model=str(folder), data=str(corpus))
        assert torch.equal(work.training.model.lm_head.bias, torch.zeros_like(work.training.model.lm_head.bias))


@pytest.mark.parametrize(("name", "ignores"), [("bert", True), ("llama", True), ("fnet", False), ("convbert", False)])
def test_rows_of_other_lengths_are_batched_only_where_the_network_ignores_padding(
    name: str, ignores: bool, reviews: Path, tmp_path: Path
) -> None:
    folder = build(name, tmp_path / "checkpoint")
    work = begin("sst2", tmp_path / "run", model=str(folder), data=str(reviews))
    encoded = work.training.encoded
    assert encoded.can_pad is work.encoded_dev.can_pad is ignores
    (update,) = plan_updates(
        encoded.lengths, 0, 1, seed=0, batch_size=len(encoded), max_tokens=4096, can_pad=encoded.can_pad
    )
    assert all(len(set(encoded.lengths[each])) == 1 for each in update.micro_batches) is not ignores
    assert any("only rows of equal length" in note for note in work.notes) is not ignores


def test_what_a_network_computes_for_a_row_does_not_depend_on_earlier_rows(reviews: Path, tmp_path: Path) -> None:
    """BigBird gives up its sparse attention at the first short batch, and computes long rows otherwise from then on."""
    folder = build("big_bird", tmp_path / "checkpoint")
    work = begin("sst2", tmp_path / "run", model=str(folder), data=str(reviews), strategy="shallow")  # has all tokens
    model, draw = work.training.model.eval(), torch.Generator().manual_seed(0)
    long, short = (torch.randint(10, 400, (1, length), generator=draw) for length in (320, 20))
    with torch.no_grad():
        first = model(input_ids=long, attention_mask=torch.ones_like(long)).logits
        model(input_ids=short, attention_mask=torch.ones_like(short))
        assert torch.equal(model(input_ids=long, attention_mask=torch.ones_like(long)).logits, first)
    assert any("attention is computed in full" in note for note in work.notes)
