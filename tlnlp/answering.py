"""`tlnlp predict`: the answers of a saved model to the rows of files, or of standard input, one JSON line a row."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO

import tyro
from accelerate import Accelerator
from rich.console import Console
from rich.progress import Progress

from tlnlp.calm import calm_libraries
from tlnlp.data.columns import choose_columns, choose_roles
from tlnlp.data.files import read_file
from tlnlp.data.objects import table_of_lines
from tlnlp.data.raw import Form
from tlnlp.data.roles import ASKED, PROMPT, WEIGHT, Reading, read_rows
from tlnlp.data.rows import Rows
from tlnlp.data.table import Table
from tlnlp.evaluation.calibration import calibrate
from tlnlp.evaluation.predict import predict
from tlnlp.model import load_tokenizer
from tlnlp.prepare import pack
from tlnlp.recipe import Task
from tlnlp.saved import load_network, read_task
from tlnlp.settings import Settings
from tlnlp.training.processes import start_accelerator

# Rows answered at once: what standard input waits for, and all that is held in memory of it.
ROWS_AT_ONCE = 1_000
Precision = Literal["fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Asked:
    """Answers of a saved model to new rows: jsonl in (csv, tsv, parquet, CoNLL too, by the file's name), jsonl out.

    tlnlp predict runs/sst2/mini-sample-full/model reviews.csv --columns text=review > answers.jsonl

    echo '{"text": "A film to see twice."}' | tlnlp predict runs/sst2/mini-sample-full/model
    """

    model: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL", help="Folder `model` of a run.")]
    files: Annotated[
        tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE", help="Standard input (jsonl) if unset.")
    ] = ()
    columns: Annotated[
        tuple[str, ...], tyro.conf.arg(metavar="ROLE=COLUMN", help="Which column plays which role, as in the recipe.")
    ] = ()
    output: Annotated[Path | None, tyro.conf.arg(metavar="FILE", help="Standard output if unset.")] = None
    max_tokens: Annotated[int, tyro.conf.arg(metavar="TOKENS", help="Budget of a batch: for memory.")] = 4096
    precision: Annotated[Precision, tyro.conf.arg(metavar="fp32|bf16|fp16", help="Arithmetic of the network.")] = "fp32"


class Answerer:
    """A saved model, ready to answer."""

    def __init__(self, folder: Path, *, max_tokens: int = 4096, precision: Precision = "fp32") -> None:
        self.task, settings, self.threshold, self.temperature = read_task(folder)
        self.settings: Settings = replace(
            settings,
            max_tokens=max(max_tokens, settings.max_length),
            precision=precision,
        )
        self.accelerator: Accelerator = start_accelerator(self.settings)
        head = self.task.head
        self.tokenizer = load_tokenizer(str(folder), str(folder), **head.tokenizer_options)
        self.model = load_network(folder, head).eval().to(self.accelerator.device)
        self.is_packed = self.accelerator.device.type != "cpu"

    def answer(self, table: Table, chosen: dict[str, str], advance: Any = lambda items: None) -> list[dict[str, Any]]:
        """One answer for each row of `table`, in order.

        Raises:
            InputError: a column is missing, or a value cannot be read.
        """
        rows = self._read(table, chosen)
        task, head = self.task, self.task.head
        encoded = head.encode(rows, task, self.tokenizer, self.settings)
        if not self.is_packed:
            self.is_packed = pack(self.model, encoded, task, self.tokenizer) is not None
        answers = predict(self.model, encoded, rows, task, self.tokenizer, self.settings, self.accelerator, advance)
        apply = getattr(head, "apply_threshold", None)
        if apply is not None and self.threshold is not None:
            answers = apply(answers, self.threshold)
        if self.temperature is None:
            return answers
        return [answer | {"calibrated": calibrate(answer, self.temperature)} for answer in answers]

    def _read(self, table: Table, chosen: dict[str, str]) -> Rows:
        roles = choose_roles(self.task, chosen)
        columns = choose_columns(table, roles, chosen, {}, not_needed=(*ASKED, WEIGHT, PROMPT))
        columns = {role: column for role, column in columns.items() if role not in (*ASKED, WEIGHT)}
        reading = Reading(self.task.labels, fix_answers=False, unanswerable=True)
        return read_rows(table, columns, reading, train=False)[0]


def main(arguments: list[str]) -> int:
    """The command line of `tlnlp predict`."""
    asked = tyro.cli(Asked, args=arguments, prog="tlnlp predict", config=(tyro.conf.FlagCreatePairsOff,))
    calm_libraries()
    chosen = Settings(columns=asked.columns).columns_by_role()
    answerer = Answerer(asked.model, max_tokens=asked.max_tokens, precision=asked.precision)
    written = asked.output.open("w", encoding="utf-8") if asked.output else sys.stdout
    try:
        with Progress(console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as progress:
            for table in _tables(asked.files, answerer.task):
                bar = progress.add_task(table.origin, total=None)
                _write(answerer.answer(table, chosen, partial(progress.advance, bar)), table, written)
    finally:
        if asked.output:
            written.close()
    return 0


def _tables(files: tuple[Path, ...], task: Task) -> Iterator[Table]:
    """The files; or standard input in pieces, each answered before the next is read."""
    for file in files:
        yield read_file(file, form=Form(words=task.columns.words is not None))
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


def _write(answers: list[dict[str, Any]], table: Table, written: TextIO) -> None:
    for number, answer in zip(table.numbers, answers, strict=True):
        written.write(json.dumps({"row": int(number), **answer}, ensure_ascii=False) + "\n")
    written.flush()
