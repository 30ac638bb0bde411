"""`tlnlp compare`: does transfer help, which strategy is best, and from how many labelled rows on?"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from tlnlp.display.console import new_console
from tlnlp.display.quiet import quiet_libraries
from tlnlp.errors import Interrupted
from tlnlp.evaluation.scoring import headline
from tlnlp.experiments import tables as showing
from tlnlp.experiments.arguments import CompareArguments, read_arguments
from tlnlp.experiments.comparison import judge
from tlnlp.experiments.curve_plot import draw
from tlnlp.experiments.grid import Grid, Run, plan_grid
from tlnlp.experiments.progress import Progress
from tlnlp.experiments.results import score_runs
from tlnlp.experiments.verdicts import find_verdicts
from tlnlp.experiments.workers import (
    CRASHED,
    REFUSED,
    Outcome,
    Stopped,
    find_diverged,
    find_places,
    is_finished,
    make_runs,
    start_server,
)
from tlnlp.runs.versions import versions_of
from tlnlp.training.files import locked, room_wanted, write_json, write_text

NAME = "compare"


def main(arguments: list[str]) -> int:
    """The command line of `tlnlp compare`: exit status of `run_comparison`, or 130 if it was stopped."""
    try:
        return run_comparison(arguments)
    except Interrupted as stop:
        said = f"Stopped: {stop.done} of {stop.whole} runs are done. To continue:\n  {stop.advice}"
        new_console().print(said, markup=False, soft_wrap=True)
        return 130


def run_comparison(arguments: list[str], *, quiet: bool = False) -> int:
    """Runs the grid. Returns 0 if all runs have a result (or were refused with a message), 1 if one crashed, 2 if all
    were refused.

    Raises:
        Interrupted: it was stopped; `advice` is the command that resumes it.
    """
    asked, recipe, settings, passed = read_arguments(arguments)
    quiet_libraries()
    start_server()
    console = new_console(quiet=quiet)
    command = shlex.join(["tlnlp", NAME, *arguments])
    grid = plan_grid(asked, recipe, settings)
    if grid.task.positive not in (settings.positive, recipe.task.positive):  # the same for all sizes and seeds
        passed = [*passed, "--positive", str(grid.task.positive)]
    with locked(grid.folder):
        try:
            outcomes = _run_missing(grid, asked, passed, console)
        except Stopped:
            done = sum(is_finished(run) for run in grid.runs)
            raise Interrupted(done, len(grid.runs), "run", command) from None
        failures = {run: each for run, each in outcomes.items() if each.kind in (REFUSED, CRASHED)}
        status = int(any(each.kind == CRASHED for each in failures.values()))
        failures |= find_diverged([run for run in grid.runs if is_finished(run)])
        finished = [run for run in grid.runs if is_finished(run) and run not in failures]
        if finished:
            _report(grid, finished, failures, console, command)
        else:
            aloud = new_console()  # why there is no result is printed even if `quiet`
            for run, each in failures.items():
                aloud.print(f"{run.name}: {each.kind}:\n{each.words}", markup=False, soft_wrap=True)
            status = status or 2
    return status


def _run_missing(grid: Grid, asked: CompareArguments, passed: Sequence[str], console: Console) -> dict[Run, Outcome]:
    missing = [run for run in grid.runs if not is_finished(run)]
    there = len(grid.runs) - len(missing)
    console.print(
        f"{grid.folder}: {len(grid.runs)} runs" + (f", {there} of them already finished" if there else ""),
        markup=False, soft_wrap=True,
    )  # fmt: skip
    places = find_places(asked.workers)
    with Progress(missing, len(places), console) as progress:
        return make_runs(missing, asked.recipe, passed, places, progress.begins, progress.ends)


def _report(grid: Grid, finished: Sequence[Run], failures: dict[Run, Outcome], console: Console, command: str) -> None:
    """Evaluates the runs, prints the verdicts, and writes compare.json, compare.md and the figure."""
    table = score_runs(grid, finished, grid.task)
    metric_inputs = judge(table, grid.arms, grid.sizes)
    content: dict[str, Any] = {
        "task": grid.task.name,
        "metric": table.metric,
        "lower_is_better": headline(grid.task, grid.dev[0]).lower_is_better,
        "models": list(dict.fromkeys(arm.source for arm in grid.arms)),
        "strategies": list(dict.fromkeys(arm.strategy.text for arm in grid.arms)),
        "sizes": list(grid.sizes),
        "seeds": list(grid.seeds),
        "dev_rows": table.dev_rows,
        **metric_inputs,
        "verdicts": find_verdicts(metric_inputs, seeds=min(grid.seeds), shares_dev=grid.shares_dev),
        "failures": [
            {"run": run.name, "folder": str(run.folder), "kind": each.kind, "words": each.words}
            for run, each in failures.items()
        ],
        "versions": versions_of("tlnlp", "numpy", "scipy"),
        "command": command,
    }
    console.print()
    console.print(showing.for_terminal(content), markup=False, soft_wrap=True)
    folder = grid.folder
    with room_wanted(folder):
        pictures = draw(content, showing.title(content), folder)
        write_text(folder / f"{NAME}.md", showing.for_page(content, pictures[0].name, command))
        write_json(folder / f"{NAME}.json", content)
    console.print(f"\n{folder}/{NAME}.json, .md, .svg, .png", markup=False, soft_wrap=True)
