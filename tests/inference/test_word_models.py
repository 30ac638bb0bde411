"""Which networks answer with words: those with trained weights for it. The others are refused, in words."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from tests.inference.test_masked_words import sharpen
from tlnlp.errors import InputError
from tlnlp.inference import next_words
from tlnlp.inference.masked_words import MaskFiller
from tlnlp.inference.next_words import NextWordPredictor
from tlnlp.models.positions import count_positions

TEXTS = ["the film was good", "a film was bad", "the other film is better", "other films are long and better"]


def save(folder: Path, tokenizer_from: Path, model: Any) -> str:
    """A checkpoint with another's tokenizer."""
    shutil.copytree(tokenizer_from, folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder)
    return str(folder)


def config_of(kind: str, **more: Any) -> Any:
    small = {
        "hidden_size": 16, "embedding_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 300,
        "intermediate_size": 32, "d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32, "d_ff": 32, "d_kv": 8,
        "num_layers": 2, "num_heads": 2, "state_size": 4, "encoder_layers": 1, "decoder_layers": 1,
        "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32,
    }  # fmt: skip
    config = transformers.AutoConfig.for_model(kind)
    own = {name: value for name, value in small.items() if name in config.to_dict() or name in config.attribute_map}
    return transformers.AutoConfig.for_model(kind, **own, **more)


@pytest.mark.parametrize(
    ("kind", "auto", "missing"),
    [
        ("electra", transformers.AutoModelForPreTraining, "generator_predictions"),
        ("bert", transformers.AutoModel, "cls.predictions"),
        ("bert", transformers.AutoModelForSequenceClassification, "cls.predictions"),
    ],
)
def test_a_checkpoint_without_a_head_for_masked_words_is_refused(
    kind: str, auto: Any, missing: str, bert: Path, tmp_path: Path
) -> None:
    """A discriminator, the body of a sentence encoder, a classifier: their head would be random."""
    model = auto.from_config(config_of(kind))
    with pytest.raises(InputError) as caught:
        MaskFiller.load(save(tmp_path / kind, bert, model))
    assert missing in caught.value.found
    assert type(model).__name__ in caught.value.found
    assert "language-model head" in caught.value.change


@pytest.mark.parametrize(
    "auto", [transformers.AutoModel, transformers.AutoModelForSequenceClassification], ids=["body", "classifier"]
)
def test_a_causal_checkpoint_whose_output_is_not_its_embedding_table_needs_its_own(
    auto: Any, gpt2: Path, tmp_path: Path
) -> None:
    model = auto.from_config(config_of("gpt2", tie_word_embeddings=False))
    with pytest.raises(InputError, match=r"without lm_head\.weight"):
        NextWordPredictor.load(save(tmp_path / "untied", gpt2, model))
    tied = transformers.AutoModel.from_config(config_of("gpt2"))
    assert NextWordPredictor.load(save(tmp_path / "tied", gpt2, tied)).follow("a", top=1), "it needs no more"


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_an_encoder_with_a_decoder_is_refused_by_both(kind: str, bert: Path, tmp_path: Path) -> None:
    model = transformers.AutoModelForSeq2SeqLM.from_config(config_of(kind, decoder_start_token_id=0))
    folder = save(tmp_path / kind, bert, model)
    for command in (MaskFiller, NextWordPredictor):
        with pytest.raises(InputError, match="an encoder and a decoder") as caught:
            command.load(folder)
        assert caught.value.change == "another --model", "not the other command"


def test_canine_reads_characters_and_is_refused_by_both(bert: Path, tmp_path: Path) -> None:
    folder = save(tmp_path / "canine", bert, transformers.AutoModel.from_config(config_of("canine")))
    for command in (MaskFiller, NextWordPredictor):
        with pytest.raises(InputError, match="of type canine"):
            command.load(folder)


def test_a_network_whose_words_see_later_ones_is_refused_for_the_next_word(gpt2: Path, tmp_path: Path) -> None:
    model = transformers.AutoModelForCausalLM.from_config(config_of("xlnet"))
    with pytest.raises(InputError, match="whose words depend on later ones too"):
        NextWordPredictor.load(save(tmp_path / "xlnet", gpt2, sharpen(model)))


