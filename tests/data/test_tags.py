"""Words and tags: the forms in which they come, and the schemes of tags."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.conftest import make_task
from tlnlp.data import Rows, load_splits
from tlnlp.data.tags import describe_tags, find_scheme
from tlnlp.errors import InputError
from tlnlp.settings import Settings
from tlnlp.task import Columns

COLUMNS = Columns(words="tokens", tags="ner_tags")
NAMES = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")
TASK = make_task(NAMES, COLUMNS)
FOUND = make_task(None, COLUMNS)

WORDS = [["Ada", "Lovelace", "wrote", "."], ["London", "!"], ["", "\u00a0"]]
TAGS = [["B-PER", "I-PER", "O", "O"], ["B-LOC", "O"], ["O", "O"]]


def rows_of(words: list[Any], tags: list[Any]) -> list[dict[str, Any]]:
    return [{"tokens": w, "ner_tags": t} for w, t in zip(words, tags, strict=True)]


GOOD = rows_of(WORDS, TAGS)


def refusal(load: Any, words: Any, tags: Any, task: Any = TASK) -> InputError:
    with pytest.raises(InputError) as refused:
        load([GOOD[0], {"tokens": words, "ner_tags": tags}], GOOD, task=task)
    return refused.value


def test_words_stay_as_they_are_and_tags_become_indices_of_the_tasks_names(load: Any) -> None:
    loaded = load(GOOD, GOOD, task=TASK)
    assert loaded.train.columns == {"words": WORDS, "tags": [[1, 2, 0, 0], [3, 0], [0, 0]]}
    assert loaded.train.labels == NAMES


def test_tags_may_be_numbers_of_the_tasks_names(load: Any) -> None:
    rows = rows_of(WORDS, [[1, 2, 0, 0], [3, 0], [0, 0]])
    assert load(rows, rows, task=TASK).train.columns["tags"] == [[1, 2, 0, 0], [3, 0], [0, 0]]


def test_tags_that_the_task_does_not_name_are_found_in_all_splits_with_outside_first(load: Any) -> None:
    loaded = load(GOOD, [*GOOD, {"tokens": ["x"], "ner_tags": ["B-ART"]}], task=FOUND)
    assert loaded.train.labels == loaded.dev.labels == ("O", "B-ART", "B-LOC", "B-PER", "I-PER")
    assert "tags found: O, B-ART, B-LOC, B-PER, I-PER" in loaded.notes
    assert "tags that no row of mine/train.jsonl has, so that they cannot be learnt: B-ART" in loaded.notes


@pytest.mark.parametrize(("words", "tags"), [("json", "json"), ("blanks", "json"), ("json", "blanks")])
def test_a_cell_of_a_table_holds_a_json_list_or_parts_between_blanks(words: str, tags: str, tmp_path: Path) -> None:
    write = {"json": lambda each: json.dumps(each).replace('"', '""'), "blanks": " ".join}
    lines = ["tokens,ner_tags"]
    for of_words, of_tags in zip(WORDS[:2], TAGS[:2], strict=True):
        lines.append(f'"{write[words](of_words)}","{write[tags](of_tags)}"')
    for name in ("train", "dev"):
        (tmp_path / f"{name}.csv").write_text("\n".join(lines))
    loaded = load_splits(TASK, Settings(data=str(tmp_path)))
    assert loaded.train.columns == {"words": WORDS[:2], "tags": [[1, 2, 0, 0], [3, 0]]}


def test_words_that_only_look_like_json_are_words(tmp_path: Path) -> None:
    for name in ("train", "dev"):
        (tmp_path / f"{name}.tsv").write_text("tokens\tner_tags\n[1]\tO\n[ laughs ]\tO O B-PER\nno\u00a0cut\tO\n")
    loaded = load_splits(TASK, Settings(data=str(tmp_path)))
    assert loaded.train.columns["words"] == [["[1]"], ["[", "laughs", "]"], ["no\u00a0cut"]]


@pytest.mark.parametrize("kind", ["List", "Sequence", "bare"])
def test_a_parquet_file_of_the_datasets_library_brings_its_own_tag_names(kind: str, tmp_path: Path) -> None:
    leaf = {"names": ["B-PER", "O", "I-PER"], "_type": "ClassLabel"}
    feature: Any = [leaf] if kind == "bare" else {"feature": leaf, "_type": kind}
    metadata = {"huggingface": json.dumps({"info": {"features": {"ner_tags": feature}}})}
    table = pa.table({"tokens": [["a", "b"], ["c"]], "ner_tags": [[0, 2], [1]]}).replace_schema_metadata(metadata)
    for name in ("train", "dev"):
        pq.write_table(table, tmp_path / f"{name}.parquet")
    loaded = load_splits(make_task(("O", "B-PER", "I-PER"), COLUMNS), Settings(data=str(tmp_path)))
    assert loaded.train.columns["tags"] == [[1, 2], [0]]
    assert any("mapped by name to O, B-PER, I-PER" in note for note in loaded.notes)
    assert load_splits(FOUND, Settings(data=str(tmp_path))).train.labels == ("B-PER", "O", "I-PER")
    with pytest.raises(InputError, match="B-PER, O, I-PER"):
        load_splits(make_task(("O", "B-LOC"), COLUMNS), Settings(data=str(tmp_path)))


@pytest.mark.parametrize("words", [None, [], "", " ", 7, ["a", None], ["a", 3], ["a", ["b"]], ["\ud800"]])
def test_words_that_cannot_be_are_refused_with_row_and_value(words: Any, load: Any) -> None:
    said = refusal(load, words, ["O"])
    assert "'tokens'" in said.expected
    assert said.found.startswith("mine/train.jsonl, row 2: words ")
    assert said.change


@pytest.mark.parametrize("tags", [None, [], "", 7, [None], [-1], ["O", ""], {"a": 1}])
def test_missing_tags_are_refused_with_row_and_value(tags: Any, load: Any) -> None:
    said = refusal(load, ["a", "b"], tags)
    assert said.expected == f"a tag for every word: one of {', '.join(NAMES)}"
    assert said.found.startswith("mine/train.jsonl, row 2: tags ")


@pytest.mark.parametrize(
    ("tag", "expected", "shown"),
    [
        ("B-PRE", "did you mean B-PER?", "'B-PRE'"),
        (9, "one of", "9"),
        (True, "one of", "True"),
        (["O"], "one of", "['O']"),
    ],
)
def test_a_value_that_is_no_tag_is_refused_with_the_near_name(tag: Any, expected: str, shown: str, load: Any) -> None:
    said = refusal(load, ["a", "b"], ["O", tag])
    assert expected in said.expected
    assert said.found == f"mine/train.jsonl, row 2: tag {shown}"
    assert "--columns tags=COLUMN" in said.change


def test_more_or_fewer_tags_than_words_are_refused_with_both_numbers(load: Any) -> None:
    said = refusal(load, ["a", "b", "c"], ["O", "O"])
    assert said.expected == "as many tags in 'ner_tags' as words"
    assert said.found == "mine/train.jsonl, row 2: 3 words, 2 tags"


def test_the_same_tag_at_every_word_cannot_be_learnt(load: Any) -> None:
    rows = rows_of(WORDS, [["O"] * len(words) for words in WORDS])
    with pytest.raises(InputError, match="all of them O"):
        load(rows, rows, task=TASK)


@pytest.mark.parametrize("hidden", [None, [-1, -1], []])
def test_a_test_split_without_tags_is_said_to_be_hidden(hidden: Any, load: Any) -> None:
    rows = GOOD * 10
    loaded = load(rows, GOOD, rows_of([["a", "b"]], [hidden]), task=TASK, keep="best")
    assert any("hidden" in note for note in loaded.notes)
    assert (len(loaded.train), len(loaded.dev), len(loaded.test)) == (27, 3, 3)


def test_tagged_rows_are_drawn_and_digested(load: Any) -> None:
    rows = GOOD * 10
    loaded = load(rows, GOOD, task=TASK, train_rows=5)
    assert len(loaded.train) == 5
    changed = [*rows[:-1], rows_of([["", "\u00a0"]], [["O", "B-LOC"]])[0]]
    assert load(changed, GOOD, task=TASK).fingerprint != load(rows, GOOD, task=TASK).fingerprint


# --- schemes

SCHEMES = [
    ("IOB2", ["B-PER I-PER O B-PER B-PER", "O O"]),
    ("IOB1", ["I-PER I-PER O I-LOC B-LOC I-PER"]),
    ("IOB1", ["O I-PER"]),
    ("IOB2", ["B-PER O", "I-PER O", "B-LOC O"]),
    ("IOBES", ["B-PER E-PER O S-LOC", "B-PER I-PER E-PER"]),
    ("BILOU", ["B-PER L-PER O U-LOC"]),
    (None, ["NOUN VERB"]),
    (None, ["O O"]),
    (None, ["B-PER PER O"]),
    (None, []),
]


@pytest.mark.parametrize(("scheme", "sentences"), SCHEMES)
def test_the_scheme_is_told_from_the_tags(scheme: str | None, sentences: list[str]) -> None:
    assert find_scheme(sentence.split() for sentence in sentences) == scheme


def tagged(*sentences: str) -> Rows:
    names = tuple(dict.fromkeys(" ".join(sentences).split()))
    tags = [[names.index(tag) for tag in sentence.split()] for sentence in sentences]
    load_numbers = pa.array(range(10, 10 + len(tags))).to_numpy()
    return Rows({"tags": tags}, "train.txt", load_numbers, names)


def test_scheme_entities_and_ill_formed_sequences_are_said() -> None:
    rows = tagged("B-PER I-PER O B-PER", "O I-LOC I-LOC", "B-LOC I-PER O", "B-PER B-LOC")
    assert describe_tags(rows) == [
        "tags: IOB2; PER 4, LOC 3; 2 tags begin with I- instead of B-, first in train.txt row 11"
    ]
    assert describe_tags(tagged("I-PER B-PER O I-LOC")) == ["tags: IOB1; PER 2, LOC 1"]
    assert describe_tags(tagged("I-PER O I-PER O B-LOC")) == [
        "tags: IOB1; PER 2, LOC 1; 1 tags begin with B- instead of I-, first in train.txt row 10"
    ]
    assert describe_tags(tagged("S-PER B-LOC O", "O E-PER")) == [
        "tags: IOBES; PER 2, LOC 1; 2 tags cannot follow the previous tag, first in train.txt row 10"
    ]
    assert describe_tags(tagged("NOUN VERB", "NOUN")) == ["tags: plain tags; NOUN 2, VERB 1"]


def test_of_other_splits_only_faults_and_another_scheme_are_said() -> None:
    assert describe_tags(tagged("B-PER I-PER O"), only_faults=True, known="IOB2") == []
    assert describe_tags(tagged("O O"), only_faults=True, known="IOB2") == []
    said = describe_tags(tagged("I-PER I-PER O"), only_faults=True, known="IOB2")
    assert said == ["tags of train.txt: IOB1, but IOB2 in the train rows"]


def _write(entities: list[tuple[str, int]], scheme: str) -> list[str]:
    """Entities (type, words; "" for words outside) as tags."""
    tags: list[str] = []
    for kind, length in entities:
        if not kind:
            tags += ["O"] * length
        elif scheme == "IOB2":
            tags += [f"B-{kind}"] + [f"I-{kind}"] * (length - 1)
        elif scheme == "IOB1":
            behind = bool(tags) and tags[-1][1:] == f"-{kind}"
            tags += [f"{'B' if behind else 'I'}-{kind}"] + [f"I-{kind}"] * (length - 1)
        elif length == 1:
            tags += [f"S-{kind}"]
        else:
            tags += [f"B-{kind}", *[f"I-{kind}"] * (length - 2), f"E-{kind}"]
    return tags


ENTITIES = st.lists(st.tuples(st.sampled_from(["", "PER", "LOC"]), st.integers(1, 3)), min_size=1, max_size=8)


@given(st.lists(ENTITIES, min_size=1, max_size=5), st.sampled_from(["IOB1", "IOB2", "IOBES"]))
def test_well_formed_tags_of_any_scheme_count_their_entities_and_have_no_fault(
    sentences: list[list[tuple[str, int]]], scheme: str
) -> None:
    written = [" ".join(_write(entities, scheme)) for entities in sentences]
    counts = {kind: sum(each == kind for entities in sentences for each, _ in entities) for kind in ("PER", "LOC")}
    if not any(counts.values()):
        return
    (said,) = describe_tags(tagged(*written))
    assert "first in" not in said
    for kind, count in counts.items():
        assert (f"{kind} {count}" in said) == (count > 0)
