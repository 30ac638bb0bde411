"""The report: one HTML file of each head's run, whole, small, self-contained, and true to the record."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import html5lib
import pytest
from sklearn.metrics import confusion_matrix

from tests.experiments.simulated import simulate
from tests.fixtures import WITH_A_PAGE
from tests.recipe_runs import Ended, run_recipe
from tlnlp import cli
from tlnlp.experiments.curve_plot import draw
from tlnlp.reporting.page import _calibration, _mistake
from tlnlp.reporting.predictions import describe_answers
from tlnlp.task import Prediction

# One recipe for each shape of answer.
IN_LONG_TESTS = ("rte", "udpos", "gpt_sst2")
RECIPES = [*WITH_A_PAGE, "pretrain", *(pytest.param(name, marks=pytest.mark.long) for name in IN_LONG_TESTS)]
HOSTILE = '<script>alert("x")</script> & <img src=x onerror=alert(1)> سلام'
VOID = {"meta", "br", "link", "img", "path", "use", "rect", "circle"}
HEADINGS = {
    "sst2": "Confusion matrix", "conll2003": "By entity type", "udpos": "By tag",
    "squad_v2": "By length of the answer", "xnli": "Languages", "pretrain": "Learning",
}  # fmt: skip


class Page(HTMLParser):
    """Elements that are opened and closed, and what the page would fetch."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[str] = []
        self.fetched: list[str] = []
        self.text = ""
        self.feed(text)
        assert self.open == [], "all that is opened is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.fetched += [value for name, value in attrs if name in ("src", "href", "xlink:href") and value]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.fetched += [value for name, value in attrs if name in ("src", "href", "xlink:href") and value]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module", params=RECIPES)
def encoded_eval(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, short_run: Callable[[str], Ended]
) -> tuple[str, Path]:
    if request.param == "pretrain":
        folder = tmp_path_factory.mktemp(request.param) / "run"
        (folder.parent / "corpus.txt").write_text("The quiet river carried the old boat past a mill.\n" * 400)
        data = ("--data", folder.parent / "corpus.txt", "--model", "mini", "--max-length", 32)
        ended = run_recipe(request.param, "--epochs", 1, *data, folder=folder, report=True)
    elif request.param in IN_LONG_TESTS:
        folder = tmp_path_factory.mktemp(request.param) / "run"
        ended = run_recipe(request.param, "--epochs", 1, "--train-rows", 60, folder=folder, report=True)
    else:
        ended = short_run(request.param)
    assert ended.status == 0, ended.output
    assert f"report: {ended.folder / 'report.html'}" in ended.output
    return request.param, ended.folder


def test_the_page_is_whole_small_and_asks_nobody(encoded_eval: tuple[str, Path]) -> None:
    name, folder = encoded_eval
    text = (folder / "report.html").read_text(encoding="utf-8")
    page, parser = Page(text), html5lib.HTMLParser()
    parser.parse(text)
    assert parser.errors == [], "valid HTML"
    assert len(text) < 3_000_000
    assert "script" not in page.elements
    assert all(each.startswith("#") for each in page.fetched)
    assert not re.search(r"url\((?!['\"]?#)", text)
    ids = re.findall(r' id="([^"]+)"', text)
    assert len(ids) == len(set(ids)), "pictures do not meet"
    if name in HEADINGS:
        assert HEADINGS[name] in page.text


def test_the_page_says_what_the_record_says(encoded_eval: tuple[str, Path]) -> None:
    name, folder = encoded_eval
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    result = json.loads((folder / "result.json").read_text())
    for metric, value in result["metrics"].items():
        assert metric in page.text and f"{value:.4f}" in page.text
    assert result["command"] in page.text
    assert "(1 epoch)" in page.text
    for group in result["groups"]:
        assert f"{group['weights']:,}" in page.text
    assert (result["row_variance"] is None) == (name == "pretrain")
    if result["calibration"]:
        assert f"{result['calibration']['error']:.3f}" in page.text
    for mistake in result["mistakes"]:
        shown = mistake["words"] if "words" in mistake else mistake["texts"].values()
        assert all(each in page.text for each in shown)


