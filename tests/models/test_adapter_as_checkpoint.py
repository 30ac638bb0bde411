"""`--model` with an adapter: its base is loaded, its weights are merged, and the run says so and goes on."""

from __future__ import annotations

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
import transformers

from tests.recipe_runs import run_recipe
from tests.transfer.adapted import BATCH, answer, refusal
from tlnlp.inference.masked_words import MaskFiller
from tlnlp.models import checkpoint, loading
from tlnlp.models.conversion import convert

CLASSIFIER = transformers.AutoModelForSequenceClassification
FORMS: dict[str, Any] = {
    "lora": peft.LoraConfig(task_type="SEQ_CLS", r=3, init_lora_weights=False),
    "dora and biases": peft.LoraConfig(
        task_type="SEQ_CLS", r=3, use_dora=True, bias="lora_only", init_lora_weights=False
    ),
    "ia3": peft.IA3Config(task_type="SEQ_CLS", init_ia3_weights=False),
}


@pytest.fixture
def whole_bert(bert: Path, tmp_path: Path) -> Path:
    """BERT with its pooler, which the one that was trained on masked words alone does not have."""
    folder = Path(shutil.copytree(bert, tmp_path / "whole_bert"))
    torch.manual_seed(5)
    transformers.BertModel(transformers.AutoConfig.from_pretrained(bert)).save_pretrained(folder)
    return folder


def save_adapter(base: Path, folder: Path, config: Any, auto: Any = CLASSIFIER, named: str | None = None) -> Any:
    """What peft saves of an adapter on `base`: the network."""
    torch.manual_seed(3)
    network = peft.get_peft_model(auto.from_pretrained(base), copy.deepcopy(config))
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=0.3)
    network.peft_config["default"].base_model_name_or_path = str(base) if named is None else named
    network.save_pretrained(folder)
    return network.eval()


def load(folder: Path, auto: Any = CLASSIFIER, **how: Any) -> loading.LoadedWeights:
    place = checkpoint.find_checkpoint(str(folder))
    return loading.load_weights(auto, place, str(folder), checkpoint.read_config(place, str(folder)), **how)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("architecture", ["whole_bert", "gpt2"])
