"""Languages that were not learnt from: answered at the end, by no say in what is learnt or kept."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.fixtures import TARGET_ROWS, write_rows
from tests.recipe_runs import Ended, run_recipe
from tlnlp.data.rows import Rows
from tlnlp.evaluation import uncertainty as varying
from tlnlp.evaluation.data_profile import WORD
from tlnlp.evaluation.scoring import PrimaryMetric
from tlnlp.runs.languages import describe_text, find_script, gap_between, is_above_chance, score_of, table_of

FLAGS = ("--epochs", 3, "--max-length", 32, "--batch-size", 8, "--learning-rate", "3e-3", "--languages", "de", "fa")


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def poisoned(many_languages: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same English rows; in the other languages other texts, other words, other lengths and turned labels."""
    place = tmp_path_factory.mktemp("poisoned")
    for path in (many_languages / "en").iterdir():
        write_rows(place / "en" / path.name, read(path))
    for language in ("de", "fa"):
        rows = read(many_languages / language / "validation.jsonl")
        others = [{"sentence": "q x z w k " * (i + 1), "label": 1 - row["label"]} for i, row in enumerate(rows)]
        write_rows(place / language / "validation.jsonl", [*others, *others])
    return place


def run(data: Path, bert: Path, folder: Path, *flags: object, **how: Any) -> Ended:
    ended = run_recipe("sentiment_zero_shot", "--model", bert, "--data", data, *FLAGS, *flags, folder=folder, **how)
    assert ended.status == 0, ended.output
    return ended


@pytest.fixture(scope="module")
def plain(many_languages: Path, bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    return run(many_languages, bert, tmp_path_factory.mktemp("plain") / "run")


@pytest.mark.parametrize(
    "flags",
    [
        "--keep best",
        "--patience 1 --epochs 6",
        "--keep best --show-oracle",
        *(
            pytest.param(each, marks=pytest.mark.long)
            for each in ("", "--show-oracle", "--strategy shallow", "--strategy lora")
        ),
    ],
)
def test_other_languages_never_influence_what_is_learnt_or_kept(
    flags: str, many_languages: Path, poisoned: Path, bert: Path, tmp_path: Path
) -> None:
    """By poisoning them: the weights stay the same to the last bit, and so do the answers in English."""
    clean = run(many_languages, bert, tmp_path / "clean", *flags.split())
    other = run(poisoned, bert, tmp_path / "other", *flags.split())
    assert clean.weights == other.weights
    assert clean.predictions == other.predictions
    for name in ("metrics", "best", "updates"):
        assert clean.result[name] == other.result[name]
    there, here = (each.result["languages"]["targets"] for each in (clean, other))
    assert [each["rows"] for each in here] == [2 * each["rows"] for each in there] == [2 * TARGET_ROWS] * 2


def test_each_language_is_reported_from_its_own_predictions(plain: Ended, many_languages: Path) -> None:
    found = plain.result["languages"]
    assert found["metric"] == "accuracy"
    assert found["source"]["language"] == "en"
    assert found["source"]["metrics"] == plain.result["metrics"]
    assert [each["language"] for each in found["targets"]] == ["de", "fa"]
    learnt = [row["label"] for row in read(many_languages / "en" / "train.jsonl")]
    most_frequent = statistics.mode(learnt)
    for each in found["targets"]:
        answers = read(plain.folder / "languages" / f"{each['language']}.jsonl")
        rows = read(many_languages / each["language"] / "validation.jsonl")
        assert [answer["row"] for answer in answers] == list(range(1, TARGET_ROWS + 1))
        names = ("negative", "positive")
        assert [answer["label"] for answer in answers] == [names[row["label"]] for row in rows]
        right = [answer["label"] == answer["prediction"] for answer in answers]
        assert each["metrics"]["accuracy"] == pytest.approx(statistics.fmean(right))
        share = statistics.fmean(right)
        assert each["row_variance"] == pytest.approx(share * (1 - share) / (TARGET_ROWS - 1))
        assert each["majority"] == pytest.approx(statistics.fmean(row["label"] == most_frequent for row in rows))
    assert found["targets"][1]["script"] == "Arabic"
    assert found["targets"][1]["unknown_fraction"] > 0.3, "a tokenizer that has seen English only"
    assert found["targets"][0]["script"] == "Latin"
    assert found["targets"][0]["unknown_fraction"] < 0.1


def test_the_terminal_shows_the_languages_in_80_columns_and_who_is_not_above_chance(plain: Ended) -> None:
    lines = plain.output.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("languages"))
    shown = [line.rstrip() for line in lines[start : start + 8]]
    assert max(map(len, shown)) <= 80
    assert [line.split()[0] for line in shown[2:5]] in (["en", "de", "fa"], ["en", "fa", "de"])
    text = " ".join(shown)
    below = [each["language"] for each in plain.result["languages"]["targets"] if is_above_chance(each) is False]
    assert ("Not above chance (the most frequent answer): " + ", ".join(below) in text) is bool(below)


def test_the_model_card_has_the_table_of_languages(plain: Ended) -> None:
    card = (plain.folder / "model" / "README.md").read_text()
    for each in plain.result["languages"]["targets"]:
        line = next(line for line in card.splitlines() if line.startswith(f"| {each['language']} |"))
        assert f"{each['metrics']['accuracy']:.3f}" in line


def test_several_processes_answer_the_languages_as_one_does(
    plain: Ended, many_languages: Path, bert: Path, tmp_path: Path
) -> None:
    two = run(many_languages, bert, tmp_path / "two", processes=2)
    for language in ("de", "fa"):
        name = Path("languages") / f"{language}.jsonl"
        ours, theirs = (read(each.folder / name) for each in (plain, two))
        assert [each["prediction"] for each in ours] == [each["prediction"] for each in theirs]


