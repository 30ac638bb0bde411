"""Contexts in windows: nothing is lost, and every answer has tokens that give it to the letter."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers
from hypothesis import example, given
from hypothesis import strategies as st

from tests.heads.conftest import SETTINGS, TEXTS, as_questions
from tests.heads.spans import (
    ANSWERED,
    NONE,
    WITH_NONE,
    answers_of,
    as_rows,
    asked,
    blank_logits,
    collate,
    encode,
    properties,
    stands_at,
    text_between,
)
from tlnlp.errors import InputError
from tlnlp.heads import span

# Whole words of each kind that tokenizers treat in a way of their own.
WORDS = (
    "film",
    "farmers",
    "two",
    "typewriter",
    "Über",
    "straße",
    "naïve",
    "日本語",
    "😀",
    "👩‍👩‍👧",
    "ﬁn",
    "e\u0301t",
    "twice.",
)
BLANKS = (" ", "  ", "\n", "\u00a0 ")


def test_windows_are_those_that_the_tokenizer_cuts(tokenizer: Any) -> None:
    context, question = " ".join(TEXTS), "Why?"
    rows = as_rows([question], [context], None)
    for max_length, overlap in ((30, 5), (40, 10), (61, 0), (300, 20)):
        theirs = tokenizer(
            question, context, truncation="only_second", max_length=max_length, stride=overlap,
            return_overflowing_tokens=True, return_offsets_mapping=True,
        )  # fmt: skip
        encoded = encode(rows, tokenizer, asked(max_length, overlap))
        assert [ids.tolist() for ids in map(encoded.features["input_ids"].__getitem__, range(len(encoded)))] == list(
            theirs["input_ids"]
        )
        assert (len(encoded) > 1) is (max_length < 300)
        if "token_type_ids" in theirs:
            assert [encoded.features["token_type_ids"][i].tolist() for i in range(len(encoded))] == list(
                theirs["token_type_ids"]
            )
        for item in range(len(encoded)):
            for place, whose in enumerate(theirs.sequence_ids(item)):
                characters = theirs["offset_mapping"][item][place]
                assert text_between(encoded, item, rows, place, place) == (
                    context[slice(*characters)].strip() if whose == 1 else ""
                )


@properties
@given(length=st.integers(0, 300), room=st.integers(1, 40), overlap=st.integers(0, 60))
def test_windows_lose_no_token_and_share_what_was_asked_for(length: int, room: int, overlap: int) -> None:
    windows = span.cut_windows(length, room, overlap)
    assert sorted({token for window in windows for token in range(*window)}) == list(range(length))
    assert all(last - first <= room for first, last in windows)
    assert all(last - after == min(overlap, room // 2) for (_, last), (after, _) in pairwise(windows))
    assert windows[-1][1] == length and all(last < length for _, last in windows[:-1])


@st.composite
def contexts_with_answers(draw: st.DrawFn) -> tuple[str, int, int]:
    """A context, and the first character of an answer of whole words and the one behind it."""
    words = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=60))
    blanks = [draw(st.sampled_from(["", *BLANKS])), *(draw(st.sampled_from(BLANKS)) for _ in words)]
    context, borders = blanks[0], []
    for word, blank in zip(words, blanks[1:], strict=True):
        borders.append((len(context), len(context) + len(word)))
        context += word + blank
    first = draw(st.integers(0, len(words) - 1))
    last = draw(st.integers(first, min(first + 3, len(words) - 1)))
    return context, borders[first][0], borders[last][1]


@properties
@given(contexts_with_answers(), st.integers(20, 70), st.integers(0, 40))
@example(("  😀😀 film", 2, 4), 30, 5)
def test_every_answer_no_longer_than_the_overlap_can_be_given_to_the_letter(
    tokenizer: Any, drawn: tuple[str, int, int], max_length: int, overlap: int
) -> None:
    context, begins, behind = drawn
    answer = context[begins:behind]
    rows = as_rows(["Why?"], [context], [{"text": [answer], "answer_start": [begins]}])
    encoded = encode(rows, tokenizer, asked(max_length, overlap, max_answer=100))
    assert isinstance(encoded.targets, np.ndarray)
    room = max_length - len(tokenizer("Why?", "")["input_ids"])
    offsets = tokenizer(context, add_special_tokens=False, return_offsets_mapping=True)["offset_mapping"]
    tokens = [
        place for place, (first, last) in enumerate(offsets)
        if last > begins and first < behind and context[first:last].strip()
    ]  # fmt: skip
    holding = np.flatnonzero(encoded.targets.any(1))
    if tokens[-1] - tokens[0] <= min(overlap, room // 2):  # blanks between words may be tokens of their own
        assert len(holding)
    logits = blank_logits(encoded)
    for item in holding:
        first, last = encoded.targets[item]
        assert text_between(encoded, item, rows, first, last) == answer
        logits[item, first, 0] = logits[item, last, 1] = 9
    if len(holding):
        (given_answer,) = answers_of(logits, encoded, rows, tokenizer, WITH_NONE)
        assert given_answer.prediction == answer
        assert given_answer.more["start"] == begins


def test_an_answer_that_begins_inside_a_word_takes_the_tokens_that_cover_it(tokenizer: Any) -> None:
    context = "A film of two typewriters."
    rows = as_rows(["Why?"], [context], [{"text": ["ilm of two typ"], "answer_start": [3]}])
    encoded = encode(rows, tokenizer)
    assert isinstance(encoded.targets, np.ndarray)
    first, last = encoded.targets[0]
    covering = text_between(encoded, 0, rows, first, last)
    assert "ilm of two typ" in covering
    assert "ilm of two typ" not in text_between(encoded, 0, rows, first + 1, last)
    assert "ilm of two typ" not in text_between(encoded, 0, rows, first, last - 1)


def test_windows_without_the_answer_and_questions_without_one_point_at_the_first_token(tokenizer: Any) -> None:
    context = " ".join(TEXTS)
    rows = as_rows(["Why?"] * 3, [context] * 3, [stands_at(context, "farmers"), NONE, stands_at(context, "farmers")])
    rows.columns["answers"][2]["answer_start"] = [-1]  # the context does not have it
    encoded = encode(rows, tokenizer, asked(60, 10))
    assert isinstance(encoded.targets, np.ndarray)
    held = Counter(encoded.rows[encoded.targets.any(1)].tolist())
    windows = Counter(encoded.rows.tolist())
    assert 0 < held[0] < windows[0] == windows[1]
    assert held[1] == held[2] == 0
    assert encoded.counts.tolist() == [1] * len(encoded)


def test_what_was_cut_and_what_fits_nowhere_is_said(bert_with_types: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(bert_with_types)
    context = " ".join(["two"] * 40 + ["farmers"])
    answers = [stands_at(context, context), stands_at(context, "farmers"), stands_at("Two hours", "hours")]
    rows = as_rows(["why", "why " * 30, "why"], [context, context, "Two hours"], answers)
    assert encode(rows, tokenizer, asked(23, 5, max_answer=40)).notes == [
        "tests: 1 questions of more than 10 tokens truncated, to leave room for a context",
        "tests: 2 rows (66.7%) of more than 23 tokens split into windows",
        "tests: 1 answers fit in no window, so that their rows are trained as unanswerable",
        "tests: 1 answers of more than --max-answer 40 tokens, which are never predicted",
    ]
    assert encode(rows.select([2]), tokenizer).notes == []


def test_a_question_above_the_limit_is_cut_at_the_end_and_all_of_the_context_is_read(tokenizer: Any) -> None:
    question, context = "Why do farmers " * 40, " ".join(TEXTS)
    rows = as_rows([question], [context], [stands_at(context, "typewriter")])
    encoded = encode(rows, tokenizer, asked(40, 8))
    assert encoded.lengths.max() <= 40
    half = (40 - tokenizer.num_special_tokens_to_add(pair=True)) // 2
    cut = tokenizer(question, add_special_tokens=False)["input_ids"][:half]
    read: set[tuple[int, int]] = set()
    for item in range(len(encoded)):
        assert " ".join(map(str, cut)) in " ".join(map(str, encoded.features["input_ids"][item].tolist()))
        read |= set(zip(encoded.alignment["starts"][item], encoded.alignment["ends"][item], strict=True))
    characters = {place for first, last in read for place in range(first, last)}
    assert characters == {place for place, letter in enumerate(context) if letter != " "}


def test_a_limit_without_room_for_a_context_is_refused(bert_with_types: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(bert_with_types)
    with pytest.raises(InputError, match="at least 5"):
        encode(as_questions(), tokenizer, asked(4))
    assert encode(as_questions(), tokenizer, asked(5)).lengths.max() == 5


def test_a_context_is_tokenised_once_however_many_questions_are_asked_about_it(bert_with_types: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(bert_with_types)
    seen: list[str] = []

    class Counting:
        is_fast = True

        def __call__(self, texts: Any, *others: Any, **how: Any) -> Any:
            seen.extend([texts] if isinstance(texts, str) else texts)
            return tokenizer(texts, *others, **how)

    encoded = span.encode(as_rows(["why", "who", "what"], [TEXTS[1]] * 3, None), ANSWERED, Counting(), SETTINGS)
    assert seen.count(TEXTS[1]) == 1
    assert len(encoded) == 3
    assert encoded.targets is None
    assert "labels" not in collate(encoded, tokenizer)


def test_no_answer_begins_or_ends_with_a_blank(tokenizer: Any) -> None:
    context = "  A film\u00a0of  two\n\nfarmers \t who laugh.  "
    rows = as_rows(["Why?"], [context], None)
    encoded = encode(rows, tokenizer)
    firsts, lasts = (np.flatnonzero(collate(encoded, tokenizer)[name][0]) for name in ("starts", "ends"))
    texts = [text_between(encoded, 0, rows, first, last) for first in firsts for last in lasts if last >= first]
    assert len(texts) > 20
    assert all(text and text == text.strip() for text in texts)
    assert {"A", "farmers", "film\u00a0of  two"} <= set(texts)


def test_a_token_that_takes_blanks_along_behind_it_ends_where_its_letters_end() -> None:
    """As those of Llama 3 do with the line's end behind a full stop."""
    context = span.Context.of("Go.\n\n  Why?", [1, 2, 3, 4], [(0, 2), (2, 5), (5, 7), (6, 11)])
    assert [each.tolist() for each in context.borders] == [[0, 2, -1, 7], [2, 3, -1, 11]]
    assert context.find(2, 11) == (1, 3)
    assert context.find(3, 7) is None


def test_of_the_bytes_of_a_character_an_answer_begins_with_the_first_and_ends_with_the_last(tokenizer: Any) -> None:
    context = "two 😀😀 é"
    rows = as_rows(["Why?"], [context], None)
    encoded = encode(rows, tokenizer)
    for name, borders in encoded.alignment.items():
        characters = borders[0][borders[0] >= 0].tolist()
        assert len(set(characters)) == len(characters) >= 3, name
    begins, finishes = (np.flatnonzero(encoded.alignment[name][0] >= 0) for name in ("starts", "ends"))
    assert text_between(encoded, 0, rows, begins[0], finishes[-1]) == context
