"""SQuAD's F1 and exact match against a transcription of the official scripts, on texts that are hard to normalise."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tlnlp import metrics
from tlnlp.evaluation.metrics.squad import normalise_answer

PIECES = (
    "the", "The", "a", "AN", "theatre", "a-b", "cat", "Cat", "cat's", "(cat)", "mat.", "U.S.", "5,000", "$", "...",
    "Über", "ÜBER", "straße", "İ", "“quoted”", "—", "l'été", "日本", "\u00a0", "\u200b", "á", "the\u0301", "_the_",
)  # fmt: skip
TEXT = st.lists(st.sampled_from(PIECES) | st.sampled_from([" ", "  ", "\t", "\n", "-"]), max_size=7).flatmap(
    lambda pieces: st.sampled_from(["", " "]).map(lambda between: between.join(pieces))
)
ANY_TEXT = TEXT | TEXT | st.text(max_size=12)


def squad(predictions: Any, references: Any) -> dict[str, float]:
    return metrics.squad.Squad(keep_in_memory=True).compute(predictions=predictions, references=references)


# What both scripts share (evaluate-v1.1.py, evaluate-v2.0.py), step by step.
def normalize(text: str) -> str:
    lowered = text.lower()
    unpunctuated = "".join(each for each in lowered if each not in set(string.punctuation))
    without_articles = re.sub(r"\b(a|an|the)\b", " ", unpunctuated)
    return " ".join(without_articles.split())


def f1_of_words(predicted: list[str], gold: list[str]) -> float:
    same = sum((Counter(predicted) & Counter(gold)).values())
    if same == 0:
        return 0
    precision, recall = same / len(predicted), same / len(gold)
    return 2 * precision * recall / (precision + recall)


def best(score: Callable[[str, str], float], predicted: str, golds: list[str]) -> float:
    return max(score(predicted, gold) for gold in golds)


def evaluate_1_1(predictions: list[str], references: list[list[str]]) -> dict[str, float]:
    f1 = exact = 0.0
    for predicted, golds in zip(predictions, references, strict=True):
        f1 += best(lambda one, gold: f1_of_words(normalize(one).split(), normalize(gold).split()), predicted, golds)
        exact += best(lambda one, gold: normalize(one) == normalize(gold), predicted, golds)
    return {"f1": f1 / len(predictions), "exact_match": exact / len(predictions)}


def f1_or_none(predicted: str, gold: str) -> float:
    predicted_words, gold_words = normalize(predicted).split(), normalize(gold).split()
    if not predicted_words or not gold_words:
        return int(predicted_words == gold_words)
    return f1_of_words(predicted_words, gold_words)


def evaluate_2_0(predictions: list[str], references: list[list[str]]) -> dict[str, float]:
    f1, exact, has_answer = [], [], []
    for predicted, answers in zip(predictions, references, strict=True):
        golds = [each for each in answers if normalize(each)] or [""]
        f1.append(best(f1_or_none, predicted, golds))
        exact.append(best(lambda one, gold: int(normalize(one) == normalize(gold)), predicted, golds))
        has_answer.append(bool(answers))

    def mean(scores: list[float], having: tuple[bool, ...]) -> float:
        chosen = [score for score, has in zip(scores, has_answer, strict=True) if has in having]
        return sum(chosen) / len(chosen)

    found = {"f1": mean(f1, (True, False)), "exact_match": mean(exact, (True, False))}
    if any(has_answer):
        found |= {"has_answer_f1": mean(f1, (True,)), "has_answer_exact": mean(exact, (True,))}
    assert mean(f1, (False,)) == mean(exact, (False,))
    return found | {"no_answer_accuracy": mean(exact, (False,))}


@st.composite
def draw_questions(draw: Any, fewest: int) -> list[tuple[str, list[str]]]:
    """(predicted, acceptable answers); half of the predictions are one of the answers, perhaps changed a little."""
    questions = []
    for answers in draw(st.lists(st.lists(ANY_TEXT, min_size=fewest, max_size=3), min_size=1, max_size=5)):
        near = [f"{before}{each}{after}" for each in answers for before in ("", "the ") for after in ("", ".", " x")]
        questions.append((draw(st.sampled_from(near) | ANY_TEXT if near else st.just("") | ANY_TEXT), answers))
    return questions


@given(draw_questions(fewest=1))
@example([("the", ["a"])])
@example([("", ["The", "cat"])])
def test_where_every_question_has_an_answer_the_scores_are_those_of_1_1(questions: list[tuple[str, list[str]]]) -> None:
    predictions, references = map(list, zip(*questions, strict=True))
    assert squad(predictions, references) == pytest.approx(evaluate_1_1(predictions, references))


@given(draw_questions(fewest=0), st.sampled_from(["", "cat", "the"]))
@example([("the", ["a"])], "")
@example([("", ["The", "cat"])], "")
def test_where_a_question_has_none_the_scores_are_those_of_2_0(
    questions: list[tuple[str, list[str]]], told: str
) -> None:
    predictions, references = map(list, zip(*questions, (told, []), strict=True))
    assert squad(predictions, references) == pytest.approx(evaluate_2_0(predictions, references))


@given(ANY_TEXT)
def test_texts_are_normalised_as_the_scripts_do(text: str) -> None:
    assert normalise_answer(text) == normalize(text)
    assert normalise_answer(f"The {text}.") == normalize(f"the {text}")


@pytest.mark.parametrize("piece", PIECES)
def test_a_hard_piece_is_normalised_as_the_scripts_do(piece: str) -> None:
    for text in (piece, f"An {piece}, {piece}!", f"x{piece}y", f"A\t{piece}\nthe"):
        assert normalise_answer(text) == normalize(text)


def test_worked_cases() -> None:
    # Two of three words: precision 2/3, recall 1. The best of the answers counts, for each score by itself.
    assert squad(["the big black cat"], [["Black cat!", "dog"]]) == {"f1": pytest.approx(0.8), "exact_match": 0.0}
    assert squad(["An apple"], [["pear", "apple."]]) == {"f1": 1.0, "exact_match": 1.0}
    assert squad(["cat cat cat"], [["cat cat"]])["f1"] == pytest.approx(0.8)
    found = squad(["", "cat", "dog", "", ""], [[], [], ["dog"], ["cat"], ["big dog"]])
    assert found == pytest.approx({
        "f1": 2 / 5, "exact_match": 2 / 5,
        "has_answer_f1": 1 / 3, "has_answer_exact": 1 / 3, "no_answer_accuracy": 1 / 2,
    })  # fmt: skip


def test_the_headline_is_f1() -> None:
    assert next(iter(squad(["x", ""], [["x"], []]))) == "f1"


def test_no_questions_are_worth_nothing_and_kinds_without_questions_are_left_out() -> None:
    assert squad([], []) == {"f1": 0.0, "exact_match": 0.0}
    assert squad(["", "x"], [[], []]) == {"f1": 0.5, "exact_match": 0.5, "no_answer_accuracy": 0.5}
