"""Moves the pieces of a network that are words towards the pieces of their English translations.

    python research/mini/retrofit.py CORPORA runs/pretrain/mini/model runs/retrofitted

As Faruqui et al. 2015 do with word vectors and a lexicon, in one step with English as the fixed end: a frequent word of
`word_pairs.py` that is one piece becomes `share` of the mean of its translations that are one piece, and itself for the
rest, at the length that it had. A rare one moves less, but in `whole` languages, of which too little comes over else.
What is a word in several languages takes from each as often as it stands there.

The network answers out of the same table, where a word that lies on its translation cannot be told from it. So the
`apart` dimensions of the table that say least are closed to the layers (their weight in the norm after the table is 0)
and hold what the move has taken, as far as they can (principal components): a word head that learns anew can answer
with the word of the right language, and what the layers read stays what the move has made of it.
"""

from __future__ import annotations

import argparse
import collections
import shutil
from collections.abc import Collection
from pathlib import Path

import torch
import transformers
from mini_text import LANGUAGES, read_corpus
from word_pairs import SOURCE, TARGETS, Pairs, find_pairs, invert

from tlnlp.models.vocabulary import SOURCE_FILE

LINES = 40_000  # of each language, to count pieces in
FREQUENT = 1 / 2000  # of the pieces of a language
RARE = 1e-7  # how often a piece counts at least
Counts = dict[str, collections.Counter[int]]


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
    table: torch.Tensor,
    tokenizer,
    counts: Counts,
    pairs: dict[str, Pairs],
    share: float,
    rare_share: float,
    whole: Collection[str] = (),
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
                frequent = language in whole or max(counts[each][own] for each in TARGETS) > FREQUENT
                far = share if frequent else rare_share
                step = far * counts[language][own] / everywhere[own] * (end - table[own])
                steps[own] = steps.get(own, torch.zeros_like(step)) + step
    new = table.clone()
    for piece, step in steps.items():
        there = table[piece] + step
        new[piece] = there * (table[piece].norm() / there.norm())
    return new, len(steps)


def set_apart(old: torch.Tensor, new: torch.Tensor, scale: torch.Tensor, often: torch.Tensor, number: int) -> None:
    """Closes `number` dimensions of `new` [pieces, width] to the layers; they hold what `old` has beyond the others.

    scale: [width], weights of the norm after the table, in place like `new`. often: [pieces], how often each stands.
    """
    width = old.shape[1]
    seen = torch.nn.functional.layer_norm(old, (width,)) * scale
    middle = (often[:, None] * seen).sum(0) / often.sum()
    closed = (often[:, None] * (seen - middle) ** 2).sum(0).argsort()[:number]
    scale[closed] = 0
    lost = old - new.index_fill(1, closed, 0.0)
    _, _, directions = torch.linalg.svd(lost * often.sqrt()[:, None], full_matrices=False)
    held = lost @ directions[:number].T
    held -= held.mean(1, keepdim=True)
    # With mean and length of the block as they were, the norm makes of the other dimensions what it made of them.
    block = new[:, closed]
    middle = block.mean(1, keepdim=True)
    held *= (block - middle).norm(dim=1, keepdim=True) / held.norm(dim=1, keepdim=True).clamp_min(1e-9)
    new[:, closed] = held + middle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("model", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--share", type=float, default=0.9, help="for pieces that are frequent in a language")
    parser.add_argument("--rare-share", type=float, default=0.5, help="for all others")
    parser.add_argument("--whole", nargs="*", default=["fa"], metavar="LANGUAGE", help="whose rare ones move as far")
    parser.add_argument("--apart", type=int, default=32, help="dimensions that are for answers alone")
    asked = parser.parse_args()
    tokenizer = transformers.AutoTokenizer.from_pretrained(asked.model)
    network = transformers.AutoModelForMaskedLM.from_pretrained(asked.model, dtype=torch.float32)
    parallel = asked.corpora / "ntrex" / "parallel.jsonl.gz"
    pairs = {language: find_pairs(parallel, language) for language in TARGETS}
    table = network.get_input_embeddings().weight
    counts = count(asked.corpora, tokenizer)
    often = torch.zeros(len(table))
    for each in counts.values():
        often[list(each)] += torch.tensor(list(each.values())) / len(counts)
    with torch.no_grad():
        new, number = move(table.clone(), tokenizer, counts, pairs, asked.share, asked.rare_share, asked.whole)
        set_apart(table.clone(), new, network.model.embeddings.norm.weight, often, asked.apart)
        table.copy_(new)
    network.save_pretrained(asked.folder)
    tokenizer.save_pretrained(asked.folder)
    shutil.copy(asked.model / SOURCE_FILE, asked.folder)
    print(f"{number:,} of {len(table):,} pieces moved")


if __name__ == "__main__":
    main()
