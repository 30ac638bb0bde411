"""SQuAD's tree of paragraphs and their questions, and its cousins (simpletransformers, haystack, MRQA), to rows."""

from __future__ import annotations

from typing import Any

from tlnlp.data.table import show
from tlnlp.errors import InputError


def holds_questions(rows: list[Any]) -> bool:
    """Returns whether one of the objects has a list of paragraphs, or of questions on a context."""
    names = ("paragraphs", "qas")
    return any(isinstance(each, dict) and any(isinstance(each.get(name), list) for name in names) for each in rows)


def questions_of(articles: list[Any], origin: str) -> list[dict[str, Any]]:
    """Flattens articles, or paragraphs without articles around them, to one row per question, with the columns of the
    Hub. The answers of an impossible question are empty; those of a test set are None.

    Raises:
        InputError: a paragraph has no context, or a question no text.
    """
    rows = []
    for i, article in enumerate(articles):
        place = f"{origin}, data[{i}]"
        if isinstance(article, dict) and "header" in article and "qas" not in article:
            continue  # the first line of MRQA's files
        if isinstance(article, dict) and "qas" in article and "paragraphs" not in article:
            rows += _of_paragraph(article, article, place)
            continue
        for j, paragraph in enumerate(_list_in(article, "paragraphs", place)):
            rows += _of_paragraph(article, paragraph, f"{place}.paragraphs[{j}]")
    return rows


def _of_paragraph(article: dict[str, Any], paragraph: Any, place: str) -> list[dict[str, Any]]:
    rows = []
    for k, question in enumerate(_list_in(paragraph, "qas", place)):
        for name, where in (("context", paragraph), ("question", question)):
            if not isinstance(where, dict) or name not in where:
                raise _no_tree(f"{place}.qas[{k}]", name, where)
        rows.append(
            {
                "id": question.get("id", question.get("qid")),
                "title": article.get("title"),
                "context": paragraph["context"],
                "question": question["question"],
                "answers": [] if question.get("is_impossible") else _answers(question),
            }
        )
    return rows


def _answers(question: dict[str, Any]) -> Any:
    """Returns the answers; those that MRQA has found in the context, with their places, instead of the texts alone."""
    detected = question.get("detected_answers")
    if not isinstance(detected, list):
        return question.get("answers")
    return [
        {"text": each.get("text"), "answer_start": span[0]}
        for each in detected
        if isinstance(each, dict)
        for span in each.get("char_spans", [])[:1]
        if isinstance(span, list) and span
    ]


def _list_in(found: Any, name: str, place: str) -> list[Any]:
    if not isinstance(found, dict) or not isinstance(found.get(name), list):
        raise _no_tree(place, name, found)
    return found[name]


def _no_tree(place: str, name: str, found: Any) -> InputError:
    return InputError(
        expected='SQuAD\'s tree: {"data": [{"paragraphs": [{"context": ..., "qas": [{"question": ...}]}]}]}',
        found=f"{place}: no {name!r} in {show(found)}",
        change="the file",
    )
