"""Questions and answers as other tools write them: flat columns, lists of paragraphs, lists as text."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.conftest import make_task, said
from tlnlp.data import Splits, load_splits
from tlnlp.errors import InputError
from tlnlp.settings import Settings
from tlnlp.task import Columns

TASK = make_task(None, Columns(question="question", context="context", answers="answers"), unanswerable=True)
CONTEXTS = ["Mill a opened in 1950, again in 1950.", "Mill b opened in 1951."]
# Of the first context the second place, which a search would not find.
ANSWERS = [{"text": ["1950"], "answer_start": [32]}, {"text": ["1951"], "answer_start": [17]}]
NONE: dict[str, list[Any]] = {"text": [], "answer_start": []}


def load_file(path: Path, **settings: Any) -> Splits:
    """Loads a file as train and dev rows."""
    folder = path.parent / "both"
    folder.mkdir()
    for split in ("train", "dev"):
        (folder / f"{split}{path.suffix}").write_bytes(path.read_bytes())
    return load_splits(TASK, Settings(data=str(folder), **settings))


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def as_numpy(answers: dict[str, list[Any]]) -> dict[str, np.ndarray]:
    return {name: np.array(values, dtype=object if name == "text" else np.int32) for name, values in answers.items()}


@pytest.mark.parametrize(
    "write",
    [
        lambda answers: str(as_numpy(answers)),  # Dataset.to_csv
        str,  # Dataset.to_pandas().to_csv
        json.dumps,
        lambda answers: repr([{"text": t, "answer_start": s} for t, s in zip(*answers.values(), strict=True)]),
    ],
)
def test_answers_as_text_in_a_cell_are_read_in_each_spelling(write: Any, tmp_path: Path) -> None:
    rows = [
        {"question": "When?", "context": context, "answers": write(answers)}
        for context, answers in zip([*CONTEXTS, "No year."], [*ANSWERS, NONE], strict=True)
    ]
    loaded = load_file(write_csv(tmp_path / "qa.csv", rows))
    assert loaded.train.columns["answers"] == [*ANSWERS, NONE]


def test_answers_that_numpy_has_shortened_are_refused_and_not_taken_for_an_answer(tmp_path: Path) -> None:
    rows = [
        {"question": "q", "context": CONTEXTS[0], "answers": "{'text': array(['1950', ..., '1950'], dtype=object)}"}
    ]
    with pytest.raises(InputError, match=r"row 1: answers"):
        load_file(write_csv(tmp_path / "qa.csv", rows * 2))


def _paragraphs() -> list[dict[str, Any]]:
    return [
        {
            "context": context,
            "qas": [
                {
                    "id": f"q{i}",
                    "question": "When?",
                    "answers": [
                        {"text": text, "answer_start": start}
                        for text, start in zip(answers["text"], answers["answer_start"], strict=True)
                    ],
                }
            ],
        }
        for i, (context, answers) in enumerate(zip(CONTEXTS, ANSWERS, strict=True))
    ]


MRQA = [
    {"header": {"dataset": "x"}},
    *(
        {
            "context": context,
            "qas": [
                {
                    "qid": f"q{i}",
                    "question": "When?",
                    "answers": answers["text"],
                    "detected_answers": [
                        {
                            "text": answers["text"][0],
                            "char_spans": [[answers["answer_start"][0], answers["answer_start"][0] + 3]],
                        }
                    ],
                }
            ],
        }
        for i, (context, answers) in enumerate(zip(CONTEXTS, ANSWERS, strict=True))
    ),
]
TREES = {
    "simpletransformers.json": json.dumps(_paragraphs()),
    "one_article.json": json.dumps({"title": "Mills", "paragraphs": _paragraphs()}),
    "squad.json": json.dumps({"version": "1.1", "data": [{"title": "Mills", "paragraphs": _paragraphs()}]}),
    "data_of_paragraphs.json": json.dumps({"data": _paragraphs()}),
    "list_of_articles.json": json.dumps([{"title": "Mills", "paragraphs": _paragraphs()}]),
    "paragraph_a_line.jsonl": "\n".join(map(json.dumps, _paragraphs())),
    "article_a_line.jsonl": json.dumps({"paragraphs": _paragraphs()}),
    "mrqa.jsonl": "\n".join(map(json.dumps, MRQA)),
}


@pytest.mark.parametrize("name", TREES)
def test_the_cousins_of_squads_tree_are_read(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(TREES[name])
    loaded = load_file(tmp_path / name)
    assert loaded.train.columns == {
        "question": ["When?"] * 2,
        "context": CONTEXTS,
        "answers": ANSWERS,
        "id": ["q0", "q1"],
    }
    assert loaded.train.numbers.tolist() == [1, 2]


NOT_GIVEN = [
    {"text": None, "answer_start": None, "answer_category": "NOT_GIVEN"},
    [{"text": None, "answer_start": None, "answer_category": "NOT_GIVEN"}],
    {"text": [], "answer_start": []},
    [{"text": "", "answer_start": 0}],
]


@pytest.mark.parametrize("none", NOT_GIVEN)
def test_an_answer_that_is_not_given_is_none_and_does_not_hide_another(none: Any, tmp_path: Path) -> None:
    rows = [{"question": "When?", "context": CONTEXTS[0], "answers": each} for each in (ANSWERS[0], none)]
    if isinstance(none, list):
        rows.append({**rows[0], "answers": [*none, {"text": "1950", "answer_start": 32}]})
    (tmp_path / "a.json").write_text(json.dumps(rows))
    found = load_file(tmp_path / "a.json").train.columns["answers"]
    assert found == [ANSWERS[0], NONE, ANSWERS[0]][: len(rows)]


FLAT = [
    ("answer_text", "answer_start", str),
    ("answers.text", "answers.answer_start", str),
    ("answer", "answer_start", lambda values: values[0] if values else ""),
    ("answer_text", "answer_start", lambda values: np.array(values)),
    ("answer", "answer_start", lambda values: f"{values[0]}" + ".0" * isinstance(values[0], int) if values else None),
]


@pytest.mark.parametrize(("text", "start", "write"), FLAT)
def test_flat_columns_of_text_and_start_are_joined_and_that_is_said(
    text: str, start: str, write: Any, tmp_path: Path
) -> None:
    rows = [
        {"question": "When?", "context": context, text: write(each["text"]), start: write(each["answer_start"])}
        for context, each in zip([*CONTEXTS, "No year."], [*ANSWERS, NONE], strict=True)
    ]
    loaded = load_file(write_csv(tmp_path / "flat.csv", rows))
    assert loaded.train.columns["answers"] == [*ANSWERS, NONE]
    assert said(loaded.notes, f"answers from {text!r}, with their starts in {start!r}")


def test_starts_are_used_too_where_the_column_of_the_answers_is_named(tmp_path: Path) -> None:
    rows = [
        {"question": "When?", "context": c, "reply": a["text"][0], "answer_start": a["answer_start"][0]}
        for c, a in zip(CONTEXTS, ANSWERS, strict=True)
    ]
    (tmp_path / "flat.json").write_text(json.dumps(rows))
    loaded = load_file(tmp_path / "flat.json", columns=("answers=reply",))
    assert loaded.train.columns["answers"] == ANSWERS


def test_a_column_that_declares_a_question_impossible_is_believed_and_that_is_said(tmp_path: Path) -> None:
    rows = [
        {"question": "When?", "context": CONTEXTS[0], "answers": "1950", "is_impossible": value}
        for value in ("False", "True", "1", "0")
    ]
    loaded = load_file(write_csv(tmp_path / "a.csv", rows))
    assert [len(each["text"]) for each in loaded.train.columns["answers"]] == [1, 0, 0, 1]
    assert said(loaded.notes, "2 answers of questions that 'is_impossible' declares to have none are not used")


def test_a_start_that_is_no_number_is_refused_with_its_row(tmp_path: Path) -> None:
    row = {"question": "When?", "context": CONTEXTS[0], "answer_text": "1950", "answer_start": "soon"}
    with pytest.raises(InputError, match=r"row 2: answers .*soon"):
        load_file(write_csv(tmp_path / "a.csv", [{**row, "answer_start": "17"}, row]))


@pytest.mark.parametrize(
    ("text", "start"),
    [("1951", 16), ("1951", 17), (" 1951", 16), ("1951 ", 18), ("in\n1951", 14), ("opened  in 1951", 6)],
)
def test_an_answer_off_by_spaces_moves_to_its_place_and_that_is_said(text: str, start: int, tmp_path: Path) -> None:
    context = "Mill b opened in  1951."
    rows = [{"question": "When?", "context": context, "answers": {"text": [text], "answer_start": [start]}}]
    (tmp_path / "a.json").write_text(json.dumps(rows * 2))
    loaded = load_file(tmp_path / "a.json")
    for answers in loaded.train.columns["answers"]:
        (found,), (at,) = answers["text"], answers["answer_start"]
        assert context[at : at + len(found)] == found
        assert found.split() == text.split()
    moved = context[start : start + len(text)] != text
    assert moved and said(loaded.notes, "2 answers were off by spaces and moved to their place")


PIECES = st.text(st.sampled_from("ab '\"\\[]{},:\u00e9\n🙂"), min_size=1, max_size=8).map(lambda text: f"x{text}x")


@given(st.lists(st.lists(PIECES, max_size=3), min_size=1, max_size=4), st.sampled_from([str, json.dumps, as_numpy]))
def test_any_answers_survive_the_way_through_a_csv_file(
    tmp_path_factory: Any, drawn: list[list[str]], write: Any
) -> None:
    context = " | ".join(text for texts in drawn for text in texts) + " end"
    expected = [{"text": texts, "answer_start": [context.index(text) for text in texts]} for texts in drawn]
    rows = [{"question": "q", "context": context, "answers": str(write(each))} for each in expected]
    loaded = load_file(write_csv(tmp_path_factory.mktemp("csv") / "a.csv", rows))
    assert loaded.train.columns["answers"] == expected


def test_an_answer_without_a_start_is_found_as_a_word_before_it_is_found_within_one(tmp_path: Path) -> None:
    contexts = ["In 1987 they were 7.", "Annabel met Anna.", "\u5317\u4eac\u662f\u9996\u90fd", "Unanswerable"]
    texts = ["7", "Anna", "\u4eac", "answer"]
    rows = [{"question": "?", "context": c, "answers": t} for c, t in zip(contexts, texts, strict=True)]
    splits = load_file(write_csv(tmp_path / "faq.csv", rows))
    starts = [each["answer_start"] for each in splits.train.columns["answers"]]
    assert starts == [[18], [12], [1], [2]]


def test_yes_declares_a_question_impossible_and_what_is_neither_is_refused(tmp_path: Path) -> None:
    rows = [
        {"question": "?", "context": context, "answer": "1951", "answer_start": 17, "is_impossible": word}
        for context, word in (("Mill a opened in 1951.", "Yes"), ("Mill b opened in 1951.", "no"))
    ]
    loaded = load_file(write_csv(tmp_path / "a.csv", rows))
    assert [len(each["text"]) for each in loaded.train.columns["answers"]] == [0, 1]
    (tmp_path / "two").mkdir()
    rows[1]["is_impossible"] = "maybe"
    with pytest.raises(InputError, match="row 2: 'maybe'"):
        load_file(write_csv(tmp_path / "two" / "a.csv", rows))
