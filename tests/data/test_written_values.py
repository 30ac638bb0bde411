"""Lists and mappings as JSON, Python and numpy write them into a cell come back as they were."""

import json
import random

import numpy
import pytest

from tlnlp.data.written_values import looks_written, parse_written

SIGNS = "ab'\"\\ ,[]{}():=\n\té\u4e2d\U0001f600.0"


def random_lists(seed: int) -> list[list[str]]:
    draw = random.Random(seed)
    return [["".join(draw.choices(SIGNS, k=draw.randrange(6))) for _ in range(draw.randrange(6))] for _ in range(300)]


@pytest.mark.parametrize(
    "written",
    [json.dumps, str, lambda words: str(numpy.array(words, dtype=object)), lambda w: str(tuple(w))],
    ids=["json", "python", "numpy", "tuple"],
)
def test_random_words_come_back(written):
    for words in random_lists(0):
        text = written(words)
        assert looks_written(text)
        assert parse_written(text) == words


def test_random_numbers_come_back_from_numpy_and_python():
    draw = numpy.random.default_rng(0)
    for count in range(30):
        whole = draw.integers(-1000, 1000, count)
        parts = draw.normal(size=count)
        assert parse_written(str(whole)) == whole.tolist()
        assert parse_written(repr(whole)) == whole.tolist()
        assert parse_written(str(parts.tolist())) == parts.tolist()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{'text': array(['a', 'b'], dtype=object)}", {"text": ["a", "b"]}),
        ("[array([1, 2]), array([3], dtype=int64)]", [[1, 2], [3]]),
        ("[list(['a']) list(['b' 'c'])]", [["a"], ["b", "c"]]),
        ("[np.str_('a'), np.int64(3), np.float32(0.5)]", ["a", 3, 0.5]),
        ("array([], dtype='<U1')", []),
        ("[None, True, null, false]", [None, True, None, False]),
        ("['two\nlines']", ["two\nlines"]),
        ("['a'\n 'b']", ["a", "b"]),
        ("['\\x41\\u00e9', \"it's\"]", ["Aé", "it's"]),
    ],
)
def test_what_python_and_numpy_write(text, value):
    assert parse_written(text) == value


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("['a' 'b' ... 'z']", "shortened"),
        ("[a, b]", "quotes"),
        ("['a', 'b' 'c']", "comma"),
        ("['a' 'b', 'c']", "comma"),
        ("['a''b']", "blank"),
        ("[1-2]", "blank"),
        ("['a'", "missing"),
        ("['a']]", "follows"),
        ("{'a' 1}", "missing"),
        ("[1,,2]", "missing"),
        ("[[" * 5000, "lists in each other"),
        ("", "missing"),
        ("['\\ud']", "escapes"),
    ],
)
def test_what_is_no_value_is_refused_with_its_reason(text, why):
    with pytest.raises(ValueError, match=why):
        parse_written(text)
