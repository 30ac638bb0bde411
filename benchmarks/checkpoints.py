"""Tries every architecture with every head and every strategy, and writes the table of docs/checkpoints.md.

    python benchmarks/checkpoints.py [--only bert gpt2 ...] [--workers 2] [--results runs/checkpoints.json]

Each cell is a run on a tiny random checkpoint of that architecture, checked as in tests/architectures: `ok`, or refused
in words. A cell that is neither ends the command with status 1 and is listed. `--parity` prints instead how far one
update is from one of transformers' Trainer; `--left-out` prints what a run of each architecture does without.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
import transformers
import tyro

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.architectures import cells, parity  # noqa: E402
from tests.architectures.checkpoints import ARCHITECTURES, DECODERS, ENCODER_DECODERS, build  # noqa: E402
from tests.recipe_runs import begin  # noqa: E402
from tlnlp.display.quiet import quiet_libraries  # noqa: E402
from tlnlp.errors import InputError  # noqa: E402
from tlnlp.training.loop import train  # noqa: E402

PAGE = ROOT / "docs" / "checkpoints.md"
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
HEADS, STRATEGIES = list(cells.RECIPES), [name for name in cells.STRATEGY_TEXTS if name != "full"]


@dataclass
class CheckpointArguments:
    """The command's flags.

    Args:
        only: names of architectures; all if unset.
        workers: processes at a time.
        results: where the cells are kept. An architecture that is there is not tried again; once all are there and none
            is wrong, the page is written.
        parity: print the table of one update beside the Trainer's.
        left_out: print the speed-ups that a run that freezes layers does without, and why.
    """

    only: tuple[str, ...] = ()
    workers: int = 1
    results: Path = ROOT / "runs" / "checkpoints.json"
    parity: bool = False
    left_out: bool = False


def try_architecture(name: str, rows: Path) -> dict[tuple[str, str], str]:
    """Returns {(head, strategy): "ok", words of a refusal, or what is wrong}."""
    quiet_libraries()
    torch.set_num_threads(1)
    place = Path(tempfile.mkdtemp())
    checkpoint = build(name, place / "checkpoint")
    found = {}
    todo = [*((head, "full") for head in HEADS), *(("sentence", strategy) for strategy in STRATEGIES)]
    for number, (head, strategy) in enumerate(todo):
        try:
            found[head, strategy] = cells.check(checkpoint, head, strategy, rows, place / str(number))
        except Exception as error:  # what is listed as wrong
            found[head, strategy] = f"WRONG: {type(error).__name__}: {error}"
        shutil.rmtree(place / str(number), ignore_errors=True)
    shutil.rmtree(place)
    return found


def table(found: dict[str, dict[tuple[str, str], str]]) -> str:
    """Returns the tables of heads and of strategies as Markdown."""
    lines = []
    for title, columns in (
        ("head (strategy `full`)", [(head, "full") for head in HEADS]),
        ("strategy (sentence head)", [("sentence", strategy) for strategy in STRATEGIES]),
    ):
        names = [head if strategy == "full" else strategy for head, strategy in columns]
        lines += [f"| {title} | " + " | ".join(names) + " |", "|---|" + "---|" * len(names)]
        for name, row in found.items():
            marks = ["ok" if row[column] == cells.OK else "–" for column in columns]
            lines.append(f"| {name} | " + " | ".join(marks) + " |")
        lines.append("")
    return "\n".join(lines)


def read_results(path: Path) -> dict[str, dict[tuple[str, str], str]]:
    """Returns the cells that were kept, but for those of architectures with a wrong one."""
    if not path.is_file():
        return {}
    kept = json.loads(path.read_text(encoding="utf-8"))
    right = {name: row for name, row in kept.items() if not any(said.startswith("WRONG") for said in row.values())}
    return {name: {_cell(key): said for key, said in row.items()} for name, row in right.items()}


def keep_results(path: Path, found: dict[str, dict[tuple[str, str], str]]) -> None:
    """Writes the cells as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {name: {" ".join(cell): said for cell, said in row.items()} for name, row in found.items()}
    path.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


