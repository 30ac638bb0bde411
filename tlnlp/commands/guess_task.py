"""Guesses the task of a table from its column names, if no recipe is given."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tlnlp import heads
from tlnlp.data.bytes_to_text import FileFormat
from tlnlp.data.files import ANY_FORM
from tlnlp.data.rows import TRAIN
from tlnlp.data.shapes import shape_rows
from tlnlp.data.split_files import read_path
from tlnlp.data.table import Table
from tlnlp.errors import InputError
from tlnlp.evaluation import metrics
from tlnlp.recipe import Recipe
from tlnlp.task import Columns, Data, Head, Task

# Usual column names of each role, the most common first.
NAMES: Mapping[str, tuple[str, ...]] = {
    "text": ("text", "sentence", "sentence1", "premise", "question1", "review", "content", "comment", "title"),
    "text_pair": ("text_pair", "sentence2", "hypothesis", "question2"),
    "label": ("label", "labels", "class", "category", "stars", "rating", "sentiment", "target", "gold_label"),
    "words": ("words", "tokens", "word", "token"),
    "tags": ("tags", "ner_tags", "upos", "pos_tags", "tag"),
    "question": ("question",),
    "context": ("context", "passage"),
    "answers": ("answers", "answer"),
    "endings": ("endings", "choices"),
}


@dataclass(frozen=True)
class Shape:
    """The task of rows with these roles."""

    name: str
    needed: tuple[str, ...]
    head: Head
    metrics: tuple[Any, ...]
    further: tuple[str, ...] = ()


# Tried in this order: the first whose roles all have a column.
SHAPES = (
    Shape("tagging", ("words", "tags"), heads.tag, (metrics.word_accuracy,)),
    Shape("questions", ("question", "context", "answers"), heads.span, (metrics.squad,)),
    Shape("choices", ("text", "endings", "label"), heads.choice, (metrics.accuracy,)),
    Shape("sentences", ("text", "label"), heads.sentence, (metrics.accuracy, metrics.f1), ("text_pair",)),
    Shape("plain text", ("text",), heads.masked_lm, (metrics.perplexity,)),
)
WORD_FILES = (".conll", ".conllu", ".bio", ".iob", ".ann")


def guess_recipe(path: Path, chosen: Mapping[str, str], form: FileFormat = ANY_FORM) -> Recipe:
    """Returns a task that fits the columns of the rows in `path`.

    Args:
        chosen: {role: column} of `--columns`; other columns are matched by name.
        form: how tables are read.

    Raises:
        InputError: there are no rows, or the column names match no task.
    """
    files = [path] if path.is_file() else sorted(path.iterdir()) if path.is_dir() else []
    has_words = "words" in chosen or any(_holds_words(file) for file in files)
    tables = read_path(path, "train", "validation", form=replace(form, words=has_words), need="either")
    table = _shape(tables[TRAIN], chosen)
    there = list(table.columns)
    roles = {role: chosen.get(role) or _find(names, there) for role, names in NAMES.items()}
    for shape in SHAPES:
        known = (*shape.needed, *shape.further)
        if all(roles[role] for role in shape.needed) and not set(chosen) - {*known, "weight", "id"}:
            return Recipe(_task(shape, {role: str(roles[role]) for role in known if roles[role]}))
    listed = "; ".join(f"{shape.name}: {', '.join(shape.needed)}" for shape in SHAPES)
    raise InputError(
        expected=f"columns with known names ({listed})",
        found=f"{tables[TRAIN].origin} has the columns {', '.join(there)}",
        change="--columns text=COLUMN label=COLUMN (words, tags, question, context, answers), or --recipe FILE",
    )


def _holds_words(file: Path) -> bool:
    return any(suffix.lower() in WORD_FILES for suffix in file.suffixes)


def _shape(table: Table, chosen: Mapping[str, str]) -> Table:
    """Returns the table with words and tags, or with answers, if it has them in another shape."""
    words = {role: chosen.get(role) or _find(NAMES[role], table.columns) or role for role in ("words", "tags")}
    table = shape_rows(table, words, chosen)
    return shape_rows(table, {"answers": "answers"}, chosen) if "context" in table.columns else table


def _find(names: Iterable[str], there: Collection[str]) -> str | None:
    exact = next((name for name in names if name in there), None)
    return exact or next((column for name in names for column in there if column.casefold() == name), None)


def _task(shape: Shape, columns: dict[str, str]) -> Task:
    """Returns a task whose labels are read from the rows."""
    return Task(
        name=shape.name,
        data=Data(),
        columns=Columns(**columns),
        head=shape.head,
        metrics=shape.metrics,
        unanswerable="answers" in columns,
    )
