"""Does a masked language model prefer the right word? 40 English and 20 German pairs of ours: agreement, set phrases.

    python benchmarks/fill_mask_pairs.py tlnlp/bundled/mini      # a second

The score of a word is its probability from `MaskFiller.compare`, per token (the geometric mean), so that a word of two
tokens has no disadvantage. The p-value is that of a one-sided binomial test against a fair coin.
"""

from __future__ import annotations

import sys
from pathlib import Path

from scipy.stats import binomtest

from tlnlp.inference.masked_words import MaskFiller

PAIRS = Path(__file__).parent / "fill_mask_pairs.tsv"


def score(filler: MaskFiller, sentence: str, word: str) -> float:
    """Returns the probability of the word at [MASK], per token."""
    pieces = len(filler.tokenizer.encode(word, add_special_tokens=False))
    return filler.compare(sentence, [word])[0].probability ** (1 / pieces)


def main() -> None:
    filler = MaskFiller.load(sys.argv[1])
    found: dict[str, list[bool]] = {}
    for line in PAIRS.read_text(encoding="utf-8").splitlines():
        language, sentence, right, wrong = line.split("\t")
        better = score(filler, sentence, right) > score(filler, sentence, wrong)
        found.setdefault(language, []).append(better)
        if not better:
            print(f"{language}: {sentence} {wrong} before {right}")
    for language, each in found.items():
        p = binomtest(sum(each), len(each), alternative="greater").pvalue
        print(f"{language}: {sum(each)} of {len(each)} right, p = {p:.2g}")


if __name__ == "__main__":
    main()
