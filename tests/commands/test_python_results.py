"""What `tlnlp.train` gives back, as tables and figures: beside what the run's own files say."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import tlnlp
from tlnlp.commands.python_calls import as_arguments
from tlnlp.inference.masked_words import MaskFiller
from tlnlp.task import Prediction

SMALL: dict[str, Any] = {"epochs": 2, "max_length": 32, "batch_size": 16, "no_report": True, "quiet": True}


@pytest.fixture(scope="module")
def labelled(reviews: Path, bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tlnlp.train("sst2", reviews, model=bert, output_dir=tmp_path_factory.mktemp("labelled") / "run", **SMALL)


@pytest.fixture(scope="module")
def tagged(bert: Path, rows_for: Callable[[str], dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Any:
    place = tmp_path_factory.mktemp("tagged") / "run"
    return tlnlp.train("conll2003", model=bert, output_dir=place, **rows_for("conll2003"), **SMALL)


def lines_of(run: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run.folder / "predictions.jsonl").read_text().splitlines()]


def test_mistakes_are_the_wrong_rows_with_their_texts_the_surest_first(labelled: Any, reviews: Path) -> None:
    table = labelled.mistakes
    assert list(table.columns) == ["row", "text", "label", "prediction", "score"]
    wrong = {each["row"]: each for each in lines_of(labelled) if each["prediction"] != each["label"]}
    assert len(table) == len(wrong) > 0 and table["score"].is_monotonic_decreasing
    texts = [json.loads(line)["sentence"] for line in (reviews / "validation.jsonl").read_text().splitlines()]
    for row, text, label, prediction, score in table.itertuples(index=False):
        assert (text, label, prediction, score) == (
            texts[row - 1], wrong[row]["label"], wrong[row]["prediction"], wrong[row]["score"],
        )  # fmt: skip


def test_mistakes_in_tags_have_the_words(tagged: Any) -> None:
    table = tagged.mistakes
    assert list(table.columns) == ["row", "words", "label", "prediction"]
    assert all(len(words) == len(label) == len(told) for _, words, label, told in table.itertuples(index=False))


def test_the_confusion_matrix_counts_rows_and_of_tags_words(labelled: Any, tagged: Any) -> None:
    pairs = Counter((each["label"], each["prediction"]) for each in lines_of(labelled))
    words = Counter(p for each in lines_of(tagged) for p in zip(each["label"], each["prediction"], strict=True))
    for run, counts in ((labelled, pairs), (tagged, words)):
        matrix = run.confusion_matrix
        assert (matrix.index.name, matrix.columns.name) == ("label", "prediction")
        assert {(a, b): int(matrix.loc[a, b]) for a in matrix.index for b in matrix.columns} == {
            (a, b): counts[a, b] for a in matrix.index for b in matrix.columns
        }
        assert matrix.to_numpy().sum() == counts.total()


def test_numbers_have_no_confusion_matrix_and_one_language_no_table(
    bert: Path, rows_for: Callable[[str], dict[str, Any]], tmp_path: Path
) -> None:
    run = tlnlp.train("stsb", model=bert, output_dir=tmp_path / "run", **rows_for("stsb"), **SMALL)
    with pytest.raises(tlnlp.InputError, match="stsb, whose predictions are not"):
        _ = run.confusion_matrix
    with pytest.raises(tlnlp.InputError, match="stsb, in one"):
        _ = run.languages
    assert {"text", "text_pair"} < set(run.mistakes.columns)


def test_languages_are_a_line_each_the_one_learnt_from_first(many_languages: Path, bert: Path, tmp_path: Path) -> None:
    run = tlnlp.train(
        "sentiment_zero_shot", many_languages, model=bert, languages=["de", "fa"], output_dir=tmp_path / "run", **SMALL
    )
    table = run.languages
    assert table["language"].tolist() == ["en", "de", "fa"]
    assert table["rows"].tolist() == [13, 11, 11]
    assert table["accuracy"].tolist() == [
        run.metrics["accuracy"], *(each["metrics"]["accuracy"] for each in run.result.languages["targets"]),
    ]  # fmt: skip
    assert table["gap"].tolist() == [run.metrics["accuracy"] - each for each in table["accuracy"]]
    assert table["script"].tolist() == ["Latin", "Latin", "Arabic"]


def test_the_learning_curve_has_the_losses_of_the_run(labelled: Any) -> None:
    loss, scores = labelled.plot_learning_curve().axes
    assert loss.lines[0].get_xydata().tolist() == labelled.result.curve
    assert scores.get_ylabel() == "dev accuracy"
    assert scores.lines[0].get_ydata()[-1] == labelled.metrics["accuracy"]


def test_the_report_is_a_path_that_a_notebook_shows(labelled: Any) -> None:
    page = labelled.report()
    assert page == labelled.folder / "report.html" and isinstance(page, Path)
    assert "&lt;title&gt;sst2" in page._repr_html_()
    assert page.parent._repr_html_() is None


def test_what_is_not_known_of_a_prediction_is_not_shown(labelled: Any) -> None:
    assert repr(Prediction("positive", 0.75)) == "Prediction(prediction='positive', score=0.75)"
    assert repr(labelled.model) == "Predictor(sst2: BertForSequenceClassification, on cpu)"


def test_samples_are_tables(tmp_path: Path) -> None:
    german = tlnlp.load_sample("reviews", "validation", "de")
    assert list(german.columns) == ["text", "label"] and len(german) == 120
    assert german["text"][1] == "Eine atemberaubende Reise an den Rand der Galaxis."
    assert isinstance(tlnlp.load_sample("entities")["words"][0], list)
    for wrong, said in (
        (("review",), "did you mean reviews?"),
        (("reviews", "dev"), "a split of reviews: train, validation"),
        (("reviews", "train", "de"), "a split of reviews in de: validation"),
        (("reviews", "train", "it"), "de, es, fa, fr, ru"),
        (("similarity", "train", "de"), "none here"),
    ):
        with pytest.raises(tlnlp.InputError) as refused:
            tlnlp.load_sample(*wrong)
        assert said in str(refused.value)


def test_masked_words_are_those_of_the_model(bert: Path) -> None:
    text = "The film was [MASK]."
    filler = MaskFiller.load(str(bert))
    assert tlnlp.fill_mask(text, model=bert, top=3) == filler.fill(text, top=3, pieces=2)
    assert tlnlp.fill_mask(text, model=bert, words=["film", "song"]) == filler.compare(text, ["film", "song"])
    assert list(pd.DataFrame(tlnlp.fill_mask(text, model=bert)).columns) == ["words", "text", "probability"]
    for change, said in (({"top": 0}, "expected: top: at least 1"), ({"model": "no/such"}, "no/such")):
        with pytest.raises(tlnlp.InputError, match=said):
            tlnlp.fill_mask(text, **{"model": bert, **change})


@pytest.mark.parametrize(
    ("flags", "arguments"),
    [
        ("raise --max-tokens or lower --max-length", "raise max_tokens or lower max_length"),
        ("add --resume to go on with it, or --overwrite", "add resume=True to go on with it, or overwrite=True"),
        ("--columns text=COLUMN", 'columns={"text": "COLUMN"}'),
        ("not run yet: add --strategy from_scratch", 'not run yet: add strategy="from_scratch"'),
        ("--epochs 3 there, 5 here", "epochs 3 there, 5 here"),
        ("the path runs/a--b, and -- alone", "the path runs/a--b, and -- alone"),
    ],
)
def test_flags_are_named_as_python_has_them(flags: str, arguments: str) -> None:
    assert as_arguments(flags) == arguments
