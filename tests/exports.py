"""Files as other tools export them, by the names that docs/own-data.md gives them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

ROWS = 24


def write_exports(folder: Path) -> None:
    """Writes each of the files into `folder`."""
    texts = [f"Anna{i} lives in Rome." for i in range(ROWS)]
    spans = [[[0, len(text) - 15, "PER"], [len(text) - 5, len(text) - 1, "LOC"]] for text in texts]
    words = [[*text[:-1].split(), "."] for text in texts]
    tags = ["B-PER", "O", "O", "B-LOC", "O"]
    objects = [[dict(zip(("start", "end", "label"), span, strict=True)) for span in each] for each in spans]
    pairs = list(zip(texts, spans, strict=True))
    _lines(folder / "doccano.jsonl", [{"id": i, "text": t, "label": s} for i, (t, s) in enumerate(pairs)])
    studio = [
        {"data": {"text": t}, "annotations": [{"result": [{"type": "labels", "value": _labels(o)} for o in each]}]}
        for t, each in zip(texts, objects, strict=True)
    ]
    (folder / "label_studio.json").write_text(json.dumps(studio))
    _lines(
        folder / "prodigy.jsonl",
        [{"text": t, "spans": o, "answer": "accept"} for t, o in zip(texts, objects, strict=True)],
    )
    (folder / "spacy.json").write_text(json.dumps([[t, {"entities": s}] for t, s in pairs]))
    (folder / "brat").mkdir()
    for i, (text, each) in enumerate(pairs):
        (folder / "brat" / f"{i}.txt").write_text(text)
        marks = [f"T{n}\t{label} {start} {end}\t{text[start:end]}\n" for n, (start, end, label) in enumerate(each, 1)]
        (folder / "brat" / f"{i}.ann").write_text("".join(marks))
    _table(folder / "spans.csv", ["body", "marks"], pairs)
    flat = [
        [f"Sentence: {i + 1}" * (not place), word, tag]
        for i, each in enumerate(words)
        for place, (word, tag) in enumerate(zip(each, tags, strict=True))
    ]
    _table(folder / "kaggle_ner.csv", ["Sentence #", "Word", "Tag"], flat)
    _table(folder / "tokens.csv", ["tokens", "ner_tags"], [[np.array(each, dtype=object), tags] for each in words])
    _lines(folder / "numbers.jsonl", [{"tokens": each, "ner_tags": [1, 0, 0, 3, 0]} for each in words])
    conllu = ["".join(f"{n}\t{w}\t_\tX\tT{n}" + "\t_" * 5 + "\n" for n, w in enumerate(each, 1)) for each in words]
    (folder / "treebank.conllu").write_text("\n".join(conllu))
    _write_answers(folder)


def _write_answers(folder: Path) -> None:
    contexts = [f"Mill {i} opened in {1900 + i} near the river." for i in range(ROWS)]
    answers = [{"text": str(1900 + i), "answer_start": context.index("in ") + 3} for i, context in enumerate(contexts)]
    paragraphs: list[dict[str, Any]] = [
        {"context": context, "qas": [{"id": str(i), "question": "When?", "answers": [answers[i]]}]}
        for i, context in enumerate(contexts)
    ]
    (folder / "train-v2.0.json").write_text(json.dumps({"data": [{"title": "Mills", "paragraphs": paragraphs}]}))
    (folder / "simpletransformers.json").write_text(json.dumps(paragraphs))
    _lines(folder / "mrqa.jsonl", [{"header": {}}, *paragraphs])
    squad = [{name: np.array([value]) for name, value in answer.items()} for answer in answers]
    _table(
        folder / "squad.csv",
        ["question", "context", "answers"],
        [["When?", *each] for each in zip(contexts, squad, strict=True)],
    )
    _table(
        folder / "flat.csv",
        ["question", "context", "answer_text", "answer_start"],
        [["When?", context, *answer.values()] for context, answer in zip(contexts, answers, strict=True)],
    )


def _labels(span: dict[str, Any]) -> dict[str, Any]:
    return {"start": span["start"], "end": span["end"], "labels": [span["label"]]}


def _lines(path: Path, rows: list[Any]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _table(path: Path, header: list[str], rows: Any) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
