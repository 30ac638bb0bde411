"""CoNLL's columns and CoNLL-U: what is read, what is left out, what is refused."""

import gzip
import lzma
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.conftest import make_task
from tlnlp.data import load_splits
from tlnlp.data.bytes_to_text import FileFormat
from tlnlp.data.files import read_file
from tlnlp.errors import InputError
from tlnlp.settings import Settings
from tlnlp.task import Columns

WORDS = FileFormat(words=True)
TASK = make_task(None, Columns(words="tokens", tags="ner_tags"))

CONLL = """-DOCSTART- -X- -X- O

Ada NNP B-NP B-PER
sings VBZ B-VP O

-DOCSTART- -X- -X- O

Rome NNP B-NP B-LOC
"""

CONLLU = """# newdoc id = x
# sent_id = 1
1-2\tdon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tdo\tdo\tAUX\tVBP\t_\t0\troot\t_\t_
2\tn't\tnot\tPART\tRB\t_\t1\tadvmod\t_\t_
2.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t_\t_

# sent_id = 2
1\t#\t#\tSYM\tNN\t_\t0\troot\t_\t_
2\tNew York\tNew York\tPROPN\tNNP\t_\t1\tdep\t_\t_

"""


def write(path: Path, text: str) -> Path:
    path.write_bytes(text.encode())
    return path


@pytest.mark.parametrize(
    "name", ["a.conll", "a.bio", "a.iob", "a.iob2", "a.conll.gz", "a.conll.xz", "a.txt", "eng.train"]
)
@pytest.mark.parametrize("separator", [" ", "\t", "   "])
def test_columns_are_named_first_and_last_and_documents_marks_are_dropped(
    name: str, separator: str, tmp_path: Path
) -> None:
    data = CONLL.replace(" ", separator).encode()
    packed = gzip.compress(data) if name.endswith(".gz") else lzma.compress(data) if name.endswith(".xz") else data
    (tmp_path / name).write_bytes(packed)
    table = read_file(tmp_path / name, form=WORDS)
    assert table.columns == {
        "words": [["Ada", "sings"], ["Rome"]],
        "column 2": [["NNP", "VBZ"], ["NNP"]],
        "column 3": [["B-NP", "B-VP"], ["B-NP"]],
        "tags": [["B-PER", "O"], ["B-LOC"]],
    }
    assert table.numbers.tolist() == [3, 8]


def test_a_line_end_of_windows_a_blank_of_its_own_and_a_missing_last_line_end_change_nothing(tmp_path: Path) -> None:
    table = read_file(write(tmp_path / "a.conll", "\r\na O\r\nb  O \r\n \t \r\n\r\nc O"))
    assert table.columns == {"words": [["a", "b"], ["c"]], "tags": [["O", "O"], ["O"]]}
    assert table.numbers.tolist() == [2, 6]


def test_between_tabs_a_word_may_hold_blanks_or_nothing(tmp_path: Path) -> None:
    table = read_file(write(tmp_path / "a.conll", "New York\tB-LOC\n\tO\n\u00a0\tO\n"))
    assert table.columns["words"] == [["New York", "", "\u00a0"]]


def test_a_file_of_words_alone_has_no_tags(tmp_path: Path) -> None:
    assert list(read_file(write(tmp_path / "a.conll", "a\nb\n\nc\n")).columns) == ["words"]


def test_a_document_mark_may_lack_the_blank_line_behind_it(tmp_path: Path) -> None:
    assert read_file(write(tmp_path / "a.conll", "-DOCSTART- O\na O\n")).columns["words"] == [["a"]]


def test_of_conllu_forms_and_tags_are_read_without_ranges_and_empty_nodes(tmp_path: Path) -> None:
    table = read_file(write(tmp_path / "a.conllu", CONLLU))
    assert table.columns == {
        "words": [["do", "n't"], ["#", "New York"]],
        "tags": [["AUX", "PART"], ["SYM", "PROPN"]],
        "xpos": [["VBP", "RB"], ["NN", "NNP"]],
    }
    assert table.numbers.tolist() == [4, 9]


