"""Words and tags as people's tables have them: lists as text, one word in each row, numbers in the place of names."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.data.conftest import make_task, said, to_jsonl
from tlnlp.commands.guess_task import guess_recipe
from tlnlp.data import Splits, load_splits
from tlnlp.data.files import read_file
from tlnlp.data.shapes import shape_inputs
from tlnlp.data.tag_names import standard_names
from tlnlp.errors import InputError
from tlnlp.settings import Settings
from tlnlp.task import Columns

TASK = make_task(None, Columns(words="words", tags="tags"))
WORDS = [["Anna", "visits", "Rome"], ["It's", '"so"', ",", "[1]"], ["Bob"]]
TAGS = [["B-PER", "O", "B-LOC"], ["O", "O", "O", "B-LOC"], ["B-PER"]]


def both(path: Path) -> Path:
    """Returns a folder with the file as train and dev rows."""
    folder = path.parent / path.suffix[1:] / "both"
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "dev"):
        (folder / f"{split}{path.suffix}").write_bytes(path.read_bytes())
    return folder


def load_file(path: Path, **settings: Any) -> Splits:
    return load_splits(TASK, Settings(data=str(both(path)), **settings))


def refusal(path: Path, **settings: Any) -> InputError:
    with pytest.raises(InputError) as refused:
        load_file(path, **settings)
    assert refused.value.expected and refused.value.change
    return refused.value


def tags_of(loaded: Splits) -> list[list[str]]:
    names = loaded.train.labels or ()
    return [[names[tag] for tag in tags] for tags in loaded.train.columns["tags"]]


def write_csv(path: Path, header: list[str], rows: list[list[Any]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


# --- lists as text

SPELLINGS = {
    "numpy": lambda values: str(np.array(values, dtype=object)),
    "python": str,
    "json": json.dumps,
    "array": lambda values: repr(np.array(values, dtype=object)),
    "tuple": lambda values: str(tuple(values)),
}


@pytest.mark.parametrize("words", SPELLINGS)
@pytest.mark.parametrize("tags", ["numpy", "json"])
def test_lists_as_text_are_read_in_each_spelling(words: str, tags: str, tmp_path: Path) -> None:
    rows = [[SPELLINGS[words](w), SPELLINGS[tags](t)] for w, t in zip(WORDS, TAGS, strict=True)]
    loaded = load_file(write_csv(tmp_path / "a.csv", ["words", "tags"], rows))
    assert loaded.train.columns["words"] == WORDS
    assert tags_of(loaded) == TAGS


UNREAD = [
    ("['Anna' ... 'Rome']", "['B-PER' 'O' 'B-LOC']", "words", "numpy shortened"),
    ("['Anna', 'visits'", "['B-PER', 'O']", "words", "'Anna'"),
    ("['Anna', 3]", "['B-PER', 'O']", "words", "a list of str"),
    ("['Anna', 'Rome']", "[O, B-LOC]", "tags", "O has no quotes"),
    ("[Anna, Rome]", "['O', 'B-LOC']", "words", "Anna has no quotes"),
    ("['Anna', None]", "['O', 'B-LOC']", "words", "a list of str"),
]


@pytest.mark.parametrize(("words", "tags", "role", "why"), UNREAD)
def test_a_text_that_is_meant_as_a_list_is_never_split_at_its_spaces(
    words: str, tags: str, role: str, why: str, tmp_path: Path
) -> None:
    rows = [["['Anna', 'Rome']", "['B-PER', 'B-LOC']"]] * 3
    refused = refusal(write_csv(tmp_path / "a.csv", ["words", "tags"], [*rows, [words, tags]]))
    assert refused.expected.startswith(role)
    assert "train.csv, row 4: " in refused.found and why in refused.found


def test_where_all_rows_stand_between_brackets_they_are_lists_without_quotes_too(tmp_path: Path) -> None:
    rows = [["[Anna, Rome]", "[B-PER, B-LOC]"]] * 3
    assert "row 1" in refusal(write_csv(tmp_path / "a.csv", ["words", "tags"], rows)).found


WORD = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), min_size=1, max_size=6)
SENTENCES = st.lists(
    st.lists(st.tuples(WORD, st.sampled_from(["O", "B-PER", "I-PER"])), min_size=2, max_size=5), min_size=1, max_size=4
)


@given(SENTENCES, st.sampled_from(["numpy", "python", "json"]))
def test_any_words_and_tags_survive_the_way_through_a_csv_file(
    tmp_path_factory: Any, drawn: list[list[tuple[str, str]]], spelling: str
) -> None:
    sentences = [[("a", "O"), ("b", "B-PER")], *drawn]
    write = SPELLINGS[spelling]
    with np.printoptions(threshold=10**9, linewidth=10**9):
        rows = [[write([word for word, _ in each]), write([tag for _, tag in each])] for each in sentences]
    loaded = load_file(write_csv(tmp_path_factory.mktemp("csv") / "a.csv", ["words", "tags"], rows))
    assert loaded.train.columns["words"] == [[word for word, _ in each] for each in sentences]
    assert tags_of(loaded) == [[tag for _, tag in each] for each in sentences]


# --- numbers in the place of names

NAMES = ("O", "B-PER", "I-PER", "B-LOC")
NUMBERS = [[1, 2, 0], [0, 3], [0, 0]]


@pytest.mark.parametrize("kind", ["jsonl", "csv", "conll"])
def test_tags_that_are_numbers_need_names(kind: str, tmp_path: Path) -> None:
    words = [["a"] * len(tags) for tags in NUMBERS]
    path = tmp_path / f"a.{kind}"
    if kind == "jsonl":
        path.write_text(to_jsonl([{"words": w, "tags": t} for w, t in zip(words, NUMBERS, strict=True)]))
    elif kind == "csv":
        write_csv(path, ["words", "tags"], [[w, np.array(t)] for w, t in zip(words, NUMBERS, strict=True)])
    else:
        path.write_text("\n\n".join("\n".join(f"a {tag}" for tag in tags) for tags in NUMBERS))
    refused = refusal(path)
    assert "tag 0; all tags are numbers (0, 1, 2, 3)" in refused.found
    assert refused.found.startswith(
        "both/train.conll, line 3" if kind == "conll" else f"both/train.{kind}, row 1, word 3"
    )
    assert "--label-names O B-PER" in refused.change
    loaded = load_file(path, label_names=NAMES)
    assert tags_of(loaded) == [["B-PER", "I-PER", "O"], ["O", "B-LOC"], ["O", "O"]]
    assert "tag 3" in refusal(path, label_names=NAMES[:3]).found


def test_labels_that_are_numbers_may_have_names(tmp_path: Path) -> None:
    for form, values in ("csv", ("0", "1")), ("jsonl", (0, 1)):
        rows = [{"sentence": f"text {i}", "label": values[i % 2]} for i in range(6)]
        path = tmp_path / f"a.{form}"
        path.write_text(to_jsonl(rows))
        if form == "csv":
            write_csv(path, ["sentence", "label"], [list(row.values()) for row in rows])
        task = make_task(None, Columns(text="sentence", label="label"))
        loaded = load_splits(task, Settings(data=str(path), label_names=("no", "yes"), dev_fraction=0.4))
        assert loaded.train.labels == ("no", "yes")
        assert {loaded.train.labels[label] for label in loaded.train.columns["label"]} == {"no", "yes"}


OUTSIDE = [
    (["B-PER", "0", "O"], "0", 2),
    (["B-PER", "0", "0"], "0", 2),
    (["PER", "O", "0"], "0", 3),
    (["B-PER", "I-PER", "_"], "_", 3),
    (["B-PER", "o", "O"], "o", 2),
    (["OTHER", "B-PER", "I-PER"], "OTHER", 1),
    (["PER-B", "PER-I", "_"], "_", 3),
    (["background", "B-PER", "I-PER"], "background", 1),
]


@pytest.mark.parametrize(("tags", "wrong", "word"), OUTSIDE)
def test_another_name_for_words_outside_of_entities_is_refused_with_its_line(
    tags: list[str], wrong: str, word: int, tmp_path: Path
) -> None:
    path = tmp_path / "a.conll"
    path.write_text("\n\n" + "\n".join(f"w {tag}" for tag in tags))
    refused = refusal(path)
    assert refused.found.startswith(f"both/train.conll, line {word + 2}: tag {wrong!r}")
    path = tmp_path / "a.jsonl"
    path.write_text(to_jsonl([{"words": ["w"] * len(tags), "tags": tags}]))
    assert f"row 1, word {word}: tag {wrong!r}" in refusal(path).found


@pytest.mark.parametrize("tags", [["NOUN", "VERB", "X"], ["B-PER", "O", "PER"], ["$", "CD", "."], ["O", "PER", "_"]])
def test_plain_tags_are_left_alone(tags: list[str], tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(to_jsonl([{"words": ["w"] * len(tags), "tags": tags}] * 2))
    assert tags_of(load_file(path)) == [tags] * 2


# --- other spellings of a scheme

SPELT = {
    "suffix": "{kind}-{letter}",
    "underscore": "{letter}_{kind}",
    "underscore behind": "{kind}_{letter}",
    "colon": "{letter}:{kind}",
    "slash": "{letter}/{kind}",
}
SCHEMES = {
    "IOB2": ["B-PER", "I-PER", "O", "B-LOC"],
    "IOBES": ["B-PER", "E-PER", "O", "S-LOC", "B-LOC", "I-LOC", "E-LOC"],
    "BILOU": ["B-PER", "L-PER", "O", "U-LOC"],
}


@pytest.mark.parametrize("spelling", SPELT)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_tags_in_another_spelling_of_their_scheme_are_read_with_the_letter_first(
    scheme: str, spelling: str, tmp_path: Path
) -> None:
    tags = SCHEMES[scheme]
    written = [
        SPELT[spelling].format(kind=tag[2:], letter=tag[0]) if tag != "O" else "O" for tag in tags
    ]  # fmt: skip
    path = tmp_path / "a.jsonl"
    path.write_text(to_jsonl([{"words": ["w"] * len(tags), "tags": written}] * 2))
    loaded = load_file(path)
    assert tags_of(loaded) == [tags] * 2
    assert said(loaded.notes, "both/train.jsonl: tags are read with their letter first: ", " as ")
    assert said(loaded.notes, f"tags: {scheme}; ")


@pytest.mark.parametrize(
    ("written", "standard"),
    [
        ("B-PER M-PER E-PER O S-LOC", "B-PER I-PER E-PER O S-LOC"),
        ("B M E S", "B I E S"),
        ("b-per i-per o", "B-per I-per O"),
        ("B-I I-I O", "B-I I-I O"),
        ("NOUN VERB", "NOUN VERB"),
        ("Foo-Bar X-B O", "Foo-Bar X-B O"),
        ("O", "O"),
        ("B-PER-NAME I-PER-NAME O", "B-PER-NAME I-PER-NAME O"),
        ("PER-NAME-B PER-NAME-I O", "B-PER-NAME I-PER-NAME O"),
    ],
)
def test_names_in_the_standard_form(written: str, standard: str) -> None:
    assert standard_names(written.split()) == dict(zip(written.split(), standard.split(), strict=True))


def test_a_task_with_its_own_tags_reads_them_in_another_spelling(tmp_path: Path) -> None:
    task = make_task(("O", "B-PER", "I-PER"), Columns(words="words", tags="tags"))
    path = tmp_path / "a.conll"
    path.write_text("a PER-B\nb PER-I\nc O\n\nd O\ne O\n")
    loaded = load_splits(task, Settings(data=str(both(path))))
    assert loaded.train.columns["tags"] == [[1, 2, 0], [0, 0]]
    assert said(loaded.notes, "PER-B as B-PER, PER-I as I-PER")


def test_io_tags_are_said_to_be_such(tmp_path: Path) -> None:
    path = tmp_path / "a.conll"
    path.write_text("a I-PER\nb I-PER\nc O\n\nd O\ne O\n")
    assert said(load_file(path).notes, "tags: IOB1 without any B-, or IO; PER 1")


# --- one word in each row

FLAT = [
    ("Anna", "B-PER"), ("visits", "O"), ("Rome", "B-LOC"),
    ("Bob", "B-PER"), ("came", "O"),
    ("NA", "O"), ("New York", "B-LOC"), ("null", "O"),
]  # fmt: skip
STARTS = (0, 3, 5)
GROUPED = [["Anna", "visits", "Rome"], ["Bob", "came"], ["NA", "New York", "null"]]
GROUPED_TAGS = [["B-PER", "O", "B-LOC"], ["B-PER", "O"], ["O", "B-LOC", "O"]]
# The value of the sentence column in each row.
COLUMNS = {
    "Sentence #": lambda row: f"Sentence: {STARTS.index(row) + 1}" if row in STARTS else "",
    "sentence_id": lambda row: sum(start <= row for start in STARTS),
    "sent_id": lambda row: sum(start <= row for start in STARTS) % 2,
    "Sentence": lambda row: " ".join(GROUPED[sum(start <= row for start in STARTS) - 1]),
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_one_word_in_each_row_is_grouped_by_the_column_of_sentences(name: str, kind: str, tmp_path: Path) -> None:
    rows = [[COLUMNS[name](row), word, "POS", tag] for row, (word, tag) in enumerate(FLAT)]
    path = write_csv(tmp_path / "a.csv", [name, "Word", "POS", "Tag"], rows)
    if kind == "jsonl":
        path = tmp_path / "a.jsonl"
        path.write_text(
            to_jsonl(
                [dict(zip(("Word", name, "Tag"), (w, None if n == "" else n, t), strict=True)) for n, w, _, t in rows]
            )
        )
    loaded = load_file(path, columns=("words=Word", "tags=Tag"))
    assert loaded.train.columns["words"] == GROUPED
    assert tags_of(loaded) == GROUPED_TAGS
    assert loaded.train.numbers.tolist() == [1, 4, 6]
    assert said(loaded.notes, "8 rows of one word each, grouped to 3 sentences", f"by the column {name!r}")
    assert said(loaded.notes, "an empty cell belongs to the one above") == (name == "Sentence #")
    assert said(loaded.notes, "1 of its values come again further below") == (name == "sent_id")
    recipe = guess_recipe(path, {})
    assert recipe.task.name == "tagging"


def test_another_column_of_sentences_is_chosen(tmp_path: Path) -> None:
    rows = [[sum(start <= row for start in STARTS), *each] for row, each in enumerate(FLAT)]
    path = write_csv(tmp_path / "a.csv", ["block", "words", "tags"], rows)
    assert load_file(path, columns=("sentence=block",)).train.columns["words"] == GROUPED


def test_rows_without_a_word_stand_between_sentences(tmp_path: Path) -> None:
    rows: list[list[Any]] = []
    for row, each in enumerate(FLAT):
        rows += [["", ""]] * (row in STARTS) + [list(each)]
    loaded = load_file(write_csv(tmp_path / "a.csv", ["words", "tags"], rows))
    assert loaded.train.columns["words"] == GROUPED
    assert said(loaded.notes, "grouped to 3 sentences at the rows without word and tag")


def test_a_tag_that_is_wrong_is_named_with_the_row_of_its_word(tmp_path: Path) -> None:
    rows = [[COLUMNS["Sentence #"](row), *each] for row, each in enumerate(FLAT)]
    rows[4][2] = "0"
    path = write_csv(tmp_path / "a.csv", ["Sentence #", "words", "tags"], rows)
    assert "train.csv, row 5: tag '0'" in refusal(path).found


@pytest.mark.parametrize("names", [["words", "tags"], ["sentence_id", "words", "tags"]])
def test_one_word_in_each_row_and_nothing_to_group_by_is_refused(names: list[str], tmp_path: Path) -> None:
    rows = [[row, word, tag][3 - len(names) :] for row, (word, tag) in enumerate(FLAT) if " " not in word]
    refused = refusal(write_csv(tmp_path / "a.csv", names, rows))
    assert "7 rows of one word each, 'Anna', 'visits'" in refused.found
    assert ("'sentence_id' is another one in each row" in refused.found) == (len(names) == 3)
    assert "sentence=COLUMN" in refused.change


def test_a_first_row_of_no_sentence_is_refused(tmp_path: Path) -> None:
    rows = [["", "a", "O"], ["1", "b", "B-X"], ["", "c", "O"]]
    assert "row 1: ''" in refusal(write_csv(tmp_path / "a.csv", ["Sentence #", "words", "tags"], rows)).found


def test_sentences_that_happen_to_have_one_word_are_sentences(tmp_path: Path) -> None:
    rows = [["Hello", "O"], ["Anna came", "B-PER O"], ["Bye", "O"]]
    assert load_file(write_csv(tmp_path / "a.csv", ["words", "tags"], rows)).train.columns["words"][0] == ["Hello"]


def test_quotes_that_are_words_do_not_swallow_the_rows_between_them(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("sentence_id,words,tags\n" + "".join(f'{i},Anna,B-PER\n{i},",O\n{i},so,O\n{i},",O\n' for i in "12"))
    refused = refusal(path)
    assert "row 2: words ',O\\n1,so,O\\n1,' goes over several lines" in refused.found


ROLES = {"words": "tokens", "tags": "tags"}


def test_rows_to_predict_are_brought_to_sentences_too(tmp_path: Path) -> None:
    rows = [[COLUMNS["Sentence #"](row), word] for row, (word, _) in enumerate(FLAT) if " " not in word]
    table = read_file(write_csv(tmp_path / "a.csv", ["Sentence #", "words"], rows))
    shaped = shape_inputs(table, ROLES, {})
    assert shaped.columns["words"] == [*GROUPED[:2], ["NA", "null"]]
    assert said(list(shaped.notes), "7 rows of one word each, grouped to 3 sentences by the column 'Sentence #'")
    (tmp_path / "a.jsonl").write_text(to_jsonl([{"text": "Anna came.", "label": []}, {"text": None}, {"text": " "}]))
    shaped = shape_inputs(read_file(tmp_path / "a.jsonl"), ROLES, {})
    assert shaped.columns["tokens"] == [["Anna", "came", "."], None, []]
    assert said(list(shaped.notes), "'text' split into words")


@pytest.mark.parametrize("words", [["Anna came", "Bob"], [["Anna"], ["Bob"]], ["Anna", "['a']"]])
def test_rows_to_predict_that_are_sentences_already_stay_as_they_are(words: list[Any], tmp_path: Path) -> None:
    rows = [{"words": each, "text": "x", "sentence": 1} for each in words]
    (tmp_path / "a.jsonl").write_text(to_jsonl(rows))
    table = read_file(tmp_path / "a.jsonl")
    assert shape_inputs(table, ROLES, {}) is table
    assert shape_inputs(table, {"text": "text"}, {}) is table


@given(SENTENCES.filter(lambda drawn: len(drawn) > 1), st.sampled_from(["number", "first", "gap"]))
def test_any_words_survive_being_written_one_in_each_row(
    tmp_path_factory: Any, drawn: list[list[tuple[str, str]]], how: str
) -> None:
    # Lines of fields within a word are refused: rows that a quote has swallowed.
    assume(all("\n" not in word or sum(map(word.count, ",;\t|")) < 2 for each in drawn for word, _ in each))
    drawn = [[("a", "B-PER"), ("b", "O")], *([(word, tag) for word, tag in each] for each in drawn)]
    rows: list[list[Any]] = []
    for number, sentence in enumerate(drawn):
        rows += [["", "", ""]] * (how == "gap" and number > 0)
        for place, (word, tag) in enumerate(sentence):
            rows.append([str(number) if how == "number" or (how == "first" and not place) else "", word, tag])
    header = ["x" if how == "gap" else "Sentence #", "words", "tags"]
    loaded = load_file(write_csv(tmp_path_factory.mktemp("flat") / "a.csv", header, rows))
    assert loaded.train.columns["words"] == [[word for word, _ in each] for each in drawn]
    assert tags_of(loaded) == [[tag for _, tag in each] for each in drawn]
