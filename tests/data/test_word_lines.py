"""Files of one word in each line as people have them: comments, a column that counts words, headers, other endings."""

import gzip
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.conftest import make_task
from tlnlp.data import load_splits
from tlnlp.data.bytes_to_text import FileFormat
from tlnlp.data.files import read_file
from tlnlp.data.table import Table
from tlnlp.errors import InputError
from tlnlp.settings import Settings
from tlnlp.task import Columns

TASK = make_task(None, Columns(words="words", tags="tags"))
WORDS = [["Anna", "#", "Rome", "."], ["#win", "came"]]
TAGS = [["B-PER", "O", "B-LOC", "O"], ["O", "O"]]
LINES = [[f"{word} {tag}" for word, tag in zip(*each, strict=True)] for each in zip(WORDS, TAGS, strict=True)]


def read(path: Path, text: str, *, words: bool = True) -> Table:
    path.write_bytes(text.encode())
    return read_file(path, form=FileFormat(words=words))


def text_of(sentences: list[list[str]], before: list[str] | None = None, space: str = " ") -> str:
    before = before or [""] * len(sentences)
    return "\n\n".join(first + "\n".join(lines) for first, lines in zip(before, sentences, strict=True)).replace(
        " ", space
    )


COMMENTS = {
    "ids": ["# id 0\n", "# id 1\n"],
    "ids of four fields": ["# id 4f6e domain=en x\n", "# id 5a3c domain=en x\n"],
    "as many fields as a word": ["# a0\n", "# b1\n"],
    "CoNLL-2012": ["#begin document (bc/cctv/00); part 000\n", "#end document\n"],
    "text": ["# sent_id = 1\n# text = Anna # Rome.\n", "# sent_id = 2\n# text = came\n"],
    "one only": ["# made by hand, 2024\n\n", ""],
}


@pytest.mark.parametrize("kind", COMMENTS)
@pytest.mark.parametrize("name", ["a.conll", "a.txt"])
def test_comments_are_skipped_and_said_and_words_that_begin_so_are_kept(kind: str, name: str, tmp_path: Path) -> None:
    table = read(tmp_path / name, text_of(LINES, COMMENTS[kind]))
    assert (table.columns["words"], table.columns["tags"]) == (WORDS, TAGS)
    count = sum(line.startswith("#") for part in COMMENTS[kind] for line in part.splitlines())
    assert any(f"{name}: {count} comment lines skipped, the first in line 1: '#" in note for note in table.notes)


def test_comments_between_tabs_and_numbers_of_lines_behind_them(tmp_path: Path) -> None:
    sentences = [[f"{i}\t{line}" for i, line in enumerate(lines, 1)] for lines in LINES]
    text = text_of(sentences, ["#\thttp://a.example\t[2009]\t\n", "#\tx\n"], "\t").replace("#\t", "#\t", 1)
    table = read(tmp_path / "germeval.tsv", text)
    assert (table.columns["words"], table.columns["tags"]) == (WORDS, TAGS)
    assert table.word_numbers is not None and table.word_numbers.tolist() == [2, 3, 4, 5, 8, 9]
    assert table.place_of_word(table.columns["words"], 1, 1) == "germeval.tsv, line 9"


def test_a_hash_between_tabs_is_a_word(tmp_path: Path) -> None:
    table = read(tmp_path / "a.conll", "#\tSYM\na\tX\n\n#\tNUM\nb\tX\n")
    assert table.columns["words"] == [["#", "a"], ["#", "b"]] and table.notes == ()


@pytest.mark.parametrize("start", [0, 1, None])
@pytest.mark.parametrize("separator", [" ", "\t"])
def test_a_first_column_that_counts_the_words_is_found_by_its_content(
    start: int | None, separator: str, tmp_path: Path
) -> None:
    number = iter(range(100))
    sentences = [
        [f"{next(number) if start is None else start + i} {line}" for i, line in enumerate(lines)] for lines in LINES
    ]
    table = read(tmp_path / "a.conll", text_of(sentences, space=separator))
    assert (table.columns["words"], table.columns["tags"]) == (WORDS, TAGS)
    assert list(table.columns) == ["index", "words", "tags"]
    assert any("its first column counts the words" in note for note in table.notes)


