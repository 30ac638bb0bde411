"""What a classifier reads of a frozen network: transformers' hidden states, whatever is packed or left out."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

from tests.fixtures import TRAIN_ROWS
from tests.pairwise import long_but_for, pairwise
from tests.recipe_runs import begin
from tlnlp.display.console import RunConsole
from tlnlp.heads.encoded import NOT_SCORED, Ragged, model_inputs
from tlnlp.models.feature_classifier import FeatureClassifier
from tlnlp.runs.feature_trainer import FeatureTrainer
from tlnlp.runs.setup import PreparedRun, sample_batch

LAYERS = 2


def begin_shallow(recipe: str, options: str, model: Path, folder: Path, **more: Any) -> PreparedRun:
    rows = {"data": "sample", "train_rows": TRAIN_ROWS} if recipe != "sst2" else {}
    return begin(recipe, folder, model=str(model), strategy=f"shallow:{options}", **(rows | more))


def read_train_rows(work: PreparedRun) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    fitter = FeatureTrainer(work, RunConsole(speaks=False, quiet=True), began=0.0)
    with fitter.screen.bar(1, 0) as bar:
        return fitter._read_train_rows(bar)


def hidden_states(folder: Path, ids: np.ndarray) -> np.ndarray:
    """Of one row by itself, by transformers alone: [tokens, layers, width]."""
    network = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        output = network(input_ids=torch.from_numpy(ids.astype(np.int64))[None], output_hidden_states=True)
    assert len(output.hidden_states) == LAYERS + 1
    return torch.stack(output.hidden_states, dim=2)[0].numpy()


POOLED = {"mean": lambda states: states.mean(0), "first": lambda states: states[0], "last": lambda states: states[-1]}


ARCHITECTURES = ("bert", "modernbert", "gpt2")
# A first token that has seen no other is refused.
CASES = [
    (layer, pooling, architecture)
    for layer, pooling, architecture in itertools.product((0, 1, 2, "mix"), POOLED, ARCHITECTURES)
    if pooling != "first" or not (layer == 0 or architecture == "gpt2")
]


@pytest.mark.parametrize(("layer", "pooling", "architecture"), long_but_for(pairwise(CASES), CASES))
def test_features_are_the_hidden_states_of_transformers_pooled(
    layer: int | str, pooling: str, architecture: str, reviews: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Rows of different lengths, several in a micro-batch, packed where the network allows it."""
    any_checkpoint = request.getfixturevalue(architecture)
    options = f"layer={layer},pooling={pooling}"
    work = begin_shallow("sst2", options, any_checkpoint, tmp_path, data=str(reviews), max_tokens=150)
    found, targets, weights = read_train_rows(work)
    encoded = work.training.encoded
    assert len(set(encoded.lengths)) > 5
    # All rows are longer than modernbert's window of attention.
    assert (work.packing is None) == (architecture == "modernbert")
    assert weights.tolist() == [1] * TRAIN_ROWS
    assert targets.tolist() == work.train_rows.columns["label"]
    for item in range(0, TRAIN_ROWS, 5):
        states = hidden_states(any_checkpoint, encoded.features["input_ids"][item])
        expected = POOLED[pooling](states)
        expected = expected if layer == "mix" else expected[[layer]]
        assert found[item] == pytest.approx(expected, abs=2e-5)


AT_WORDS = list(itertools.product((0, 1, 2), ARCHITECTURES))


