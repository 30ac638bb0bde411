"""`tlnlp predict`: writes a saved model's predictions for rows of files or of standard input, one JSON line per row."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TextIO

import numpy as np
import tyro
from rich.console import Console
from rich.progress import Progress

from tlnlp.commands.arguments import PredictArguments
from tlnlp.data.bytes_to_text import FileFormat
from tlnlp.data.files import read_file
from tlnlp.data.json_files import table_of_lines
from tlnlp.data.table import Table
from tlnlp.display.json_numbers import name_numbers
from tlnlp.display.quiet import quiet_libraries
from tlnlp.inference.predictor import Predictor
from tlnlp.settings import Settings
from tlnlp.task import Prediction, Task
from tlnlp.training.files import room_wanted

# Rows predicted at once: as many are read from standard input, and held in memory.
ROWS_AT_ONCE = 1_000


def main(arguments: list[str]) -> int:
    """The command line of `tlnlp predict`."""
    asked = tyro.cli(PredictArguments, args=arguments, prog="tlnlp predict", config=(tyro.conf.FlagCreatePairsOff,))
    quiet_libraries()
    chosen = Settings(columns=asked.columns).columns_by_role()
    predictor = Predictor(asked.model, max_tokens=asked.max_tokens, precision=asked.precision)
    if asked.output is None:
        _predict(predictor, asked.files, chosen, sys.stdout)
        return 0
    with room_wanted(asked.output.parent, "predict again"), asked.output.open("w", encoding="utf-8") as written:
        _predict(predictor, asked.files, chosen, written)
    return 0


def _predict(predictor: Predictor, files: tuple[Path, ...], columns: dict[str, str], written: TextIO) -> None:
    with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as progress:
        for table in _tables(files, predictor.task):
            bar = progress.add_task(table.origin, total=None)
            for numbers, predictions in predictor.predict_in_parts(table, columns, partial(progress.advance, bar)):
                _write(predictions, numbers, written)


def _tables(files: tuple[Path, ...], task: Task) -> Iterator[Table]:
    """Yields the tables of the files, or standard input in batches, each predicted before the next is read."""
    for file in files:
        yield read_file(file, form=FileFormat(words=task.columns.words is not None))
    if files:
        return
    lines: list[str] = []
    first = 1
    for line in sys.stdin:
        lines.append(line)
        if len(lines) == ROWS_AT_ONCE:
            yield table_of_lines("".join(lines), "standard input", first)
            first, lines = first + len(lines), []
    if any(line.strip() for line in lines):
        yield table_of_lines("".join(lines), "standard input", first)


def _write(predictions: list[Prediction], numbers: np.ndarray, written: TextIO) -> None:
    for number, each in zip(numbers, predictions, strict=True):
        written.write(json.dumps(name_numbers({"row": int(number), **each.as_json()}), ensure_ascii=False) + "\n")
    written.flush()
