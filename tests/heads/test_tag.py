"""The tag head against Hugging Face's own; windows in which every word has exactly one tag."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from tests.heads.conftest import Read, as_words
from tlnlp.data import Rows
from tlnlp.heads import tag
from tlnlp.heads.encoded import NOT_SCORED
from tlnlp.settings import Settings
from tlnlp.task import Columns, Data, Task

LABELS = as_words().labels or ()
TASK = Task("tests", Data(), Columns(words="words", tags="tags"), tag, LABELS)
FOLDERS = ["bert_with_types", "roberta", "modernbert", "padded_gpt2"]


@pytest.fixture(params=FOLDERS)
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def rows_of(words: list[list[str]], tags: list[list[int]] | None = None) -> Rows:
    columns: dict[str, list[Any]] = {"words": words}
    if tags is not None:
        columns["tags"] = tags
    return Rows(columns, "tests", np.arange(1, len(words) + 1), LABELS)


def test_loss_and_answers_are_those_of_the_networks_own_call_at_first_pieces(folder: Path, read: Read) -> None:
    short = as_words().select([0, 2, 3, 5, 6])  # rows that need no windows
    reading = read(folder, tag, TASK, short)
    assert len(reading.encoded) == len(short)
    words = short.columns["words"]
    blank = "" if "gpt2" not in folder.name else " "  # this tokenizer ignores add_prefix_space
    theirs = reading.tokenizer(
        [[blank + word for word in row] for row in words],
        is_split_into_words=True, padding=True, padding_side="right", return_tensors="pt",
    )  # fmt: skip
    with torch.no_grad():
        logits = reading.model(**theirs).logits
    expected, answers = 0.0, reading.answers()
    for row, tags in enumerate(short.columns["tags"]):
        word_ids = theirs.word_ids(row)
        firsts = torch.tensor([word_ids.index(word) for word in range(len(words[row]))])
        at_words = logits[row][firsts]
        expected += cross_entropy(at_words, torch.tensor(tags), reduction="sum").item()
        assert answers[row].prediction == [LABELS[i] for i in at_words.argmax(-1)]
        np.testing.assert_allclose(answers[row].scores, at_words.softmax(-1).max(-1).values, atol=1e-4)
    assert reading.loss(reading.batch) == pytest.approx(expected, rel=1e-5)


def test_a_word_that_the_tokenizer_turns_into_nothing_has_a_tag(folder: Path, read: Read) -> None:
    words = [["", "film", "\u200b"], ["\u00ad"], ["A", "", "", "film"]]
    tags = [[0, 1, 2], [1], [0, 1, 2, 0]]
    reading = read(folder, tag, TASK, rows_of(words, tags))
    answers = reading.answers()
    assert [len(each.prediction) for each in answers] == [3, 1, 4]
    assert reading.encoded.counts.tolist() == [3, 1, 4]
    assert sorted(reading.batch["labels"][0][reading.batch["labels"][0] != NOT_SCORED].tolist()) == [0, 1, 2]


def test_a_word_longer_than_a_window_is_read_as_far_as_it_goes(folder: Path, read: Read) -> None:
    words = [["film", "abcdefghij" * 40, "twice", "."]]
    reading = read(folder, tag, TASK, rows_of(words, [[0, 1, 2, 0]]))
    assert reading.encoded.lengths.max() <= 62
    assert [len(each.prediction) for each in reading.answers()] == [4]


@pytest.mark.parametrize("overlap", [0, 8, 1000])
def test_every_word_of_a_long_row_is_scored_exactly_once(folder: Path, overlap: int) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **tag.tokenizer_options)
    draw = np.random.default_rng(0)
    words = [[f"{'soars' * draw.integers(0, 9)}" for _ in range(n)] for n in (1, 30, 200)]
    tags = [draw.integers(0, 3, len(row)).tolist() for row in words]
    settings = Settings(max_length=40, max_tokens=400, window_overlap=overlap)
    encoded = tag.encode(rows_of(words, tags), TASK, tokenizer, settings)
    assert encoded.lengths.max() <= 40
    seen: dict[int, list[tuple[int, int]]] = {row: [] for row in range(3)}
    for item, row in enumerate(encoded.rows):
        at = encoded.alignment["words"][item]
        targets = encoded.targets[item]
        assert ((at == tag.NO_WORD) == (targets == NOT_SCORED)).all()
        seen[int(row)] += [(int(word), int(target)) for word, target in zip(at, targets, strict=True) if word >= 0]
    for row in range(3):
        assert seen[row] == list(enumerate(tags[row]))
    assert encoded.notes[0].startswith("tests: ") and "split into windows" in encoded.notes[0]


@given(st.lists(st.integers(1, 12), min_size=1, max_size=120), st.integers(12, 40), st.integers(0, 50))
def test_windows_hold_whole_words_fit_the_room_and_share_words_out(pieces: list[int], room: int, overlap: int) -> None:
    windows = tag.cut_windows(np.asarray(pieces), room, overlap)
    scored = [word for _, mine in windows for word in range(mine.start, mine.stop)]
    assert scored == list(range(len(pieces)))
    for words, mine in windows:
        assert sum(pieces[words]) <= room
        assert words.start <= mine.start <= mine.stop <= words.stop
    for (before, _), (after, _) in pairwise(windows):
        assert before.start < after.start <= before.stop < after.stop
        shared = sum(pieces[after.start : before.stop])
        assert shared <= min(overlap, room // 2) or after.start == before.stop


def test_the_pipeline_of_transformers_answers_with_the_tasks_tags(read: Read, bert_with_types: Path) -> None:
    reading = read(bert_with_types, tag, TASK, as_words())
    ask = transformers.pipeline("token-classification", model=reading.model, tokenizer=reading.tokenizer, device="cpu")
    found = ask("A film to see twice.")
    assert {each["entity"] for each in found} <= set(LABELS)
    assert [each["entity"] for each in found] == reading.answers()[0].prediction


def test_a_word_without_a_tag_is_an_error_and_no_answer(read: Read, bert_with_types: Path) -> None:
    reading = read(bert_with_types, tag, TASK, as_words())
    reading.encoded.alignment["words"].flat[1] = tag.NO_WORD
    with pytest.raises(RuntimeError, match="a word without a tag"):
        reading.answers()
