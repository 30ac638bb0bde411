"""Which task a table is for, by the names of its columns, where no recipe says it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

from tlnlp import heads, metrics
from tlnlp.data.folders import read_path
from tlnlp.data.raw import Form
from tlnlp.errors import InputError
from tlnlp.recipe import Columns, Data, Recipe, Task

# What people call the columns of each role, the likeliest first.
NAMES: Mapping[str, tuple[str, ...]] = {
    "text": ("text", "sentence", "sentence1", "premise", "question1", "review", "content", "comment", "title"),
    "text_pair": ("text_pair", "sentence2", "hypothesis", "question2"),
    "label": ("label", "labels", "class", "category", "stars", "rating", "sentiment", "target", "gold_label"),
    "words": ("words", "tokens"),
    "tags": ("tags", "ner_tags", "upos", "pos_tags"),
    "question": ("question",),
    "context": ("context", "passage"),
    "answers": ("answers", "answer"),
    "endings": ("endings", "choices"),
}
# Told apart in this order: the first whose roles all have a column.
SHAPES: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("tagging", ("words", "tags"), ()),
    ("questions", ("question", "context", "answers"), ()),
    ("choices", ("text", "endings", "label"), ()),
    ("sentences", ("text", "label"), ("text_pair",)),
    ("plain text", ("text",), ()),
)
WORD_FILES = (".conll", ".conllu", ".bio", ".iob")


def guess_recipe(path: Path, chosen: Mapping[str, str]) -> Recipe:
    """A task whose columns the rows in `path` have.

    Args:
        chosen: {role: column} of `--columns`; the others go by their names.

    Raises:
        InputError: no rows there, or columns that tell nothing.
    """
    files = [path] if path.is_file() else sorted(path.iterdir()) if path.is_dir() else []
    has_words = "words" in chosen or any(_holds_words(file) for file in files)
    tables = read_path(path, "train", "validation", form=Form(has_words), need="either")
    there = list(tables["train"].columns)
    roles = {role: chosen.get(role) or _find(names, there) for role, names in NAMES.items()}
    for shape, needed, further in SHAPES:
        if all(roles[role] for role in needed) and not set(chosen) - {*needed, *further, "weight", "id"}:
            columns = {role: str(roles[role]) for role in (*needed, *further) if roles[role]}
            return Recipe(_task(shape, columns))
    known = "; ".join(f"{shape}: {', '.join(needed)}" for shape, needed, _ in SHAPES)
    raise InputError(
        expected=f"columns that say what the rows are for ({known})",
        found=f"{tables['train'].origin} has the columns {', '.join(there)}",
        change="--columns text=COLUMN label=COLUMN (words, tags, question, context, answers), or --recipe FILE",
    )


def _holds_words(file: Path) -> bool:
    return any(suffix.lower() in WORD_FILES for suffix in file.suffixes)


def _find(names: Iterable[str], there: Collection[str]) -> str | None:
    return next((name for name in names if name in there), None)


def _task(shape: str, columns: dict[str, str]) -> Task:
    """Labels are those in the rows."""
    kinds = {
        "tagging": (heads.tag, (metrics.word_accuracy,)),
        "questions": (heads.span, (metrics.squad,)),
        "choices": (heads.choice, (metrics.accuracy,)),
        "sentences": (heads.sentence, (metrics.accuracy, metrics.f1)),
        "plain text": (heads.word, (metrics.perplexity,)),
    }
    head, judged = kinds[shape]
    return Task(
        name=shape, data=Data(), columns=Columns(**columns), head=head, metrics=judged,
        unanswerable=shape == "questions",
    )  # fmt: skip