@pytest.mark.parametrize("text", ["1 CD\n3 CD\n\n2 NN\n1 CD\n", "1990 O\n1991 O\n1992 O\n", "1 O\n\n1 O\n\n1 B-X\n"])
def test_words_that_are_numbers_do_not_count(text: str, tmp_path: Path) -> None:
    table = read(tmp_path / "a.conll", text)
    assert table.columns["words"][0][0] in ("1", "1990")


def test_conllu_under_another_suffix_is_read_as_such(tmp_path: Path) -> None:
    lines = [
        "1-2\tdon't" + "\t_" * 8,
        "1\tdo\tdo\tAUX\tVBP\t_\t0\troot\t_\t_",
        "2\tn't\tnot\tPART\tRB\t_\t1\tadvmod\t_\t_",
    ]
    lines.append("2.1\tgo\tgo\tVERB\tVB" + "\t_" * 5)
    table = read(tmp_path / "a.conll", "# text = don't\n" + "\n".join(lines) + "\n")
    assert table.columns == {"words": [["do", "n't"]], "tags": [["AUX", "PART"]], "xpos": [["VBP", "RB"]]}
    assert any("read as CoNLL-U" in note for note in table.notes)
    assert any("2 lines of word ranges (1-2) and empty nodes (1.1) skipped" in note for note in table.notes)


@pytest.mark.parametrize("header", ["word tag", "Token NER", "tokens ner_tags", "Form Label"])
def test_a_header_line_is_no_word_and_that_is_said(header: str, tmp_path: Path) -> None:
    for between in ("\n", "\n\n"):
        table = read(tmp_path / "a.conll", f"{header}{between}{text_of(LINES)}")
        assert (table.columns["words"], table.columns["tags"]) == (WORDS, TAGS)
        assert any(f"line 1, '{header}', names the columns" in note for note in table.notes)
    table = read(tmp_path / "a.conll", "word tag\nb tag\n\nform x\n")
    assert table.columns["words"] == [["word", "b"], ["form"]]


@pytest.mark.parametrize("change", ["\ufeff{}", "{}\n\n\n", "\n\n{}"])
@pytest.mark.parametrize("end", ["\r\n", " \n", "\t\n", "\n"])
def test_what_an_editor_leaves_at_the_ends_changes_nothing(change: str, end: str, tmp_path: Path) -> None:
    space = "\t" if end == "\t\n" else " "
    text = change.format(text_of(LINES, space=space) + "\n").replace("\n", end)
    table = read(tmp_path / "a.conll", text)
    assert (table.columns["words"], table.columns["tags"]) == (WORDS, TAGS)


def test_words_in_a_tsv_file_are_known_by_its_blank_lines(tmp_path: Path) -> None:
    table = read(tmp_path / "a.tsv", text_of(LINES, space="\t"))
    assert (table.columns["words"], table.columns["tags"]) == (WORDS, TAGS)
    rows = "words\ttags\nAnna came\tB-PER O\n\nBob went\tB-PER O\nHe did\tO O\n"
    assert read(tmp_path / "b.tsv", rows).columns["words"] == ["Anna came", "Bob went", "He did"]
    assert list(read(tmp_path / "c.tsv", text_of(LINES, space="\t"), words=False).columns) == ["Anna", "B-PER"]


SENTENCES = [
    ("Anna visits Rome.\nBob came.\n", [["Anna", "visits", "Rome", "."], ["Bob", "came", "."]]),
    ("Anna visits Rome.\n\nBob came here.\n", [["Anna", "visits", "Rome", "."], ["Bob", "came", "here", "."]]),
    ("Just one sentence of NATO", [["Just", "one", "sentence", "of", "NATO"]]),
    ("We saw NATO\nThey saw NATO\n", [["We", "saw", "NATO"], ["They", "saw", "NATO"]]),
    ("Hello", [["Hello"]]),
]


@pytest.mark.parametrize(("text", "words"), SENTENCES)
def test_plain_sentences_are_read_one_in_each_line(text: str, words: list[list[str]], tmp_path: Path) -> None:
    table = read(tmp_path / "a.txt", text)
    assert table.columns["words"] == words
    if len(words) > 1:
        assert table.columns["text"] == [line for line in text.splitlines() if line]
        assert any("a sentence in each line, split into words" in note for note in table.notes)
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(text.encode()))


