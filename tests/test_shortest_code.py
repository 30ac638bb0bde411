"""benchmarks/shortest_code: what it counts is what the page says, and this library's way runs."""

from __future__ import annotations

import ast
import importlib
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.recipe_runs import ROOT

SOURCE = '''"""A docstring
of two lines."""

import sys  # counts

# train
run(
    sys.argv,
)
text = """two
lines"""

# load in a new process
print(text)
'''


@pytest.fixture
def count(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script as a module."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks" / "shortest_code"))
    return importlib.import_module("count")


def test_lines_that_hold_code_are_counted_by_part(count: Any) -> None:
    assert count.lines_by_part(SOURCE) == {"": [4], "train": [7, 8, 9, 10, 11], "load in a new process": [14]}
    with pytest.raises(ValueError, match="preamble"):
        count.lines_by_part("# preamble\nimport sys\n")


def test_the_page_has_the_table_that_the_command_prints(count: Any) -> None:
    page = (ROOT / "docs" / "shortest-code.md").read_text(encoding="utf-8")
    assert count.table() in page
    ours = (ROOT / "benchmarks" / "shortest_code" / "tlnlp_way.py").read_text(encoding="utf-8")
    code = "\n".join(line for line in ours.splitlines()[2:] if line and not line.startswith("#"))
    shown = page.split("```python\n")[1].split("```")[0]
    assert ast.dump(ast.parse(shown)) == ast.dump(ast.parse(code))


def test_every_way_is_counted_and_prints_what_it_predicts_last(count: Any) -> None:
    ways = {path.stem.removesuffix("_way") for path in (ROOT / "benchmarks" / "shortest_code").glob("*_way.py")}
    assert ways == {way.name for way in count.WAYS} and len(ways) == 5
    for way in count.WAYS:
        counted = count.counts(way)
        assert min(counted.values()) >= 1, way.name


def test_our_way_runs_and_predicts_the_same_in_a_new_process(count: Any, bert: Path, tmp_path: Path) -> None:
    files = count.write_rows(tmp_path, train_rows=24, held_out_rows=12)
    way = count.WAYS[0]
    outcome = count.learn(way, sys.executable, files, bert, tmp_path / "saved")
    assert outcome.error == ""
    predicted, again = map(ast.literal_eval, outcome.said[-2:])
    assert predicted == again and set(predicted) <= {"like", "dislike"}
    assert 0 <= ast.literal_eval(outcome.said[-3])["accuracy"] <= 1
    assert ast.literal_eval(count.predict_again(way, sys.executable, outcome, tmp_path)) == predicted


def test_how_wrong_rows_were_taken_is_read_from_what_was_said(count: Any) -> None:
    frames = "Traceback\n  line 7, in f\n"
    said = {
        "": "goes on",
        f"{frames}KeyError: 1\n\n{frames}ValueError: cannot": "ValueError, no row",
        f"{frames}tlnlp.errors.InputError: expected: a text\nfound: row 2: ''": "InputError, names the row",
    }
    assert {error: count.Outcome((), (), error).in_words for error in said} == said