@pytest.mark.parametrize(
    ("layer", "architecture"), long_but_for([*zip((0, 1, 2), ARCHITECTURES, strict=True)], AT_WORDS)
)
def test_a_word_is_read_at_its_first_piece(
    layer: int, architecture: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    any_checkpoint = request.getfixturevalue(architecture)
    work = begin_shallow("conll2003", f"layer={layer}", any_checkpoint, tmp_path, max_length=64, train_rows=12)
    found, targets, weights = read_train_rows(work)
    encoded, rows = work.training.encoded, work.train_rows
    assert isinstance(encoded.targets, Ragged)
    if len(encoded) == len(rows):
        assert targets.tolist() == [tag for tags in rows.columns["tags"] for tag in tags]
    expected = [
        hidden_states(any_checkpoint, encoded.features["input_ids"][item])[encoded.targets[item] != NOT_SCORED, layer]
        for item in range(len(encoded))
    ]
    assert found[:, 0] == pytest.approx(np.concatenate(expected), abs=2e-5)
    assert weights.tolist() == [1] * len(found) == [1] * sum(map(len, rows.columns["tags"]))


@pytest.mark.parametrize("options", ["layer=1", "layer=mix,pooling=last"])
def test_any_token_budget_reads_the_same(options: str, any_checkpoint: Path, reviews: Path, tmp_path: Path) -> None:
    found = [
        read_train_rows(begin_shallow("sst2", options, any_checkpoint, tmp_path, data=str(reviews), max_tokens=budget))[
            0
        ]
        for budget in (32, 100, 4096)
    ]
    assert found[1] == pytest.approx(found[0], abs=2e-5)
    assert found[2] == pytest.approx(found[0], abs=2e-5)


def test_layers_above_those_that_are_read_are_not_computed(bert: Path, reviews: Path, tmp_path: Path) -> None:
    work = begin_shallow("sst2", "layer=1", bert, tmp_path, data=str(reviews))
    reader, ran = work.training.model, []
    for number, layer in enumerate(reader.network.encoder.layer, start=1):
        layer.register_forward_pre_hook(lambda *_, number=number: ran.append(number))
    reader(**model_inputs(sample_batch(work)))
    assert ran == [1]
    hooks = [len(module._forward_hooks) for module in reader.modules()]
    reader(**model_inputs(sample_batch(work)))
    assert [len(module._forward_hooks) for module in reader.modules()] == hooks, "none stays behind"


@pytest.mark.parametrize("pooling", ["first", "mean"])
def test_what_is_packed_is_found_by_what_the_classifier_reads(
    pooling: str, bert: Path, reviews: Path, tmp_path: Path
) -> None:
    """The network's own head reads the first token only; a mean reads them all."""
    work = begin_shallow("sst2", f"pooling={pooling}", bert, tmp_path, data=str(reviews))
    assert work.packing is not None
    assert work.packing.firsts_only == (pooling == "first")


def test_nothing_of_the_network_learns_and_only_the_classifier_is_counted(
    any_checkpoint: Path, reviews: Path, tmp_path: Path
) -> None:
    work = begin_shallow("sst2", "layer=mix", any_checkpoint, tmp_path, data=str(reviews))
    assert not any(parameter.requires_grad for parameter in work.training.model.parameters())
    *body, classifier = work.groups
    network = transformers.AutoModel.from_pretrained(any_checkpoint)
    assert sum(group.size for group in body) == sum(parameter.numel() for parameter in network.parameters())
    assert (classifier.name, classifier.size) == ("classifier", 2 * 16 * (LAYERS + 1) + 2)
    names = [name for group in work.groups for name in group.parameters]
    assert sorted(names) == sorted(name for name, _ in work.training.model.named_parameters())


def test_a_pair_in_both_orders_is_read_as_their_mean_and_answered_as_fitted(gpt2: Path, tmp_path: Path) -> None:
    """The gpt head adds up the logits of both orders."""
    rows = {"data": "sample", "train_rows": 20}
    work = begin("gpt_rte", tmp_path, model=str(gpt2), strategy="shallow", max_length=96, **rows)
    task = work.training.task
    pair_is_symmetric = replace(task, pair_is_symmetric=True)
    encoded = task.head.encode(work.train_rows, pair_is_symmetric, work.training.tokenizer, work.training.settings)
    work.training.encoded = encoded
    fitter = FeatureTrainer(work, RunConsole(speaks=False, quiet=True), began=0.0)
    with fitter.screen.bar(1, 0) as bar:
        features, targets, weights = fitter._read_train_rows(bar)
    classifier = fitter._fit(features, targets, weights)
    fitter._take(classifier)
    assert len(features) == 20 == len(encoded)
    batch = task.head.collate(encoded, np.arange(20), work.training.tokenizer, np.random.default_rng(0))
    assert batch["orders"].tolist() == [2] * 20
    with torch.no_grad():
        found = task.head.forward(work.training.model, batch).numpy()
    assert found == pytest.approx(classifier.logits(features), abs=1e-3)


def test_saved_is_loaded(any_checkpoint: Path, reviews: Path, tmp_path: Path) -> None:
    work = begin_shallow("sst2", "layer=mix,pooling=last", any_checkpoint, tmp_path, data=str(reviews))
    reader, batch = work.training.model.eval(), model_inputs(sample_batch(work))
    reader.save_pretrained(tmp_path / "saved")
    loaded = FeatureClassifier.from_pretrained(tmp_path / "saved").eval()
    assert loaded(**batch).logits.numpy() == pytest.approx(reader(**batch).logits.numpy(), abs=1e-5)
    assert loaded(**batch).logits.shape == (8, 2)
    kinds = {path.suffix for path in (tmp_path / "saved").iterdir()}
    assert kinds <= {".json", ".safetensors"}, "nothing that can run code"
    kept = transformers.AutoModel.from_pretrained(tmp_path / "saved").state_dict()
    for name, expected in transformers.AutoModel.from_pretrained(any_checkpoint).state_dict().items():
        if "pooler" not in name:  # the checkpoint has none
            assert torch.equal(kept[name], expected), name
