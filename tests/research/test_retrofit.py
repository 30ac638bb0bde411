"""Pieces that move to their translations: what puts the languages of a network side by side."""

from __future__ import annotations

import collections
import sys

import pytest
import torch

from tests.recipe_runs import ROOT

sys.path.append(str(ROOT / "research" / "mini"))

import retrofit

WORDS = {"of": 0, "from": 1, "house": 2, "de": 3, "maison": 4, "chat": 5, "die": 6, "the": 7, "<unk>": 8}


class Tokenizer:
    """One piece a word; what it does not know is unknown."""

    unk_token_id = WORDS["<unk>"]

    def __call__(self, word: str, add_special_tokens: bool) -> dict[str, list[int]]:
        return {"input_ids": [WORDS.get(each, self.unk_token_id) for each in word.split("-")]}


@pytest.fixture
def table() -> torch.Tensor:
    return torch.randn(len(WORDS), 6, generator=torch.Generator().manual_seed(0))


def counts(**languages: dict[str, float]) -> dict[str, collections.Counter[int]]:
    every = {language: collections.Counter() for language in ("en", *retrofit.TARGETS)}
    for language, shares in languages.items():
        every[language].update({WORDS[word]: share for word, share in shares.items()})
    return every


def pairs(**languages: dict[str, list[tuple[str, float]]]) -> dict[str, dict[str, list[tuple[str, float]]]]:
    return {language: languages.get(language, {}) for language in retrofit.TARGETS}


def towards(old: torch.Tensor, end: torch.Tensor, share: float) -> torch.Tensor:
    new = (1 - share) * old + share * end
    return new * old.norm() / new.norm()


def test_a_word_moves_to_its_translations_the_frequent_one_more(table: torch.Tensor) -> None:
    known = pairs(fr={"of": [("de", 1.0)], "from": [("de", 0.5)]})
    often = counts(en={"of": 0.03, "from": 0.01}, fr={"de": 0.05})
    new, moved = retrofit.move(table, Tokenizer(), often, known, share=0.8, rare_share=0.3)
    end = (0.03 * table[WORDS["of"]] + 0.5 * 0.01 * table[WORDS["from"]]) / 0.035
    torch.testing.assert_close(new[WORDS["de"]], towards(table[WORDS["de"]], end, 0.8), rtol=1e-4, atol=1e-4)
    assert moved == 1
    others = [i for i in range(len(WORDS)) if i != WORDS["de"]]
    assert torch.equal(new[others], table[others])


def test_a_word_of_two_languages_moves_as_far_as_it_stands_in_the_other_one(table: torch.Tensor) -> None:
    """`die` is a verb in English and an article in German."""
    often = counts(en={"die": 0.01, "the": 0.05}, de={"die": 0.03})
    new, _ = retrofit.move(table, Tokenizer(), often, pairs(de={"the": [("die", 1.0)]}), 0.8, 0.3)
    expected = towards(table[WORDS["die"]], table[WORDS["the"]], 0.8 * 0.03 / 0.04)
    torch.testing.assert_close(new[WORDS["die"]], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("known", "often"),
    [
        (pairs(fr={"house": [("maison-de", 1.0)]}), counts(en={"house": 0.1}, fr={"maison": 0.1})),
        (pairs(fr={"home": [("maison", 1.0)]}), counts(fr={"maison": 0.1})),
        (pairs(fr={"house": [("maison", 1.0)]}), counts(en={"house": 0.1})),
        (pairs(fr={"chat": [("chat", 1.0)]}), counts(en={"chat": 0.1}, fr={"chat": 0.1})),
    ],
    ids=["two pieces", "no English piece", "never met", "the same word"],
)
def test_what_says_nothing_moves_nothing(known, often, table: torch.Tensor) -> None:
    new, moved = retrofit.move(table, Tokenizer(), often, known, 0.8, 0.3)
    assert moved == 0
    assert torch.equal(new, table)


@pytest.mark.parametrize(("whole", "share"), [((), 0.3), (["fa"], 0.3), (["fr"], 0.8)])
def test_a_rare_word_moves_less_but_in_whole_languages(whole: list[str], share: float, table: torch.Tensor) -> None:
    known = pairs(fr={"house": [("maison", 1.0)]})
    often = counts(en={"house": 0.01}, fr={"maison": retrofit.FREQUENT / 2})
    new, _ = retrofit.move(table, Tokenizer(), often, known, 0.8, 0.3, whole)
    expected = towards(table[WORDS["maison"]], table[WORDS["house"]], share)
    torch.testing.assert_close(new[WORDS["maison"]], expected, rtol=1e-4, atol=1e-4)


def test_dimensions_set_apart_hold_what_was_lost_and_layers_see_the_others_as_they_were() -> None:
    closed = [3, 5, 7, 11]
    old = torch.randn(40, 24, generator=torch.Generator().manual_seed(1))
    old[:, closed] *= 0.1  # what says least
    moved = old.clone()
    moved[10:20] = old[:10]  # ten words, on their translations
    scale, new = torch.ones(24), moved.clone()
    retrofit.set_apart(old, new, scale, torch.ones(40), len(closed))
    assert scale.eq(0).nonzero().flatten().tolist() == closed
    seen = torch.nn.functional.layer_norm(new, (24,)) * scale
    torch.testing.assert_close(seen, torch.nn.functional.layer_norm(moved, (24,)) * scale)
    torch.testing.assert_close(seen[10:20], seen[:10])
    held = new[:, closed]
    assert (held[10:20] - held[:10]).norm(dim=1).min() > 0.2 * held.norm(dim=1).median()


def test_without_dimensions_apart_nothing_is_closed() -> None:
    table, scale = torch.randn(9, 6, generator=torch.Generator().manual_seed(2)), torch.ones(6)
    new = table.clone()
    retrofit.set_apart(table, new, scale, torch.ones(9), 0)
    assert torch.equal(new, table) and scale.all()
