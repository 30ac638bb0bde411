"""The samples in other languages: the English one's first rows, translated, with the same answers."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.recipe_runs import ROOT
from tests.test_samples import UPOS
from tlnlp.runs.languages import find_script

SAMPLES = ROOT / "tlnlp" / "bundled" / "samples"
SCRIPTS = {"de": "Latin", "fr": "Latin", "es": "Latin", "ru": "Cyrillic", "fa": "Arabic"}
ROWS = {
    "reviews": 120, "entailment": 84, "entities": 80, "paraphrase": 60, "parts_of_speech": 60, "passages": 63,
}  # fmt: skip
EACH = [(name, language) for name in ROWS for language in SCRIPTS]


def read(name: str, language: str = "") -> list[dict[str, Any]]:
    text = (SAMPLES / name / language / "validation.jsonl").read_text(encoding="utf-8")
    assert unicodedata.is_normalized("NFC", text)
    return [json.loads(line) for line in text.splitlines()]


def texts_of(row: dict[str, Any]) -> list[str]:
    roles = ("text", "text_pair", "question", "context", "title")
    return [*(row[role] for role in roles if role in row), *row.get("words", [])]


def test_every_translation_that_there_is_is_checked_here() -> None:
    found = {(path.parent.parent.name, path.parent.name) for path in Path(SAMPLES).glob("*/*/*.jsonl")}
    assert found == set(EACH)


@pytest.mark.parametrize(("name", "language"), EACH)
def test_rows_are_those_of_the_english_sample_with_the_same_answers(name: str, language: str) -> None:
    rows, english = read(name, language), read(name)[: ROWS[name]]
    assert len(rows) == ROWS[name] >= 60
    assert find_script([" ".join(texts_of(row)) for row in rows]) == SCRIPTS[language]
    for row, other in zip(rows, english, strict=True):
        assert list(row) == list(other)
        assert row.get("label") == other.get("label")
        assert all(text.strip() == text != "" for text in texts_of(row))
    different = [row for row, other in zip(rows, english, strict=True) if texts_of(row) != texts_of(other)]
    assert len(different) > 0.95 * len(rows), "translated, but for a name standing by itself"
    bare = [json.dumps({key: row[key] for key in row if key != "id"}) for row in rows]
    assert len(set(bare)) == len(bare)


@pytest.mark.parametrize("language", SCRIPTS)
def test_names_are_of_the_same_kinds_and_well_formed(language: str) -> None:
    for row, other in zip(read("entities", language), read("entities"), strict=False):
        assert len(row["words"]) == len(row["tags"])
        kinds, others = (Counter(tag for tag in each["tags"] if tag.startswith("B-")) for each in (row, other))
        assert kinds == others, row["words"]
        for before, tag in zip(["O", *row["tags"]], row["tags"], strict=False):
            assert not tag.startswith("I-") or before[2:] == tag[2:], row


@pytest.mark.parametrize("language", SCRIPTS)
def test_parts_of_speech_are_universal(language: str) -> None:
    rows = read("parts_of_speech", language)
    assert all(len(row["words"]) == len(row["tags"]) and set(row["tags"]) <= UPOS for row in rows)
    assert all(not any(map(str.isspace, word)) for row in rows for word in row["words"])


@pytest.mark.parametrize("language", SCRIPTS)
def test_answers_stand_where_they_are_said_to(language: str) -> None:
    rows = read("passages", language)
    for row, other in zip(rows, read("passages"), strict=True):
        answers = row["answers"]
        assert row["id"] == other["id"]
        assert bool(answers["text"]) == bool(other["answers"]["text"])
        for text, start in zip(answers["text"], answers["answer_start"], strict=True):
            assert row["context"][start : start + len(text)] == text
    contexts = {(row["context"], other["context"]) for row, other in zip(rows, read("passages"), strict=True)}
    assert len(contexts) == 14, "one translation of each passage"