@pytest.mark.parametrize("kind", ["bloom", "mamba", "gpt_neox"])
def test_the_next_word_is_that_of_transformers_also_without_a_limit_of_positions(
    kind: str, gpt2: Path, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = sharpen(transformers.AutoModelForCausalLM.from_config(config_of(kind))).eval()
    following = NextWordPredictor.load(save(tmp_path / kind, gpt2, model))
    ids = following.tokenizer("a film", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        expected = model(input_ids=ids).logits[0, -1].double().softmax(-1)
    assert torch.allclose(following._probabilities(ids[0]), expected, atol=1e-7)
    found = following.follow("a film", top=3)
    assert [each.probability for each in found] == sorted((each.probability for each in found), reverse=True)


def test_positions_are_counted_as_the_network_counts_them() -> None:
    for kind, config, expected in (
        ("roberta", {"max_position_embeddings": 66, "pad_token_id": 1}, 64),
        ("mpnet", {"max_position_embeddings": 66, "pad_token_id": 1}, 64),
        ("bert", {"max_position_embeddings": 64}, 64),
        ("gpt2", {"n_positions": 64}, 64),
        ("bloom", {}, None),
        ("mamba", {}, None),
    ):
        auto = transformers.AutoModel
        model = auto.from_config(config_of(kind, **config)).eval()
        assert count_positions(model) == expected, kind
        if expected:
            with torch.no_grad():
                model(input_ids=torch.full((1, expected), 7))
                with pytest.raises((IndexError, RuntimeError)):
                    model(input_ids=torch.full((1, expected + 1), 7))


@pytest.fixture(scope="module")
def openai_gpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first GPT, whose vocabulary marks where a word ends."""
    folder = tmp_path_factory.mktemp("openai_gpt")
    pieces = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    pieces.normalizer, pieces.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=60, special_tokens=["<unk>"], end_of_word_suffix="</w>", show_progress=False
    )
    pieces.train_from_iterator(TEXTS, trainer)
    pieces.decoder = decoders.BPEDecoder(suffix="</w>")
    transformers.PreTrainedTokenizerFast(tokenizer_object=pieces, unk_token="<unk>").save_pretrained(folder)
    torch.manual_seed(0)
    config = transformers.OpenAIGPTConfig(vocab_size=60, n_positions=32, n_embd=16, n_layer=2, n_head=2)
    sharpen(transformers.OpenAIGPTLMHeadModel(config), factor=6).save_pretrained(folder)
    return folder


def test_where_the_vocabulary_marks_the_end_of_a_word_only_whole_words_are_answered(
    openai_gpt: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All words of one token and of two are tried."""
    monkeypatch.setattr(next_words, "MOST_PIECES", 2)
    following = NextWordPredictor.load(str(openai_gpt))
    tokenizer = following.tokenizer
    ids = tokenizer("the film", return_tensors="pt")["input_ids"][0]
    names = tokenizer.convert_ids_to_tokens(range(len(tokenizer)))
    ends = [i for i, name in enumerate(names) if name.endswith("</w>")]
    inner = [i for i, name in enumerate(names) if not name.endswith("</w>") and i not in tokenizer.all_special_ids]
    first = following._probabilities(ids)
    first = first / first[[*ends, *inner]].sum()
    expected = {(i,): float(first[i]) for i in ends}
    for i in inner:
        after = following._probabilities(torch.cat([ids, torch.tensor([i])]))
        expected |= {(i, j): float(first[i] * after[j]) for j in ends}
    best = sorted(expected.items(), key=lambda each: -each[1])[:12]
    assert {len(pieces) for pieces, _ in best} == {1, 2}
    found = following.follow("the film", top=12)
    assert [each.word for each in found] == [tokenizer.decode(list(pieces)).strip() for pieces, _ in best]
    assert [each.probability for each in found] == pytest.approx([chance for _, chance in best], rel=1e-4)
