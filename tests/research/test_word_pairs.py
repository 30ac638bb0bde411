"""Which words mean the same, and the text in which they change places: what `mini` is pre-trained on."""

from __future__ import annotations

import gzip
import lzma
import random
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.recipe_runs import ROOT

sys.path.append(str(ROOT / "research" / "mini"))

import mini_text
import word_pairs

ENGLISH = [
    "the house is small",
    "the house is old",
    "the book is old",
    "a book",
    "a small tree",
    "the tree",
    "is a tree",
]
GERMAN = [
    "das haus ist klein",
    "das haus ist alt",
    "das buch ist alt",
    "ein buch",
    "ein kleiner baum",
    "das baum",
    "ist ein baum",
]


def lines(texts: list[str]) -> list[list[str]]:
    return [word_pairs.words_of(text) for text in texts]


def test_translations_are_found_in_parallel_lines() -> None:
    found = word_pairs.mutual(lines(ENGLISH * 2), lines(GERMAN * 2))
    expected = {"house": "haus", "book": "buch", "tree": "baum", "is": "ist", "a": "ein", "old": "alt"}
    assert {word: found[word][0][0] for word in expected} == expected


def test_probabilities_are_those_of_model_1_worked_by_hand() -> None:
    """The example of Koehn 2010, figure 4.4: das Haus - the house, das Buch - the book, ein Buch - a book."""
    first, second = lines(["das haus", "das buch", "ein buch"]), lines(["the house", "the book", "a book"])
    words = {
        "das": {"the", "house", "book"},
        "haus": {"the", "house"},
        "buch": {"the", "book", "a"},
        "ein": {"a", "book"},
    }
    share = {(one, other): 0.25 for one, others in words.items() for other in others}
    for _ in range(word_pairs.ROUNDS):
        counts = dict.fromkeys(share, 0.0)
        for one, other in zip(first, second, strict=True):
            for target in other:
                total = sum(share[source, target] for source in one)
                for source in one:
                    counts[source, target] += share[source, target] / total
        share = {
            pair: count / sum(each for (source, _), each in counts.items() if source == pair[0])
            for pair, count in counts.items()
        }
    found = word_pairs.translate(first, second)
    assert found == pytest.approx({pair: p for pair, p in share.items() if p > word_pairs.LEAST_PRODUCT / 2})
    assert found["haus", "house"] > 0.85


def test_words_are_cut_at_what_french_elides_and_not_inside_persian_ones() -> None:
    assert word_pairs.words_of("L'arbre qu’il n'a pas, aujourd'hui") == [
        "l'",
        "arbre",
        "qu’",
        "il",
        "n'",
        "a",
        "pas",
        "aujourd'hui",
    ]
    assert word_pairs.words_of("کتاب‌ها 12 می‌روند") == ["کتاب‌ها", "می‌روند"]


@pytest.mark.parametrize("language", word_pairs.TARGETS)
def test_our_lists_are_well_formed_and_cover_most_of_what_is_written(language: str) -> None:
    path = Path(word_pairs.LEXICON / f"{language}.tsv")
    rows = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
    assert all(len(row) == 2 and row[0] and all(row[1].split("|")) for row in rows)
    assert len({word for word, _ in rows}) == len(rows) > 5_000
    forms = [form for _, joined in rows for form in joined.split("|")]
    assert all(form == form.lower().strip() and " " not in form for form in forms)
    pairs = word_pairs.read_lexicon(path)
    assert {"house", "is", "good", "went"} <= set(pairs)
    weights = [weight for _, weight in pairs["good"]]
    assert all(one > other for one, other in pairwise(weights)), "the most usual first"


def test_switched_lines_keep_their_other_words_and_use_one_other_language() -> None:
    pairs = {each: {} for each in word_pairs.TARGETS}
    pairs["de"] = {"house": [("haus", 1.0)], "old": [("alt", 1.0), ("alte", 0.5)]}
    pairs["fr"] = {"house": [("maison", 1.0)]}
    switcher = mini_text.Switcher(pairs, random.Random(0), lines=1.0, words=1.0)
    seen = {switcher.switch("The old House, 12!", "en") for _ in range(200)}
    assert seen == {"The old House, 12!", "The alt haus, 12!", "The alte haus, 12!", "The old maison, 12!"}
    assert {switcher.switch("das alte Haus", "de") for _ in range(200)} == {
        "das old house",
        "das alte maison",
        "das alte Haus",
    }
    never = mini_text.Switcher(pairs, random.Random(0), lines=0.0, words=1.0)
    assert never.switch("The old house", "en") == "The old house"
    assert sorted(switcher.translations("house").split(", ")) == ["haus", "house", "maison"]


def test_lines_of_one_feeling_stand_together_and_english_has_what_was_asked_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "ntrex").mkdir()
    with gzip.open(tmp_path / "ntrex" / "parallel.jsonl.gz", "wt") as file:
        file.write("")
    with lzma.open(tmp_path / "en.txt.xz", "wt") as file:
        file.writelines(f"line {i} of a corpus that is long enough to be kept\n" for i in range(2_000))
    flags = ["--languages", "en", "--characters", "0.02", "--more-english", "0.03", "--feeling-rounds", "1"]
    monkeypatch.setattr(sys, "argv", ["mini_text.py", str(tmp_path), str(tmp_path / "text"), *flags])
    mini_text.main()
    text = (tmp_path / "text" / "train.txt").read_text().splitlines()
    plain = [line for line in text if line.startswith("line ")]
    assert sum(map(len, plain)) == pytest.approx(50_000, rel=0.01)
    good, bad = (set(each.splitlines()) for each in mini_text.FEELINGS.read_text().strip().split("\n\n"))
    feelings = ["good" if line in good else "bad" for line in text if line in good | bad]
    assert len(feelings) >= len(good) + len(bad)
    changes = sum(one != other for one, other in pairwise(feelings))
    assert changes <= len(feelings) / mini_text.TOGETHER + 1
