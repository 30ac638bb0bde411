"""SQuAD metrics: F1 and exact match with the accepted answers, for SQuAD 1.1 and for 2.0 with unanswerable
questions."""

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Any

import datasets
import evaluate

DESCRIPTION = "F1 over shared words, and exact match, of predicted and accepted answers (SQuAD 1.1 and 2.0)."

ARTICLES = re.compile(r"\b(a|an|the)\b")
WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


class Squad(evaluate.Metric):
    """`compute(predictions=[answers], references=[[accepted answers]])`: `f1`, `exact_match`, 0 to 1 (the official
    scripts print them times 100): means over questions of the score with the best accepted answer. "" is "no answer".

    If a question has no accepted answer, [], the rows are treated as SQuAD 2.0, with the additional scores
    `has_answer_f1`, `has_answer_exact` and `no_answer_accuracy`, each over the questions of that kind, if there are
    any. The official scripts differ if an accepted answer is empty after normalisation ("The"): 1.1 keeps it, with an
    F1 of 0 even for the same words; 2.0 drops it, or treats it as "no answer" if it is the only one.

    Source: evaluate-v1.1.py (Rajpurkar et al. 2016, section 6.1) and evaluate-v2.0.py (Rajpurkar et al. 2018).
    """

    is_mean = True

    def _info(self) -> evaluate.MetricInfo:
        value = datasets.Value("string")
        features = datasets.Features({"predictions": value, "references": datasets.Sequence(value)})
        return evaluate.MetricInfo(description=DESCRIPTION, citation="", inputs_description="", features=features)

    def _compute(self, predictions: Any, references: Any) -> dict[str, float]:
        answerable = [bool(answers) for answers in references]
        score = _score_answer if all(answerable) else score_answer_or_none
        scores = [score(told, answers) for told, answers in zip(predictions, references, strict=True)]
        found = {"f1": _mean([f1 for f1, _ in scores]), "exact_match": _mean([exact for _, exact in scores])}
        with_answer = [each for each, has in zip(scores, answerable, strict=True) if has]
        without = [exact for (_, exact), has in zip(scores, answerable, strict=True) if not has]
        if with_answer and without:
            found["has_answer_f1"] = _mean([f1 for f1, _ in with_answer])
            found["has_answer_exact"] = _mean([exact for _, exact in with_answer])
        return found | ({"no_answer_accuracy": _mean(without)} if without else {})


def normalise_answer(text: str) -> str:
    """Lowercases, removes ASCII punctuation and then English articles, and reduces whitespace to single spaces."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(WITHOUT_PUNCTUATION)).split())


def _score_answer(told: str, answers: Sequence[str]) -> tuple[float, float]:
    """Returns the highest F1 and the highest exact match over `answers`, as in SQuAD 1.1."""
    told, answers = normalise_answer(told), [normalise_answer(each) for each in answers]
    return max(_f1(told.split(), each.split()) for each in answers), float(told in answers)


def score_answer_or_none(told: str, answers: Sequence[str]) -> tuple[float, float]:
    """Same as `_score_answer`; if there are no accepted answers, only "" is correct, as in SQuAD 2.0."""
    answers = [each for each in answers if normalise_answer(each)]
    if answers:
        return _score_answer(told, answers)
    right = float(not normalise_answer(told))
    return right, right


def _f1(told: list[str], true: list[str]) -> float:
    """Returns the F1 over words (as multisets); 0.0 if no word is shared."""
    shared = (Counter(told) & Counter(true)).total()
    return 2 * shared / max(len(told) + len(true), 1)


def _mean(values: list[float]) -> float:
    return sum(values) / max(len(values), 1)