def test_the_base_with_the_adapter_answers_as_peft_does(
    form: str, architecture: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    base = request.getfixturevalue(architecture)
    theirs = save_adapter(base, tmp_path / "adapter", FORMS[form])
    assert not (tmp_path / "adapter" / "config.json").exists()
    loaded = load(tmp_path / "adapter")
    batch = {name: value[:1] for name, value in BATCH.items()}  # without padding, which GPT-2 has no token for
    assert torch.allclose(answer(loaded.network.eval(), batch), answer(theirs, batch), atol=1e-5)
    plain = CLASSIFIER.from_pretrained(base)
    assert dict(loaded.network.named_parameters()).keys() == dict(plain.named_parameters()).keys()
    assert all(parameter.requires_grad for parameter in loaded.network.parameters())
    assert loaded.head_of_adapter == (("classifier",) if architecture == "whole_bert" else ("score",))


def test_an_adapter_of_the_network_without_a_head_fits_one_with_a_head(bert: Path, tmp_path: Path) -> None:
    config = peft.LoraConfig(r=3, target_modules=["query"], init_lora_weights=False)
    theirs = save_adapter(bert, tmp_path / "adapter", config, transformers.AutoModel)
    loaded = load(tmp_path / "adapter")
    with torch.no_grad():
        expected, found = theirs(**BATCH)[0], loaded.network.bert.eval()(**BATCH)[0]
    assert torch.allclose(found, expected, atol=1e-5)
    assert "classifier.weight" in loaded.missing


def test_masks_are_filled_by_the_base_with_the_adapter(bert: Path, tmp_path: Path) -> None:
    config = peft.LoraConfig(r=3, target_modules=["query", "value"], init_lora_weights=False)
    theirs = save_adapter(bert, tmp_path / "adapter", config, transformers.AutoModelForMaskedLM)
    filler = MaskFiller.load(str(tmp_path / "adapter"))
    assert torch.allclose(answer(filler.model), answer(theirs), atol=1e-5)


def test_a_run_goes_on_from_an_adapter_and_from_that_of_a_run(bert: Path, reviews: Path, tmp_path: Path) -> None:
    save_adapter(bert, tmp_path / "adapter", FORMS["lora"])
    flags = ("--data", reviews, "--max-length", 32, "--epochs", 1)
    first = run_recipe("sst2", "--model", tmp_path / "adapter", *flags, "--strategy", "lora", folder=tmp_path / "first")
    assert first.status == 0, first.output
    said = " ".join(first.output.split())
    assert f"is a peft adapter (LORA): its weights are merged into {bert}" in said
    assert "its labels have no names: they are taken to be negative, positive, in this order" in said
    model = first.folder / "model"
    assert (model / "adapter_model.safetensors").is_file()
    second = run_recipe("sst2", "--model", model, *flags, folder=tmp_path / "second")
    assert second.status == 0, second.output
    assert "is a peft adapter (LORA)" in " ".join(second.output.split())
    assert CLASSIFIER.from_pretrained(second.folder / "model").config.id2label == {0: "negative", 1: "positive"}


def test_with_new_head_the_adapters_head_is_dropped(bert: Path, tmp_path: Path) -> None:
    theirs = save_adapter(bert, tmp_path / "adapter", FORMS["lora"])
    loaded = load(tmp_path / "adapter", new_head=True)
    assert loaded.head_of_adapter == ()
    assert not torch.equal(loaded.network.classifier.weight, theirs.classifier.modules_to_save["default"].weight)


def test_the_fingerprint_covers_adapter_and_base_but_not_where_the_base_lies(bert: Path, tmp_path: Path) -> None:
    def fingerprint(folder: Path) -> str:
        return checkpoint.fingerprint(str(folder), None)

    base = Path(shutil.copytree(bert, tmp_path / "base"))
    save_adapter(base, tmp_path / "adapter", FORMS["lora"])
    first = fingerprint(tmp_path / "adapter")
    moved = Path(shutil.copytree(tmp_path / "adapter", tmp_path / "moved"))
    settings = json.loads((moved / "adapter_config.json").read_text())
    (moved / "adapter_config.json").write_text(json.dumps(settings | {"base_model_name_or_path": str(bert)}))
    assert fingerprint(moved) == first
    (moved / "adapter_config.json").write_text(json.dumps(settings | {"lora_alpha": 99}))
    assert fingerprint(moved) != first
    network = transformers.AutoModelForMaskedLM.from_pretrained(base)
    with torch.no_grad():
        next(network.parameters()).add_(1)
    network.save_pretrained(base)
    assert fingerprint(tmp_path / "adapter") != first


def test_the_base_is_found_beside_the_adapter_and_among_the_hubs_files_on_this_machine(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_adapter(bert, tmp_path / "adapter", FORMS["lora"], named="../base")
    base = shutil.copytree(bert, tmp_path / "base")
    found = checkpoint.base_of_adapter(tmp_path / "adapter")
    assert found is not None and Path(found.place).resolve() == base
    snapshot = tmp_path / "hub" / "models--org--base" / "snapshots" / ("a" * 40)
    shutil.copytree(bert, snapshot)
    (tmp_path / "hub" / "models--org--base" / "refs").mkdir()
    (tmp_path / "hub" / "models--org--base" / "refs" / "main").write_text("a" * 40)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    save_adapter(bert, tmp_path / "of_the_hub", FORMS["lora"], named="org/base")
    found = checkpoint.base_of_adapter(tmp_path / "of_the_hub")
    assert found is not None and found.place == str(snapshot)


def test_an_adapter_that_does_not_fit_its_base_is_said(bert: Path, gpt2: Path, tmp_path: Path) -> None:
    save_adapter(gpt2, tmp_path / "other", FORMS["lora"], named=str(bert))
    assert "--model" in refusal(lambda: load(tmp_path / "other"))
    fits = peft.LoraConfig(task_type="SEQ_CLS", r=3, target_modules=["query", "value"])
    save_adapter(bert, tmp_path / "cut", fits)
    settings = json.loads((tmp_path / "cut" / "adapter_config.json").read_text())
    (tmp_path / "cut" / "adapter_config.json").write_text(json.dumps(settings | {"target_modules": ["query", "key"]}))
    assert "4 weights missing, 4 without a place" in refusal(lambda: load(tmp_path / "cut"))


def test_weights_of_an_adapter_as_a_pickle_are_converted(whole_bert: Path, tmp_path: Path) -> None:
    theirs = save_adapter(whole_bert, tmp_path / "adapter", FORMS["lora"])
    (tmp_path / "adapter" / "adapter_model.safetensors").unlink()
    state = peft.get_peft_model_state_dict(theirs)
    torch.save(state, tmp_path / "adapter" / "adapter_model.bin")
    assert "tlnlp convert" in refusal(lambda: load(tmp_path / "adapter"))
    convert(tmp_path / "adapter", tmp_path / "adapter")
    assert torch.allclose(answer(load(tmp_path / "adapter").network.eval()), answer(theirs), atol=1e-5)
