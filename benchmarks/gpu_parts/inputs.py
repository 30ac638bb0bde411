"""Makes the checkpoints and rows of the parts from random weights and random words, so that no licences apply. Only the
lengths are those of published data sets, as twenty quantiles each.
"""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from tokenizers import BertWordPieceTokenizer

from gpu_parts.bench import Bench

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PIECES = 30_522  # vocabulary size of BERT: Devlin et al. 2019
# Lengths in BERT tokens at 0, 5, ..., 100 % of 4,000 rows (SST-2: 6,400).
QUANTILES = {
    "sst2": (1, 2, 2, 3, 4, 4, 5, 5, 6, 7, 8, 9, 10, 12, 14, 16, 18, 21, 25, 31, 61),  # Socher et al. 2013, in GLUE
    # XNLI's English validation rows, which have MNLI's genres (Conneau et al. 2018).
    "premise": (5, 8, 9, 11, 13, 15, 16, 17, 19, 21, 22, 23, 26, 27, 29, 31, 32, 35, 37, 40, 54),
    "hypothesis": (2, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 14, 14, 16, 17, 19, 29),
    # SQuAD 1.1 (Rajpurkar et al. 2016).
    "context": (27, 65, 90, 101, 108, 114, 120, 126, 131, 137, 143, 150, 158, 167, 176, 187, 201, 216, 238, 274, 693),
    "question": (1, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 15, 15, 16, 18, 20, 37),
    # CoNLL-2003 (Tjong Kim Sang and De Meulder 2003).
    "sentence": (1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 15, 17, 20, 23, 27, 30, 34, 38, 44, 84),
}
ANSWER_WORDS = 4
SYLLABLES = [consonant + vowel for consonant in "bdfgklmnprst" for vowel in "aeiou"]


def make(bench: Bench) -> None:
    """Writes the checkpoints `bert`, `small-bert`, `encoder` and `encoder-x4`, and a folder of rows for each shape."""
    texts = _sst2_texts(bench)
    tokenizer = make_tokenizer(texts)
    words = np.array(sorted(word for word in tokenizer.get_vocab() if word.startswith("zu")))
    draw = np.random.default_rng(0)
    base, small = {}, {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024}
    if bench.dry_run:
        base = small = {
            "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
        }  # fmt: skip
    for name, sizes in (("bert", base), ("small-bert", small)):
        config = transformers.BertConfig(vocab_size=PIECES, pad_token_id=0, **sizes)
        _save(bench.work / name, config, tokenizer, bench)
    rows, dev_rows = bench.size(4096, 40), bench.size(64, 8)
    for split, count in (("train", rows), ("validation", dev_rows)):
        for shape, make_row in ROWS.items():
            made = [make_row(draw, words) for _ in range(count)]
            _write(bench.work / shape / f"{split}.jsonl", made)
            if shape == "mnli" and split == "validation":
                for name in ("validation_matched", "validation_mismatched"):
                    _write(bench.work / shape / f"{name}.jsonl", made)
        lines = [
            " ".join(draw.choice(words, bench.size(100, 30)))
            for _ in range(bench.size(8_000, 20) if split == "train" else 20)
        ]
        text = bench.work / "text" / f"{split}.txt"
        text.parent.mkdir(exist_ok=True)
        text.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    if texts:
        shuffled = random.Random(0).sample(texts, bench.size(6400, 40))  # as benchmarks/sst2_throughput.py
        _write(bench.work / "sst2" / "train.jsonl", shuffled)
        dev = _read(bench.sst2 / "validation.jsonl.gz") if bench.sst2 else []
        _write(bench.work / "sst2" / "validation.jsonl", dev[: bench.size(len(dev), 8)])
    _save_encoders(bench)


