"""The rows that the student of `teach.py` reads, and what its teacher reads beside each, by an update's number.

Four kinds of rows (what the student reads -> what the teacher reads):

    plain       an English line -> the same
    switched    an English line with known words replaced by one other language's -> the English line
    glossed     a line of another language -> its known words' English translations, in their order
    parallel    a line of another language -> its English translation as a whole (no words matched)
"""

from __future__ import annotations

import collections
import gzip
import json
import math
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from mini_text import LANGUAGES, read_corpus
from word_pairs import SOURCE, TARGETS, WORD, find_pairs, invert, words_of

SENTENCE_END = re.compile(r"(?<=[.!?؟…])\s+")
LATIN = re.compile(r"[a-zà-öø-ÿß]+")
# Words in a row at most, rows in an update, updates of this kind among eight.
POOLS = ((14, 96, 2), (44, 32, 5), (150, 9, 1))
CYCLE = sum(share for *_, share in POOLS)
BLOCK, HELD_OUT = 200, 25  # lines that stay together; every 25th such block is for looking at what was learnt
LEAST_WORDS = 4
MASKED = 0.15
SWITCHED_WORDS = (0.3, 0.6, 1.0)


@dataclass
class Row:
    """One row: texts, spans of words in both, which belong together, whether masked words are guessed."""

    student: str
    teacher: str
    words: list[tuple[int, int]] = field(default_factory=list)
    teacher_words: list[tuple[int, int]] = field(default_factory=list)
    pairs: list[tuple[int, int]] = field(default_factory=list)
    guessed: bool = False


def cut(lines: list[str], most: int) -> Iterator[str]:
    """Sentences of the lines that follow each other, up to `most` words together."""
    held: list[str] = []
    for line in lines:
        for sentence in SENTENCE_END.split(line):
            words = sentence.split()
            if held and len(held) + len(words) > most:
                yield " ".join(held)
                held = []
            held += words
            while len(held) >= most:
                yield " ".join(held[:most])
                held = held[most:]
    if len(held) >= LEAST_WORDS:
        yield " ".join(held)


class Text:
    """Rows of each language and length, in an order that depends on the round alone."""

    def __init__(self, corpora: Path, held_out: bool = False) -> None:
        self.rows: dict[tuple[str, int], list[str]] = {}
        for language in LANGUAGES:
            lines = read_corpus(corpora / f"{language}.txt.xz")
            blocks = [lines[first : first + BLOCK] for first in range(0, len(lines), BLOCK)]
            chosen = [block for i, block in enumerate(blocks) if (i % HELD_OUT == 0) == held_out]
            first = 0
            for pool, (most, _, share) in enumerate(POOLS):
                places = range(first, first + share)
                mine = [block for i, block in enumerate(chosen) if i % CYCLE in places or held_out]
                self.rows[language, pool] = [row for block in mine for row in cut(block, most)]
                first += share
        self._orders: dict[tuple[str, int, int], np.ndarray] = {}

    def row(self, language: str, pool: int, number: int) -> str:
        """The `number`-th row that is asked for: all once, in a new order each round."""
        rows = self.rows[language, pool]
        turn, place = divmod(number, len(rows))
        key = (language, pool, turn)
        if key not in self._orders:
            seed = [LANGUAGES.index(language), pool, turn]
            self._orders = {k: v for k, v in self._orders.items() if k[:2] != key[:2]}
            self._orders[key] = np.random.default_rng(seed).permutation(len(rows))
        return rows[self._orders[key][place]]


class Translator:
    """Switches English lines, and glosses lines of the other languages, word by word."""

    def __init__(self, corpora: Path, english: list[str]) -> None:
        parallel = corpora / "ntrex" / "parallel.jsonl.gz"
        self.to = {each: find_pairs(parallel, each) for each in TARGETS}
        often = collections.Counter(word for line in english for word in words_of(line))
        # Of two translations the more frequent is meant more often ("que" is "that" before it is "which").
        self.back = {
            each: {
                word: [(meaning, weight * math.sqrt(often[meaning] + 1)) for meaning, weight in meanings]
                for word, meanings in invert(pairs).items()
            }
            for each, pairs in self.to.items()
        }
        with gzip.open(parallel, "rt", encoding="utf-8") as file:
            self.parallel = [json.loads(line) for line in file]

    def plain(self, line: str) -> Row:
        spans = [match.span() for match in WORD.finditer(line)]
        return Row(line, line, spans, spans, [(i, i) for i in range(len(spans))], guessed=True)

    def switched(self, line: str, language: str, draw: random.Random) -> Row:
        row = Row("", line)
        share, done = draw.choice(SWITCHED_WORDS), 0
        for number, match in enumerate(WORD.finditer(line)):
            row.student += line[done : match.start()]
            word = match.group()
            known = self.to[language].get(word.lower())
            if known and draw.random() < share:
                word = _choose(known, draw)
            row.words.append((len(row.student), len(row.student) + len(word)))
            row.teacher_words.append(match.span())
            row.pairs.append((number, number))
            row.student += word
            done = match.end()
        row.student += line[done:]
        return row

    def glossed(self, line: str, language: str, draw: random.Random) -> Row:
        row, done = Row(line, "", guessed=True), 0
        for number, match in enumerate(WORD.finditer(line)):
            row.teacher += line[done : match.start()]
            done = match.end()
            row.words.append(match.span())
            word = match.group().lower()
            if known := self.back[language].get(word):
                word = _choose(known, draw)
            elif not LATIN.fullmatch(word):
                continue  # nothing that the teacher could read
            row.pairs.append((number, len(row.teacher_words)))
            row.teacher_words.append((len(row.teacher), len(row.teacher) + len(word)))
            row.teacher += word
        row.teacher += line[done:]
        return row

    def together(self, language: str, draw: random.Random) -> Row:
        chosen = draw.choice(self.parallel)
        return Row(chosen[language], chosen[SOURCE], guessed=False)


