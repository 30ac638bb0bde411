"""Tiny checkpoints and tiny data, made once; every test runs without a network."""

from __future__ import annotations

import gc
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import torch
import transformers
from tokenizers import ByteLevelBPETokenizer

from tests.recipe_runs import ROOT, Ended, load_recipe, run_recipe
from tlnlp.display.quiet import quiet_libraries
from tlnlp.models.vocabulary import train_vocabulary

# Sentences of the tests' own, so that the bundled sample may change.
REVIEWS = ROOT / "tests" / "reviews"
PIECES = 300
TRAIN_ROWS, DEV_ROWS = 41, 13  # primes: no batch size divides them, so that every epoch ends with a smaller update

TARGET_ROWS = 11  # of each further language
# A recipe of each shape of answer.
WITH_A_PAGE = ("sst2", "stsb", "copa", "conll2003", "squad_v2", "xnli")


# Properties are tried on so few examples in `make test`, and on so many where the long tests run too.
EXAMPLES, MANY_EXAMPLES = 15, 100


def pytest_configure(config: pytest.Config) -> None:
    os.environ["HF_HUB_OFFLINE"] = "1"
    # Never the cache of the person who runs the tests.
    own = tempfile.TemporaryDirectory(prefix="tlnlp-cache-")
    os.environ["TLNLP_CACHE"] = own.name
    config.add_cleanup(own.cleanup)
    quiet_libraries()
    examples = EXAMPLES if config.option.markexpr == "not long" else MANY_EXAMPLES
    hypothesis.settings.register_profile("tests", max_examples=examples, deadline=None)
    hypothesis.settings.load_profile("tests")


def pytest_collection_finish() -> None:
    """Libraries and tests stay: the garbage collector need not go through them again and again."""
    gc.freeze()


def _sample(split: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (REVIEWS / f"{split}.jsonl").read_text().splitlines()]


@pytest.fixture(scope="session")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a few labelled sentences of the bundled sample."""
    folder = tmp_path_factory.mktemp("reviews")
    for split, rows in (("train", TRAIN_ROWS), ("validation", DEV_ROWS)):
        lines = [json.dumps(row) + "\n" for row in _sample(split)[:rows]]
        (folder / f"{split}.jsonl").write_text("".join(lines))
    return folder


def write_rows(path: Path, rows: list[dict[str, Any]]) -> None:
    """JSON lines, in a folder that is made where it is not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