def make_tokenizer(texts: list[dict[str, Any]]) -> Any:
    """Makes a tokenizer of BERT's kind and size: tokens trained on `texts`, and made-up words, which start with
    "zu"."""
    learner = BertWordPieceTokenizer(lowercase=True)
    learner.train_from_iterator(
        (row["sentence"] for row in texts), vocab_size=16_000, min_frequency=1, show_progress=False
    )
    vocabulary = {
        token: number for number, token in enumerate([*SPECIAL, *sorted(set(learner.get_vocab()) - {*SPECIAL})])
    }
    for number in range(PIECES * 2):
        first, rest = divmod(number, len(SYLLABLES))
        word = "zu" + SYLLABLES[first % len(SYLLABLES)] + SYLLABLES[rest] + SYLLABLES[first // len(SYLLABLES)]
        if len(vocabulary) < PIECES:
            vocabulary.setdefault(word, len(vocabulary))
    pieces = BertWordPieceTokenizer(vocab=vocabulary, lowercase=True)
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=pieces._tokenizer,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        model_max_length=512,
        **names,
    )


def _words(draw: np.random.Generator, words: np.ndarray, kind: str, least: int = 1) -> list[str]:
    """Returns random words, with a length drawn from the quantiles of `kind`."""
    count = int(np.interp(draw.random(), np.linspace(0, 1, 21), QUANTILES[kind]))
    return draw.choice(words, max(least, count)).tolist()


def _review(draw: np.random.Generator, words: np.ndarray) -> dict[str, Any]:
    return {"sentence": " ".join(_words(draw, words, "sst2")), "label": int(draw.integers(2))}


def _pair(draw: np.random.Generator, words: np.ndarray) -> dict[str, Any]:
    premise, hypothesis = (" ".join(_words(draw, words, kind)) for kind in ("premise", "hypothesis"))
    return {"premise": premise, "hypothesis": hypothesis, "label": int(draw.integers(3))}


def _question(draw: np.random.Generator, words: np.ndarray) -> dict[str, Any]:
    context, question = _words(draw, words, "context"), _words(draw, words, "question")
    first = int(draw.integers(len(context) - ANSWER_WORDS))
    start = len(" ".join(context[:first])) + (first > 0)
    answer = " ".join(context[first : first + ANSWER_WORDS])
    number = f"{draw.integers(2**60):x}"
    answers = {"text": [answer], "answer_start": [start]}
    return {"id": number, "context": " ".join(context), "question": " ".join(question), "answers": answers}


def _tagged(draw: np.random.Generator, words: np.ndarray) -> dict[str, Any]:
    tokens = _words(draw, words, "sentence")
    tags = ["O", "B-PER", "B-ORG", "B-LOC", "B-MISC"]
    return {"tokens": tokens, "ner_tags": draw.choice(tags, len(tokens)).tolist()}


ROWS = {"sst2": _review, "mnli": _pair, "squad": _question, "conll2003": _tagged}


def _sst2_texts(bench: Bench) -> list[dict[str, Any]]:
    return _read(bench.sst2 / "train.jsonl.gz") if bench.sst2 else []


def _read(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def _save(folder: Path, config: Any, tokenizer: Any, bench: Bench) -> None:
    torch.manual_seed(0)
    with bench.device:  # initialising 110 million weights on one core would take longest
        network = transformers.AutoModelForMaskedLM.from_config(config)
    network.to("cpu").save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _save_encoders(bench: Bench) -> None:
    """Saves `encoder` and `encoder-x4`: the configurations of the bundled `mini` and of a network with four times the
    weights in its layers, with `mini`'s tokenizer (weights are initialised when they are trained)."""
    mini = bundled_mini()
    tokenizer = transformers.AutoTokenizer.from_pretrained(mini)
    for name, factor in (("encoder", 1), ("encoder-x4", 2)):
        config = transformers.AutoConfig.from_pretrained(mini)
        for size in ("hidden_size", "intermediate_size", "num_attention_heads"):
            setattr(config, size, getattr(config, size) * factor // bench.size(1, 4))
        config.save_pretrained(bench.work / name)
        tokenizer.save_pretrained(bench.work / name)


def bundled_mini() -> str:
    """Returns the folder of the bundled encoder."""
    return str(Path(__file__).resolve().parents[2] / "tlnlp" / "bundled" / "mini")
