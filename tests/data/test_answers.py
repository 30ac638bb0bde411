"""Answers and their places: all the forms in which they come, what does not stand where it should, and its mending."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.conftest import make_task, to_jsonl
from tlnlp.data import load_splits
from tlnlp.data.answers import find_nearest
from tlnlp.errors import InputError
from tlnlp.settings import Settings
from tlnlp.task import Columns

COLUMNS = Columns(question="question", context="context", answers="answers")
ANSWERED = make_task(None, COLUMNS)
ALSO_UNANSWERABLE = make_task(None, COLUMNS, unanswerable=True)

CONTEXT = "The red door is red. A  blue Door is not."
NONE: dict[str, list[Any]] = {"text": [], "answer_start": []}
RED = {"text": ["red"], "answer_start": [4]}


def row_of(answers: Any, context: str = CONTEXT, **more: Any) -> dict[str, Any]:
    return {"question": "Which?", "context": context, "answers": answers} | more


DEV = [row_of(RED)]


def refusal(load: Any, *arguments: Any, **settings: Any) -> InputError:
    with pytest.raises(InputError) as refused:
        load(*arguments, **settings)
    return refused.value


FORMS = [
    {"text": ["red", "A"], "answer_start": [16, 21]},
    [{"text": "red", "answer_start": 16}, {"text": "A", "answer_start": 21.0}],
    '{"text": ["red", "A"], "answer_start": [16, 21]}',
    '[{"text": "red", "answer_start": 16}, {"text": "A"}]',
]


@pytest.mark.parametrize("form", FORMS)
def test_answers_with_their_starts_are_read_from_all_forms(form: Any, load: Any) -> None:
    loaded = load([row_of(form)], DEV, task=ANSWERED)
    assert loaded.train.columns["answers"] == [{"text": ["red", "A"], "answer_start": [16, 21]}]
    assert list(loaded.train.columns) == ["question", "context", "answers"]


@pytest.mark.parametrize(
    "form", ["red", ["red"], '["red"]', {"text": "red"}, {"text": ["red"], "answer_start": [-1]}, [{"text": "red"}]]
)
def test_an_answer_without_a_start_is_the_first_such_piece_of_the_context(form: Any, load: Any) -> None:
    loaded = load([row_of(form)], DEV, task=ANSWERED)
    assert loaded.train.columns["answers"] == [RED]
    assert (
        "mine/train.jsonl: 1 answers without a start were found in their contexts"
        " (1 of them several times, of which the first is used, or the first as whole words)" in loaded.notes
    )


def test_case_and_blanks_are_ignored_where_nothing_else_fits_and_the_contexts_own_piece_is_kept(load: Any) -> None:
    loaded = load([row_of("a Blue\ndoor")], DEV, task=ANSWERED)
    assert loaded.train.columns["answers"] == [{"text": ["A  blue Door"], "answer_start": [21]}]
    assert any("(1 with different case or whitespace)" in note for note in loaded.notes)


def test_an_answer_may_look_like_json(load: Any) -> None:
    context = 'See [1] and {"text": 7} and [x'
    for text in ("[1]", '{"text": 7}', "[x"):
        loaded = load([row_of(text, context)], DEV, task=ANSWERED)
        assert loaded.train.columns["answers"] == [{"text": [text], "answer_start": [context.index(text)]}]


@pytest.mark.parametrize("empty", [NONE, [], "", " ", "[]", {"text": [""], "answer_start": [-1]}, {"text": []}])
def test_a_question_without_an_answer_stays_where_the_task_has_such(empty: Any, load: Any) -> None:
    loaded = load([row_of(RED), row_of(empty)], DEV, task=ALSO_UNANSWERABLE)
    assert loaded.train.columns["answers"] == [RED, NONE]


def test_questions_without_an_answer_are_left_out_elsewhere_and_that_is_said(load: Any) -> None:
    loaded = load([row_of([]), row_of(RED), row_of("")], [row_of([]), *DEV], task=ANSWERED)
    assert (len(loaded.train), loaded.train.numbers.tolist(), len(loaded.dev)) == (1, [2], 1)
    assert "mine/train.jsonl: 2 questions without an answer dropped (recipes/squad_v2.py keeps them)" in loaded.notes
    said = refusal(load, [row_of([])] * 3, DEV, task=ANSWERED)
    assert said.found == "mine/train.jsonl: 3 rows, none with such an answer"
    assert "squad_v2" in said.change


@pytest.mark.parametrize(
    "answers",
    [
        None, 7, True, {"text": 7}, {"answer_start": [1]}, {"text": ["red"], "answer_start": [1, 2]},
        {"text": ["red"], "answer_start": ["4"]}, {"text": ["red"], "answer_start": [True]},
        {"text": ["red"], "answer_start": [0.5]}, ["red", ""], [None], [["red"]], {"text": ["red"], "answer_start": 4},
    ],
)  # fmt: skip
def test_a_value_that_is_no_answer_is_refused_with_row_and_value(answers: Any, load: Any) -> None:
    said = refusal(load, [row_of(RED), row_of(answers)], DEV, task=ANSWERED)
    assert "as in SQuAD" in said.expected
    assert said.found.startswith("mine/train.jsonl, row 2: answers ")
    assert "without" not in said.found and "without an answer" in said.change


# --- answers that do not stand where they should

MISPLACED = [
    row_of({"text": ["red"], "answer_start": [14]}),
    row_of(RED),
    row_of({"text": ["red", "blue door"], "answer_start": [900, 25]}),
    row_of({"text": ["The"], "answer_start": [-7]}),
    row_of({"text": ["red"], "answer_start": [10]}),
]


def test_misplaced_answers_are_counted_and_the_first_three_shown_with_what_is_nearest(load: Any) -> None:
    said = refusal(load, MISPLACED, DEV, task=ANSWERED)
    assert said.expected.startswith("answers that are in their context at answer_start")
    assert said.found == (
        "5 answers are not at their answer_start: mine/train.jsonl,"
        " row 1: 'red' at 14, where the context has 's r'; nearest 'red' at 16;"
        " row 3: 'red' at 900, after the end of the context; nearest 'red' at 16;"
        " row 4: 'The' at -7, where the context has 'The'; nearest 'The' at 0 (4 such rows in all)"
    )
    assert said.change == "these rows, or use --fix-answers to take the nearest match"


def test_misplaced_answers_go_to_the_nearest_match_with_the_flag_and_that_is_said(load: Any) -> None:
    loaded = load(MISPLACED, DEV, task=ANSWERED, fix_answers=True)
    assert loaded.train.columns["answers"] == [
        {"text": ["red"], "answer_start": [16]},
        RED,
        {"text": ["red", "blue Door"], "answer_start": [16, 24]},
        {"text": ["The"], "answer_start": [0]},
        {"text": ["red"], "answer_start": [4]},  # as far as the other one: the earlier
    ]
    assert "mine/train.jsonl: 5 answers moved to the nearest match (--fix-answers)" in loaded.notes


NOWHERE = [
    row_of("green"),
    row_of({"text": ["green", "red"], "answer_start": [4, 4]}),
    row_of([]),
]


def test_answers_that_are_nowhere_are_refused_without_the_flag(load: Any) -> None:
    said = refusal(load, NOWHERE, DEV, task=ALSO_UNANSWERABLE)
    assert said.found == (
        "2 answers are not in their context: mine/train.jsonl, row 1: 'green'; nowhere in the context;"
        " row 2: 'green' at 4, where the context has 'red d'; nowhere in the context (2 such rows in all)"
    )
    assert "dropped from train" in said.change


def test_with_the_flag_they_leave_train_with_their_question_and_stay_in_dev_without_a_place(load: Any) -> None:
    loaded = load(NOWHERE, NOWHERE, task=ALSO_UNANSWERABLE, fix_answers=True)
    assert loaded.train.numbers.tolist() == [2, 3]
    assert loaded.train.columns["answers"] == [RED, NONE]
    assert loaded.dev.columns["answers"] == [
        {"text": ["green"], "answer_start": [-1]},
        {"text": ["green", "red"], "answer_start": [-1, 4]},
        NONE,
    ]
    start = "2 answers that are not in their context are "
    assert f"mine/train.jsonl: {start}dropped, and 1 questions that have no other (--fix-answers)" in loaded.notes
    assert f"mine/validation.jsonl: {start}kept, with start -1 (--fix-answers)" in loaded.notes


def test_half_a_surrogate_in_an_answer_does_not_stop_the_mending(load: Any) -> None:
    loaded = load([row_of(RED)], [row_of("\ud800")], task=ANSWERED, fix_answers=True)
    assert loaded.dev.columns["answers"] == [{"text": ["\ud800"], "answer_start": [-1]}]


TEXTS = st.text(st.sampled_from("aAb  .ßİ🙂"), min_size=1, max_size=6)
STARTS = st.one_of(st.none(), st.integers(-3, 50))


@given(
    st.lists(
        st.tuples(
            st.text(st.sampled_from("aAb  .ßİ🙂"), max_size=40).map(lambda text: "x" + text),
            st.lists(st.tuples(TEXTS.filter(lambda text: not text.isspace()), STARTS), max_size=3),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_after_mending_every_place_in_train_points_at_its_text(tmp_path_factory: Any, drawn: Any) -> None:
    folder = tmp_path_factory.mktemp("answers")
    rows = [
        row_of([{"text": text, "answer_start": start} for text, start in answers], context)
        for context, answers in drawn
    ]
    (folder / "train.jsonl").write_text(to_jsonl([row_of("x", "x"), *rows]))
    (folder / "dev.jsonl").write_text(to_jsonl([row_of("x", "x"), *rows]))
    loaded = load_splits(ALSO_UNANSWERABLE, Settings(data=str(folder), fix_answers=True))
    assert len(loaded.dev) == 1 + len(rows)
    for part, least in ((loaded.train, 0), (loaded.dev, -1)):
        for context, answers in zip(part.columns["context"], part.columns["answers"], strict=True):
            for text, start in zip(answers["text"], answers["answer_start"], strict=True):
                assert start >= least
                assert start == -1 or context[start : start + len(text)] == text


@given(
    st.text(st.sampled_from("ab "), max_size=30),
    st.text(st.sampled_from("ab"), min_size=1, max_size=3),
    st.integers(-5, 40),
)
def test_the_nearest_match_is_nearer_than_every_other(context: str, text: str, start: int) -> None:
    places = [at for at in range(len(context)) if context.startswith(text, at)]
    found = find_nearest(context, text, start)
    if not places:
        assert found is None
    else:
        assert found is not None and found[0] == text
        at = max(start, 0)
        assert abs(found[1] - at) == min(abs(place - at) for place in places)
        assert found[1] == min(places, key=lambda place: (abs(place - at), place))


# --- what else a row has, and how rows are cut


def test_the_rows_own_names_are_kept_where_each_has_one(load: Any) -> None:
    rows = [row_of(RED, id=f"q{i}", title="t") for i in range(3)]
    loaded = load(rows, rows, task=ANSWERED)
    assert loaded.train.columns["id"] == loaded.dev.columns["id"] == ["q0", "q1", "q2"]
    assert loaded.notes[0] == "columns: question, context, answers, id; not used: title"
    numbered = [row_of(RED, id=i) for i in range(3)]
    assert load(numbered, numbered, task=ANSWERED).dev.columns["id"] == ["0", "1", "2"]
    named = [row_of(RED, key=f"k{i}") for i in range(3)]
    assert load(named, named, task=ANSWERED, columns=("id=key",)).dev.columns["id"] == ["k0", "k1", "k2"]


@pytest.mark.parametrize("name", [None, "same", True])
def test_names_that_are_not_each_rows_own_are_not_used_and_that_is_said_of_dev(name: Any, load: Any) -> None:
    rows = [row_of(RED, id=name) for _ in range(3)]
    loaded = load(rows, rows, task=ANSWERED)
    assert "id" not in loaded.train.columns and "id" not in loaded.dev.columns
    said = [note for note in loaded.notes if "not used" in note and "'id'" in note]
    assert len(said) == 1 and said[0].startswith("mine/validation.jsonl")


@pytest.mark.parametrize("hidden", [[], None, "", "absent"])
def test_a_test_split_without_answers_is_said_to_be_hidden(hidden: Any, load: Any) -> None:
    test = [row_of(hidden)]
    if hidden == "absent":
        del test[0]["answers"]
    rows = [row_of("red", f"{CONTEXT} {i}") for i in range(20)]
    loaded = load(rows, DEV, test, task=ANSWERED, keep="best")
    assert any("hidden" in note for note in loaded.notes)
    assert (len(loaded.train), len(loaded.dev), len(loaded.test)) == (18, 2, 1)


def test_a_cut_off_dev_split_shares_no_context_with_train(load: Any) -> None:
    rows = [row_of("red", f"{CONTEXT} {i // 5}", number=i) for i in range(200)]
    loaded = load(rows, task=ANSWERED, keep="best")
    parts = [set(part.columns["context"]) for part in (loaded.train, loaded.dev, loaded.test)]
    assert [len(part) for part in parts] == [33, 3, 4]
    assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
    assert len(loaded.train) + len(loaded.dev) + len(loaded.test) == 200
    again, other = load(rows, task=ANSWERED), load(rows, task=ANSWERED, seed=1)
    assert again.dev.numbers.tolist() == loaded.test.numbers.tolist() != other.dev.numbers.tolist()


def test_one_context_alone_cannot_be_cut(load: Any) -> None:
    assert "two contexts" in refusal(load, [row_of("red")] * 50, task=ANSWERED).expected


@pytest.mark.parametrize("answers", [RED, [{"text": "red", "answer_start": 4}], ["red"], "red"])
def test_answers_of_a_parquet_file_are_read_in_all_forms(answers: Any, tmp_path: Path) -> None:
    for name in ("train", "dev"):
        pq.write_table(pa.Table.from_pylist([row_of(answers)] * 2), tmp_path / f"{name}.parquet")
    assert load_splits(ANSWERED, Settings(data=str(tmp_path))).train.columns["answers"] == [RED, RED]


def test_a_csv_of_questions_needs_no_starts(tmp_path: Path) -> None:
    cell = json.dumps(RED).replace('"', '""')
    lines = [
        "question,context,answers",
        "Which?,The red door,red",
        f'Which?,"{CONTEXT}","{cell}"',
        "Why?,The red door,",
    ]
    for name in ("train", "dev"):
        (tmp_path / f"{name}.csv").write_text("\n".join(lines))
    loaded = load_splits(ALSO_UNANSWERABLE, Settings(data=str(tmp_path)))
    assert loaded.train.columns["answers"] == [RED, RED, NONE]
