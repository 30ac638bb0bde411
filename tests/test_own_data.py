"""A person's own files, of five shapes and more: a model, or an error that tells what to change."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

import tlnlp
from tests.recipe_runs import Ended, run_recipe
from tlnlp.reporting.page import save_page

PRAISE = ["A film to see twice.", "It soars.", "Warm and wise.", "I laughed and cried.", "Every scene sings."]
BLAME = ["Dull.", "Two hours of a man at a typewriter.", "It condescends.", "Grey and slow.", "Nobody laughed."]
TEXTS = [f"{text} {extra}" for extra in ("Yes.", "Truly.", "Indeed.", "So it is.") for text in PRAISE + BLAME]
STARS = ["5", "5", "4", "5", "4", "1", "2", "1", "2", "1"] * 4
Run = Callable[..., Ended]


@pytest.fixture
def run(bert: Path, tmp_path: Path) -> Run:
    def _run(recipe: str, data: Path, *flags: Any) -> Ended:
        length = ("--max-length", 48, "--window-overlap", 8)
        return run_recipe(
            recipe, "--model", bert, "--epochs", 1, *length, "--data", data, *flags, folder=tmp_path / "run"
        )

    return _run


def test_a_csv_with_odd_column_names(run: Run, tmp_path: Path) -> None:
    with (tmp_path / "reviews.csv").open("w", newline="") as file:
        rows = [[text, stars, "2026"] for text, stars in zip(TEXTS, STARS, strict=True)]
        csv.writer(file).writerows([["Review Text", "Stars (1-5)", "date"], *rows])
    refused = run("own_classification", tmp_path / "reviews.csv")
    assert refused.status == 2
    assert "Review Text, Stars (1-5), date" in refused.output and "--columns text=COLUMN" in refused.output
    ended = run("own_classification", tmp_path / "reviews.csv", "--columns", "text=Review Text", "label=Stars (1-5)")
    assert ended.status == 0, ended.output
    assert "labels found in reviews.csv: 1 12, 2 8, 4 8, 5 12" in ended.output
    assert "not used: date" in ended.output
    assert "dev: 4 rows cut from reviews.csv" in ended.output


def test_a_column_of_0_and_1_for_each_label(run: Run, tmp_path: Path) -> None:
    """To the end: the report, the thresholds kept with the model, and the model's answers."""
    with (tmp_path / "reviews.csv").open("w", newline="") as file:
        rows = [[text, int(stars > "3"), int(len(text) > 20)] for text, stars in zip(TEXTS, STARS, strict=True)]
        csv.writer(file).writerows([["text", "praise", "long"], *rows])
    ended = run("own_classification", tmp_path / "reviews.csv", "--columns", "label=praise,long", "--dev-fraction", 0.4)
    assert ended.status == 0, ended.output
    assert "labels: any number in a row, a column of 0 and 1 for each" in ended.output
    assert {"f1_micro", "f1_macro"} <= set(ended.result["metrics"])
    save_page([ended.folder], tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text()
    assert "praise" in page and "--abstain-below" not in page
    kept = json.loads((ended.folder / "model" / "tlnlp.json").read_text())["labels"]["thresholds"]
    model = tlnlp.load(ended.folder / "model")
    for answer in model.predict(TEXTS[:8]):
        chances = zip(("praise", "long"), answer.score, strict=True)
        assert answer.prediction == [name for name, chance in chances if chance > kept[name]]


def test_a_tsv_with_quotes_inside_its_texts(run: Run, tmp_path: Path) -> None:
    labels = ["good" if stars > "3" else "bad" for stars in STARS]
    lines = ["text\tlabel"] + [f'"{text}" he said\t{label}' for text, label in zip(TEXTS, labels, strict=True)]
    lines[3] = 'a "quote that never ends\tgood'
    (tmp_path / "reviews.tsv").write_text("\n".join(lines))
    ended = run("own_classification", tmp_path / "reviews.tsv")
    assert ended.status == 0, ended.output
    assert "its quotes are not balanced" in ended.output
    assert ended.result["rows"]["train"] + ended.result["rows"]["dev"] == len(TEXTS)


def test_jsonl_with_columns_that_nobody_asked_for(run: Run, tmp_path: Path) -> None:
    rows = [
        {"id": place, "text": text, "label": STARS[place], "user": {"name": "Ann"}} for place, text in enumerate(TEXTS)
    ]
    (tmp_path / "reviews.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ended = run("own_classification", tmp_path / "reviews.jsonl")
    assert ended.status == 0, ended.output
    assert "not used: id, user" in ended.output


def test_parquet_with_a_weight_for_each_row(run: Run, tmp_path: Path) -> None:
    table = pyarrow.table({"text": TEXTS, "label": STARS, "votes": [float(i % 4) for i in range(len(TEXTS))]})
    pyarrow.parquet.write_table(table, tmp_path / "reviews.parquet")
    ended = run("own_classification", tmp_path / "reviews.parquet", "--columns", "weight=votes")
    assert ended.status == 0, ended.output
    table = pyarrow.table({"text": TEXTS, "label": STARS, "votes": ["many"] * len(TEXTS)})
    pyarrow.parquet.write_table(table, tmp_path / "words.parquet")
    refused = run("own_classification", tmp_path / "words.parquet", "--columns", "weight=votes", "--overwrite")
    assert refused.status == 2
    assert "many" in refused.output and "change:" in refused.output


def test_a_conll_file(run: Run, tmp_path: Path) -> None:
    frame = "Ann NNP B-PER\nKeller NNP I-PER\nlikes VBZ O\n{} NNP B-LOC\n. . O\n"
    sentences = [frame.format(place) for place in ("Oslo", "Rome")]
    (tmp_path / "corpus.conll").write_text("\n".join(sentences * 15))
    ended = run("own_tagging", tmp_path / "corpus.conll")
    assert ended.status == 0, ended.output
    assert "tags found: O, B-LOC, B-PER, I-PER" in ended.output
    assert "IOB2" in ended.output
    broken = (tmp_path / "corpus.conll").read_text().replace("likes VBZ O", "likes VBZ", 1)
    (tmp_path / "broken.conll").write_text(broken)
    refused = run("own_tagging", tmp_path / "broken.conll", "--overwrite")
    assert refused.status == 2
    assert "line 3" in refused.output


def test_questions_in_a_csv_without_offsets_and_in_squads_form_with_wrong_ones(run: Run, tmp_path: Path) -> None:
    contexts = [f"The mill on the river was built in {year} by two brothers." for year in range(1700, 1730)]
    with (tmp_path / "faq.csv").open("w", newline="") as file:
        rows = [["When was the mill built?", text, text[35:39]] for text in contexts]
        csv.writer(file).writerows([["ask", "page", "reply"], *rows])
    columns = ("--columns", "question=ask", "context=page", "answers=reply")
    ended = run("own_answering", tmp_path / "faq.csv", *columns)
    assert ended.status == 0, ended.output
    assert ended.result["metrics"].keys() >= {"f1", "exact_match"}
    wrong = [
        {"id": str(i), "question": "When?", "context": text, "answers": {"text": [text[35:39]], "answer_start": [30]}}
        for i, text in enumerate(contexts)
    ]
    (tmp_path / "faq.jsonl").write_text("".join(json.dumps(row) + "\n" for row in wrong))
    refused = run("own_answering", tmp_path / "faq.jsonl", "--overwrite")
    assert refused.status == 2
    assert "--fix-answers" in refused.output and "30" in refused.output
    mended = run("own_answering", tmp_path / "faq.jsonl", "--overwrite", "--fix-answers")
    assert mended.status == 0, mended.output
