"""The span head's search, answers and thresholds against the same done naively."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import example, given
from hypothesis import strategies as st

from tests.heads.conftest import TEXTS, as_questions
from tests.heads.spans import ANSWERED, NONE, WITH_NONE, answers_of, as_rows, asked, blank_logits, encode, properties
from tlnlp.data import Rows
from tlnlp.heads import span
from tlnlp.heads.encoded import EncodedDataset
from tlnlp.task import Prediction, Task

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


def answer_naively(
    logits: np.ndarray, encoded: EncodedDataset, rows: Rows, task: Task, max_answer: int
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
        assert [each.more["id"] for each in answers] == list("abcde")
        for answer, naive, context in zip(
            answers, answer_naively(logits, encoded, rows, task, 6), contexts, strict=True
        ):
            text, score, odds, confidences = naive
            assert answer.prediction == text
            assert answer.score == pytest.approx(score, rel=1e-5)
            assert answer.more["null_odds"] == pytest.approx(odds, abs=1e-5)
            none_told += answer.prediction == ""
            assert [each["score"] for each in answer.more["n_best"]] == sorted(
                (each["score"] for each in answer.more["n_best"]), reverse=True
            )
            spans = [each for each in answer.more["n_best"] if each["start"] != span.NOWHERE]
            for told in spans:
                assert context[told["start"] :].startswith(told["text"])
                assert told["score"] == pytest.approx(confidences[told["start"], told["start"] + len(told["text"])])
            assert len(answer.more["n_best"]) == min(span.TOLD, len(confidences) + task.unanswerable)
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
    assert all(each.prediction in context for each, context in zip(answers, contexts, strict=True))
    assert answers[2].more["start"] > len(contexts[2]) - 30


def test_none_is_answered_only_where_the_task_knows_it(bert_with_types: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(bert_with_types)
    rows = as_questions()
    encoded = encode(rows, tokenizer)
    logits = blank_logits(encoded)
    logits[1, 0] = 5
    with_none = answers_of(logits, encoded, rows, tokenizer, WITH_NONE)
    assert with_none[1].prediction == "" and with_none[1].more["start"] == -1
    assert with_none[1].more["null_odds"] == pytest.approx(10)
    assert with_none[1].score == pytest.approx(math.exp(10) / (math.exp(10) + span.SPANS))
    assert all(each.prediction for row, each in enumerate(with_none) if row != 1)
    assert all(each.prediction for each in answers_of(logits, encoded, rows, tokenizer, ANSWERED))


def test_none_needs_every_window_to_speak_for_it(bert_with_types: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(bert_with_types)
    rows = as_rows(["Why?"], [" ".join(TEXTS)], None)
    encoded = encode(rows, tokenizer, asked(40, 10))
    logits = blank_logits(encoded)
    logits[:, 0] = 5
    assert answers_of(logits, encoded, rows, tokenizer, WITH_NONE)[0].prediction == ""
    logits[1, 0] = -5
    (answer,) = answers_of(logits, encoded, rows, tokenizer, WITH_NONE)
    assert answer.prediction
    assert answer.more["null_odds"] == pytest.approx(-10)


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
    assert [each["text"] for each in answer.more["n_best"][:2]] == ["again", "film"]
    assert answer.more["n_best"][0]["score"] == pytest.approx(1 / (1 + math.exp(-1)))


def test_a_context_that_offers_nothing_is_answered_with_nothing_and_can_be_written_down(tokenizer: Any) -> None:
    rows = as_rows(["Why?"] * 3, ["", " \n", "Two hours."], [NONE] * 3)
    encoded = encode(rows, tokenizer)
    logits = blank_logits(encoded)
    logits[:, 0] = -9
    for task in (ANSWERED, WITH_NONE):
        answers = answers_of(logits, encoded, rows, tokenizer, task)
        assert [each.prediction == "" for each in answers] == [True, True, False]
        written = [each.as_json() for each in answers]
        assert json.loads(json.dumps(written, allow_nan=False)) == written
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
    return span.apply_threshold(
        [Prediction("", more={"null_odds": odds, "n_best": sorted(n_best, key=lambda each: -each["score"])})], 0.0
    )[0]


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
        return np.mean([score(each.prediction, a) for each, (*_, a) in zip(chosen, cases, strict=True)], axis=0)

    tried = np.asarray([measure(each) for each in np.arange(-4, 5, 0.25)])
    assert best_f1 == pytest.approx(tried[:, 0].max())
    assert best_exact == pytest.approx(tried[:, 1].max())
    assert measure(threshold)[0] == pytest.approx(best_f1)


def test_a_threshold_turns_answers_into_none_and_back() -> None:
    answers = [told("ab", -3.0), told("abc", 0.5), told("x", 2.0)]
    assert [each.prediction for each in answers] == ["ab", "", ""]
    bold = span.apply_threshold(answers, 1.0)
    assert [each.prediction for each in bold] == ["ab", "abc", ""]
    assert [each.more["start"] for each in bold] == [0, 0, -1]
    shy = span.apply_threshold(bold, -5.0)
    assert [each.prediction for each in shy] == ["", "", ""]
    assert [each.score + other.score for each, other in zip(bold[:2], shy, strict=False)] == pytest.approx([1, 1])
    assert span.apply_threshold(shy, 0.0) == answers


def test_answers_are_judged_by_all_acceptable_texts() -> None:
    rows = as_questions()
    rows.columns["answers"][1] = {"text": ["two hours", "hours"], "answer_start": [1, 5]}
    answers = [Prediction(text) for text in ("", "hours", "x", "", "y", "z", "")]
    metric_inputs = span.metric_inputs(answers, rows, WITH_NONE)
    assert metric_inputs["predictions"] == ["", "hours", "x", "", "y", "z", ""]
    assert metric_inputs["references"][:3] == [[], ["two hours", "hours"], rows.columns["answers"][2]["text"]]


def test_the_majority_answers_none_where_the_task_knows_it() -> None:
    rows = as_questions()
    assert span.majority_baseline(rows, rows, ANSWERED) is None
    answers = span.majority_baseline(rows, rows, WITH_NONE)
    assert answers == [Prediction("", pytest.approx(3 / 7))] * 7
