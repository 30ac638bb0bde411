"""A network to pre-train whose piece table begins with what stands near what, instead of random numbers.

    python research/mini/initial_embeddings.py runs/mini_text runs/mini_start
    python recipes/pretrain.py --data runs/mini_text --model runs/mini_start --strategy full ...

Pieces are counted within five places of each other, near ones more (GloVe: Pennington et al. 2014, section 3); positive
pointwise mutual information, context counts to the power of 0.75 (Levy et al. 2015, section 3.2), cut to the width of
the network by singular values, to the power of one half (the same, section 3.3). In text whose words are switched
between languages, pieces that mean the same have the same neighbours: the languages begin side by side.
"""

from __future__ import annotations

import argparse
import runpy
from pathlib import Path

import numpy as np
import torch
import transformers
from scipy import sparse
from sklearn.utils.extmath import randomized_svd

from tlnlp.heads.truncation import tokens_of
from tlnlp.models.vocabulary import train_vocabulary

WINDOW, SMOOTHING, POWER = 5, 0.75, 0.5
LINES_AT_ONCE = 20_000
LEAST_COUNT = 0.5  # pairs met less often say nothing


def count(texts: list[str], tokenizer, pieces: int) -> sparse.csr_matrix:
    """How often pieces stand near each other, by 1 / distance: [pieces, pieces]."""
    counts = sparse.csr_matrix((pieces, pieces), dtype=np.float32)
    for first in range(0, len(texts), LINES_AT_ONCE):
        rows = [np.asarray(ids, np.int32) for ids in tokens_of(tokenizer, texts[first : first + LINES_AT_ONCE])]
        ids = np.concatenate(rows)
        line = np.repeat(np.arange(len(rows)), [len(each) for each in rows])
        for distance in range(1, WINDOW + 1):
            together = line[:-distance] == line[distance:]
            pair = (ids[:-distance][together], ids[distance:][together])
            weights = np.full(len(pair[0]), 1 / distance, dtype=np.float32)
            counts = counts + sparse.coo_matrix((weights, pair), shape=counts.shape).tocsr()
    return counts + counts.T


def embed(counts: sparse.csr_matrix, width: int) -> np.ndarray:
    """[pieces, width], each column centred, all together with a standard deviation of 1."""
    counts.data[counts.data < LEAST_COUNT] = 0
    counts.eliminate_zeros()
    found = counts.tocoo()
    of_piece = np.asarray(counts.sum(1)).ravel()
    of_context = np.asarray(counts.sum(0)).ravel() ** SMOOTHING
    expected = of_piece[found.row] * of_context[found.col] / of_context.sum()
    information = np.maximum(np.log(found.data / expected), 0).astype(np.float32)
    positive = sparse.csr_matrix((information, (found.row, found.col)), shape=counts.shape)
    left, values, _ = randomized_svd(positive, n_components=width, n_iter=4, random_state=0)
    table = left * values**POWER
    table -= table.mean(0)
    return table / table.std()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("text", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--lines", type=int, default=400_000, help="the first so many are counted")
    parser.add_argument("--recipe", type=Path, default=Path(__file__).resolve().parents[2] / "recipes" / "pretrain.py")
    parser.add_argument("--random", action="store_true", help="leave the table random: the control")
    asked = parser.parse_args()
    new = runpy.run_path(str(asked.recipe))["recipe"].new_model
    texts = (asked.text / "train.txt").read_text(encoding="utf-8").splitlines()
    kinds = dict(
        vocab_size=new.vocab_size, lowercase=new.lowercase, coverage=new.coverage, character_map=new.character_map
    )
    tokenizer = train_vocabulary(texts, asked.folder, **kinds)
    config = transformers.AutoConfig.for_model(new.architecture, **new.config, vocab_size=new.vocab_size)
    torch.manual_seed(0)
    network = transformers.AutoModelForMaskedLM.from_config(config)
    if not asked.random:
        table = network.get_input_embeddings().weight
        deviation = float(table.detach().std())
        begun = (
            torch.from_numpy(embed(count(texts[: asked.lines], tokenizer, new.vocab_size), table.shape[1])) * deviation
        )
        met = begun.abs().sum(1) > 0
        with torch.no_grad():
            # A piece that was met seldom has a short vector: all are given the length that random ones have.
            begun = begun / begun.norm(dim=1, keepdim=True).clamp_min(1e-9) * deviation * table.shape[1] ** 0.5
            table[met] = begun[met].to(table)
    network.save_pretrained(asked.folder)
    tokenizer.save_pretrained(asked.folder)


if __name__ == "__main__":
    main()
