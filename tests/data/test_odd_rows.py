"""Whatever the values of the usual columns are, rows are read or refused in three parts."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.conftest import make_task
from tlnlp.data import load_splits
from tlnlp.errors import InputError
from tlnlp.settings import Settings
from tlnlp.task import Columns

TAGGING = make_task(None, Columns(words="words", tags="tags"))
ANSWERING = make_task(None, Columns(question="question", context="context", answers="answers"), unanswerable=True)

NAMES = (
    *("text", "data", "words", "tags", "tokens", "spans", "label", "entities", "annotations", "annotation", "answer"),
    *("start", "end", "points", "value", "result", "labels", "sentence", "content", "file", "qas", "paragraphs", "id"),
    *("context", "question", "answers", "answer_start", "answer_text", "is_impossible", "detected_answers"),
)
LONG_NUMBER = "7" * 5000
TEXTS = st.sampled_from(
    [*("", " ", "O", "B-PER", "Anna came 🙂", "['a' 'b']", "[[0, 4, 'PER']]", "{'text': ['a']}", "\ud800"), LONG_NUMBER]
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-3, 30), st.sampled_from([0.0, 1.5, 1e300, 10**30]), TEXTS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
        st.tuples(st.integers(0, 9), st.integers(0, 9), st.sampled_from(["PER", "LOC"])).map(list),
    ),
    max_leaves=6,
)
# Rows of the usual columns, some of them with any values.
KINDS = [
    st.fixed_dictionaries(
        {"text": TEXTS, "label": VALUES}, optional={"tokens": VALUES, "answer": VALUES, "file": VALUES}
    ),
    st.fixed_dictionaries({"words": TEXTS, "tags": VALUES}, optional={"sentence": VALUES}),
    st.fixed_dictionaries(
        {"question": TEXTS, "context": TEXTS, "answers": VALUES},
        optional={"answer_start": VALUES, "is_impossible": VALUES},
    ),
    st.fixed_dictionaries({"context": TEXTS, "qas": VALUES}),
    st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5),
    VALUES,
]
ROWS = st.one_of(*(st.lists(kind, min_size=1, max_size=4) for kind in KINDS))


@given(ROWS, st.sampled_from(["json", "jsonl"]), st.sampled_from([TAGGING, ANSWERING]))
def test_rows_of_any_values_are_read_or_refused_in_words(
    tmp_path_factory: Any, rows: list[Any], ending: str, task: Any
) -> None:
    path = tmp_path_factory.mktemp("odd") / f"a.{ending}"
    path.write_text(json.dumps(rows) if ending == "json" else "\n".join(map(json.dumps, rows)))
    for chosen in [(), *[("words=text", "tags=label")] * (task is TAGGING)]:
        # Any other error fails the test.
        with contextlib.suppress(InputError):
            loaded = load_splits(task, Settings(data=str(path), columns=chosen, dev_fraction=0.5))
            assert len(loaded.train) and len(loaded.dev)


def test_names_that_a_source_has_for_its_numbers_are_not_replaced(tmp_path: Path) -> None:
    feature = {"feature": {"names": ["O", "B-PER"], "_type": "ClassLabel"}, "_type": "List"}
    table = pa.table({"words": [["a", "b"], ["c", "d"]], "tags": [[0, 1], [1, 0]]})
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": {"tags": feature}}})})
    for split in ("train", "dev"):
        pq.write_table(table, tmp_path / f"{split}.parquet")
    assert load_splits(TAGGING, Settings(data=str(tmp_path), label_names=("O", "B-PER"))).train.labels == ("O", "B-PER")
    with pytest.raises(InputError, match="itself has for its numbers: O, B-PER"):
        load_splits(TAGGING, Settings(data=str(tmp_path), label_names=("B-PER", "O")))
