"""Data sets in the files in which they were published: GLUE's tables, SQuAD's tree."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.data.conftest import make_task
from tlnlp.data import Splits, load_splits
from tlnlp.errors import InputError
from tlnlp.settings import Settings
from tlnlp.task import Columns, Data, Regression, Task

PAIR = Columns(text="sentence1", text_pair="sentence2", label="label")
ENTAILED = ("entailment", "not_entailment")


def tsv(*lines: str, end: str = "\n") -> str:
    """Lines with tabs in the place of bars."""
    return "".join(line.replace("|", "\t") + end for line in lines)


BARE = "\n".join(("gj04\t1\t\tIt's \"here.", "gj04\t0\t*\tHere it's \"not.", "bc01\t1\t\tSo."))

# GLUE's tables as they come: task, files, and the columns that are read from the first.
GLUE: dict[str, tuple[Task, dict[str, str], dict[str, list[Any]]]] = {
    "cola": (
        make_task(
            ("unacceptable", "acceptable"),
            data=Data(original_header=("source", "label", "star", "sentence")),
        ),
        {"train.tsv": BARE, "dev.tsv": BARE, "test.tsv": "index\tsentence\n0\tHidden."},
        {"text": ["It's \"here.", "Here it's \"not.", "So."], "label": [1, 0, 1]},
    ),
    "mrpc": (
        make_task(
            ("not_equivalent", "equivalent"),
            PAIR,
            Data(original_columns={"Quality": "label", "#1 String": "sentence1", "#2 String": "sentence2"}),
        ),
        dict.fromkeys(
            ("msr_paraphrase_train.txt", "dev.tsv"),
            "\ufeff"
            + tsv("Quality|#1 ID|#2 ID|#1 String|#2 String", '1|7|8|He "said so|So he said', "0|7|9|A|B", end="\r\n"),
        ),
        {"text": ['He "said so', "A"], "text_pair": ["So he said", "B"], "label": [1, 0]},
    ),
    "stsb": (
        make_task(Regression(0, 5), PAIR, Data(original_columns={"score": "label"})),
        dict.fromkeys(
            ("train.tsv", "dev.tsv"),
            tsv("index|genre|source1|source2|sentence1|sentence2|score", "0|x|n|n|A|B|5.000", "1|x|n|n|C|D|0.5"),
        ),
        {"text": ["A", "C"], "text_pair": ["B", "D"], "label": [5.0, 0.5]},
    ),
    "mnli": (
        make_task(
            ("entailment", "neutral", "contradiction"),
            Columns(text="premise", text_pair="hypothesis", label="label"),
            Data(
                dev="validation_matched",
                original_columns={"sentence1": "premise", "sentence2": "hypothesis", "gold_label": "label"},
            ),
        ),
        {
            "train.tsv": tsv(
                "index|sentence1_parse|sentence1|sentence2|label1|gold_label",
                "0|(|A|B|neutral|neutral",
                "1|)|C|D|neutral|contradiction",
            ),
            "dev_matched.tsv": tsv(
                "index|sentence1|sentence2|label1|label2|gold_label", "0|A|B|neutral|neutral|neutral"
            ),
            "dev_mismatched.tsv": "not read",
        },
        {"text": ["A", "C"], "text_pair": ["B", "D"], "label": [1, 2]},
    ),
    "qqp": (
        make_task(
            ("not_duplicate", "duplicate"),
            Columns(text="question1", text_pair="question2", label="label"),
            Data(original_columns={"is_duplicate": "label"}),
        ),
        dict.fromkeys(
            ("train.tsv", "dev.tsv"),
            tsv("id|qid1|qid2|question1|question2|is_duplicate", "0|1|2|A?|B?|0", "1|1|2|C|D|1"),
        ),
        {"text": ["A?", "C"], "text_pair": ["B?", "D"], "label": [0, 1]},
    ),
    "qnli": (
        make_task(ENTAILED, Columns(text="question", text_pair="sentence", label="label")),
        dict.fromkeys(
            ("train.tsv", "dev.tsv"), tsv("index|question|sentence|label", "0|A?|B|entailment", "1|C?|D|not_entailment")
        ),
        {"text": ["A?", "C?"], "text_pair": ["B", "D"], "label": [0, 1]},
    ),
}  # fmt: skip


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).write_bytes(text.encode())
    return folder


@pytest.mark.parametrize("name", GLUE)
def test_glues_own_tables_are_read_as_they_are(name: str, tmp_path: Path) -> None:
    task, files, columns = GLUE[name]
    loaded = load_splits(task, Settings(data=str(write(tmp_path, files))))
    assert loaded.train.columns == columns
    assert loaded.train.origin.endswith(next(iter(files)))
    assert loaded.dev.origin.endswith(list(files)[1])


def test_a_header_is_seen_also_where_the_task_knows_files_without_one(tmp_path: Path) -> None:
    task, _, _ = GLUE["cola"]
    files = dict.fromkeys(("train.tsv", "dev.tsv"), "source\tsentence\tlabel\tidx\nx\tA\t0\t1\nx\tB\t1\t2\n")
    loaded = load_splits(task, Settings(data=str(write(tmp_path, files))))
    assert loaded.train.columns == {"text": ["A", "B"], "label": [0, 1]}


def test_hidden_labels_of_a_published_test_file_are_said(tmp_path: Path) -> None:
    task, files, _ = GLUE["cola"]
    folder = write(tmp_path, files | {"train.tsv": BARE + "\n" + BARE})
    loaded = load_splits(task, Settings(data=str(folder), keep="best"))
    assert any("test.tsv: its labels are hidden" in note for note in loaded.notes)


def test_lines_that_lack_fields_are_refused_with_their_numbers(tmp_path: Path) -> None:
    task, files, _ = GLUE["qqp"]
    text = files["train.tsv"] + "2\t1\t2\tquestion alone\n" + "3\t1\t2\tE\tF\t1\n" + "tail\t0\n" * 3
    with pytest.raises(InputError) as refused:
        load_splits(task, Settings(data=str(write(tmp_path, {"train.tsv": text}))))
    assert "6 fields in every line" in refused.value.expected
    assert "line 4: 4 fields" in refused.value.found and "line 6: 2 fields" in refused.value.found
    assert "(4 such lines in all)" in refused.value.found


def test_a_text_file_without_the_published_columns_stays_text(tmp_path: Path) -> None:
    task, _, _ = GLUE["mrpc"]
    with pytest.raises(InputError, match="has the columns text"):
        load_splits(task, Settings(data=str(write(tmp_path, {"train.txt": "one\ttwo\nthree\n"}))))


@pytest.mark.parametrize("name", ["validation_matched", "dev_matched", "valid_matched", "validation", "dev"])
def test_a_dev_split_of_several_goes_by_all_its_usual_names(name: str, tmp_path: Path) -> None:
    task, files, _ = GLUE["mnli"]
    files = {"train.tsv": files["train.tsv"], f"{name}.tsv": files["dev_matched.tsv"], "dev_mismatched.tsv": "not read"}
    loaded = load_splits(task, Settings(data=str(write(tmp_path, files))))
    assert loaded.dev.origin.endswith(f"{name}.tsv")


# --- SQuAD

QUESTIONS = make_task(None, Columns(question="question", context="context", answers="answers"), unanswerable=True)


def tree(version: str = "v2.0") -> dict[str, Any]:
    answered = {"id": "a", "question": "Who?", "answers": [{"text": "Ada", "answer_start": 0}], "is_impossible": False}
    impossible = {"id": "b", "question": "Why?", "answers": [], "plausible_answers": [], "is_impossible": True}
    old = {"id": "c", "question": "Where?", "answers": [{"text": "here", "answer_start": 3}] * 2}
    paragraphs = [{"context": "Ada sang.", "qas": [answered, impossible]}, {"context": "In here.", "qas": [old]}]
    return {
        "version": version,
        "data": [{"title": "Songs", "paragraphs": paragraphs}, {"title": "x", "paragraphs": []}],
    }


def load_tree(folder: Path, found: Any, **settings: Any) -> Splits:
    for name in ("train-v2.0.json", "dev-v2.0.json"):
        (folder / name).write_text(found if isinstance(found, str) else json.dumps(found))
    return load_splits(QUESTIONS, Settings(data=str(folder), **settings))


@pytest.mark.parametrize("indent", [None, 2])
def test_squads_tree_gives_a_row_for_each_question(indent: int | None, tmp_path: Path) -> None:
    loaded = load_tree(tmp_path, json.dumps(tree(), indent=indent))
    assert loaded.dev.columns == {
        "question": ["Who?", "Why?", "Where?"],
        "context": ["Ada sang.", "Ada sang.", "In here."],
        "answers": [
            {"text": ["Ada"], "answer_start": [0]},
            {"text": [], "answer_start": []},
            {"text": ["here", "here"], "answer_start": [3, 3]},
        ],
        "id": ["a", "b", "c"],
    }
    assert loaded.train.origin.endswith("train-v2.0.json")
    assert loaded.train.numbers.tolist() == [1, 2, 3]


def test_objects_under_data_are_rows_as_well(tmp_path: Path) -> None:
    rows = [{"question": "Who?", "context": "Ada sang.", "answers": "Ada"}]
    assert load_tree(tmp_path, {"data": rows}).train.columns["answers"] == [{"text": ["Ada"], "answer_start": [0]}]


def test_lines_of_objects_that_speak_of_paragraphs_are_lines(tmp_path: Path) -> None:
    row = {"question": "Who?", "context": "Ada sang.", "answers": "Ada", "paragraphs": 3}
    assert len(load_tree(tmp_path, f"{json.dumps(row)}\n{json.dumps(row)}\n").train) == 2


def spoilt(change: Any) -> str:
    found = tree()
    change(found["data"][0]["paragraphs"][1])
    return json.dumps(found)


BROKEN = [
    (spoilt(lambda paragraph: paragraph.pop("context")), "data[0].paragraphs[1].qas[0]: no 'context'"),
    (spoilt(lambda paragraph: paragraph.pop("qas")), "data[0].paragraphs[1]: no 'qas'"),
    (spoilt(lambda paragraph: paragraph["qas"][0].pop("question")), "data[0].paragraphs[1].qas[0]: no 'question'"),
    (spoilt(lambda paragraph: paragraph["qas"].append(7)), "data[0].paragraphs[1].qas[1]: no 'question' in 7"),
    (json.dumps({"data": [tree()["data"][0], 7]}), "data[1]: no 'paragraphs' in 7"),
    (json.dumps(tree())[:-5], "line 1 column"),
]


@pytest.mark.parametrize(("text", "found"), BROKEN)
def test_a_broken_tree_is_refused_with_the_place(text: str, found: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        load_tree(tmp_path, text)
    assert "SQuAD's tree" in refused.value.expected
    assert found in refused.value.found