REFUSED = [
    (
        "a.conll",
        "a B O\nb O\nc C O\nd O\n",
        "3 fields",
        "line 2: 2 fields, 'b O'; line 4: 2 fields, 'd O' (2 such lines",
    ),
    ("a.conllu", CONLLU.replace("\tadvmod\t_\t_", "\tadvmod"), "10 fields", "line 5: 8 fields"),
    ("a.conllu", "a\tO\n", "10 fields", "line 1: 2 fields"),
    ("a.conll", "-DOCSTART- O\n\n", "rows", "no rows"),
    ("a.conll", "\n \n", "rows", "empty"),
    ("a.conll", "a\0b", ".conll", "binary"),
]


@pytest.mark.parametrize(("name", "text", "expected", "found"), REFUSED)
def test_lines_of_another_width_and_empty_files_are_refused_in_words(
    name: str, text: str, expected: str, found: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as refused:
        read_file(write(tmp_path / name, text))
    assert expected in refused.value.expected
    assert refused.value.found.startswith(name) and found in refused.value.found
    assert refused.value.change


FOLDERS = [
    ("train.txt", "valid.txt", "test.txt"),
    ("eng.train", "eng.testa", "eng.testb"),
    ("train", "dev", "test"),
    ("train.conll.gz", "dev.iob2", "test.bio"),
    ("en_x-ud-train.conllu", "en_x-ud-dev.conllu", "en_x-ud-test.conllu"),
]


@pytest.mark.parametrize("names", FOLDERS)
def test_published_folders_are_read_as_they_are(names: tuple[str, ...], tmp_path: Path) -> None:
    for name in names:
        data = (CONLLU if name.endswith("u") else CONLL).encode()
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    (tmp_path / "README").write_text("words about it")
    loaded = load_splits(TASK, Settings(data=str(tmp_path), keep="best"))
    assert loaded.test is not None
    for rows, name in zip((loaded.train, loaded.dev, loaded.test), names, strict=True):
        assert rows.origin == f"{tmp_path.name}/{name}"
        assert len(rows) == 2


def test_another_column_is_chosen_by_its_name(tmp_path: Path) -> None:
    write(tmp_path / "train.conllu", CONLLU), write(tmp_path / "dev.conllu", CONLLU)
    loaded = load_splits(TASK, Settings(data=str(tmp_path), columns=("tags=xpos",)))
    assert loaded.train.labels == ("NN", "NNP", "RB", "VBP")


def test_a_message_names_the_line_where_the_sentence_begins(tmp_path: Path) -> None:
    task = make_task(("O", "B-PER"), Columns(words="tokens", tags="ner_tags"))
    with pytest.raises(InputError, match=r"train\.txt, row 8: tag 'B-LOC'"):
        load_splits(task, Settings(data=str(write(tmp_path / "train.txt", CONLL))))


def test_a_text_file_is_plain_text_for_all_other_tasks(tmp_path: Path) -> None:
    write(tmp_path / "book.txt", CONLL)
    loaded = load_splits(make_task(None, Columns(text="text")), Settings(data=str(tmp_path / "book.txt")))
    assert len(loaded.train) + len(loaded.dev) == 5
    with pytest.raises(InputError, match="a file ending in"):
        read_file(write(tmp_path / "eng.train", CONLL))


CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufeff"), max_size=5)
ROWS = st.lists(
    st.lists(st.tuples(CELLS, CELLS.filter(lambda tag: tag.strip(" "))), min_size=1, max_size=5), min_size=1
)


@given(ROWS.filter(lambda rows: all(row[0][0] != "-DOCSTART-" for row in rows)))
def test_any_words_and_tags_survive_the_way_through_a_file(tmp_path_factory: Any, rows: list[Any]) -> None:
    text = "".join("".join(f"{word}\t{tag}\n" for word, tag in row) + "\n" for row in rows)
    table = read_file(write(tmp_path_factory.mktemp("conll") / "a.conll", text))
    assert table.columns == {
        "words": [[word for word, _ in row] for row in rows],
        "tags": [[tag for _, tag in row] for row in rows],
    }