def test_mistakes_are_rows_that_are_wrong_the_surest_first(encoded_eval: tuple[str, Path]) -> None:
    name, folder = encoded_eval
    result = json.loads((folder / "result.json").read_text())
    predictions = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    if name in ("sst2", "rte", "copa", "gpt_sst2", "xnli"):
        wrong = sorted((each for each in predictions if each["prediction"] != each["label"]), key=lambda e: -e["score"])
        assert [each["row"] for each in result["mistakes"]] == [each["row"] for each in wrong[:20]]
    if name == "stsb":
        far = sorted(predictions, key=lambda each: -abs(each["prediction"] - each["label"]))
        assert [each["row"] for each in result["mistakes"]] == [each["row"] for each in far[:20]]


def test_the_accuracy_by_confidence_adds_up_to_the_score(encoded_eval: tuple[str, Path]) -> None:
    name, folder = encoded_eval
    result = json.loads((folder / "result.json").read_text())
    calibration = result["calibration"]
    if name in ("stsb", "pretrain"):
        assert calibration is None
        return
    right = sum(each["rows"] * each["accuracy"] for each in calibration["bins"]) / calibration["answers"]
    accuracy = {"squad_v2": "exact_match", "conll2003": None}.get(name, "accuracy")
    if accuracy is not None:  # entities are no words
        assert right == pytest.approx(result["metrics"][accuracy], abs=0.02 if name == "squad_v2" else 1e-9)
    assert ("temperature" in calibration) == (name in ("sst2", "rte", "copa", "gpt_sst2", "xnli"))


def test_a_temperature_that_makes_it_worse_is_not_praised() -> None:
    bins = [{"from": 0.5, "to": 0.6, "rows": 10, "confidence": 0.55, "accuracy": 0.7}]
    found = {"error": 0.15, "answers": 10, "bins": bins, "temperature": 1.4}
    worse, better = (_calibration(found | {"error_after": after})["words"] for after in (0.2, 0.1))
    assert "No temperature is used: with one it would be 0.200" in worse and "reduces" not in worse
    assert "reduces it to 0.100" in better and "No temperature" not in better


@pytest.mark.parametrize(("told", "score", "shown"), [(3.25, 3.25, ""), ("good", 0.875, "0.88"), ("a", None, "")])
def test_an_answer_that_is_a_number_is_shown_once(told: object, score: float | None, shown: str) -> None:
    row = {"row": 4, "texts": {"text": "a film"}, "label": 1.5, "prediction": told, "score": score}
    assert _mistake(row)["score"] == shown


def test_a_comparison_has_its_picture_and_its_words(tmp_path: Path) -> None:
    content = simulate({"from_scratch": (0.6, 0.7, 0.8), "full": (0.7, 0.8, 0.85)}, seeds=3)
    draw(content, "a comparison", tmp_path)
    (tmp_path / "compare.json").write_text(json.dumps(content))
    assert cli.main(["report", str(tmp_path)]) == 0
    page = Page((tmp_path / "report.html").read_text())
    assert "Did transfer help?" in page.text and "svg" in page.elements
    sentences = [each for part in content["verdicts"].values() for each in part]
    assert sentences and all(each in page.text for each in sentences)


def test_the_confusion_matrix_is_scikit_learns() -> None:
    labels, told = ["a", "b", "b", "c", "a", "b"], ["a", "b", "a", "c", "c", "b"]
    rows = [Prediction(other, 0.5, label=one) for one, other in zip(labels, told, strict=True)]
    found = describe_answers(rows)["confusion"]
    assert found["labels"] == ["a", "b", "c"]
    assert found["counts"] == confusion_matrix(labels, told).tolist()


def test_of_many_labels_the_pairs_are_named_that_are_confused_most() -> None:
    names = [f"label{i}" for i in range(20)]
    rows = [Prediction(name, 1.0, label=name) for name in names]
    rows += [Prediction("label5", 1.0, label="label3")] * 4
    assert describe_answers(rows)["pairs"] == [("label3", "label5", 4)]


