"""`tlnlp predict` as people use it: their files in, their files out, with their columns."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from tests.recipe_runs import Ended
from tlnlp import cli
from tlnlp.errors import InputError
from tlnlp.inference import predictor
from tlnlp.inference.answer_options import add_entities, keep_best, places_of
from tlnlp.inference.predictor import Predictor
from tlnlp.task import MultiLabel, Prediction

ROWS = [
    {"id": "a7", "text": "A film to see twice.", "score": 4},
    {"id": "b2", "text": "", "score": 1},
    {"id": "c9", "text": 'Dull, "long"\nand loud.', "score": 2},
    {"id": "d1", "text": "   ", "score": 3},
    {"id": "e5", "text": "Short.", "score": 5},
]


@pytest.fixture(scope="module")
def model(short_run: Callable[[str], Ended]) -> Path:
    return short_run("sst2").folder / "model"


@pytest.fixture(scope="module")
def tagger(short_run: Callable[[str], Ended]) -> Path:
    return short_run("conll2003").folder / "model"


def write_input(path: Path) -> Path:
    if path.suffix == ".parquet":
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    elif path.suffix == ".txt":
        path.write_text("\n".join(row["text"].replace("\n", " ") for row in ROWS) + "\n")
    else:
        with path.open("w", newline="") as file:
            rows = csv.DictWriter(file, list(ROWS[0]), delimiter="," if path.suffix == ".csv" else "\t")
            rows.writeheader()
            rows.writerows(ROWS)
    return path


def read_output(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".parquet":
        return pyarrow.parquet.read_table(path).to_pylist()
    text = gzip.decompress(path.read_bytes()).decode() if path.suffix == ".gz" else path.read_text()
    with io.StringIO(text, newline="") as file:
        if ".jsonl" in path.suffixes:
            return [json.loads(line) for line in file]
        return list(csv.DictReader(file, delimiter="\t" if ".tsv" in path.suffixes else ","))


def ask(capsys: pytest.CaptureFixture[str], *words: object, status: int = 0) -> tuple[str, str]:
    capsys.readouterr()
    assert cli.main(["predict", *map(str, words)]) == status
    captured = capsys.readouterr()
    return captured.out, captured.err


def test_every_form_of_input_gives_every_form_of_output(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each input and each output once with each of two others: ids and other columns come along, rows keep their order,
    and a row without a text has null."""
    forms = [".jsonl", ".csv", ".tsv", ".parquet"]
    expected = Predictor(model).predict([row["text"] for row in ROWS if row["text"].strip()])
    for place, source in enumerate(forms):
        given = write_input(tmp_path / f"in{source}")
        for target in (source, forms[place - 1], ".csv.gz"):
            _, said = ask(capsys, model, given, "--output", tmp_path / f"out{target}")
            assert "2 rows (2, 4) lack a text and are answered with null" in said
            assert "score is written as input_score" in said
            found = read_output(tmp_path / f"out{target}")
            assert [row["id"] for row in found] == [row["id"] for row in ROWS]
            assert [row["text"] for row in found] == [row["text"] for row in ROWS]
            assert [int(row["input_score"]) for row in found] == [row["score"] for row in ROWS]
            assert [int(row["row"]) for row in found] == [1, 2, 3, 4, 5]
            answers = [row["prediction"] or None for row in found]
            assert answers == [expected[0].prediction, None, expected[1].prediction, None, expected[2].prediction]
            assert float(found[2]["score"]) == pytest.approx(expected[1].score, abs=1e-5)
            assert not list(tmp_path.glob(".writing-*"))


