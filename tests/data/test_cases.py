"""A collection of files in the shapes that people bring: each is read rightly, or refused in the words that help.

The files stand beside the repository; where they are not, the tests of their kinds (`test_brought_files.py`,
`test_tag_tables.py`, `test_offsets.py`, ...) stand for them. `pytest -s` prints the table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.recipe_runs import ROOT, load_recipe
from tlnlp.data.splits import load_splits
from tlnlp.errors import InputError

CASES = ROOT.parent / "shared" / "cases"
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the collection is not beside the repository")


@dataclass(frozen=True)
class Case:
    """A file, how it is asked for, and what must come of it.

    Args:
        rows: number of train and dev rows together; None if it is refused.
        labels: those found, sorted.
        says: what a note, or the refusal, must say.
    """

    file: str
    recipe: str = "own_classification"
    flags: dict[str, Any] = field(default_factory=dict)
    rows: int | None = None
    labels: tuple[str, ...] | None = None
    says: str = ""


def _c(*columns: str) -> dict[str, Any]:
    return {"columns": columns}


TAGS = ("B-LOC", "B-PER", "O")
TABLE = (
    Case("tok_hf_to_csv.csv", "own_tagging", _c("words=tokens", "tags=ner_tags"), labels=TAGS, rows=20),
    Case("tok_str.csv", "own_tagging", _c("words=tokens", "tags=ner_tags"), labels=TAGS, rows=30),
    Case("spam.csv", labels=("fraud", "ok"), rows=200),
    Case("ner_hf_to_json.jsonl", "own_tagging", _c("words=tokens", "tags=ner_tags"), says="--label-names"),
    Case("c_zeroO.conll", "own_tagging", says="line"),
    Case("kaggle_ner.csv", "own_tagging", _c("words=Word", "tags=Tag"), rows=30, says="grouped"),
    Case("evalname", rows=48, says="eval.csv"),
    Case("traintest", rows=48, says="test"),
    Case("cp1252.csv", says="cp1252"),
    Case("cp1252.csv", flags={"encoding": "cp1252"}, rows=40),
    Case("cp1252.csv", flags={"encoding": "latin1"}, says="cp1252"),
    Case("labcase.csv", rows=40, says="differ only in case"),
    Case("c_indexfirst.conll", "own_tagging", rows=30, says="counts the words"),
    Case("c_bioul_suffix.conll", "own_tagging", rows=30, says="letter first"),
    Case("many2.csv", rows=300, says="too few rows for both sides"),
    Case("onehot.csv", flags=_c("label=toxic,obscene,threat"), rows=40, labels=("obscene", "threat", "toxic")),
    Case("multi_str.csv", flags=_c("label=labels"), rows=40, says="several"),
    Case("multi_json.csv", flags=_c("label=labels"), rows=40, says="several"),
    Case("semicolon.csv", rows=40, says="separator ;"),
    Case("semicolon_de.csv", "own_score", rows=40, says="decimal commas"),
    Case("noheader.csv", says="--no-header"),
    Case("noheader.csv", flags={"no_header": True, **_c("text=2", "text_pair=3", "label=1")}, rows=40),
    Case("saved_dict", rows=48, says="save_to_disk"),
    Case("shards", rows=40, says="2 files"),
    Case("aclImdb", rows=32, labels=("neg", "pos")),
    Case("doccano_cls.jsonl", rows=40),
    Case("doccano_seq.jsonl", "own_tagging", rows=40, says="spans"),
    Case("c_comments.conll", "own_tagging", rows=30, says="comment lines skipped"),
    Case("c_noblank.conll", "own_tagging", says="blank line"),
    Case("qa_hf_to_csv.csv", "own_answering", rows=20),
    Case("simpletransformers_qa.json", "own_answering", rows=20),
    Case("haystack_notgiven.json", "own_answering", rows=40),
    Case("floatdev", rows=48, labels=("0", "1")),
    Case("base_pn.csv", rows=60),
    Case("fasttext.txt", rows=40, says="fastText"),
    Case("base.csv", rows=40),
    Case("sentiment3.csv", rows=60),
)


@pytest.mark.parametrize("case", TABLE, ids=lambda case: f"{case.file} {case.flags or ''}".strip())
def test_a_file_of_the_collection_is_read_or_refused_as_it_should_be(
    case: Case, request: pytest.FixtureRequest
) -> None:
    recipe = load_recipe(case.recipe)
    settings = recipe.settings(data=str(CASES / case.file), no_cache=True, **case.flags)
    if case.rows is None:
        with pytest.raises(InputError) as refused:
            load_splits(recipe.task, settings)
        parts = (refused.value.expected, refused.value.found, refused.value.change)
        print(f"| {case.file} | refused | {'; '.join(parts)} |")
        assert case.says in str(refused.value)
        assert all(parts)
        return
    splits = load_splits(recipe.task, settings)
    there = len(splits.train) + len(splits.dev)
    print(f"| {case.file} | {there} rows | {'; '.join(splits.notes)} |")
    assert any(case.says in note for note in splits.notes)
    assert there == case.rows
    if case.labels is not None:
        assert tuple(sorted(splits.train.labels or ())) == case.labels
