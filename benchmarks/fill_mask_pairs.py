"""Does a masked-word model prefer the right word? 40 English and 20 German pairs of ours: agreement, set phrases.

    python benchmarks/fill_mask_pairs.py tlnlp/bundled/mini      # a second

A word of several pieces has as many masks, and its score is the mean of its pieces' log-probabilities, each with the
others masked; the p-value is that of a fair coin (binomial test, one-sided).
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from scipy.stats import binomtest
from transformers import AutoModelForMaskedLM, AutoTokenizer

PAIRS = Path(__file__).parent / "fill_mask_pairs.tsv"


def score(model: torch.nn.Module, tokenizer, sentence: str, word: str) -> float:
    """The mean log-probability of the word's pieces in the place of [MASK]."""
    pieces = tokenizer.encode(word, add_special_tokens=False)
    masked = sentence.replace("[MASK]", " ".join([tokenizer.mask_token] * len(pieces)))
    inputs = tokenizer(masked, return_tensors="pt")
    places = (inputs["input_ids"][0] == tokenizer.mask_token_id).nonzero()[:, 0]
    with torch.no_grad():
        chances = model(**inputs).logits[0, places].log_softmax(-1)
    return float(chances[torch.arange(len(pieces)), torch.tensor(pieces)].mean())


def main() -> None:
    folder = sys.argv[1]
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForMaskedLM.from_pretrained(folder).eval()
    found: dict[str, list[bool]] = {}
    for line in PAIRS.read_text(encoding="utf-8").splitlines():
        language, sentence, right, wrong = line.split("\t")
        better = score(model, tokenizer, sentence, right) > score(model, tokenizer, sentence, wrong)
        found.setdefault(language, []).append(better)
        if not better:
            print(f"{language}: {sentence} {wrong} before {right}")
    for language, each in found.items():
        p = binomtest(sum(each), len(each), alternative="greater").pvalue
        print(f"{language}: {sum(each)} of {len(each)} right, p = {p:.2g}")


if __name__ == "__main__":
    main()
