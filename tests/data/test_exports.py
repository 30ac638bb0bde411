"""Each command of docs/own-data.md that reads another tool's file reads it rightly, without the training behind it."""

import re
import shlex
from pathlib import Path

import pytest

from tests.exports import ROWS, write_exports
from tests.recipe_runs import ROOT, load_recipe
from tlnlp.data import load_splits

PAGE = (ROOT / "docs" / "own-data.md").read_text(encoding="utf-8")
COMMANDS = [
    re.sub(r"\s{2,}#.*", "", command)
    for command in re.findall(r"(?m)^    (tlnlp run own_(?:tagging|answering) .*)$", PAGE)
    if "corpus.conll" not in command and "faq.csv" not in command  # the same as in other tests
]


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exports")
    write_exports(folder)
    return folder


def test_the_page_has_the_tools() -> None:
    assert len(COMMANDS) >= 15


@pytest.mark.parametrize("command", COMMANDS)
def test_the_command_reads_what_the_tool_has_exported(
    command: str, exports: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(exports)
    name, *flags = shlex.split(command)[2:]
    recipe = load_recipe(name)
    loaded = load_splits(recipe.task, recipe.parse(flags, ""))
    assert len(loaded.train) + len(loaded.dev) == ROWS
    for rows in (loaded.train, loaded.dev):
        if name == "own_tagging":
            names = rows.labels or ()
            expected = ["T1", "T2", "T3", "T4", "T5"] if "conllu" in command else ["B-PER", "O", "O", "B-LOC", "O"]
            assert [[names[tag] for tag in tags] for tags in rows.columns["tags"]] == [expected] * len(rows)
            assert all(re.fullmatch(r"Anna\d+ lives in Rome \.", " ".join(words)) for words in rows.columns["words"])
            continue
        for context, answers in zip(rows.columns["context"], rows.columns["answers"], strict=True):
            (text,), (start,) = answers["text"], answers["answer_start"]
            assert context[start:].startswith(f"{text} near") and text.startswith("19")
