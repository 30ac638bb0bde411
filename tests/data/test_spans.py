"""Character offsets, as tools for labelling export them, to words and tags."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.conftest import make_task, said, to_jsonl
from tlnlp.commands.guess_task import guess_recipe
from tlnlp.data import Splits, load_splits
from tlnlp.data.split_words import split_words
from tlnlp.errors import InputError
from tlnlp.settings import Settings
from tlnlp.task import Columns

TASK = make_task(None, Columns(words="words", tags="tags"))
# Texts, their spans, and the words and tags that these are.
TEXTS = ["Anna Lee lives in Rome.", "It's New  York!", "Nobody."]
SPANS = [[(0, 8, "PER"), (18, 22, "LOC")], [(5, 14, "LOC")], []]
WORDS = [["Anna", "Lee", "lives", "in", "Rome", "."], ["It", "'", "s", "New", "York", "!"], ["Nobody", "."]]
TAGS = [["B-PER", "I-PER", "O", "O", "B-LOC", "O"], ["O", "O", "O", "B-LOC", "I-LOC", "O"], ["O", "O"]]


def load_file(path: Path, **settings: Any) -> Splits:
    folder = path.parent / "both"
    folder.mkdir(exist_ok=True)
    for split in ("train", "dev"):
        (folder / f"{split}{path.suffix}").write_bytes(path.read_bytes())
    return load_splits(TASK, Settings(data=str(folder), **settings))


def tags_of(loaded: Splits) -> list[list[str]]:
    names = loaded.train.labels or ()
    return [[names[tag] for tag in tags] for tags in loaded.train.columns["tags"]]


def labelled(text: str, spans: list[tuple[int, int, str]], more: dict[str, Any] | None = None) -> dict[str, Any]:
    """A task of label-studio."""
    result = [
        {
            "type": "labels",
            "value": {"start": start, "end": end, "text": text[start:end], "labels": [label]},
            "from_name": "label",
            "to_name": "text",
        }
        for start, end, label in spans
    ]
    relation = {"type": "relation", "from_id": "a", "to_id": "b", "labels": ["x"]}
    choice = {"type": "choices", "value": {"choices": ["news"]}}
    done = {"id": 1, "was_cancelled": False, "result": [*result, relation, choice], **(more or {})}
    cancelled = {"id": 2, "was_cancelled": True, "result": []}
    return {"id": 7, "data": {"text": text}, "annotations": [cancelled, done], "predictions": []}


def objects(spans: list[tuple[int, int, str]], names: tuple[str, str, str]) -> list[dict[str, Any]]:
    return [dict(zip(names, span, strict=True)) for span in spans]


def prodigy(text: str, spans: list[tuple[int, int, str]]) -> dict[str, Any]:
    words = split_words(text)
    return {
        "text": text,
        "_input_hash": 5,
        "tokens": [{"text": w, "start": first, "end": last, "id": i} for i, (w, first, last) in enumerate(words)],
        "spans": objects(spans, ("start", "end", "label")),
        "answer": "accept",
    }


ROWS = list(zip(TEXTS, SPANS, strict=True))
EXPORTS: dict[str, tuple[str, str]] = {
    "doccano": ("jsonl", to_jsonl([{"id": 1, "text": t, "label": s, "Comments": []} for t, s in ROWS])),
    "doccano, older": ("jsonl", to_jsonl([{"text": t, "labels": s} for t, s in ROWS])),
    "doccano with relations": (
        "jsonl",
        to_jsonl(
            [
                {"text": t, "entities": objects(s, ("start_offset", "end_offset", "label")), "relations": []}
                for t, s in ROWS
            ]
        ),
    ),
    "label-studio": ("json", json.dumps([labelled(t, s) for t, s in ROWS])),
    "label-studio, small": (
        "json",
        json.dumps(
            [
                {"id": 1, "text": t, "label": [{"start": a, "end": b, "text": t[a:b], "labels": [c]} for a, b, c in s]}
                for t, s in ROWS
            ]
        ),
    ),
    "prodigy": ("jsonl", to_jsonl([prodigy(t, s) for t, s in ROWS])),
    "spaCy": ("json", json.dumps([[t, {"entities": s}] for t, s in ROWS])),
    "spaCy, a pair a line": ("jsonl", "\n".join(json.dumps([t, {"entities": s}]) for t, s in ROWS)),
    "spaCy's annotator": (
        "json",
        json.dumps({"classes": ["PER"], "annotations": [None, *([t, {"entities": s}] for t, s in ROWS)]}),
    ),
    "Dataturks": (
        "jsonl",
        to_jsonl(
            [
                {
                    "content": t,
                    "annotation": [
                        {"label": [c], "points": [{"start": a, "end": b - 1, "text": t[a:b]}]} for a, b, c in s
                    ]
                    or None,
                }
                for t, s in ROWS[:2]
            ]
            + [{"content": TEXTS[2], "annotation": []}]
        ),
    ),
    "Hugging Face": (
        "jsonl",
        to_jsonl([{"text": t, "entities": objects(s, ("start", "end", "entity_group"))} for t, s in ROWS]),
    ),
}


@pytest.mark.parametrize("tool", EXPORTS)
def test_each_tools_export_becomes_words_and_tags(tool: str, tmp_path: Path) -> None:
    ending, content = EXPORTS[tool]
    path = tmp_path / f"a.{ending}"
    path.write_text(content)
    loaded = load_file(path)
    assert loaded.train.columns["words"] == WORDS
    assert tags_of(loaded) == TAGS
    assert said(loaded.notes, f"both/train.{ending}: 3 spans of ", " read as words with IOB2 tags")
    assert not said(loaded.notes, "cut a word")
    assert guess_recipe(path, {}).task.name == "tagging"


@pytest.mark.parametrize("write", [str, json.dumps])
def test_spans_as_text_in_a_table_are_read_and_the_columns_may_be_named(write: Any, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([["body", "marks"], *([text, write(spans)] for text, spans in ROWS)])
    loaded = load_file(path, columns=("words=body", "tags=marks"))
    assert loaded.train.columns["words"] == WORDS
    assert tags_of(loaded) == TAGS


def test_a_column_of_labels_for_whole_texts_is_not_taken_for_spans(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(to_jsonl([{"text": f"t {i}", "label": ["Positive", "Negative"][i % 2 :][:1]} for i in range(20)]))
    assert guess_recipe(path, {}).task.name == "sentences"


# --- what does not fit


def load_rows(tmp_path: Path, *rows: dict[str, Any]) -> Splits:
    path = tmp_path / "a.jsonl"
    good = {"text": TEXTS[0], "label": SPANS[0]}
    path.write_text(to_jsonl([good, *rows]))
    return load_file(path)


def test_a_span_that_cuts_a_word_is_widened_and_said_with_its_row(tmp_path: Path) -> None:
    loaded = load_rows(
        tmp_path, {"text": "Roman Anna, Berliner", "label": [[0, 4, "LOC"], [5, 11, "PER"], [12, 18, "LOC"]]}
    )
    assert loaded.train.columns["words"][1] == ["Roman", "Anna", ",", "Berliner"]
    assert tags_of(loaded)[1] == ["B-LOC", "B-PER", "I-PER", "B-LOC"]  # of the space before Anna nothing is said
    assert said(loaded.notes, "2 spans cut a word: row 2: LOC 'Berlin', widened to 'Berliner'")


def test_of_overlapping_spans_the_longest_is_kept_and_the_others_said(tmp_path: Path) -> None:
    spans = [[0, 3, "ORG"], [0, 13, "ORG"], [9, 13, "LOC"], [0, 13, "ORG"], [0, 13, "GPE"]]
    loaded = load_rows(tmp_path, {"text": "Bank and Rome came.", "label": spans})
    assert tags_of(loaded)[1] == ["B-ORG", "I-ORG", "I-ORG", "O", "O"] or tags_of(loaded)[1][0] == "B-GPE"
    assert said(loaded.notes, "of overlapping spans only the longest is used; left out: row 2: ")


OUTSIDE = [
    ([[0, 99, "PER"]], "PER at 0 to 99 of a text of 9 characters"),
    ([[-2, 3, "PER"]], "PER at -2 to 3"),
    ([[4, 4, "PER"]], "PER at 4 to 4"),
    ([[5, 3, "PER"]], "PER at 5 to 3"),
    ([[4, 5, "PER"]], "' ', where no word is"),
    ([{"start": 0, "end": 4, "label": "PER", "text": "Anne"}], "PER at 0 to 4 is 'Anne', but the text has 'Anna'"),
]


@pytest.mark.parametrize(("spans", "found"), OUTSIDE)
def test_a_span_that_does_not_lie_in_its_text_is_refused_with_its_row(
    spans: list[Any], found: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as refused:
        load_rows(tmp_path, {"text": "Anna came", "label": spans})
    assert refused.value.found.startswith("both/train.jsonl, row 2: ") and found in refused.value.found
    assert "lie in their text" in refused.value.expected and refused.value.change


@pytest.mark.parametrize(
    "spans", [[[0, "x", "PER"]], [[0, 4]], [["PER"]], [{"start": 0, "label": "PER"}], "x", 7, [[0, 4, ""]]]
)
def test_what_is_no_span_is_refused_with_its_row(spans: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"row 2: ") as refused:
        load_rows(tmp_path, {"text": "Anna came", "label": spans})
    assert "[[start, end, label], ...]" in refused.value.expected


def test_offsets_that_cut_most_words_are_those_of_another_text(tmp_path: Path) -> None:
    rows = [{"text": "Anna came here", "label": [[1, 3, "PER"], [6, 7, "X"]]}] * 3
    with pytest.raises(InputError) as refused:
        load_rows(tmp_path, *rows)
    assert "6 of 8 cut words" in refused.value.found


def test_offsets_in_utf16_units_are_known_by_the_words_and_said(tmp_path: Path) -> None:
    text = "🙂🙂 Anna came"
    given_text = {"start": 5, "end": 9, "label": "PER", "text": "Anna"}
    for spans in ([[5, 9, "PER"]], [given_text]):
        loaded = load_rows(tmp_path, {"text": text, "label": spans})
        assert tags_of(loaded)[1] == ["O", "O", "B-PER", "O"]
        assert said(loaded.notes, "1 rows have offsets in UTF-16 units")
    loaded = load_rows(tmp_path, {"text": text, "label": [[3, 7, "PER"]]})
    assert tags_of(loaded)[1] == ["O", "O", "B-PER", "O"] and not said(loaded.notes, "UTF-16")


def test_rows_that_nobody_annotated_or_accepted_are_left_out_and_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(
        to_jsonl(
            [prodigy(*ROWS[0]), {**prodigy(*ROWS[1]), "answer": "reject"}, {**prodigy(*ROWS[2]), "answer": "ignore"}]
        )
    )
    loaded = load_file(path)
    assert loaded.train.columns["words"] == WORDS[:1]
    assert said(loaded.notes, "2 rows that were not accepted left out")
    (tmp_path / "two").mkdir()
    path = tmp_path / "two" / "a.json"
    tasks = [labelled(*ROWS[0]), {**labelled(*ROWS[1]), "annotations": []}, labelled(" ", []), labelled(*ROWS[2])]
    other = {
        "id": 3,
        "was_cancelled": False,
        "result": labelled(*ROWS[0])["annotations"][1]["result"][:1],
        "ground_truth": True,
    }
    tasks[0]["annotations"].append(other)
    path.write_text(json.dumps(tasks))
    loaded = load_file(path)
    assert loaded.train.columns["words"] == [WORDS[0], WORDS[2]]
    assert loaded.train.numbers.tolist() == [1, 4]
    assert tags_of(loaded)[0] == ["B-PER", "I-PER", "O", "O", "O", "O"]  # of the annotation that is called the truth
    assert said(loaded.notes, "1 rows have more than one annotation")
    assert said(loaded.notes, "1 rows without an annotation left out")
    assert said(loaded.notes, "1 rows without a word left out")


def test_the_words_of_the_source_are_used(tmp_path: Path) -> None:
    row = prodigy("Roman-born Anna", [(0, 10, "MISC")])
    row["tokens"] = [{"text": "Roman-born", "start": 0, "end": 10}, {"text": "Anna", "start": 11, "end": 15}]
    path = tmp_path / "a.jsonl"
    path.write_text(to_jsonl([row, row]))
    assert load_file(path).train.columns["words"] == [["Roman-born", "Anna"]] * 2


# --- brat


def write_brat(folder: Path, content: dict[str, tuple[str, str]]) -> Path:
    folder.mkdir(parents=True)
    for name, (text, annotations) in content.items():
        (folder / f"{name}.txt").write_bytes(text.encode())
        (folder / f"{name}.ann").write_bytes(annotations.encode())
    return folder


def ann(text: str, spans: list[tuple[int, int, str]]) -> str:
    return "".join(f"T{i}\t{c} {a} {b}\t{text[a:b]}\n" for i, (a, b, c) in enumerate(spans, 1))


BRAT = {f"d{i}": (text, ann(text, spans)) for i, (text, spans) in enumerate(ROWS)}


def test_brats_folders_are_read_alone_or_a_folder_for_each_split(tmp_path: Path) -> None:
    for split in ("train", "dev"):
        write_brat(tmp_path / "both" / split, BRAT)
    loaded = load_splits(TASK, Settings(data=str(tmp_path / "both")))
    assert loaded.train.columns["words"] == WORDS == loaded.dev.columns["words"]
    assert tags_of(loaded) == TAGS
    alone = load_splits(TASK, Settings(data=str(tmp_path / "both" / "train"), dev_fraction=0.4))
    assert len(alone.train) + len(alone.dev) == 3
    assert said(alone.notes, "train: 3 texts with brat's annotations")
    assert guess_recipe(tmp_path / "both" / "train", {}).task.name == "tagging"


def test_what_brat_has_besides_spans_is_said(tmp_path: Path) -> None:
    text = "A bad knee and hip.\r\nNo pain."
    more = "T1\tSIGN 2 10;15 18\tbad knee hip\nT2\tSIGN 24 28\tpain\nR1\tX Arg1:T1 Arg2:T2\n#1\tNote T1\tx\n\n"
    folder = write_brat(tmp_path / "both" / "train", {"d": (text, more), **BRAT})
    write_brat(tmp_path / "both" / "dev", BRAT)
    (folder / "new.txt").write_text("Not annotated.")
    loaded = load_splits(TASK, Settings(data=str(tmp_path / "both")))
    assert tags_of(loaded)[0] == ["O", *["B-SIGN"], *["I-SIGN"] * 3, "O", "O", "B-SIGN", "O"]
    assert said(loaded.notes, "1 discontinuous spans", "d.ann, line 1: ")
    assert said(loaded.notes, "2 lines of relations, events, attributes and comments not used")
    assert said(loaded.notes, "1 texts without an .ann file not used, first new.txt")


def test_brats_faults_are_named_with_file_and_line(tmp_path: Path) -> None:
    folder = write_brat(tmp_path / "a" / "train", {**BRAT, "d9": ("Anna", "T1\tPER 0 4\tAnna\nT2 PER 0 4\n")})
    with pytest.raises(InputError, match=r"train/d9.ann, line 2: 'T2 PER 0 4'"):
        load_splits(TASK, Settings(data=str(tmp_path / "a")))
    (folder / "d9.txt").unlink()
    with pytest.raises(InputError, match=r"no d9.txt"):
        load_splits(TASK, Settings(data=str(tmp_path / "a")))
    write_brat(tmp_path / "b" / "train", {"d": ("Anna", "T1\tPER 0 4\tAnne\n"), **BRAT})
    with pytest.raises(InputError, match=r"row 1: d.txt: PER at 0 to 4 is 'Anne'"):
        load_splits(TASK, Settings(data=str(tmp_path / "b")))
    with pytest.raises(InputError, match="brat's annotations"):
        load_splits(TASK, Settings(data=str(tmp_path / "b" / "train" / "d.ann")))


# --- words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("It's 3.5 km-long!", ["It", "'", "s", "3", ".", "5", "km", "-", "long", "!"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("cafe\u0301s, nai\u0308ve", ["cafe\u0301s", ",", "nai\u0308ve"]),
        ("東京とRome", ["東", "京", "と", "Rome"]),
        ("a\u00a0b\tc\n d", ["a", "b", "c", "d"]),
        ("🙂ok", ["🙂", "ok"]),
        ("", []),
    ],
)
def test_words_end_at_spaces_and_punctuation(text: str, words: list[str]) -> None:
    assert [word for word, _, _ in split_words(text)] == words


@given(st.text(max_size=30))
def test_words_stand_where_they_are_said_to_and_nothing_but_space_is_between_them(text: str) -> None:
    words = split_words(text)
    assert all(text[first:last] == word and word for word, first, last in words)
    bounds = [0, *(place for _, first, last in words for place in (first, last)), len(text)]
    assert bounds == sorted(bounds)
    assert not "".join(text[a:b] for a, b in zip(bounds[::2], bounds[1::2], strict=True)).strip()


@given(
    st.lists(
        st.lists(
            st.tuples(
                st.sampled_from(["Anna", "été", "हिन्दी", "x1", "🙂", "(", "Rome"]),
                st.sampled_from(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]),
            ),
            min_size=1,
            max_size=8,
        ),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from(["doccano", "label-studio", "prodigy", "spaCy", "brat"]),
    st.sampled_from([" ", "  ", "\n"]),
)
def test_any_entities_survive_being_written_as_offsets(
    tmp_path_factory: Any, drawn: list[list[tuple[str, str]]], tool: str, space: str
) -> None:
    rows, words, tags = [], [], []
    for sentence in [[("Anna", "B-PER"), ("x", "O")], *drawn]:
        text, spans, of_row = "", [], []
        for word, tag in sentence:
            goes_on = tag[0] == "I" and bool(of_row) and of_row[-1][1:] == tag[1:]
            tag = f"B{tag[1:]}" if tag[0] == "I" and not goes_on else tag
            start = len(text)
            text += word + space
            if goes_on:
                spans[-1] = (spans[-1][0], start + len(word), tag[2:])
            elif tag != "O":
                spans.append((start, start + len(word), tag[2:]))
            of_row.append(tag)
        rows.append((text, spans))
        words.append([word for word, _ in sentence])
        tags.append(of_row)
    folder = tmp_path_factory.mktemp("spans")
    if tool == "brat":
        for split in ("train", "dev"):
            write_brat(
                folder / split,
                {f"{i:03}": (text, ann(text.replace("\n", " "), spans)) for i, (text, spans) in enumerate(rows)},
            )
        loaded = load_splits(TASK, Settings(data=str(folder)))
    else:
        write = {"doccano": lambda t, s: {"text": t, "label": s}, "label-studio": labelled, "prodigy": prodigy}
        found = [write[tool](*row) for row in rows] if tool in write else [[t, {"entities": s}] for t, s in rows]
        (folder / "a.json").write_text(json.dumps(found))
        loaded = load_file(folder / "a.json")
    assert loaded.train.columns["words"] == words
    assert tags_of(loaded) == tags


def test_one_of_several_texts_of_label_studio_is_named(tmp_path: Path) -> None:
    tasks = [{**labelled(*row), "data": {"body": row[0], "url": "https://a.example"}} for row in ROWS]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(tasks))
    with pytest.raises(InputError, match="'data' has body, url") as refused:
        load_file(path)
    assert refused.value.change == "name it: --columns words=body"
    assert load_file(path, columns=("words=body",)).train.columns["words"] == WORDS
