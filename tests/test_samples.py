"""The bundled sample: enough rows, balanced, none twice; and it shows what transfer is."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.runs import ROOT, run_recipe

SAMPLE = ROOT / "tlnlp" / "bundled" / "samples" / "reviews"


def rows_of(split: str) -> list[dict]:
    return [json.loads(line) for line in (SAMPLE / f"{split}.jsonl").read_text().splitlines()]


def words_of(row: dict) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in row["sentence"].lower()).split())


@pytest.mark.parametrize(("split", "least"), [("train", 600), ("validation", 200)])
def test_each_split_has_rows_enough_and_as_many_of_each_label(split: str, least: int) -> None:
    labels = Counter(row["label"] for row in rows_of(split))
    assert sum(labels.values()) >= least
    assert labels[0] == labels[1]


def test_no_sentence_stands_twice_or_in_both_splits() -> None:
    sentences = [words_of(row) for split in ("train", "validation") for row in rows_of(split)]
    assert len(set(sentences)) == len(sentences)


def test_sentences_vary_in_length_and_in_how_they_begin() -> None:
    sentences = [words_of(row).split() for row in rows_of("train")]
    lengths = sorted(map(len, sentences))
    assert lengths[0] <= 4
    assert lengths[-1] >= 25
    _, most_common = Counter(tuple(words[:2]) for words in sentences).most_common(1)[0]
    assert most_common <= 0.06 * len(sentences)


def test_weights_in_the_repository_stay_small() -> None:
    bundled = ROOT / "tlnlp" / "bundled"
    assert sum(path.stat().st_size for path in bundled.rglob("*") if path.is_file()) < 11_000_000


@pytest.mark.long
def test_the_bundled_encoder_is_clearly_better_than_random_weights_on_it(tmp_path: Path) -> None:
    spread = {}
    for strategy in ("full", "from_scratch"):
        ended = run_recipe("sst2", "--strategy", strategy, "--seeds", 5, folder=tmp_path / strategy)
        spread[strategy] = ended.result["spread"]["accuracy"]
    assert spread["full"]["min"] > spread["from_scratch"]["max"]
