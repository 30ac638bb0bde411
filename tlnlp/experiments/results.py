"""Reads the results of runs, checks them against the rows, and returns scores with their noise over dev rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tlnlp.data import Rows
from tlnlp.errors import InputError
from tlnlp.evaluation.predictions import read_predictions
from tlnlp.evaluation.scoring import headline, primary_inputs, row_noise
from tlnlp.evaluation.statistics import SeedScores, draw_rows
from tlnlp.experiments.grid import Arm, Grid, Run
from tlnlp.runs.folder import PREDICTIONS
from tlnlp.runs.result import RunResult, read_result
from tlnlp.task import Task


@dataclass(frozen=True)
class CellRuns:
    """The finished runs of one arm at one size.

    Args:
        results: {seed: its result}.
        score: {seed: score}, in the metric's own direction.
        noise: {seed: what the score varies by with the dev rows}, see `statistics.Scores.draws`; turned so that higher
            is better. Empty where seeds do not share their dev rows.
    """

    results: dict[int, RunResult]
    score: dict[int, float]
    noise: dict[int, np.ndarray]


@dataclass(frozen=True)
class Table:
    """The scores of all runs.

    Args:
        metric: the name of the task's first metric.
        sign: 1, or -1 if lower is better.
        cells: {(arm, train rows): its runs}, for cells with finished runs.
    """

    metric: str
    sign: int
    scale: float
    dev_rows: int
    cells: dict[tuple[Arm, int], CellRuns]

    def seeds(self, *places: tuple[Arm, int]) -> list[int]:
        """Returns the seeds that have a run in each of these cells."""
        common = [set(self.cells[place].score) if place in self.cells else set() for place in places]
        return sorted(set.intersection(*common))

    def scores(self, *places: tuple[Arm, int]) -> list[SeedScores]:
        """Returns the scores of each of these cells, over the seeds that all of them have."""
        seeds = self.seeds(*places)
        return [self._scores(self.cells[place], seeds) for place in places]

    def _scores(self, cell: CellRuns, seeds: Sequence[int]) -> SeedScores:
        values = self.sign * np.array([cell.score[seed] for seed in seeds])
        draws = np.stack([cell.noise[seed] for seed in seeds]) if cell.noise else None
        return SeedScores(values, draws, self.scale, self.dev_rows)


def score_runs(grid: Grid, runs: Sequence[Run], task: Task) -> Table:
    """Reads all finished `runs`.

    Raises:
        InputError: a run's predictions do not belong to the rows of this comparison.
    """
    metric = headline(task, grid.dev[0])
    sign = -1 if metric.lower_is_better else 1
    cells: dict[tuple[Arm, int], CellRuns] = {}
    resampled: np.ndarray | None = None
    # If each seed has its own dev rows, they cannot be resampled together, unless there is only one seed.
    paired = grid.shares_dev
    name, answered = "", 0
    for run in runs:
        result = read_result(run.folder)
        metric_inputs = _read_answers(run, grid.dev_of(run.seed), task)
        name, score = result.headline
        again = metric.compute(metric_inputs["predictions"], metric_inputs["references"])
        if not math.isclose(again, score, rel_tol=1e-6, abs_tol=1e-6):
            raise InputError(
                expected=f"predictions in {run.folder} with the {name} of its result, {score:.6g}",
                found=f"{again:.6g}, from the rows as they are now",
                change="another --output-dir, or delete that run's folder",
            )
        cell = cells.setdefault((run.arm, run.rows), CellRuns({}, {}, {}))
        cell.results[run.seed], cell.score[run.seed] = result, score
        count = len(metric_inputs["predictions"])
        if answered and count != answered:  # sequences of masked tokens, made by another tokenizer
            paired = False
        answered = count
        if paired:
            if not metric.is_mean and resampled is None:
                resampled = draw_rows(count)
            cell.noise[run.seed] = sign * row_noise(metric, metric_inputs, resampled)
    if not paired:
        for cell in cells.values():
            cell.noise.clear()
    return Table(name, sign, 1 / answered if metric.is_mean else 1.0, answered, cells)


def _read_answers(run: Run, rows: Rows, task: Task) -> Mapping[str, Sequence[Any]]:
    """Reads the predictions of a run and returns the inputs of the metric."""
    predictions = read_predictions(run.folder / PREDICTIONS)
    joined = all("places" in each.more for each in predictions)  # sequences, which are not numbered like rows
    if not joined and [each.row for each in predictions] != rows.numbers.tolist():
        raise InputError(
            expected=f"one prediction in {run.folder} for each of the {len(rows):,} rows of {rows.origin}",
            found=f"{len(predictions):,} predictions of other rows",
            change="another --output-dir, or delete that run's folder",
        )
    return primary_inputs(task, predictions, rows)
