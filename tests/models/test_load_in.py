"""A frozen base in fewer bits under an adapter: what learns is in fp32, and the saved model has the same base again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file

from tests.recipe_runs import begin, load_recipe
from tests.test_long_rows import predictions_of, rows_of, run
from tlnlp.errors import InputError
from tlnlp.inference.predictor import Predictor
from tlnlp.models import adapter_files, base_weights
from tlnlp.models.base_weights import check_quantised, loading_options
from tlnlp.models.task_file import load_network
from tlnlp.runs import memory_checks
from tlnlp.training.loop import train
from tlnlp.transfer.adapter_strategies import ADAPTERS

BF16 = {"load_in": "bf16", "precision": "bf16"}


@pytest.mark.parametrize("architecture", ["bert", "gpt2", "modernbert"])
def test_the_base_is_in_bf16_and_stays_as_it_is_while_adapter_and_head_learn_in_fp32(
    architecture: str, rows_for: Callable[[str], Any], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    model = request.getfixturevalue(architecture)
    work = begin("sst2", tmp_path, model=str(model), strategy="lora", learning_rate=1e-2, **rows_for("sst2"), **BF16)
    network = work.training.model
    learning = {name for group in work.groups if group.name in ("adapter", "head") for name in group.parameters}
    before = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    steps = list(train(work.training))
    assert all(torch.isfinite(step.loss) for step in steps)
    for name, parameter in network.named_parameters():
        assert parameter.dtype == (torch.float32 if name in learning else torch.bfloat16), name
        assert torch.equal(parameter, before[name]) is (name not in learning), name
    assert any("left out with --load-in bf16" in note for note in work.notes)


@pytest.mark.parametrize(
    ("strategy", "architecture"), [*zip(ADAPTERS, ["bert", "gpt2", "gpt2", "bert", "gpt2"], strict=True)]
)
def test_a_saved_model_has_the_base_that_it_was_trained_on(
    strategy: str, architecture: str, reviews: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    base = request.getfixturevalue(architecture)
    run("sst2", tmp_path / "run", model=str(base), data=str(reviews), strategy=strategy, max_length=32, **BF16)
    model = tmp_path / "run" / "model"
    assert {tensor.dtype for tensor in load_file(model / "adapter_model.safetensors").values()} == {torch.float32}
    network = load_network(model, load_recipe("sst2").task.head)
    whole = transformers.AutoModelForSequenceClassification.from_pretrained(base, dtype=torch.float32)
    table, expected = network.get_input_embeddings().weight, whole.get_input_embeddings().weight
    assert table.dtype == torch.float32, "to be computed with anywhere"
    assert torch.equal(table, expected.bfloat16().float())
    assert not torch.equal(table, expected)
    texts = [row["sentence"] for row in rows_of(reviews)]
    told = [each["scores"]["positive"] for each in predictions_of(tmp_path / "run")]
    for precision, tolerance in (("bf16", 1e-6), ("fp32", 0.02)):
        found = Predictor(model, precision=precision).predict(texts)
        assert [each.scores["positive"] for each in found] == pytest.approx(told, abs=tolerance)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ({"load_in": "bf16", "precision": "bf16", "strategy": "full"}, "would be rounded away"),
        ({"load_in": "bf16", "precision": "bf16", "strategy": "bias_only"}, "would be rounded away"),
        ({"load_in": "bf16", "strategy": "lora"}, "add --precision bf16"),
        ({"load_in": "bf16", "precision": "bf16", "strategy": "lora", "merge": True}, "merge_and_unload"),
        ({"load_in": "4bit", "precision": "bf16", "strategy": "adapter"}, "--load-in 4bit with --strategy lora"),
        ({"gradient_checkpointing": True, "strategy": "prefix"}, "leaves its keys and values out"),
        ({"gradient_checkpointing": True, "strategy": "shallow"}, "it makes no updates"),
    ],
)
def test_flags_that_do_not_fit_are_refused_in_words(
    flags: dict[str, Any], said: str, bert: Path, reviews: Path, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        begin("sst2", tmp_path, model=str(bert), data=str(reviews), **flags)
    assert said in str(caught.value)


def test_quantised_weights_are_refused_without_a_gpu_or_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="no GPU"):
        check_quantised("4bit")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(base_weights.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"tlnlp\[quantised\]"):
        check_quantised("8bit")
    check_quantised("bf16")


def test_a_network_that_cannot_compute_in_bf16_is_refused_in_words(
    vocabulary: Any, reviews: Path, tmp_path: Path
) -> None:
    """FNet's Fourier transform has no bf16."""
    config = transformers.FNetConfig(
        vocab_size=len(vocabulary), hidden_size=16, num_hidden_layers=2, intermediate_size=32, pad_token_id=0
    )
    transformers.AutoModelForMaskedLM.from_config(config).save_pretrained(tmp_path / "base")
    vocabulary.save_pretrained(tmp_path / "base")
    with pytest.raises(InputError, match="can run with --load-in bf16"):
        begin("sst2", tmp_path, model=str(tmp_path / "base"), data=str(reviews), strategy="lora", **BF16)


@pytest.mark.parametrize("load_in", ["4bit", "8bit"])
@pytest.mark.parametrize("architecture", ["bert", "gpt2"])
def test_lora_learns_on_a_quantised_base_and_is_loaded_on_it_again(
    load_in: str, architecture: str, reviews: Path, tmp_path: Path, request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Where bitsandbytes is installed: also on a CPU, for which it has slow kernels that nobody would wait for."""
    pytest.importorskip("bitsandbytes")
    for module in (adapter_files, memory_checks):
        monkeypatch.setattr(module, "check_quantised", lambda load_in: None)
    base = request.getfixturevalue(architecture)
    flags = {"load_in": load_in, "precision": "bf16", "gradient_checkpointing": True, "strategy": "lora"}
    run("sst2", tmp_path / "run", model=str(base), data=str(reviews), max_length=32, **flags)
    model = tmp_path / "run" / "model"
    assert "quantization_config" not in json.loads((model / "config.json").read_text())
    predictor = Predictor(model)
    stored = {parameter.dtype for parameter in predictor.model.parameters()}
    assert stored == {torch.uint8 if load_in == "4bit" else torch.int8, torch.bfloat16, torch.float32}
    told = [each["scores"]["positive"] for each in predictions_of(tmp_path / "run")]
    found = predictor.predict([row["sentence"] for row in rows_of(reviews)])
    assert [each.scores["positive"] for each in found] == pytest.approx(told, abs=0.02)


@pytest.mark.parametrize(("auto_class", "head"), [("AutoModelForSequenceClassification", "classifier")])
def test_what_is_not_in_the_layers_is_not_quantised(auto_class: str, head: str) -> None:
    pytest.importorskip("bitsandbytes")
    config = transformers.BertConfig(num_hidden_layers=2, hidden_size=16, num_attention_heads=2, intermediate_size=32)
    options = loading_options("4bit", auto_class, config, torch.device("cpu"))
    how = options["quantization_config"]
    assert (how.bnb_4bit_quant_type, how.bnb_4bit_use_double_quant) == ("nf4", True)
    assert set(how.llm_int8_skip_modules) == {"bert.pooler.dense", head}