@pytest.mark.parametrize(
    "text",
    [
        text_of(LINES), "Anna\nvisits\n\nBob\n", "Anna PER\nvisits O\n", "The DT\ndog NN\n\nIt PRP\nran VBD\n",
        "a x\nb y\n\nc x\n", "Anna\tper\n", "-DOCSTART- -X- O\n\nAnna NNP B-PER\n",
    ],
)  # fmt: skip
def test_words_in_lines_are_not_taken_for_sentences(text: str, tmp_path: Path) -> None:
    assert read(tmp_path / "a.txt", text).columns["words"][0][0] in ("Anna", "The", "a")


def refusal(path: Path, text: str) -> InputError:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        load_splits(TASK, Settings(data=str(path)))
    return refused.value


def test_a_file_without_blank_lines_is_told_what_is_missing(tmp_path: Path) -> None:
    refused = refusal(tmp_path / "a.conll", "\n".join(["Anna B-PER", "came O"] * 60))
    assert "120 words and no blank line between them" in refused.found
    assert refused.change == "write a blank line after the last word of each sentence"


def test_a_file_with_a_blank_line_after_each_word_is_told_so(tmp_path: Path) -> None:
    refused = refusal(tmp_path / "a.conll", "\n\n".join(["Anna B-PER", "came O", "home O"]))
    assert "3 words with a blank line after each" in refused.found


@pytest.mark.parametrize(
    ("text", "found", "change"),
    [
        ("#FORMAT=WebAnno TSV 3.2\n\n#Text=Anna\n1-1\t0-4\tAnna\tPER\n", "WebAnno's own format", "CoNLL 2002"),
        ("T1\tPER 0 4\tAnna\nT2\tLOC 5 9\tRome\n", "brat's annotations", "--data FOLDER"),
    ],
)
def test_other_formats_of_lines_are_refused_by_name(text: str, found: str, change: str, tmp_path: Path) -> None:
    refused = refusal(tmp_path / "a.conll", text)
    assert found in refused.found and change in refused.change


WORD = st.text(
    st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"], exclude_characters="\ufeff"),
    min_size=1,
    max_size=5,
)
TAG = st.sampled_from(["O", "B-PER", "I-PER", "B-LOC"])
ROWS = st.lists(st.lists(st.tuples(WORD, TAG), min_size=2, max_size=5), min_size=1, max_size=5)


@given(ROWS, st.sampled_from(["plain", "index", "comments", "header", "crlf", "bom"]), st.sampled_from([" ", "\t"]))
def test_any_words_and_tags_survive_in_each_of_these_forms(
    tmp_path_factory: Any, drawn: list[list[tuple[str, str]]], form: str, space: str
) -> None:
    rows = [[("Anna", "B-PER"), ("came", "O")], *drawn]
    if any(row[0][0] == "-DOCSTART-" for row in rows):
        return
    lines = [
        [
            f"{i}{space}{word}{space}{tag}" if form == "index" else f"{word}{space}{tag}"
            for i, (word, tag) in enumerate(row, 1)
        ]
        for row in rows
    ]
    before = {"comments": "# text = a b c d e\n", "header": f"token{space}tag\n"}
    text = "\n\n".join(
        (before.get(form, "") if form == "comments" or not i else "") + "\n".join(row) for i, row in enumerate(lines)
    )
    text = "\ufeff" * (form == "bom") + text.replace("\n", "\r\n" if form == "crlf" else "\n")
    table = read(tmp_path_factory.mktemp("lines") / "a.conll", text)
    assert table.columns["words"] == [[word for word, _ in row] for row in rows]
    assert table.columns["tags"] == [[tag for _, tag in row] for row in rows]


def test_tags_in_the_first_column_are_not_words(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 1: 'B-PER Anna', with the tag first"):
        read(tmp_path / "a.conll", "B-PER Anna\nO came\n\nB-PER Bob\nO left\n")
    both = read(tmp_path / "a.conll", "B-PER B-PER\nO O\n\nB-PER B-PER\nO O\n")
    assert both.columns["words"] == [["B-PER", "O"]] * 2
