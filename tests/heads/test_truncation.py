"""Texts to sequences: the frame is the tokenizer's own, and what gives way is what was said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import transformers
from hypothesis import given
from hypothesis import strategies as st

from tests.heads.conftest import SECOND_TEXTS, TEXTS
from tlnlp.errors import InputError
from tlnlp.heads.truncation import Template, join_rows, join_texts, kept_tokens
from tlnlp.settings import Settings

lengths = st.integers(0, 40)
sides = st.sampled_from(["end", "start", "never"])


@pytest.fixture(params=["bert_with_types", "roberta", "modernbert", "gpt2"])
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return transformers.AutoTokenizer.from_pretrained(request.getfixturevalue(request.param))


def settings(max_length: int, *truncate: str) -> Settings:
    return Settings(max_length=max_length, max_tokens=10 * max_length, truncate=truncate)


@pytest.mark.parametrize("max_length", [200, 20, 9])
def test_pairs_are_joined_and_cut_as_the_tokenizer_does(tokenizer: Any, max_length: int) -> None:
    columns = {"text": TEXTS, "text_pair": SECOND_TEXTS}
    features, _ = join_texts(columns, tokenizer, settings(max_length), "tests")
    theirs = tokenizer(TEXTS, SECOND_TEXTS, truncation="longest_first", max_length=max_length)
    for name, ragged in features.items():
        assert [ragged[row].tolist() for row in range(len(TEXTS))] == theirs[name], name
    assert set(features) == set(theirs) - {"attention_mask"}


@pytest.mark.parametrize("max_length", [200, 9])
def test_single_texts_are_framed_and_cut_as_the_tokenizer_does(tokenizer: Any, max_length: int) -> None:
    features, _ = join_texts({"text": TEXTS}, tokenizer, settings(max_length), "tests")
    theirs = tokenizer(TEXTS, truncation=True, max_length=max_length)
    for name, ragged in features.items():
        assert [ragged[row].tolist() for row in range(len(TEXTS))] == theirs[name], name


@given(st.lists(st.tuples(lengths, lengths), min_size=1), st.integers(1, 60))
def test_where_both_give_way_the_longer_does_first(pairs: list[tuple[int, int]], room: int) -> None:
    for pair in pairs:
        first, second = list(pair)
        while first + second > room:  # one token after the other, as transformers describes it
            if first > second:
                first -= 1
            else:
                second -= 1
        kept = kept_tokens(pair, room, ("end", "end"))
        assert kept is not None
        assert sum(kept) == first + second
        assert abs(kept[0] - first) <= 1  # of two that are equally long, either may give the odd token


@given(lengths, lengths, sides, sides, st.integers(1, 60))
def test_what_may_not_give_way_is_kept_whole(first: int, second: int, a: str, b: str, room: int) -> None:
    kept = kept_tokens((first, second), room, (a, b))
    if kept is None:
        assert sum(n for n, side in ((first, a), (second, b)) if side == "never") >= min(room, first + second)
        return
    assert sum(kept) <= room or sum(kept) == first + second <= room
    assert kept[0] == first or a != "never"
    assert kept[1] == second or b != "never"
    assert sum(kept) == min(room, first + second)


def test_the_start_gives_way_where_that_is_said_and_it_is_noted_for_each_text(tokenizer: Any) -> None:
    columns = {"text": TEXTS, "text_pair": SECOND_TEXTS}
    features, notes = join_texts(columns, tokenizer, settings(20, "text=start", "text_pair=never"), "tests")
    whole = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS]
    pairs = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in SECOND_TEXTS]
    template = Template.of(tokenizer, 2)
    cut = 0
    for row, (text, pair) in enumerate(zip(whole, pairs, strict=True)):
        room = 20 - template.size - len(pair)
        cut += len(text) > room
        expected = template.join(text[-room:] if len(text) > room else text, pair)["input_ids"]
        assert features["input_ids"][row].tolist() == expected.tolist()
    assert 0 < cut < len(TEXTS)
    assert notes == [f"tests: {cut} rows ({cut / len(TEXTS):.1%}) truncated to 20 tokens (text of {cut})"]


def test_a_row_in_which_nothing_may_give_way_is_refused_with_its_number(tokenizer: Any) -> None:
    columns = {"text": TEXTS, "text_pair": SECOND_TEXTS}
    with pytest.raises(InputError, match=r"tests, row 2: .* tokens"):
        join_texts(columns, tokenizer, settings(20, "text=never", "text_pair=never"), "tests")


def test_rows_are_laid_end_to_end_and_no_token_is_lost(tokenizer: Any) -> None:
    sequences = join_rows(TEXTS, tokenizer, 16, separator=7)
    template = Template.of(tokenizer, 1)
    start, end = map(len, template.special)
    stream = [token for i in range(len(sequences)) for token in sequences[i][start : len(sequences[i]) - end].tolist()]
    assert stream == [token for text in TEXTS for token in [*tokenizer(text, add_special_tokens=False)["input_ids"], 7]]
    assert all(len(sequences[i]) == 16 for i in range(len(sequences) - 1))


def test_the_frame_of_a_pair_is_found_where_both_probes_are_unknown_words(tmp_path: Path) -> None:
    transformers.BertTokenizer(
        vocab={piece: i for i, piece in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "film"])}
    ).save_pretrained(tmp_path)
    template = Template.of(transformers.AutoTokenizer.from_pretrained(tmp_path), 2)
    assert [each.tolist() for each in template.special] == [[2], [3], [3]]
    assert template.text_types == (0, 1)
