"""The span head against Hugging Face's own, and its search and its answers against the same done naively."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.heads.conftest import SETTINGS, TEXTS, Read, Reading, as_questions
from tlnlp.data import Rows
from tlnlp.errors import InputError
from tlnlp.heads import span
from tlnlp.heads.encoded import Encoded, model_inputs
from tlnlp.recipe import Columns, Data, Task
from tlnlp.settings import Settings

COLUMNS = Columns(question="question", context="context", answers="answers")
ANSWERED = Task("tests", Data(), COLUMNS, span)
WITH_NONE = replace(ANSWERED, unanswerable=True)
NONE: dict[str, list[Any]] = {"text": [], "answer_start": []}
ALL = ("bert_with_types", "roberta", "modernbert", "padded_gpt2")
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

properties = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture(params=ALL)
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


@pytest.fixture
def tokenizer(folder: Path) -> Any:
    return transformers.AutoTokenizer.from_pretrained(folder)


def as_rows(questions: Sequence[str], contexts: Sequence[str], answers: Sequence[Any] | None, **more: Any) -> Rows:
    columns: dict[str, list[Any]] = {"question": list(questions), "context": list(contexts), **more}
    if answers is not None:
        columns["answers"] = list(answers)
    return Rows(columns, "tests", np.arange(1, len(contexts) + 1), None)


def stands_at(context: str, text: str) -> dict[str, list[Any]]:
    return {"text": [text], "answer_start": [context.index(text)]}


def asked(max_length: int, window_overlap: int = 128, max_answer: int = 30) -> Settings:
    return replace(
        SETTINGS, max_length=max_length, window_overlap=window_overlap, max_answer=max_answer, max_tokens=10_000
    )


def encode(rows: Rows, tokenizer: Any, wanted: Settings = SETTINGS, task: Task = ANSWERED) -> Encoded:
    return span.encode(rows, task, tokenizer, wanted)


def collate(encoded: Encoded, tokenizer: Any) -> dict[str, Any]:
    return span.collate(encoded, np.arange(len(encoded)), tokenizer, np.random.default_rng(0))


def blank_logits(encoded: Encoded) -> np.ndarray:
    """Start and end of every place, nothing speaking for any: [items, longest, 2]."""
    return np.zeros((len(encoded), encoded.lengths.max(), 2), dtype=np.float32)


def answers_of(logits: np.ndarray, encoded: Encoded, rows: Rows, tokenizer: Any, task: Task) -> list[dict[str, Any]]:
    """The answers where the network says `logits`."""

    def network(**inputs: Any) -> Any:
        starts, ends = torch.from_numpy(logits).unbind(-1)
        return SimpleNamespace(start_logits=starts, end_logits=ends)

    outputs = span.forward(network, collate(encoded, tokenizer)).numpy()  # type: ignore[arg-type]
    return span.decode(list(outputs), encoded, rows, task)


def text_between(encoded: Encoded, item: int, rows: Rows, first: int, last: int) -> str:
    starts, ends = encoded.alignment["starts"][item], encoded.alignment["ends"][item]
    return rows.columns["context"][encoded.rows[item]][starts[first] : ends[last]]


def unwindowed(reading: Reading) -> Reading:
    """The same with room for each context in one piece: byte-level pieces are many."""
    encoded = encode(reading.rows, reading.tokenizer, asked(100), reading.task)
    assert len(encoded) == len(reading.rows)
    return replace(reading, encoded=encoded, batch=collate(encoded, reading.tokenizer))


# The networks' own classes


def test_logits_and_loss_are_those_of_the_networks_own_call(folder: Path, read: Read) -> None:
    rows = as_questions()
    reading = unwindowed(read(folder, span, WITH_NONE, rows))
    logits, losses = [], 0.0
    for question, context, answers in zip(*(rows.columns[role] for role in span.roles), strict=True):
        theirs = reading.tokenizer(question, context, return_tensors="pt")
        first = last = 0
        if answers["text"]:
            begins = answers["answer_start"][0]
            first, last = (
                theirs.char_to_token(0, place, sequence_index=1)
                for place in (begins, begins + len(answers["text"][0]) - 1)
            )
        with torch.no_grad():
            found = reading.model(**theirs, start_positions=torch.tensor([first]), end_positions=torch.tensor([last]))
        logits.append(torch.stack([found.start_logits[0], found.end_logits[0]], dim=-1))
        losses += found.loss.item()
    with torch.no_grad():
        np.testing.assert_allclose(span.logits(reading.model, reading.batch), torch.cat(logits), atol=1e-5)
    assert reading.loss(reading.batch) == pytest.approx(losses, rel=1e-5)
    assert losses > 1


def test_the_gradient_is_that_of_the_networks_own_loss(folder: Path, read: Read) -> None:
    reading = read(folder, span, WITH_NONE, as_questions())
    expected: dict[str, torch.Tensor] = {}
    for item in reading.items:  # one by one: their class takes padding for places where an answer might be
        batch = reading.collate([item])
        first, last = batch["labels"].T
        reading.model.zero_grad()
        reading.model(**model_inputs(batch), start_positions=first, end_positions=last).loss.backward()
        for name, parameter in reading.model.named_parameters():
            if parameter.grad is not None:
                expected[name] = expected.get(name, 0) + parameter.grad.clone()
    reading.model.zero_grad()
    span.loss(reading.model, reading.batch, WITH_NONE).backward()
    assert len(expected) > 10
    for name, parameter in reading.model.named_parameters():
        if name in expected:
            torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-3, atol=1e-4)


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


def test_a_checkpoint_that_told_three_labels_apart_gets_two_outputs(bert_with_types: Path, read: Read) -> None:
    config = transformers.AutoConfig.from_pretrained(bert_with_types, num_labels=3)
    for name, value in span.config_changes(WITH_NONE, ()).items():
        setattr(config, name, value)
    model = transformers.AutoModelForQuestionAnswering.from_config(config)
    assert model(input_ids=torch.tensor([[1, 2, 3]])).start_logits.shape == (1, 3)


# Windows and targets


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
        assert given_answer["prediction"] == answer
        assert given_answer["start"] == begins


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
        "tests: 1 questions of more than 10 tokens cut at the end, so that a context fits beside them",
        "tests: 2 rows (66.7%) of more than 23 tokens read in windows",
        "tests: 1 answers fit in no window, and are learnt as none there",
        "tests: 1 answers of more than --max-answer 40 tokens, which is never answered",
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


# Search and answers


@properties
@given(
    items=st.integers(1, 3), longest=st.integers(1, 12), max_answer=st.integers(1, 15), seed=st.integers(0, 2**32 - 1)
)
def test_the_search_finds_what_trying_all_spans_finds(items: int, longest: int, max_answer: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    starts, ends = draw.integers(-9, 9, (2, items, longest)).astype(np.float32) / 4
    starts[draw.random((items, longest)) < 0.3] = -math.inf
    ends[draw.random((items, longest)) < 0.3] = -math.inf
    found = span.find_spans(torch.from_numpy(starts), torch.from_numpy(ends), max_answer).numpy()
    assert found.shape == (items, span.SPANS, 3)
    for item in range(items):
        tried = {}
        for first in range(longest):
            for last in range(first, min(first + max_answer, longest)):
                if starts[item, first] + ends[item, last] > -math.inf:
                    tried[first, last] = starts[item, first] + ends[item, last]
        best = sorted(tried.values(), reverse=True)[: span.SPANS]
        assert found[item, :, 2].tolist() == best + [-math.inf] * (span.SPANS - len(best))
        spans = [(int(first), int(last)) for first, last, _ in found[item, : len(best)]]
        assert len(set(spans)) == len(spans)
        assert [tried[each] for each in spans] == best
        assert not found[item, len(best) :, :2].any()


def test_padding_of_any_width_changes_neither_loss_nor_answers(folder: Path, read: Read) -> None:
    reading = unwindowed(read(folder, span, WITH_NONE, as_questions()))
    wider = dict(reading.batch)
    for name in (*model_inputs(wider), "starts", "ends"):
        filling = torch.full((len(reading.encoded), 3), 5 if name == "input_ids" else 0)
        wider[name] = torch.cat([wider[name], filling.to(wider[name].dtype)], dim=1)
    np.testing.assert_allclose(reading.forward(wider), reading.forward(reading.batch), atol=1e-5)
    assert reading.loss(wider) == pytest.approx(reading.loss(reading.batch), rel=1e-6)
    told = reading.answers()
    reading.tokenizer.padding_side = "left"
    for item, answer in zip(reading.items, told, strict=True):
        alone = reading.head.forward(reading.model, reading.collate([item])).detach().numpy()
        one = replace(reading.encoded, rows=np.zeros(1, int), alignment=_only(reading.encoded, item))
        (found,) = span.decode(list(alone), one, reading.rows.select([item]), WITH_NONE)
        assert found["prediction"] == answer["prediction"]
        assert found["null_odds"] == pytest.approx(answer["null_odds"], abs=1e-4)


def _only(encoded: Encoded, item: int) -> dict[str, Any]:
    return {name: type(each).from_lists([each[item]]) for name, each in encoded.alignment.items()}


def answer_naively(
    logits: np.ndarray, encoded: Encoded, rows: Rows, task: Task, max_answer: int
) -> list[tuple[str, float, float, dict[tuple[int, int], float]]]:
    """For each row the prediction, its probability, the null odds and the probability of each of the best spans."""
    answers = []
    for row, context in enumerate(rows.columns["context"]):
        spans: dict[tuple[int, int], float] = {}
        null = math.inf
        for item in np.flatnonzero(encoded.rows == row):
            starts, ends = encoded.alignment["starts"][item], encoded.alignment["ends"][item]
            null = min(null, float(logits[item, 0].astype(np.float64).sum()))
            for first in range(len(starts)):
                for last in range(first, min(first + max_answer, len(starts))):
                    if starts[first] >= 0 and ends[last] >= 0:
                        key = int(starts[first]), int(ends[last])
                        score = float(np.float32(logits[item, first, 0] + logits[item, last, 1]))
                        spans[key] = max(score, spans.get(key, -math.inf))
        kept = dict(sorted(spans.items(), key=lambda pair: -pair[1])[: span.SPANS])
        total = sum(map(math.exp, kept.values())) + (math.exp(null) if task.unanswerable else 0)
        (first, last), best = next(iter(kept.items()))
        text, score = context[first:last], best
        if task.unanswerable and null > best:
            text, score = "", null
        answers.append((text, math.exp(score) / total, null - best, {k: math.exp(s) / total for k, s in kept.items()}))
    return answers


@pytest.mark.parametrize("task", [ANSWERED, WITH_NONE], ids=["always an answer", "or none"])
def test_answers_over_all_windows_are_those_found_by_trying_all_spans(task: Task, tokenizer: Any) -> None:
    contexts = [" ".join(TEXTS), "A film.", " ".join(TEXTS[::-1] * 2), "😀😀 Two hours.", TEXTS[1]]
    rows = as_rows(["Why?"] * 5, contexts, None, id=list("abcde"))
    encoded = encode(rows, tokenizer, asked(40, 15, max_answer=6))
    assert len(encoded) > 8
    none_told = 0
    for seed in range(10):
        logits = np.random.default_rng(seed).normal(0, 1.2, blank_logits(encoded).shape).astype(np.float32)
        logits[:, 0] += 2.5
        answers = answers_of(logits, encoded, rows, tokenizer, task)
        assert [each["id"] for each in answers] == list("abcde")
        for answer, naive, context in zip(
            answers, answer_naively(logits, encoded, rows, task, 6), contexts, strict=True
        ):
            text, score, odds, chances = naive
            assert answer["prediction"] == text
            assert answer["score"] == pytest.approx(score, rel=1e-5)
            assert answer["null_odds"] == pytest.approx(odds, abs=1e-5)
            none_told += answer["prediction"] == ""
            assert [each["score"] for each in answer["n_best"]] == sorted(
                (each["score"] for each in answer["n_best"]), reverse=True
            )
            spans = [each for each in answer["n_best"] if each["start"] != span.NOWHERE]
            for told in spans:
                assert context[told["start"] :].startswith(told["text"])
                assert told["score"] == pytest.approx(chances[told["start"], told["start"] + len(told["text"])])
            assert len(answer["n_best"]) == min(span.TOLD, len(chances) + task.unanswerable)
    assert (none_told > 0) is task.unanswerable


def test_every_row_has_one_answer_whatever_the_number_of_its_windows(tokenizer: Any) -> None:
    words = ["film", "farmers", "two"] * 400
    contexts = [" ".join(words[:length]) for length in (1, 30, 1200, 5)]
    rows = as_rows(["Why?"] * 4, contexts, None)
    encoded = encode(rows, tokenizer, asked(40, 10))
    assert len(encoded) > 40
    logits = np.random.default_rng(0).normal(size=blank_logits(encoded).shape).astype(np.float32)
    last = np.flatnonzero(encoded.rows == 2)[-1]
    logits[last, encoded.lengths[last] - 4 : encoded.lengths[last]] += 20  # the very end of the long context
    answers = answers_of(logits, encoded, rows, tokenizer, ANSWERED)
    assert len(answers) == 4
    assert all(each["prediction"] in context for each, context in zip(answers, contexts, strict=True))
    assert answers[2]["start"] > len(contexts[2]) - 30


def test_none_is_answered_only_where_the_task_knows_it(bert_with_types: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(bert_with_types)
    rows = as_questions()
    encoded = encode(rows, tokenizer)
    logits = blank_logits(encoded)
    logits[1, 0] = 5
    with_none = answers_of(logits, encoded, rows, tokenizer, WITH_NONE)
    assert with_none[1]["prediction"] == "" and with_none[1]["start"] == -1
    assert with_none[1]["null_odds"] == pytest.approx(10)
    assert with_none[1]["score"] == pytest.approx(math.exp(10) / (math.exp(10) + span.SPANS))
    assert all(each["prediction"] for row, each in enumerate(with_none) if row != 1)
    assert all(each["prediction"] for each in answers_of(logits, encoded, rows, tokenizer, ANSWERED))


def test_none_needs_every_window_to_speak_for_it(bert_with_types: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(bert_with_types)
    rows = as_rows(["Why?"], [" ".join(TEXTS)], None)
    encoded = encode(rows, tokenizer, asked(40, 10))
    logits = blank_logits(encoded)
    logits[:, 0] = 5
    assert answers_of(logits, encoded, rows, tokenizer, WITH_NONE)[0]["prediction"] == ""
    logits[1, 0] = -5
    (answer,) = answers_of(logits, encoded, rows, tokenizer, WITH_NONE)
    assert answer["prediction"]
    assert answer["null_odds"] == pytest.approx(-10)


def test_a_span_in_two_windows_is_counted_once(bert_with_types: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(bert_with_types)
    context = " ".join(TEXTS)
    rows = as_rows(["Why?"], [context], None)
    encoded = encode(rows, tokenizer, asked(30, 13, max_answer=1))
    logits = blank_logits(encoded) - 40
    shared = [
        np.flatnonzero(encoded.alignment["starts"][item] == context.index("again")) for item in range(len(encoded))
    ]
    assert sum(map(len, shared)) == 2
    scores = iter((3.0, 4.0))
    for item, (place,) in ((item, place) for item, place in enumerate(shared) if len(place)):
        logits[item, place] = next(scores) / 2
    logits[0, np.flatnonzero(encoded.alignment["starts"][0] == context.index("film"))] = 1.5
    (answer,) = answers_of(logits, encoded, rows, tokenizer, ANSWERED)
    assert [each["text"] for each in answer["n_best"][:2]] == ["again", "film"]
    assert answer["n_best"][0]["score"] == pytest.approx(1 / (1 + math.exp(-1)))


def test_a_context_that_offers_nothing_is_answered_with_nothing_and_can_be_written_down(tokenizer: Any) -> None:
    rows = as_rows(["Why?"] * 3, ["", " \n", "Two hours."], [NONE] * 3)
    encoded = encode(rows, tokenizer)
    logits = blank_logits(encoded)
    logits[:, 0] = -9
    for task in (ANSWERED, WITH_NONE):
        answers = answers_of(logits, encoded, rows, tokenizer, task)
        assert [each["prediction"] == "" for each in answers] == [True, True, False]
        assert json.loads(json.dumps(answers, allow_nan=False)) == answers
        assert span.apply_threshold(answers, 1e6) == answers
    assert encoded.notes == []


# Thresholds and scores


def score(text: str, acceptable: list[str]) -> tuple[float, float]:
    """Shared letters, and the same text."""
    if not acceptable:
        return float(text == ""), float(text == "")
    return max(2 * len(set(text) & set(each)) / max(len(set(text) | set(each)), 1) for each in acceptable) / 2, float(
        text in acceptable
    )


def told(text: str, odds: float) -> dict[str, Any]:
    none = {"text": "", "start": span.NOWHERE, "score": 1 / (1 + math.exp(-odds))}
    n_best = [{"text": text, "start": 0, "score": 1 - none["score"]}, none]
    return span.apply_threshold([{"null_odds": odds, "n_best": sorted(n_best, key=lambda each: -each["score"])}], 0.0)[
        0
    ]


TEXT = st.sampled_from(["ab", "abc", "x", "b"])
ACCEPTABLE = st.lists(TEXT, max_size=2)
# Few different odds, so that some rows are equal.
ODDS = st.integers(-6, 6).map(lambda n: n / 2)


@properties
@given(st.lists(st.tuples(TEXT, ODDS, ACCEPTABLE), min_size=1, max_size=12))
@example([("ab", -1.0, []), ("ab", 1.0, [])])
@example([("ab", -1.0, ["ab"]), ("ab", 1.0, ["ab"])])
def test_no_threshold_does_better_than_the_one_that_is_found(cases: list[tuple[str, float, list[str]]]) -> None:
    answers = [told(text, odds) for text, odds, _ in cases]
    rows = as_rows(["Why?"] * len(cases), ["abcx"] * len(cases), [{"text": a, "answer_start": [0]} for *_, a in cases])
    threshold, best_f1, best_exact = span.tune_threshold(answers, rows, score)

    def measure(threshold: float) -> np.ndarray:
        chosen = span.apply_threshold(answers, threshold)
        return np.mean([score(each["prediction"], a) for each, (*_, a) in zip(chosen, cases, strict=True)], axis=0)

    tried = np.asarray([measure(each) for each in np.arange(-4, 5, 0.25)])
    assert best_f1 == pytest.approx(tried[:, 0].max())
    assert best_exact == pytest.approx(tried[:, 1].max())
    assert measure(threshold)[0] == pytest.approx(best_f1)


def test_a_threshold_turns_answers_into_none_and_back() -> None:
    answers = [told("ab", -3.0), told("abc", 0.5), told("x", 2.0)]
    assert [each["prediction"] for each in answers] == ["ab", "", ""]
    bold = span.apply_threshold(answers, 1.0)
    assert [each["prediction"] for each in bold] == ["ab", "abc", ""]
    assert [each["start"] for each in bold] == [0, 0, -1]
    shy = span.apply_threshold(bold, -5.0)
    assert [each["prediction"] for each in shy] == ["", "", ""]
    assert [each["score"] + other["score"] for each, other in zip(bold[:2], shy, strict=False)] == pytest.approx([1, 1])
    assert span.apply_threshold(shy, 0.0) == answers


def test_answers_are_judged_by_all_acceptable_texts() -> None:
    rows = as_questions()
    rows.columns["answers"][1] = {"text": ["two hours", "hours"], "answer_start": [1, 5]}
    answers = [{"prediction": text} for text in ("", "hours", "x", "", "y", "z", "")]
    judged = span.judged(answers, rows, WITH_NONE)
    assert judged["predictions"] == ["", "hours", "x", "", "y", "z", ""]
    assert judged["references"][:3] == [[], ["two hours", "hours"], rows.columns["answers"][2]["text"]]


def test_the_majority_answers_none_where_the_task_knows_it() -> None:
    rows = as_questions()
    assert span.majority(rows, rows, ANSWERED) is None
    answers = span.majority(rows, rows, WITH_NONE)
    assert answers == [{"prediction": "", "score": pytest.approx(3 / 7)}] * 7
