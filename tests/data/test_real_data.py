"""Published data sets, where a copy is at hand: as many rows as published, nothing refused, in seconds."""

import time
from typing import Any

import pytest

from tests.data.conftest import make_task
from tests.recipe_runs import ROOT
from tlnlp.data import Splits, load_splits
from tlnlp.settings import Settings
from tlnlp.task import Columns, Regression

pytestmark = pytest.mark.long

REAL = ROOT.parent / "shared" / "data"
QUESTIONS = Columns(question="question", context="context", answers="answers")


def load(name: str, task: Any, **settings: Any) -> Splits:
    path = REAL / name
    if not path.exists():
        pytest.skip(f"{path} is not there")
    return load_splits(task, Settings(data=str(path), **settings))


@pytest.mark.parametrize(
    ("name", "tags", "train", "dev", "said"),
    [
        ("conll2003", "ner_tags", 14_041, 3_250, "tags: IOB2; LOC 7,140, PER 6,600, ORG 6,321, MISC 3,438"),
        ("conll2003", "chunk_tags", 14_041, 3_250, "tags: IOB2; NP "),
        ("udpos/en", "upos", 21_253, 3_974, "tags: plain tags; NOUN "),
        ("panx/en", "ner_tags", 20_000, 10_000, "tags: IOB2; ORG "),
    ],
)
def test_tagged_sentences_are_read_whole(name: str, tags: str, train: int, dev: int, said: str) -> None:
    loaded = load(name, make_task(None, Columns(words="tokens", tags=tags)))
    assert (len(loaded.train), len(loaded.dev)) == (train, dev)
    assert any(note.startswith(said) for note in loaded.notes)
    assert not any("first in" in note for note in loaded.notes)


def test_questions_are_read_whole_in_seconds() -> None:
    start = time.perf_counter()
    loaded = load("squad", make_task(None, QUESTIONS))
    assert time.perf_counter() - start < 30  # about 5 on an idle core; the margin is for a busy one
    assert (len(loaded.train), len(loaded.dev)) == (87_599, 10_570)
    assert len(loaded.dev.columns["id"]) == 10_570
    for context, answers in zip(loaded.train.columns["context"], loaded.train.columns["answers"], strict=True):
        (text,), (at,) = answers["text"], answers["answer_start"]
        assert context.startswith(text, at)


def test_unanswerable_questions_stay_or_go_as_the_task_has_it() -> None:
    file = "squad_v2/validation.jsonl.gz"
    both = load(file, make_task(None, QUESTIONS, unanswerable=True))
    assert len(both.train) + len(both.dev) == 11_873
    assert not set(both.train.columns["context"]) & set(both.dev.columns["context"])
    answered = load(file, make_task(None, QUESTIONS))
    assert len(answered.train) + len(answered.dev) == 5_928
    assert any("5,945 questions without an answer dropped" in note for note in answered.notes)


def test_scores_of_pairs_are_read_whole() -> None:
    columns = Columns(text="sentence1", text_pair="sentence2", label="label")
    loaded = load("stsb", make_task(Regression(0, 5), columns), keep="best")
    assert loaded.test is not None
    assert [len(part) for part in (loaded.train, loaded.dev, loaded.test)] == [5_749, 1_500, 1_379]
