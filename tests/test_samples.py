"""The bundled samples: enough rows, balanced, none twice; and that of reviews shows what transfer is."""

import json
from collections import Counter
from pathlib import Path

import pytest
import torch
from huggingface_hub import ModelCard
from safetensors.torch import load_file

from tests.recipe_runs import ROOT, run_recipe

SAMPLE = ROOT / "tlnlp" / "bundled" / "samples" / "reviews"


def rows_of(split: str) -> list[dict]:
    return [json.loads(line) for line in (SAMPLE / f"{split}.jsonl").read_text().splitlines()]


def words_of(row: dict) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in row["text"].lower()).split())


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


# What is asked of each sample: rows to learn from and to report on, and the labels that share them evenly.
OTHERS: dict[str, tuple[int, int, set]] = {
    "acceptability": (200, 80, {0, 1}),
    "paraphrase": (200, 80, {0, 1}),
    "similarity": (200, 80, set()),
    "entailment": (200, 80, {"entailment", "neutral", "contradiction"}),
    "entailment_two_way": (200, 80, {"entailment", "not_entailment"}),
    "choices": (200, 80, set()),
    "passages": (150, 50, set()),
    "entities": (240, 100, set()),
    "parts_of_speech": (200, 80, set()),
}
UPOS = {
    "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "INTJ", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ", "SYM",
    "VERB", "X",
}  # fmt: skip


def read(sample: str, split: str) -> list[dict]:
    return [json.loads(line) for line in (SAMPLE.parent / sample / f"{split}.jsonl").read_text().splitlines()]


def test_every_sample_is_checked_here_and_says_what_it_is() -> None:
    folders = {path.name for path in SAMPLE.parent.iterdir() if path.is_dir()}
    assert folders == {"reviews", *OTHERS}
    assert all((SAMPLE.parent / name / "README.md").read_text() for name in folders)


@pytest.mark.parametrize("name", OTHERS)
def test_a_sample_has_rows_enough_and_none_twice(name: str) -> None:
    train, validation = read(name, "train"), read(name, "validation")
    least_train, least_dev, labels = OTHERS[name]
    assert len(train) >= least_train and len(validation) >= least_dev
    bare = [{role: value for role, value in row.items() if role != "id"} for row in train + validation]
    rows = [json.dumps(row, sort_keys=True).lower() for row in bare]
    assert len(set(rows)) == len(rows)
    inputs = [{str(row.get(role)) for row in split for role in ("text", "words", "context") if role in row}
              for split in (train, validation)]  # fmt: skip
    assert not inputs[0] & inputs[1], "a text of dev that was learnt from"
    for split in (train, validation):
        counts = Counter(row["label"] for row in split) if labels else Counter()
        assert set(counts) == labels
        assert not counts or max(counts.values()) - min(counts.values()) <= 0.05 * len(split)


def test_scores_and_places_of_endings_are_spread_evenly() -> None:
    for split in ("train", "validation"):
        scores = [row["label"] for row in read("similarity", split)]
        assert min(scores) == 0 and max(scores) == 5 and 2 <= sum(scores) / len(scores) <= 3
        rows = read("choices", split)
        assert {len(row["endings"]) for row in rows} == {2, 3, 4}
        assert all(0 <= row["label"] < len(row["endings"]) for row in rows)
        of_two = Counter(row["label"] for row in rows if len(row["endings"]) == 2)
        assert abs(of_two[0] - of_two[1]) <= 0.1 * sum(of_two.values())


def test_answers_stand_where_they_say_and_a_quarter_of_the_questions_has_none() -> None:
    passages = {row["context"] for split in ("train", "validation") for row in read("passages", split)}
    assert len(passages) >= 40
    for split in ("train", "validation"):
        rows = read("passages", split)
        for row in rows:
            for text, start in zip(row["answers"]["text"], row["answers"]["answer_start"], strict=True):
                assert row["context"][start : start + len(text)] == text
        assert 0.2 <= sum(not row["answers"]["text"] for row in rows) / len(rows) <= 0.3


@pytest.mark.parametrize("split", ["train", "validation"])
def test_words_have_one_tag_each_of_the_right_kind(split: str) -> None:
    for row in read("parts_of_speech", split):
        assert len(row["words"]) == len(row["tags"]) and set(row["tags"]) <= UPOS
    types: Counter = Counter()
    for row in read("entities", split):
        assert len(row["words"]) == len(row["tags"])
        for before, tag in zip(["O", *row["tags"]], row["tags"], strict=False):
            assert tag == "O" or tag[:2] == "B-" or before[2:] == tag[2:], "an entity without its beginning"
            types[tag[2:]] += tag[:2] == "B-"
    assert set(types) - {""} == {"PER", "LOC", "ORG", "MISC"} and min(types[t] for t in types if t) >= 30


def test_weights_in_the_repository_stay_small() -> None:
    """Each version of a file stays in the history for ever."""
    bundled = ROOT / "tlnlp" / "bundled"
    sizes = {path.relative_to(bundled): path.stat().st_size for path in bundled.rglob("*") if path.is_file()}
    weights = {path.parent.name: size for path, size in sizes.items() if path.suffix == ".safetensors"}
    assert set(weights) == {"mini", "mini-gpt"}
    assert weights["mini"] <= 16_000_000 and weights["mini-gpt"] <= 12_000_000
    assert sum(size for path, size in sizes.items() if path.suffix != ".safetensors") < 6_000_000


@pytest.mark.parametrize("name", ["mini", "mini-gpt"])
def test_a_card_says_where_the_weights_come_from(name: str) -> None:
    text = (ROOT / "tlnlp" / "bundled" / name / "README.md").read_text(encoding="utf-8")
    card = ModelCard(text)
    assert card.data.license == "cc-by-sa-4.0" and card.data.pipeline_tag in ("fill-mask", "text-generation")
    for said in ("tokens seen", "Wikipedia", "python recipes/pretrain", "research.mini.bundle", "| loss |"):
        assert said in text, said
    weights = load_file(ROOT / "tlnlp" / "bundled" / name / "model.safetensors")
    million = sum(each.numel() for each in weights.values()) / 1e6
    assert f"{million:.1f} M weights" in text
    assert {each.dtype for each in weights.values()} == {torch.float16}


@pytest.mark.long
def test_the_bundled_encoder_is_clearly_better_than_random_weights_on_it(tmp_path: Path) -> None:
    spread = {}
    for strategy in ("full", "from_scratch"):
        ended = run_recipe("sst2", "--strategy", strategy, "--seeds", 5, folder=tmp_path / strategy)
        spread[strategy] = ended.result["spread"]["accuracy"]
    assert spread["full"]["min"] > spread["from_scratch"]["max"]