def _cell(key: str) -> tuple[str, str]:
    head, _, strategy = key.partition(" ")
    return head, strategy


def write_page(text: str, count: int) -> None:
    """Puts the tables into docs/checkpoints.md."""
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    made = f"{count} cells, transformers {transformers.__version__}, torch {torch.__version__.partition('+')[0]}:"
    PAGE.write_text(f"{before}{BEGIN}\n{made}\n\n{text}{END}{after}", encoding="utf-8")


def print_parity(names: Sequence[str], rows: Path) -> bool:
    """Prints the table of one update beside the Trainer's, in float64. Returns whether all are within 1e-9."""
    is_within = True
    print("| architecture | kind | loss | gradients | computed with |\n|---|---|---|---|---|")
    for name in names:
        with tempfile.TemporaryDirectory() as place:
            found = parity.compare(name, build(name, Path(place) / "checkpoint"), rows / "sst2", Path(place) / "run")
        kind = "decoder" if name in DECODERS else "encoder-decoder" if name in ENCODER_DECODERS else "encoder"
        print(
            f"| {name} | {kind} | {found.loss:.0e} | {found.gradient:.0e} | {', '.join(found.speed_ups)} |", flush=True
        )
        is_within = is_within and max(found.loss, found.gradient) < 1e-9
    return is_within


def print_left_out(names: Sequence[str], rows: Path) -> None:
    """Prints the notes of a run of each architecture that say what it does without."""
    for name in names:
        with tempfile.TemporaryDirectory() as place:
            checkpoint = build(name, Path(place) / "checkpoint")
            settings = {
                "data": str(rows / "sst2"),
                "max_length": cells.MAX_LENGTH,
                "strategy": "head_only",
                "epochs": 2,
            }
            try:
                work = begin("sst2", Path(place) / "run", model=str(checkpoint), **settings)
                next(iter(train(work.training)))
            except InputError as refusal:
                print(f"{name}: refused, {refusal.found.removeprefix(f'{checkpoint}, ')}", flush=True)
                continue
        kinds = ("padding is computed", "frozen layers run", "only rows of equal length")
        notes = [note for note in work.notes if note.startswith(kinds)]
        print(f"{name}: {'; '.join(notes) or 'nothing'}", flush=True)


def main() -> int:
    """Runs the command. Returns its exit status."""
    arguments = tyro.cli(CheckpointArguments, description=__doc__)
    quiet_libraries()
    rows = cells.write_rows(Path(tempfile.mkdtemp()))
    if arguments.parity:
        return 0 if print_parity(arguments.only or parity.ARCHITECTURES, rows) else 1
    if arguments.left_out:
        print_left_out(arguments.only or tuple(ARCHITECTURES), rows)
        return 0
    found = read_results(arguments.results)
    names = [name for name in arguments.only or ARCHITECTURES if name not in found]
    with ProcessPoolExecutor(arguments.workers, mp_context=get_context("spawn")) as pool:
        for name, row in zip(names, pool.map(partial(try_architecture, rows=rows), names), strict=True):
            found[name] = row
            keep_results(arguments.results, found)
            right = sum(each == cells.OK for each in row.values())
            wrong = {cell: said for cell, said in row.items() if said.startswith("WRONG")}
            print(f"{name}: {right} ok, {len(row) - right - len(wrong)} refused, {len(wrong)} wrong", flush=True)
            for (head, strategy), said in wrong.items():
                print(f"  {head} {strategy}: {said}", flush=True)
    shutil.rmtree(rows)
    count = sum(map(len, found.values()))
    wrong = [said for row in found.values() for said in row.values() if said.startswith("WRONG")]
    print(f"{count} cells, {len(wrong)} wrong")
    if found.keys() == ARCHITECTURES.keys() and not wrong:
        write_page(table({name: found[name] for name in ARCHITECTURES}), count)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
