"""Moves the pieces of a network that are words towards the pieces of their English translations.

    python benchmarks/retrofit.py CORPORA runs/pretrain/mini/model runs/retrofitted

As Faruqui et al. 2015 do with word vectors and a lexicon, in one step with English as the fixed end: a frequent word of
`word_pairs.py` that is one piece becomes `share` of the mean of its translations that are one piece, and itself for the
rest, at the length that it had. A rare one moves less: the network answers out of the same table, and a word that lies
on its translation cannot be told from it. What is a word in several languages takes from each as often as it stands
there.
"""

from __future__ import annotations

import argparse
import collections
from pathlib import Path

import torch
import transformers
from mini_text import LANGUAGES, read_corpus
from word_pairs import SOURCE, TARGETS, Pairs, find_pairs, invert

RARE = 1e-7  # how often a piece counts at least
FREQUENT = 1 / 2000  # of the pieces of a language
Counts = dict[str, collections.Counter[int]]
LINES = 40_000  # of each language, to count pieces in


def count(corpora: Path, tokenizer) -> Counts:
    """How often each piece stands in the text of each language, as a share of its pieces."""
    counts: Counts = {}
    for language in LANGUAGES:
        lines = read_corpus(corpora / f"{language}.txt.xz")
        some = lines[:: max(1, len(lines) // LINES)]
        ids = tokenizer(some, add_special_tokens=False, return_attention_mask=False)["input_ids"]
        counts[language] = collections.Counter(piece for row in ids for piece in row)
        total = counts[language].total()
        counts[language] = collections.Counter({piece: n / total for piece, n in counts[language].items()})
    return counts


def piece_of(tokenizer, word: str) -> int | None:
    """The piece that is the whole word, if there is one."""
    ids = tokenizer(word, add_special_tokens=False)["input_ids"]
    return ids[0] if len(ids) == 1 and ids[0] != tokenizer.unk_token_id else None


def move(
    table: torch.Tensor, tokenizer, counts: Counts, pairs: dict[str, Pairs], share: float, rare_share: float
) -> tuple[torch.Tensor, int]:
    """[pieces, width], moved; and how many pieces have been."""
    pieces: dict[str, int | None] = {}

    def known(word: str) -> int | None:
        if word not in pieces:
            pieces[word] = piece_of(tokenizer, word)
        return pieces[word]

    steps: dict[int, torch.Tensor] = {}
    everywhere = collections.Counter[int]()
    for each in counts.values():
        everywhere.update(each)
    for language in TARGETS:
        for word, meanings in invert(pairs[language]).items():
            own = known(word)
            if own is None or not counts[language][own]:
                continue
            # The rarer of two translations counts less: `de` is mostly `of`.
            found = [(end, w) for english, w in meanings if (end := known(english)) is not None and end != own]
            heavy = [(end, w * (counts[SOURCE][end] + RARE)) for end, w in found]
            if heavy:
                end = sum(w * table[end] for end, w in heavy) / sum(w for _, w in heavy)
                often = max(counts[each][own] for each in TARGETS) > FREQUENT
                step = (share if often else rare_share) * counts[language][own] / everywhere[own] * (end - table[own])
                steps[own] = steps.get(own, torch.zeros_like(step)) + step
    new = table.clone()
    for piece, step in steps.items():
        there = table[piece] + step
        new[piece] = there * (table[piece].norm() / there.norm())
    return new, len(steps)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--share", type=float, default=0.9, help="for pieces that are frequent in a language")
    parser.add_argument("--rare-share", type=float, default=0.3, help="for all others")
    asked = parser.parse_args()
    tokenizer = transformers.AutoTokenizer.from_pretrained(asked.model)
    network = transformers.AutoModelForMaskedLM.from_pretrained(asked.model, dtype=torch.float32)
    parallel = asked.corpora / "ntrex" / "parallel.jsonl.gz"
    pairs = {language: find_pairs(parallel, language) for language in TARGETS}
    table = network.get_input_embeddings().weight
    with torch.no_grad():
        new, number = move(
            table.detach().clone(), tokenizer, count(asked.corpora, tokenizer), pairs, asked.share, asked.rare_share
        )
        table.copy_(new)
    network.save_pretrained(asked.folder)
    tokenizer.save_pretrained(asked.folder)
    print(f"{number:,} of {len(table):,} pieces moved")


if __name__ == "__main__":
    main()
