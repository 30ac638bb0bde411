"""Which words of two languages mean the same: from parallel lines by IBM model 1 (Brown et al. 1993, section 4.1), and
from the word lists in lexicon/. `mini_text.py` switches words by them.

    python research/mini/word_pairs.py parallel.jsonl.gz     # how many pairs each language has, and some of them
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

SOURCE, TARGETS = "en", ("de", "fr", "es", "ru", "fa")
LEXICON = Path(__file__).parent / "lexicon"
# Letters of any script, joined by an apostrophe, a hyphen or the zero-width non-joiner of Persian; what French elides
# stands by itself (l', qu').
WORD = re.compile(r"\b(?:qu|[cdjlmnst])['’](?=\w)|[^\W\d_]+(?:['’\-\u200c][^\W\d_]+)*")
ROUNDS, LEAST_PRODUCT, LEAST_OCCURRENCES = 8, 0.05, 2

# {word: [(word of the other language, weight), ...]}
Pairs = dict[str, list[tuple[str, float]]]


def words_of(text: str) -> list[str]:
    """Its words in lower case."""
    return WORD.findall(text.lower())


def translate(first: Sequence[Sequence[str]], second: Sequence[Sequence[str]]) -> dict[tuple[str, str], float]:
    """IBM model 1 by expectation and maximisation: {(word, its translation): probability of it given the word}.

    Args:
        first, second: the words of parallel lines, as many lines each.
    """
    names = [sorted({word for line in lines for word in line}) for lines in (first, second)]
    numbers = [{word: i for i, word in enumerate(each)} for each in names]
    # Every word of a line with every word of its translation: [links]; and to which word of which line a link leads.
    links, ends, end = [], [], 0
    for one, other in zip(first, second, strict=True):
        sources, targets = ([numbers[side][word] for word in line] for side, line in ((0, one), (1, other)))
        for target in targets:
            links += [source * len(names[1]) + target for source in sources]
            ends += [end] * len(sources)
            end += 1
    kinds, kind = np.unique(np.array(links, dtype=np.int64), return_inverse=True)
    source_of = kinds // len(names[1])
    target_of = np.array(ends)
    share = np.ones(len(kinds))
    for _ in range(ROUNDS):
        expected = share[kind]
        expected /= np.bincount(target_of, expected, minlength=end)[target_of]
        counts = np.bincount(kind, expected, minlength=len(kinds))
        share = counts / np.bincount(source_of, counts, minlength=len(names[0]))[source_of]
    found = zip(source_of, kinds % len(names[1]), share, strict=True)
    return {(names[0][one], names[1][other]): float(p) for one, other, p in found if p > LEAST_PRODUCT / 2}


def mutual(first: Sequence[Sequence[str]], second: Sequence[Sequence[str]]) -> Pairs:
    """Words that are each other's best translation, where the product of both probabilities is large enough."""
    there, back = translate(first, second), translate(second, first)
    best, best_back = _best(there), _best(back)
    counts = {side: _count(lines) for side, lines in enumerate((first, second))}
    return {
        one: [(other, 1.0)]
        for one, other in best.items()
        if best_back.get(other) == one
        and there[one, other] * back.get((other, one), 0.0) > LEAST_PRODUCT
        and min(counts[0][one], counts[1][other]) >= LEAST_OCCURRENCES
    }


def _best(probabilities: Mapping[tuple[str, str], float]) -> dict[str, str]:
    best: dict[str, tuple[float, str]] = {}
    for (one, other), p in probabilities.items():
        best[one] = max(best.get(one, (0.0, "")), (p, other))
    return {one: other for one, (_, other) in best.items()}


def _count(lines: Sequence[Sequence[str]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for line in lines:
        for word in line:
            counts[word] = counts.get(word, 0) + 1
    return counts


def read_lexicon(path: Path) -> Pairs:
    """A list of ours: english TAB form|form|..., the most usual first. The k-th form weighs 1 / k."""
    pairs: Pairs = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        word, _, forms = line.partition("\t")
        pairs[word] = [(form, 1 / place) for place, form in enumerate(forms.split("|"), start=1)]
    return pairs


def invert(pairs: Pairs) -> Pairs:
    """From the other language's words to these."""
    inverted: Pairs = {}
    for word, forms in pairs.items():
        for form, weight in forms:
            inverted.setdefault(form, []).append((word, weight))
    return inverted


def find_pairs(parallel: Path | None, language: str) -> Pairs:
    """English words to those of `language`: of our list, and what the parallel lines add to it."""
    pairs = read_lexicon(LEXICON / f"{language}.tsv") if (LEXICON / f"{language}.tsv").exists() else {}
    if parallel is not None:
        with gzip.open(parallel, "rt", encoding="utf-8") as file:
            rows = [json.loads(line) for line in file]
        aligned = mutual(*([words_of(row[each]) for row in rows] for each in (SOURCE, language)))
        # Our own list knows better where it says anything.
        known = {form for forms in pairs.values() for form, _ in forms}
        pairs |= {word: forms for word, forms in aligned.items() if word not in pairs and forms[0][0] not in known}
    return pairs


def main() -> None:
    parallel = Path(sys.argv[1])
    for language in TARGETS:
        own, both = find_pairs(None, language), find_pairs(parallel, language)
        aligned = [f"{word}={forms[0][0]}" for word, forms in both.items() if word not in own]
        print(f"{language}: {len(own):,} English words of our list, {len(aligned):,} more from parallel lines")
        print("   ", ", ".join(aligned[:: max(1, len(aligned) // 12)]))


if __name__ == "__main__":
    main()
