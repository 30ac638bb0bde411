"""Adapters that cannot be, or have no place in a network: refused before weights are read."""

from __future__ import annotations

from pathlib import Path

import pytest
import transformers

from tests.recipe_runs import load_recipe
from tests.transfer.adapted import OPTIONS, begun, refusal
from tlnlp.settings import Settings
from tlnlp.transfer.adapters import check
from tlnlp.transfer.groups import Group
from tlnlp.transfer.parse_strategy import find_strategy
from tlnlp.transfer.phases import AdapterSpec


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


def test_layers_without_linear_parts_have_no_place_for_lora_and_ia3() -> None:
    config = transformers.BertConfig(
        hidden_size=8, num_hidden_layers=2, num_attention_heads=2, intermediate_size=8, vocab_size=9
    )
    model = transformers.BertForSequenceClassification(config)
    # As wide inside as outside: nothing says which part leads back.
    assert "cannot be told apart" in refusal(lambda: check(model, AdapterSpec("ia3", {})))
    for layer in model.bert.encoder.layer:
        for name in list(layer._modules):
            delattr(layer, name)
    assert "no linear parts" in refusal(lambda: check(model, AdapterSpec("lora", OPTIONS["lora"])))


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
