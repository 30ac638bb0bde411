"""Begins a multilingual student of an English encoder: some of its layers, a vocabulary and a piece table of its own.

    python research/mini/student.py CORPORA TEACHER runs/mini/start

The layers are the teacher's. The vocabulary is trained on all six languages; a piece's vector is the mean of the
teacher's vectors of the words that it stands in (of their English translations, for the other languages), each by how
often it occurs and how much of it the piece is. So a piece that is a word of the teacher keeps its vector, a word in
our lexicons begins at its translation (WECHSEL: Minixhofer et al. 2022), and a part begins where its words are.
"""

from __future__ import annotations

import argparse
import collections
import math
import random
import sys
from pathlib import Path

import torch
import transformers
from mini_text import LANGUAGES, read_corpus
from word_pairs import SOURCE, TARGETS, find_pairs, invert, words_of

from tlnlp.models.vocabulary import train_vocabulary

LAYERS = (0, 2, 4, 5)  # of all fours of all-MiniLM-L6-v2 the one whose vectors turn least before any training
PIECES = 22_000  # with four layers 16.5 M weights: 32 MB at two bytes
EXPONENT = 0.5  # of the size of a language in the vocabulary's text (Conneau and Lample 2019, section 3.1)
CHARACTERS = 60e6
CHARACTER_MAP = {"ي": "ی", "ك": "ک"}


def vocabulary_text(corpora: Path, draw: random.Random) -> list[str]:
    """Lines of all languages, each by the power of its size, for the vocabulary."""
    lines = {each: read_corpus(corpora / f"{each}.txt.xz") for each in LANGUAGES}
    sizes = {each: sum(map(len, text)) ** EXPONENT for each, text in lines.items()}
    chosen: list[str] = []
    for language, text in lines.items():
        left = CHARACTERS * sizes[language] / sum(sizes.values())
        for line in draw.sample(text, len(text)):
            chosen.append(line)
            left -= len(line)
            if left < 0:
                break
    return chosen


def word_vectors(teacher, tokenizer, words: list[str]) -> torch.Tensor:
    """[words, width]: the mean of the vectors of each word's pieces in the teacher's table."""
    table = teacher.get_input_embeddings().weight.detach()
    ids = tokenizer(words, add_special_tokens=False)["input_ids"]
    return torch.stack([table[each].mean(0) if each else torch.zeros(table.shape[1]) for each in ids])


def known_words(corpora: Path, teacher, teacher_tokenizer) -> dict[str, list[tuple[float, torch.Tensor]]]:
    """{word: [(how often, vector)]} over the English words of the text and the other languages' words with a known
    translation."""
    counts: dict[str, collections.Counter[str]] = {}
    for language in LANGUAGES:
        counts[language] = collections.Counter()
        for line in read_corpus(corpora / f"{language}.txt.xz"):
            counts[language].update(words_of(line))
    english = [word for word, often in counts[SOURCE].items() if often > 2]
    pairs = {each: find_pairs(corpora / "ntrex" / "parallel.jsonl.gz", each) for each in TARGETS}
    english = sorted({*english, *(word for each in pairs.values() for word in each)})
    vectors = dict(zip(english, word_vectors(teacher, teacher_tokenizer, english), strict=True))
    known: dict[str, list[tuple[float, torch.Tensor]]] = collections.defaultdict(list)
    total = {each: counts[each].total() for each in LANGUAGES}
    for word, vector in vectors.items():
        known[word].append((counts[SOURCE][word] / total[SOURCE] + 1e-7, vector))
    for language in TARGETS:
        for word, meanings in invert(pairs[language]).items():
            # Of two translations the more frequent counts more, by the root of how often it stands in English.
            weights = [weight * math.sqrt(counts[SOURCE][english] + 1) for english, weight in meanings]
            mean = sum(w * vectors[english] for w, (english, _) in zip(weights, meanings, strict=True)) / sum(weights)
            known[word].append((counts[language][word] / total[language] + 1e-7, mean))
    return known


def piece_table(tokenizer, known, teacher, teacher_tokenizer) -> tuple[torch.Tensor, int]:
    """[pieces, width], and how many pieces stand in no known word and begin at the mean of the teacher's own parts."""
    old = teacher.get_input_embeddings().weight.detach()
    sums = torch.zeros(len(tokenizer), old.shape[1])
    weights = torch.zeros(len(tokenizer))
    words = list(known)
    for word, ids in zip(words, tokenizer(words, add_special_tokens=False)["input_ids"], strict=True):
        pieces = tokenizer.convert_ids_to_tokens(ids)
        length = sum(len(piece) for piece in pieces)
        for piece, number in zip(pieces, ids, strict=True):
            # A share to the fourth: where a piece is a word of its own, that word decides.
            share = (len(piece) / length) ** 4
            for often, vector in known[word]:
                sums[number] += share * math.sqrt(often) * vector
                weights[number] += share * math.sqrt(often)
    table = sums / weights.clamp_min(1e-12)[:, None]
    unmet = [number for number in range(len(tokenizer)) if weights[number] == 0]
    parts = [tokenizer.convert_ids_to_tokens(number).removeprefix("\u2581") or "-" for number in unmet]
    table[unmet] = word_vectors(teacher, teacher_tokenizer, parts)
    # A mean is shorter than what it is the mean of: each gets the usual length of the teacher's.
    table = table / table.norm(dim=1, keepdim=True).clamp_min(1e-9) * old.norm(dim=1).median()
    for name in ("pad", "unk", "cls", "sep", "mask"):
        one, other = (getattr(each, f"{name}_token_id") for each in (tokenizer, teacher_tokenizer))
        table[one] = old[other]
    return table, len(unmet)


def begin(teacher, table: torch.Tensor, layers=LAYERS):
    """The student: the teacher's embeddings of places, its chosen layers, `table`, and a word head from random."""
    config = transformers.BertConfig(
        **(teacher.config.to_dict() | {"vocab_size": len(table), "num_hidden_layers": len(layers)})
    )
    torch.manual_seed(0)
    student = transformers.BertForMaskedLM(config)
    body = student.bert
    body.embeddings.load_state_dict({**teacher.embeddings.state_dict(), "word_embeddings.weight": table}, strict=False)
    for own, number in zip(body.encoder.layer, layers, strict=True):
        own.load_state_dict(teacher.encoder.layer[number].state_dict())
    return student


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("teacher", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pieces", type=int, default=PIECES)
    asked = parser.parse_args()
    teacher = transformers.AutoModel.from_pretrained(asked.teacher)
    teacher_tokenizer = transformers.AutoTokenizer.from_pretrained(asked.teacher)
    text = vocabulary_text(asked.corpora, random.Random(0))
    tokenizer = train_vocabulary(
        text, asked.folder, vocab_size=asked.pieces, lowercase=True, coverage=0.99995, character_map=CHARACTER_MAP
    )
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    known = known_words(asked.corpora, teacher, teacher_tokenizer)
    table, unmet = piece_table(tokenizer, known, teacher, teacher_tokenizer)
    student = begin(teacher, table)
    student.save_pretrained(asked.folder)
    tokenizer.save_pretrained(asked.folder)
    weights = sum(each.numel() for each in student.parameters())
    print(f"{weights:,} weights, {len(table):,} pieces, {unmet:,} of them in no known word")


if __name__ == "__main__":
    sys.exit(main())
