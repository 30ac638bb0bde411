"""The text that `mini` is pre-trained on: six languages, partly with words switched from one to another.

    python research/mini/mini_text.py CORPORA runs/mini_text --characters 200    # millions
    python research/mini/mini_text.py CORPORA runs/mini_gpt_text --languages en --characters 45    # for pretrain_gpt.py

CORPORA holds en.txt.xz and so on, and ntrex/parallel.jsonl.gz. Of each language lines are drawn in proportion to the
0.7th power of its size (temperature sampling: Conneau and Lample 2019, section 3.1). In a share of the lines half of
the words that `word_pairs.py` knows are replaced by one other language's, by way of English (in pre-training: Yang et
al. 2020, ALM), or each by one of any language (Qin et al. 2020, CoSDA-ML). Parallel lines stand side by side in one row
(TLM: Conneau and Lample 2019, section 3.3); so do words of like feeling (`mini_words.txt`), and each word of our lists
with its translations.
"""

from __future__ import annotations

import argparse
import gzip
import json
import lzma
import random
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

from word_pairs import SOURCE, TARGETS, WORD, Pairs, find_pairs, invert

LANGUAGES = (SOURCE, *TARGETS)
FEELINGS = Path(__file__).parent / "mini_words.txt"
EXPONENT = 0.7
LEAST_CHARACTERS = 40
TOGETHER = 20  # lines of one feeling
DEV_LINES = 250  # of each language, plain


class Switcher:
    """Replaces words of any of the languages by words of another one that mean the same."""

    def __init__(
        self, pairs: dict[str, Pairs], draw: random.Random, lines: float, words: float, mixed: float = 0.0
    ) -> None:
        self.to, self.back = pairs, {language: invert(each) for language, each in pairs.items()}
        self.draw, self.lines, self.words, self.mixed = draw, lines, words, mixed

    def switch(self, text: str, language: str) -> str:
        """The line, perhaps with words of one other language in it, or of all of them."""
        if not self.to or self.draw.random() >= self.lines:
            return text
        others = [each for each in (SOURCE, *self.to) if each != language]
        if self.draw.random() >= self.mixed:
            others = [self.draw.choice(others)]
        return WORD.sub(lambda match: self._replace(match.group(), language, self.draw.choice(others)), text)

    def _replace(self, word: str, language: str, other: str) -> str:
        if self.draw.random() >= self.words:
            return word
        english = word.lower()
        if language != SOURCE:
            if not (known := self.back[language].get(english)):
                return word
            english = self._choose(known)
        if other == SOURCE:
            return english
        known = self.to[other].get(english)
        return self._choose(known) if known else word

    def translations(self, word: str) -> str:
        """An English word and one form of it in each language that has it, in any order."""
        forms = [word, *(self._choose(pairs[word]) for pairs in self.to.values() if word in pairs)]
        return ", ".join(self.draw.sample(forms, len(forms)))

    def _choose(self, known: list[tuple[str, float]]) -> str:
        words, weights = zip(*known, strict=True)
        return self.draw.choices(words, weights)[0]


def read_corpus(path: Path) -> list[str]:
    with lzma.open(path, "rt", encoding="utf-8") as file:
        return [line.strip() for line in file if len(line) > LEAST_CHARACTERS]


def rounds(lines: list[str], draw: random.Random) -> Iterator[str]:
    """The lines in a new order, again and again."""
    while True:
        yield from draw.sample(lines, len(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--characters", type=float, default=200, metavar="MILLIONS")
    parser.add_argument("--more-english", type=float, default=0, metavar="MILLIONS", help="of characters, beside those")
    parser.add_argument("--languages", nargs="+", default=list(LANGUAGES), choices=LANGUAGES, metavar="LANGUAGE")
    parser.add_argument("--switched-lines", type=float, default=0.6, metavar="SHARE")
    parser.add_argument("--switched-words", type=float, default=0.5, metavar="SHARE")
    parser.add_argument(
        "--mixed-lines", type=float, default=0.0, metavar="SHARE", help="of these, with words of all languages in them"
    )
    parser.add_argument(
        "--parallel-rounds", type=int, default=1, help="how often each of the 30 directed pairs is seen"
    )
    parser.add_argument("--feeling-rounds", type=int, default=24, help="how often each line of like words is seen")
    parser.add_argument("--lexicon-rounds", type=int, default=6, help="how often each word is seen with translations")
    asked = parser.parse_args()
    draw = random.Random(3)
    parallel = asked.corpora / "ntrex" / "parallel.jsonl.gz"
    pairs = {each: find_pairs(parallel, each) for each in TARGETS if each in asked.languages}
    switcher = Switcher(pairs, draw, asked.switched_lines, asked.switched_words, asked.mixed_lines)
    train, dev = [], []
    corpora = {each: read_corpus(asked.corpora / f"{each}.txt.xz") for each in asked.languages}
    sizes = {each: sum(map(len, lines)) ** EXPONENT for each, lines in corpora.items()}
    for language, lines in corpora.items():
        draw.shuffle(lines)
        dev += lines[:DEV_LINES]
        left = asked.characters * 1e6 * sizes[language] / sum(sizes.values())
        left += asked.more_english * 1e6 * (language == SOURCE)
        for line in rounds(lines[DEV_LINES:], draw):
            train.append(switcher.switch(line, language))
            left -= len(line)
            if left < 0:
                break
    with gzip.open(parallel, "rt", encoding="utf-8") as file:
        rows = [json.loads(line) for line in file]
    for _ in range(asked.parallel_rounds):
        train += [f"{row[one]} {row[other]}" for row in rows for one, other in permutations(asked.languages, 2)]
    for block in FEELINGS.read_text(encoding="utf-8").strip().split("\n\n"):
        lines = block.splitlines()
        for _ in range(asked.feeling_rounds):
            # Together, since a row of pre-training is joined from lines that follow each other: one feeling in a row.
            again = [switcher.switch(line, SOURCE) for line in draw.sample(lines, len(lines))]
            train += ["\n".join(again[first : first + TOGETHER]) for first in range(0, len(again), TOGETHER)]
    words = list(dict.fromkeys(word for pairs in switcher.to.values() for word in pairs))
    for _ in range(asked.lexicon_rounds):
        train += [switcher.translations(word) for word in words]
    draw.shuffle(train)
    asked.folder.mkdir(parents=True, exist_ok=True)
    (asked.folder / "train.txt").write_text("\n".join(train) + "\n", encoding="utf-8")
    (asked.folder / "validation.txt").write_text("\n".join(dev) + "\n", encoding="utf-8")
    rows = sum(len(each.splitlines()) for each in train)
    print(f"{rows:,} rows, {sum(map(len, train)) / 1e6:,.1f} million characters")


if __name__ == "__main__":
    main()
