"""Profiles an update: python benchmarks/profile_step.py --model FOLDER --data $DATA/sst2

Accepts all flags of recipes/sst2.py. Prints the share of each part of an update, then the operators by self time.
"""

from __future__ import annotations

import contextlib
import runpy
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch
from torch.profiler import ProfilerActivity, profile, record_function

from tlnlp.display.quiet import quiet_libraries
from tlnlp.recipe import Recipe
from tlnlp.runs.checks import check_run
from tlnlp.runs.request import Request
from tlnlp.runs.setup import PreparedRun, prepare
from tlnlp.training.distributed import start_accelerator
from tlnlp.training.loop import train

WARM_UP_UPDATES, UPDATES, OPERATORS = 40, 20, 15  # shapes and memory have settled by then
PARTS = ("forward", "backward", "clip", "optimizer")


def main() -> None:
    """Profiles the first updates of the run that the flags describe."""
    quiet_libraries()
    recipe: Recipe = runpy.run_path(str(Path(__file__).parents[1] / "recipes" / "sst2.py"))["recipe"]
    settings = recipe.parse(sys.argv[1:], __doc__ or "")
    with tempfile.TemporaryDirectory() as folder:
        request = replace(Request.of(recipe, settings), folder=Path(folder))
        work = prepare(check_run(request), start_accelerator(settings.precision))
    with _named_parts(work):
        steps = train(work.training)
        for _ in range(WARM_UP_UPDATES):
            next(steps)
        with profile(activities=[ProfilerActivity.CPU]) as measured:
            for _ in range(UPDATES):
                next(steps)
    averages = measured.key_averages()
    total = sum(each.self_cpu_time_total for each in averages)
    print(f"{total / UPDATES / 1000:.1f} ms an update of {settings.batch_size} rows, {torch.get_num_threads()} threads")
    for part in PARTS:
        spent = sum(each.cpu_time_total for each in averages if each.key == part)
        print(f"  {part:10} {spent / total:6.1%}")
    print(averages.table(sort_by="self_cpu_time_total", row_limit=OPERATORS, max_name_column_width=40))


@contextlib.contextmanager
def _named_parts(work: PreparedRun) -> Iterator[None]:
    """Labels the parts of an update for the profiler."""
    accelerator, optimizer = work.training.accelerator, work.training.optimizer

    def named(part: str, act):  # type: ignore[no-untyped-def]
        def call(*arguments, **keywords):  # type: ignore[no-untyped-def]
            with record_function(part):
                return act(*arguments, **keywords)

        return call

    with (
        patch.object(work.training.model, "forward", named("forward", work.training.model.forward)),
        patch.object(accelerator, "backward", named("backward", accelerator.backward)),
        patch.object(accelerator, "clip_grad_norm_", named("clip", accelerator.clip_grad_norm_)),
        patch.object(optimizer, "step", named("optimizer", optimizer.step)),
    ):
        yield


if __name__ == "__main__":
    main()