def test_the_oracle_is_each_languages_own_best_epoch(many_languages: Path, bert: Path, tmp_path: Path) -> None:
    result = run(many_languages, bert, tmp_path / "run", "--show-oracle").result
    assert [sorted(entry["languages"]) for entry in result["history"]] == [["de", "fa"]] * 3
    for each in result["languages"]["targets"]:
        scores = [entry["languages"][each["language"]] for entry in result["history"]]
        assert each["oracle"]["score"] == max(scores)
        assert scores[each["oracle"]["epoch"] - 1] == max(scores)
        assert scores[-1] == each["metrics"]["accuracy"], "the last epoch's weights are the result"


def test_seeds_are_joined_by_language(many_languages: Path, bert: Path, tmp_path: Path) -> None:
    ended = run(many_languages, bert, tmp_path / "run", "--seeds", 2)
    joined = ended.result["languages"]
    runs = [run["languages"] for run in ended.result["runs"]]
    for i, each in enumerate(joined["targets"]):
        scores = [one["targets"][i]["metrics"]["accuracy"] for one in runs]
        assert each["scores"] == scores
        assert score_of(each).value == pytest.approx(statistics.fmean(scores))
        sources = [one["source"]["metrics"]["accuracy"] for one in runs]
        gap = gap_between(joined["source"], each)
        assert gap.value == pytest.approx(statistics.fmean(sources) - statistics.fmean(scores))
        assert gap.covers_seeds
    assert "2 seeds and the rows" in ended.output


def test_a_score_above_chance_is_told_from_one_that_is_not() -> None:
    def part(value: float, variance: float, rows: int = 100) -> dict[str, Any]:
        return {"rows": rows, "over_majority": {"value": value, "row_variance": variance}}

    assert is_above_chance(part(0.3, 0.1**2)) is True
    assert is_above_chance(part(0.1, 0.1**2)) is False
    assert is_above_chance(part(-0.5, 0.1**2)) is False
    assert is_above_chance({"over_majority": None}) is None


def test_a_variance_from_drawn_rows_is_that_of_all_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A mean whose variance is known, treated as a score that is none: 100 draws tell it to a fifth or so."""

    def share(told: Sequence[int], held: Sequence[int]) -> float:
        return float(np.mean(np.asarray(told) == np.asarray(held)))

    monkeypatch.setattr(
        varying, "headline", lambda task, rows: PrimaryMetric(share, lower_is_better=False, is_mean=False)
    )
    labels, guesses = np.random.default_rng(0).integers(0, 2, (2, 4_000))
    rows = Rows({"label": labels.tolist()}, "rows", np.arange(4_000))
    noise = varying.noise_of(None, {"predictions": guesses.tolist(), "references": labels.tolist()}, rows)
    outcomes = (guesses == labels).astype(float)
    assert varying.row_variance(None, 0.5, noise, rows) == pytest.approx(outcomes.var() / len(outcomes), rel=0.4)


def test_chance_is_called_what_it_is_about_as_often_as_stated() -> None:
    """Guesses on 200 rows of two labels, a thousand times: above chance in at most 2.5 % of them, one side of 5 %."""
    draw = np.random.default_rng(0)
    alarms = []
    for _ in range(1000):
        labels, guesses = draw.integers(0, 2, (2, 200))
        difference = (guesses == labels).astype(float) - (labels == 0)
        over = {"value": difference.mean(), "row_variance": difference.var(ddof=1) / 200}
        alarms.append(is_above_chance({"rows": 200, "over_majority": over}))
    assert 0.01 < np.mean(alarms) < 0.04


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("Guten Tag, 1234!", "Latin"),
        ("Привет, world", "Cyrillic"),
        ("از خدمات دیجیکالا راضی هستم", "Arabic"),
        ("你好", "Cjk"),
        ("... 12", "none"),
    ],
)
def test_a_script_is_that_of_most_letters(text: str, script: str) -> None:
    assert find_script([text]) == script


def test_pieces_a_word_and_unknown_pieces_are_counted(vocabulary: Any) -> None:
    def rows(*texts: str) -> Rows:
        return Rows({"text": list(texts)}, "here", np.arange(len(texts)) + 1)

    text = "the film was good , really"
    pieces = vocabulary.tokenize(text)
    found = describe_text(rows(text), vocabulary, max_length=len(pieces))
    assert found["pieces_per_word"] == len(pieces) / 6
    assert (found["unknown_fraction"], found["long_fraction"]) == (0, 0)
    assert describe_text(rows(text, "a"), vocabulary, max_length=len(pieces) - 1)["long_fraction"] == 0.5
    assert describe_text(rows("你好"), vocabulary, 9)["unknown_fraction"] > 0.4
    # A script without blanks: each sign counts as a word, or fertility would mean nothing.
    signs = WORD.findall("你好, ok ไทย")
    assert signs == ["你", "好", ",", "ok", "ไ", "ท", "ย"]


def test_the_table_lists_the_source_first_and_the_best_language_next() -> None:
    def part(language: str, score: float) -> dict[str, Any]:
        return {
            "language": language, "rows": 1200, "metrics": {"accuracy": score}, "row_variance": 1e-4, "majority": 0.5,
            "over_majority": None, "script": "Latin", "pieces_per_word": 1.25, "unknown_fraction": 0.0,
            "long_fraction": 0.031,
        }  # fmt: skip

    described = {"metric": "accuracy", "source": part("en", 0.5), "targets": [part("de", 0.6), part("fr", 0.75)]}
    lines = table_of(described)
    assert [line[0] for line in lines] == ["", "en", "fr", "de"]
    assert lines[2] == ["fr", "1,200", "0.750", "0.020", "-0.250", "0.500", "Latin", "1.25", "0%", "3%"]