@pytest.fixture(scope="session")
def many_languages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """English to learn from, choose on and report on; other sentences of it stand in for German; Persian."""
    place, rows = tmp_path_factory.mktemp("many_languages"), _sample("train")
    write_rows(place / "en" / "train.jsonl", rows[:TRAIN_ROWS])
    write_rows(place / "en" / "validation.jsonl", _sample("validation")[:DEV_ROWS])
    write_rows(place / "en" / "test.jsonl", rows[100:119])
    write_rows(place / "de" / "train.jsonl", rows[71 : 71 + TARGET_ROWS])
    write_rows(place / "de" / "validation.jsonl", rows[60 : 60 + TARGET_ROWS])
    said = ("خوب بود", "بد بود", "از خدمات راضی هستم", "راضی نیستم")
    persian = [{"sentence": f"{said[i % 4]} {i}", "label": i % 2} for i in range(TARGET_ROWS)]
    write_rows(place / "fa" / "validation.jsonl", persian)
    return place


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same sentences as plain text."""
    folder = tmp_path_factory.mktemp("corpus")
    for split, rows in (("train", TRAIN_ROWS), ("validation", DEV_ROWS)):
        (folder / f"{split}.txt").write_text("".join(row["sentence"] + "\n" for row in _sample(split)[:rows]))
    return folder


@pytest.fixture(scope="session")
def rows_for(reviews: Path, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """A recipe's name to the settings that give it few rows: the tests' own, or the first ones of its sample."""
    folders = {"sst2": reviews, "gpt_sst2": reviews, "pretrain": corpus, "pretrain_gpt": corpus}

    def settings(recipe: str) -> dict[str, Any]:
        asks = recipe.startswith("squad")  # a passage is many windows of so few tokens
        if recipe not in folders:
            sample = ROOT / "tlnlp" / "bundled" / "samples" / str(load_recipe(recipe).task.data.sample)
            folders[recipe] = tmp_path_factory.mktemp(f"rows_of_{recipe}")
            for split, rows in (("train", 8 if asks else TRAIN_ROWS), ("validation", 6 if asks else DEV_ROWS)):
                lines = (sample / f"{split}.jsonl").read_text().splitlines(keepends=True)[:rows]
                (folders[recipe] / f"{split}.jsonl").write_text("".join(lines))
        return {"data": str(folders[recipe]), **({"max_length": 62, "window_overlap": 8} if asks else {})}

    return settings


@pytest.fixture(scope="session")
def short_run(tmp_path_factory: pytest.TempPathFactory, vocabulary: Any, gpt2: Path) -> Callable[[str], Ended]:
    """A recipe's name to one epoch of it on some rows of its sample, with a tiny network; a page for `WITH_A_PAGE`.

    The run is made once for all tests, which leave it as it is.
    """
    networks = {"": tmp_path_factory.mktemp("roomy_bert"), "gpt": tmp_path_factory.mktemp("roomy_gpt2")}
    vocabulary.save_pretrained(networks[""])
    transformers.AutoTokenizer.from_pretrained(gpt2).save_pretrained(networks["gpt"])
    _save(networks[""], tiny_bert(max_position_embeddings=512))
    _save(networks["gpt"], transformers.AutoConfig.from_pretrained(gpt2, n_positions=512))
    made: dict[str, Ended] = {}

    def run(recipe: str) -> Ended:
        if recipe not in made:
            network = networks["gpt" if recipe.startswith("gpt_") else ""]
            flags = ("--model", network, "--epochs", 1, "--train-rows", 48)
            folder = tmp_path_factory.mktemp(recipe) / "run"
            made[recipe] = run_recipe(recipe, *flags, folder=folder, report=recipe in WITH_A_PAGE)
        assert made[recipe].status == 0, made[recipe].output
        return made[recipe]

    return run


def _save(folder: Path, config: Any, seed: int = 0) -> Path:
    kind = transformers.AutoModelForCausalLM if config.model_type == "gpt2" else transformers.AutoModelForMaskedLM
    torch.manual_seed(seed)
    kind.from_config(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("vocabulary")
    texts = [row["sentence"] for row in _sample("train")]
    return train_vocabulary(texts, folder, vocab_size=PIECES, lowercase=True)


def tiny_bert(**more: Any) -> Any:
    """The configuration of two small layers."""
    return transformers.BertConfig(
        vocab_size=PIECES, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        pad_token_id=0, **more,
    )  # fmt: skip


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory, vocabulary: Any) -> Path:
    """BERT's architecture, post-norm with a pooler, with its dropout of 0.1."""
    folder = tmp_path_factory.mktemp("bert")
    vocabulary.save_pretrained(folder)
    config = tiny_bert(max_position_embeddings=128)
    assert config.hidden_dropout_prob == config.attention_probs_dropout_prob == 0.1
    return _save(folder, config)


@pytest.fixture(scope="session")
def modernbert(tmp_path_factory: pytest.TempPathFactory, vocabulary: Any) -> Path:
    """ModernBERT's architecture: rotary positions, pre-norm, a last norm, local attention in every other layer."""
    folder = tmp_path_factory.mktemp("modernbert")
    vocabulary.save_pretrained(folder)
    config = transformers.ModernBertConfig(
        vocab_size=PIECES, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=128, local_attention=8, global_attn_every_n_layers=2, embedding_dropout=0.1,
        mlp_dropout=0.1, attention_dropout=0.1, pad_token_id=0, cls_token_id=2, bos_token_id=2, sep_token_id=3,
        eos_token_id=3,
    )  # fmt: skip
    return _save(folder, config)


@pytest.fixture(scope="session")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """GPT-2's architecture and tokenizer: one direction, no pad token, dropout of 0.1."""
    folder = tmp_path_factory.mktemp("gpt2")
    pieces = ByteLevelBPETokenizer()
    end = "<|endoftext|>"
    texts = [row["sentence"] for row in _sample("train")]
    pieces.train_from_iterator(texts, vocab_size=PIECES, special_tokens=[end], show_progress=False)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=pieces._tokenizer, bos_token=end, eos_token=end, unk_token=end
    )
    assert tokenizer.pad_token is None
    tokenizer.save_pretrained(folder)
    config = transformers.GPT2Config(
        vocab_size=len(tokenizer), n_positions=128, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0
    )
    return _save(folder, config)


@pytest.fixture(params=["bert", "modernbert", "gpt2"])
def any_checkpoint(request: pytest.FixtureRequest) -> Path:
    """Each architecture in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def full_precision(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """See `keep_float64`."""
    keep_float64(monkeypatch)
    return


def keep_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    """Heads raise half-precision logits to fp32 with `.float()`, which would lower those of a float64 network."""
    lower = torch.Tensor.float
    monkeypatch.setattr(torch.Tensor, "float", lambda self: self if self.dtype == torch.float64 else lower(self))
