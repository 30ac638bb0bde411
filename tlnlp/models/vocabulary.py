"""Trains a new vocabulary with sentencepiece, for a fast tokenizer of transformers."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import sentencepiece
from sentencepiece import sentencepiece_model_pb2
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from tlnlp.errors import InputError

SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
# Longer inputs are not an error; pipelines truncate at this length.
MODEL_MAX_LENGTH = 512
# Maximum number of lines to train on, sampled by sentencepiece.
LEARNT_FROM_LINES = 300_000
SOURCE_FILE = "sentencepiece.model"


def train_vocabulary(
    texts: Iterable[str],
    folder: Path,
    *,
    vocab_size: int,
    lowercase: bool,
    vocab_size_is_maximum: bool = False,
    coverage: float = 0.9995,
    character_map: Mapping[str, str] | None = None,
) -> Any:
    """Trains a unigram vocabulary (Kudo 2018) on `texts` and saves the tokenizer, with its source, in `folder`.

    Args:
        vocab_size: size of the vocabulary, including the five special tokens.
        vocab_size_is_maximum: allow a smaller vocabulary if the texts are too small.
        lowercase: fold case (normalisation nmt_nfkc_cf instead of nmt_nfkc).
        coverage: fraction of all characters in the vocabulary; the others are unknown.
        character_map: {character: replacement}, applied to `texts` and to all text that is tokenised.
    """
    written = io.BytesIO()
    if character_map:
        table = str.maketrans(dict(character_map))
        texts = (text.translate(table) for text in texts)
    try:
        _learn_pieces(texts, written, vocab_size, lowercase, vocab_size_is_maximum, coverage)
    except RuntimeError as error:  # sentencepiece raises nothing else; here it means too little text
        raise InputError(
            expected=f"enough text for a vocabulary of {vocab_size:,} tokens (a million characters is enough)",
            found=str(error).strip().splitlines()[-1],
            change="more text after --data, or --model with a checkpoint, which has a vocabulary",
        ) from error
    tokenizer = fast_tokenizer(written.getvalue(), character_map or {})
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save_pretrained(folder)
    (folder / SOURCE_FILE).write_bytes(written.getvalue())
    return tokenizer


def _learn_pieces(
    texts: Iterable[str],
    written: io.BytesIO,
    vocab_size: int,
    lowercase: bool,
    vocab_size_is_maximum: bool,
    coverage: float,
) -> None:
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=written,
        model_type="unigram",
        vocab_size=vocab_size,
        hard_vocab_limit=not vocab_size_is_maximum,
        normalization_rule_name="nmt_nfkc_cf" if lowercase else "nmt_nfkc",
        character_coverage=coverage,
        input_sentence_size=LEARNT_FROM_LINES,
        shuffle_input_sentence=True,
        num_threads=os.cpu_count() or 1,
        pad_id=0, unk_id=1, bos_id=2, eos_id=3,
        pad_piece=SPECIAL["pad_token"], unk_piece=SPECIAL["unk_token"],
        bos_piece=SPECIAL["cls_token"], eos_piece=SPECIAL["sep_token"],
        user_defined_symbols=[SPECIAL["mask_token"]],
        minloglevel=2,
    )  # fmt: skip


def fast_tokenizer(source: bytes, character_map: Mapping[str, str] | None = None) -> Any:
    """Returns a fast tokenizer equal to the sentencepiece model `source`, with BERT's template: [CLS] a [SEP] b
    [SEP]."""
    proto = sentencepiece_model_pb2.ModelProto.FromString(source)  # type: ignore[attr-defined]
    tokenizer = Tokenizer(models.Unigram([(piece.piece, piece.score) for piece in proto.pieces], unk_id=1))
    tokenizer.normalizer = normalizers.Sequence(
        [
            *(normalizers.Replace(old, new) for old, new in (character_map or {}).items()),
            normalizers.Precompiled(proto.normalizer_spec.precompiled_charsmap),
            normalizers.Strip(),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    ids = {token: tokenizer.token_to_id(token) for token in SPECIAL.values()}
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(token, ids[token]) for token in ("[CLS]", "[SEP]")],
    )
    named: dict[str, Any] = {**SPECIAL, "mask_token": AddedToken("[MASK]", lstrip=True, special=True)}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_input_names=["input_ids", "attention_mask"],
        model_max_length=MODEL_MAX_LENGTH,
        **named,
    )