def _choose(known: list[tuple[str, float]], draw: random.Random) -> str:
    words, weights = zip(*known, strict=True)
    return draw.choices(words, weights)[0]


class Updates(torch.utils.data.Dataset):
    """What update number `i` reads: a list of batches of like lengths, with tensors for the student and the teacher.

    Args:
        held_out: the lines that are never learnt from.
        translator: that of other updates; made anew if unset.
        times: so many times the usual rows.
    """

    def __init__(
        self, corpora: Path, tokenizer, teacher_tokenizer, *, held_out: bool = False,
        translator: Translator | None = None, times: int = 1,
    ) -> None:  # fmt: skip
        self.text = Text(corpora, held_out)
        self.translator = translator or Translator(corpora, self.text.rows[SOURCE, 1])
        self.tokenizer, self.teacher_tokenizer, self.times = tokenizer, teacher_tokenizer, times
        self.salt = "held out" if held_out else "taught"

    def rows(self, update: int) -> list[Row]:
        draw = random.Random(f"{self.salt} {update}")
        turn, place = divmod(update, CYCLE)
        starts = [sum(share for *_, share in POOLS[:i]) for i in range(len(POOLS))]
        pool = max(i for i, start in enumerate(starts) if start <= place)
        earlier = turn * POOLS[pool][2] + place - starts[pool]  # updates with rows of this length
        number = POOLS[pool][1] * self.times
        english, foreign = number * 9 // 16, number - number * 9 // 16
        rows = []
        for i in range(english):
            line = self.text.row(SOURCE, pool, earlier * english + i)
            plain = i % 9 < 4
            rows.append(
                self.translator.plain(line) if plain else self.translator.switched(line, draw.choice(TARGETS), draw)
            )
        for i in range(foreign):
            count = earlier * foreign + i
            language = TARGETS[count % len(TARGETS)]
            if pool == 1 and i % 14 == 0:
                rows.append(self.translator.together(language, draw))
            else:
                line = self.text.row(language, pool, count // len(TARGETS))
                rows.append(self.translator.glossed(line, language, draw))
        return rows

    def __getitem__(self, update: int) -> list[dict[str, torch.Tensor]]:
        draw = np.random.default_rng([len(self.salt), update])
        rows = sorted(self.rows(update), key=lambda row: len(self.tokenizer.tokenize(row.student)))
        third = -(-len(rows) // 3)
        return [self.encode(rows[first : first + third], draw) for first in range(0, len(rows), third)]

    def encode(self, rows: list[Row], draw: np.random.Generator) -> dict[str, torch.Tensor]:
        settings = dict(padding=True, truncation=True, max_length=256, return_offsets_mapping=True, return_tensors="np")
        own = self.tokenizer([row.student for row in rows], **settings)
        other = self.teacher_tokenizer([row.teacher for row in rows], **settings)
        words, first = _words(own["offset_mapping"], [row.words for row in rows])
        teacher_words, teacher_first = _words(other["offset_mapping"], [row.teacher_words for row in rows])
        pairs = [(first[r] + one, teacher_first[r] + two) for r, row in enumerate(rows) for one, two in row.pairs]
        met = np.bincount(words[words >= 0], minlength=first[-1]) > 0
        teacher_met = np.bincount(teacher_words[teacher_words >= 0], minlength=teacher_first[-1]) > 0
        pairs = np.array([pair for pair in pairs if met[pair[0]] and teacher_met[pair[1]]], dtype=np.int64).reshape(
            -1, 2
        )
        ids, labels = self._mask(own["input_ids"], words, first[-1], [row.guessed for row in rows], draw)
        arrays = dict(
            ids=ids, attention=own["attention_mask"], words=words, labels=labels, pairs=pairs,
            teacher_ids=other["input_ids"], teacher_attention=other["attention_mask"], teacher_words=teacher_words,
        )  # fmt: skip
        return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}

    def _mask(self, ids, words, number: int, guessed: list[bool], draw: np.random.Generator):
        """Whole words, 15 % of them: four fifths as [MASK], a tenth as random pieces, a tenth as they are."""
        chosen = draw.random(number + 1) < MASKED
        how = draw.random(number + 1)
        hidden = (words >= 0) & chosen[words]
        labels = np.where(hidden & np.array(guessed)[:, None], ids, -100)
        masked = np.where(hidden & (how[words] < 0.8), self.tokenizer.mask_token_id, ids)
        anything = draw.integers(len(self.tokenizer.all_special_ids), len(self.tokenizer), ids.shape)
        return np.where(hidden & (how[words] >= 0.9), anything, masked), labels


def _words(offsets: np.ndarray, spans: list[list[tuple[int, int]]]) -> tuple[np.ndarray, list[int]]:
    """[rows, tokens]: the number of the word that each token ends in, -1 for none; and each row's first number."""
    found = np.full(offsets.shape[:2], -1, dtype=np.int64)
    first = [0]
    for row, words in enumerate(spans):
        of_sign = np.full(int(offsets[row].max()) + 1, -1, dtype=np.int64)
        for number, (start, end) in enumerate(words):
            of_sign[start:end] = number
        last = offsets[row, :, 1]
        numbers = of_sign[np.maximum(last - 1, 0)]
        found[row] = np.where((last > offsets[row, :, 0]) & (numbers >= 0), numbers + first[-1], -1)
        first.append(first[-1] + len(words))
    return found, first
