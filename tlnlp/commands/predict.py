"""`tlnlp predict`: writes a saved model's predictions for rows of files, of standard input, or of texts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import tyro
from rich.console import Console
from rich.progress import Progress

from tlnlp.commands.arguments import PredictArguments
from tlnlp.commands.predict_inputs import is_about_texts, tables_of_files, tables_of_stdin, tables_of_texts
from tlnlp.data.bytes_to_text import FileFormat
from tlnlp.data.table import Table
from tlnlp.display.quiet import quiet_libraries
from tlnlp.errors import InputError
from tlnlp.inference.answer_options import AnswerOptions, answer_columns
from tlnlp.inference.answers import AnswerLines, answer_of
from tlnlp.inference.input_parts import Part, bring_to_rows, choose_inputs, describe_empty, parts_of
from tlnlp.inference.output_files import Writer, columns_carried, format_of, open_writer
from tlnlp.inference.predictor import ROWS_OF_A_PART, Predictor, conformal_of
from tlnlp.models.task_file import read_task
from tlnlp.settings import Settings
from tlnlp.task import Prediction, Task


def main(arguments: list[str]) -> int:
    """The command line of `tlnlp predict`."""
    asked = tyro.cli(PredictArguments, args=arguments, prog="tlnlp predict", config=(tyro.conf.FlagCreatePairsOff,))
    quiet_libraries()
    read_as = {name: getattr(asked, name) for name in ("columns", "separator", "encoding", "no_header")}
    settings = Settings(**read_as)
    chosen, saved = settings.columns_by_role(), read_task(asked.model)
    options = AnswerOptions(asked.top, asked.error_rate, asked.set_method, asked.abstain_below)
    options.check(saved.task, conformal_of(asked.model))
    form = format_of(asked.output, asked.format, saved.task)
    tables = _tables(asked, saved.task, chosen, FileFormat.of(settings, saved.task))
    # Only now: what cannot be read has been refused.
    predictor = Predictor(asked.model, max_tokens=asked.max_tokens, precision=asked.precision)
    columns = answer_columns(saved.task, options, calibrated=saved.temperature is not None)
    names_files = len(asked.files) > 1 and not is_about_texts(asked.files)
    if names_files:
        columns.insert(0, "file")
    with open_writer(asked.output, form, saved.task, columns) as writer, _progress() as progress:
        for table in tables():
            bar = progress.add_task(table.origin, total=len(table))
            more = {"file": table.origin} if names_files else {}
            _predict(predictor, table, chosen, asked, options, writer, more, partial(progress.advance, bar))
    return 0


def _progress() -> Progress:
    return Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True)


def _tables(
    asked: PredictArguments, task: Task, chosen: Mapping[str, str], kind: FileFormat
) -> Callable[[], Iterator[Table]]:
    """Returns a function that yields the tables to predict. Those of files have been checked."""
    if not asked.files:
        return partial(tables_of_stdin, asked.input_format, kind, task.columns.text or "text")
    if is_about_texts(asked.files):
        given = tables_of_texts(asked.files, task)
        check(given, task, chosen, asked)
        return lambda: iter([given])
    paths = tuple(map(Path, asked.files))
    if asked.output is not None and any(path.resolve() == asked.output.resolve() for path in paths):
        raise InputError(expected="--output: another file than is read", found=str(asked.output), change="--output")
    checked: list[Table] = []
    for table in tables_of_files(paths, asked.input_format, kind):
        checked = [table]
        for note in table.notes:
            _say(note)
        check(table, task, chosen, asked)
    # One file stays open; of several each is read again, so that only one is in memory.
    return lambda: iter(checked) if len(paths) == 1 else tables_of_files(paths, asked.input_format, kind)


def check(table: Table, task: Task, chosen: Mapping[str, str], asked: PredictArguments) -> None:
    """Reads all rows of a table, and says which are answered with null.

    Raises:
        InputError: a column is missing, or a value cannot be read.
    """
    columns_carried(table, asked.carry, table.origin)
    table = bring_to_rows(table, task, chosen)
    empty = [
        int(part.table.numbers[place])
        for part in parts_of(table, task, choose_inputs(table, task, chosen), ROWS_OF_A_PART)
        for place in _without_answer(part)
    ]
    if empty:
        _say(describe_empty(empty, table.origin))


def _without_answer(part: Part) -> list[int]:
    return sorted(set(range(len(part.table))) - set(part.places.tolist()))


def _say(note: str) -> None:
    print(note, file=sys.stderr)


def _predict(
    predictor: Predictor,
    table: Table,
    chosen: Mapping[str, str],
    asked: PredictArguments,
    options: AnswerOptions,
    writer: Writer,
    more: dict[str, str],
    advance: Callable[[int], None],
) -> None:
    names = columns_carried(table, asked.carry, table.origin)
    if renamed := {name: new for name, new in names.items() if new != name}:
        _say(
            f"{table.origin}: "
            + ", ".join(f"{name} is written as {new}" for name, new in renamed.items())
            + ", since the answer has a column of this name"
        )
    table = bring_to_rows(table, predictor.task, chosen)
    columns = choose_inputs(table, predictor.task, chosen)
    for part in parts_of(table, predictor.task, columns, predictor.rows_of_a_part):
        if not asked.files and (empty := _without_answer(part)):
            _say(describe_empty([int(part.table.numbers[place]) for place in empty], table.origin))
        answers: list[Prediction | None] = [None] * len(part.table)
        for place, each in zip(part.places.tolist(), predictor.predict_part(part, advance, options), strict=True):
            answers[place] = each
        told = [more | answer_of(int(n), each) for n, each in zip(part.table.numbers, answers, strict=True)]
        carried = replace(part.table, columns={new: part.table.columns[name] for name, new in names.items()})
        writer.write(AnswerLines(carried, told, _words_of(part)))


def _words_of(part: Part) -> list[list[str]]:
    """Returns the words of all rows of a part; none of a row without a text."""
    if "words" not in part.rows.columns:
        return [[] for _ in range(len(part.table))]
    words: list[list[str]] = [[] for _ in range(len(part.table))]
    for place, of_row in zip(part.places.tolist(), part.rows.columns["words"], strict=True):
        words[place] = of_row
    return words