def test_files_of_european_excel_and_files_without_a_header_are_predicted(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = ["Ein Café – sehr gut.", "Dull, and loud."]
    expected = [each.prediction for each in Predictor(model).predict(texts)]
    rows = "".join(f"{i};{text}\n" for i, text in enumerate(texts))
    (tmp_path / "a.csv").write_bytes(f"id;text\n{rows}".encode("cp1252"))
    (tmp_path / "b.csv").write_text(rows)
    _, refused = ask(capsys, model, tmp_path / "a.csv", status=2)
    assert "--encoding cp1252" in refused
    found, said = ask(capsys, model, tmp_path / "a.csv", "--encoding", "cp1252")
    assert "separator ;" in said
    assert [json.loads(line)["prediction"] for line in found.splitlines()] == expected
    found, _ = ask(capsys, model, tmp_path / "b.csv", "--no-header", "--separator", ";", "--columns", "text=2")
    assert [json.loads(line)["prediction"] for line in found.splitlines()] == expected


def test_words_in_rows_of_their_own_and_texts_beside_no_words_are_tagged(
    tagger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = [each.prediction for each in Predictor(tagger).predict([["Anna", "sees", "Rome", "."], ["Bob", "came"]])]
    (tmp_path / "a.csv").write_text("Sentence #,words\nSentence: 1,Anna\n,sees\n,Rome\n,.\nSentence: 2,Bob\n,came\n")
    found, _ = ask(capsys, tagger, tmp_path / "a.csv")
    assert [json.loads(line)["prediction"] for line in found.splitlines()] == expected
    (tmp_path / "b.jsonl").write_text('{"text": "Anna sees Rome."}\n{"text": "Bob came"}\n')
    found, _ = ask(capsys, tagger, tmp_path / "b.jsonl")
    lines = [json.loads(line) for line in found.splitlines()]
    assert [line["prediction"] for line in lines] == expected
    for line, text in zip(lines, ("Anna sees Rome.", "Bob came"), strict=True):
        assert all(text[each["start"] : each["end"]] == each["text"] for each in line["entities"])


def test_a_link_stays_a_link_and_a_pipe_is_written_to_not_replaced(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "A film to see twice."
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "target.jsonl")
    ask(capsys, model, text, "--output", tmp_path / "link.jsonl")
    assert (tmp_path / "link.jsonl").is_symlink()
    os.mkfifo(tmp_path / "pipe.jsonl")
    held: list[str] = []
    reader = threading.Thread(target=lambda: held.append((tmp_path / "pipe.jsonl").read_text()))
    reader.start()
    ask(capsys, model, text, "--output", tmp_path / "pipe.jsonl")
    reader.join()
    assert (tmp_path / "pipe.jsonl").is_fifo()
    assert held == [(tmp_path / "target.jsonl").read_text()]


def test_the_types_of_parquets_columns_stay(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = write_input(tmp_path / "in.parquet")
    ask(capsys, model, given, "--output", tmp_path / "out.parquet")
    schema = pyarrow.parquet.read_schema(tmp_path / "out.parquet")
    assert [str(schema.field(name).type) for name in ("id", "input_score", "prediction", "score")] == [
        "string", "int64", "string", "double",
    ]  # fmt: skip


def test_lines_of_a_text_file_have_their_answers_beside_them(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = write_input(tmp_path / "in.txt")
    ask(capsys, model, given, "--output", tmp_path / "out.txt")
    lines = (tmp_path / "out.txt").read_text().split("\n")
    assert [bool(line) for line in lines] == [True, False, True, False, True, False]


def test_sentences_of_a_text_file_have_their_tags_beside_them(
    tagger: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "in.txt").write_text("Anna flew.\n\nHello there\n")
    _, said = ask(capsys, tagger, tmp_path / "in.txt", "--output", tmp_path / "out.txt")
    assert [len(line.split()) for line in (tmp_path / "out.txt").read_text().split("\n")] == [3, 0, 2, 0]
    assert "1 row (2) lacks a text" in said


def test_texts_can_be_arguments(model: Path, tagger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told, _ = ask(capsys, model, "A film to see twice.", "Dull and long.")
    assert [json.loads(line)["sentence"] for line in told.splitlines()] == ["A film to see twice.", "Dull and long."]
    told, _ = ask(capsys, model, "A film to see twice.", "Dull and long.", "--format", "csv")
    assert told.splitlines()[0].split(",")[:3] == ["row", "sentence", "prediction"], "they are of no file"
    told, _ = ask(capsys, tagger, "Anna Keller flew to Oslo", "--format", "conll")
    assert [line.split("\t")[0] for line in told.splitlines()] == ["Anna", "Keller", "flew", "to", "Oslo", ""]


def test_standard_input_may_be_csv_or_plain_texts(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_input(tmp_path / "in.csv").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data), encoding="utf-8"))
    told, said = ask(capsys, model, "--input-format", "csv", "--format", "csv", "--carry", "id")
    found = list(csv.DictReader(io.StringIO(told)))
    assert [row["id"] for row in found] == [row["id"] for row in ROWS] and "text" not in found[0]
    assert "2 rows (2, 4) lack a text" in said
    monkeypatch.setattr(sys, "stdin", io.StringIO("A film.\n\nDull.\n"))
    told, _ = ask(capsys, model, "--input-format", "txt")
    assert [json.loads(line)["prediction"] is None for line in told.splitlines()] == [False, True, False]


def test_several_files_say_which_row_is_of_which(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, two = write_input(tmp_path / "one.jsonl"), write_input(tmp_path / "two.csv")
    told, _ = ask(capsys, model, one, two)
    found = [json.loads(line) for line in told.splitlines()]
    assert [row["file"] for row in found] == ["one.jsonl"] * 5 + ["two.csv"] * 5
    assert [row["prediction"] for row in found[:5]] == [row["prediction"] for row in found[5:]]


def refusals(model: Path, given: Path, folder: Path) -> Iterator[tuple[list[object], str]]:
    yield [given, "--output", folder / "out.xls"], ".parquet"
    yield [given, "--output", given], "another file than is read"
    yield [given, "--format", "parquet"], "standard output"
    yield [given, "--format", "conll"], "a tag for each word"
    yield [given, "--carry", "idd"], "did you mean id?"
    yield ["missing.csv"], "no such file"
    yield [folder], "a folder"
    yield [given, "a text of words"], "files or texts"
    yield [given, "--top", 0], "--top of 1 or more"
    yield [given, "--error-rate", 0.0001], "dev rows are needed"
    yield [given, "--abstain-below", 7], "between 0 and 1"
    yield [given, "--output", folder / "nowhere" / "out.csv"], "nowhere: no such folder"
    yield [given, "--format", "csv", "--output", folder], "a folder"
    yield [given, "--columns", "text=txt"], "txt"


def test_what_cannot_be_done_is_refused_before_the_network_is_loaded(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def loaded(*given: object, **options: object) -> None:
        raise AssertionError("the network was loaded")

    monkeypatch.setattr(predictor, "load_network", loaded)
    given = write_input(tmp_path / "in.csv")
    for words, expected in refusals(model, given, tmp_path):
        _, said = ask(capsys, model, *words, status=2)
        assert expected in said and all(part in said for part in ("expected:", "found:", "change:")), said
    given.write_text('text\n"fine"\n"\ud800"\n', encoding="utf-8", errors="surrogatepass")
    ask(capsys, model, given, status=2)
    assert not list(tmp_path.glob("*out*"))


def test_a_command_that_is_stopped_leaves_the_older_file(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given, output = write_input(tmp_path / "in.jsonl"), tmp_path / "out.csv"
    output.write_text("of yesterday")
    monkeypatch.setattr(predictor, "ROWS_OF_A_PART", 2)
    parts: list[int] = []
    predict_part = Predictor.predict_part

    def stopped(self: Predictor, part: Any, *rest: Any) -> list[Prediction]:
        parts.append(len(part.rows))
        if len(parts) == 2:
            raise KeyboardInterrupt
        return predict_part(self, part, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "predict_part", stopped)
        ask(capsys, model, given, "--output", output, status=130)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["in.jsonl", "out.csv"]
    assert output.read_text() == "of yesterday"
    ask(capsys, model, given, "--output", output)
    assert len(read_output(output)) == 5


def test_sets_abstention_and_the_best_scores_are_the_same_from_python(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = write_input(tmp_path / "in.jsonl")
    asked = Predictor(model)
    texts = [row["text"] for row in ROWS if row["text"].strip()]
    plain = asked.predict(texts)
    below = max(float(each.calibrated) for each in plain)
    found = asked.predict(texts, top=1, error_rate=0.2, abstain_below=below)
    told, _ = ask(capsys, model, given, "--top", 1, "--error-rate", 0.2, "--abstain-below", below)
    lines = [line for line in map(json.loads, told.splitlines()) if "score" in line]
    for line, each, whole in zip(lines, found, plain, strict=True):
        assert each.abstained == line["abstained"] == (whole.calibrated < below)
        assert each.prediction == line["prediction"] == (None if each.abstained else whole.prediction)
        assert each.scores == {whole.prediction: max(whole.scores.values())}
        assert whole.prediction == each.prediction_set[0] and each.prediction_set == line["prediction_set"]
    assert {each.abstained for each in found} == {True, False}
    with pytest.raises(InputError, match="lac or aps"):
        asked.predict(texts, error_rate=0.2, set_method="raps")


def test_tags_have_sets_and_entities(tagger: Path) -> None:
    asked = Predictor(tagger)
    text = "Anna  Keller flew to Oslo ."
    sets, plain = asked.predict([text], error_rate=0.1)[0], asked.predict([text])[0]
    assert sets.prediction == plain.prediction and sets.scores == plain.scores
    assert len(sets.prediction_set) == 6
    assert all(tag in of_word for tag, of_word in zip(sets.prediction, sets.prediction_set, strict=True))
    assert sets.more["entities"] == plain.more["entities"]
    assert all(text[each["start"] : each["end"]] == each["text"] for each in plain.more["entities"])


def test_entities_have_the_characters_of_their_text() -> None:
    tags = ["B-PER", "I-PER", "O", "B-LOC", None]
    words = ["Anna", "Keller", "in", "Oslo", "."]
    predicted = Prediction(tags, 0.9, [0.9, 0.7, 1.0, 0.8, 0.3])
    (found,) = add_entities([predicted], [words], ["Anna  Keller in Oslo."])
    assert found.more["entities"] == [
        {"entity": "PER", "start": 0, "end": 12, "text": "Anna  Keller", "first_word": 0, "last_word": 1, "score": 0.8},
        {"entity": "LOC", "start": 16, "end": 20, "text": "Oslo", "first_word": 3, "last_word": 3, "score": 0.8},
    ]
    (joined,) = add_entities([predicted], [words], [None])
    assert [(each["start"], each["end"]) for each in joined.more["entities"]] == [(0, 11), (15, 19)]
    assert places_of(["a", "b"], "a c b") is None  # words that are not those of the text


def test_of_thousands_of_labels_the_best_are_given() -> None:
    labels = tuple(f"label{i}" for i in range(1_000))
    chances = np.random.default_rng(0).dirichlet(np.ones(1_000))
    order = np.argsort(-chances)
    one = Prediction(labels[order[0]], chances.max(), dict(zip(labels, chances.tolist(), strict=True)))
    (found,) = keep_best([one], None, labels)
    assert list(found.scores) == [labels[i] for i in order[:10]]
    several = Prediction([labels[i] for i in order[:2]], chances.tolist())
    (found,) = keep_best([several], 3, MultiLabel(labels))
    assert list(found.scores) == [labels[i] for i in order[:3]] and found.score == chances[order[:2]].tolist()
    (found,) = keep_best([replace(several, calibrated=chances.tolist())], 3, MultiLabel(labels))
    assert found.calibrated == found.score, "both are of the predicted labels"
    few = replace(one, scores={"a": 0.9, "b": 0.1})
    assert keep_best([few], None, ("a", "b")) == [few]