def test_what_the_data_holds_is_text_on_the_page(tmp_path: Path) -> None:
    for name, rows in (("train", 40), ("validation", 20)):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            writer.writerows([f"{HOSTILE} {i}", "<b>good</b>" if i % 2 else "<i>bad</i>"] for i in range(rows))
    ended = run_recipe("own_classification", "--data", tmp_path, "--epochs", 1, folder=tmp_path / "run", report=True)
    assert ended.status == 0, ended.output
    page = Page((tmp_path / "run" / "report.html").read_text(encoding="utf-8"))
    assert not {"script", "img", "b", "i"} & set(page.elements)
    assert HOSTILE in page.text and "<b>good</b>" in page.text


@pytest.mark.parametrize("several", [True, False])
def test_runs_without_prediction_sets_have_their_page(several: bool, tmp_path: Path) -> None:
    """Of several labels, and of too few dev rows for any error rate."""
    columns = {"text": "text {}", "label": "a;b" if several else "a"}
    for name, rows in (("train", 40), ("validation", 12 if several else 5)):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows([f"text {i}", ("b", columns["label"], "a")[i % 3]] for i in range(rows))
    ended = run_recipe("own_classification", "--data", tmp_path, "--epochs", 1, folder=tmp_path / "run", report=True)
    assert ended.status == 0, ended.output
    text = Page((tmp_path / "run" / "report.html").read_text(encoding="utf-8")).text
    assert "Calibration" in text and "Sets of labels" not in text
    assert ("--abstain-below" in text) != several, "which tlnlp predict refuses for several labels"


def test_several_runs_stand_side_by_side_and_seeds_have_a_column_each(
    bert: Path, reviews: Path, tmp_path: Path
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    quick = ("--model", bert, "--data", reviews, "--max-length", 32, "--epochs", 1)
    assert run_recipe("sst2", *quick, "--seeds", 2, folder=one, report=True).status == 0
    assert run_recipe("sst2", *quick, "--strategy", "head_only", folder=other).status == 0
    seeds = Page((one / "report.html").read_text())
    assert "seed 0" in seeds.text and "seed 1" in seeds.text and "other rows and seeds (2)" in seeds.text
    assert cli.main(["report", str(one), str(other), "--output", str(tmp_path / "both.html")]) == 0
    both = Page((tmp_path / "both.html").read_text())
    assert "Side by side" in both.text
    assert both.text.count("Confusion matrix") == 2
    assert not (other / "report.html").exists()


def test_a_record_of_an_earlier_version_that_lacks_a_part_has_its_page(
    short_run: Callable[[str], Ended], tmp_path: Path
) -> None:
    run = shutil.copytree(short_run("sst2").folder, tmp_path / "run")
    result = json.loads((run / "result.json").read_text())
    for later in ("usage", "calibration", "facts", "mistakes", "languages"):
        del result[later]
    (run / "result.json").write_text(json.dumps(result))
    assert cli.main(["report", str(run)]) == 0
    assert "To use the model" not in Page((run / "report.html").read_text()).text


def test_a_folder_without_a_result_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", str(tmp_path / "nowhere")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_a_run_with_too_few_rows_for_prediction_sets_has_a_report(tmp_path: Path) -> None:
    rows = [f"text number {i},{'good' if i % 2 else 'bad'}\n" for i in range(40)]
    (tmp_path / "few.csv").write_text("text,label\n" + "".join(rows))
    data = ("--data", tmp_path / "few.csv", "--model", "mini", "--epochs", 1, "--max-length", 16)
    ended = run_recipe("own_classification", *data, folder=tmp_path / "run", report=True)
    assert ended.status == 0, ended.output
    text = Page((ended.folder / "report.html").read_text(encoding="utf-8")).text
    assert "Predictions whose confidence is below a threshold" in text and "calibrated on these" not in text
