"""Comparisons of runs that never ran: dev rows answered rightly with a known probability."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from tlnlp.experiments.comparison import judge
from tlnlp.experiments.grid import Arm
from tlnlp.experiments.results import CellRuns, Table
from tlnlp.experiments.verdicts import find_verdicts
from tlnlp.transfer.parse_strategy import find_strategy

SIZES = (64, 256, 1024)
# Accuracy in the long run at each size.
SCRATCH = (0.60, 0.68, 0.76)


def simulate(
    truth: dict[str, tuple[float, ...]], *, seeds: int = 5, dev_rows: int = 600, seed: int = 0, sizes: Any = SIZES
) -> dict[str, Any]:
    """What `compare.json` would hold of strategies with these accuracies, in so far as it follows from scores."""
    draw = np.random.default_rng(seed)
    arms = [Arm("mini", find_strategy(name), "mini", name) for name in truth]
    easy = draw.normal(0, 0.1, dev_rows)  # the same rows for all
    cells = {}
    for arm, accuracies in zip(arms, truth.values(), strict=True):
        for size, accuracy in zip(sizes, accuracies, strict=True):
            luck = draw.normal(0, 0.015, (seeds, 1))
            right = (draw.random((seeds, dev_rows)) < accuracy + luck + easy).astype(float)
            results = {i: _result(arm, size, i) for i in range(seeds)}
            score = {i: float(right[i].mean()) for i in range(seeds)}
            cells[arm, size] = CellRuns(results, score, dict(enumerate(right)))
    metric_inputs = judge(Table("accuracy", 1, 1 / dev_rows, dev_rows, cells), arms, sizes)
    return {
        "task": "sst2",
        "metric": "accuracy",
        "lower_is_better": False,
        "models": ["mini"],
        "strategies": list(truth),
        "sizes": list(sizes),
        "seeds": [seeds],
        "dev_rows": dev_rows,
        **metric_inputs,
        "verdicts": find_verdicts(metric_inputs, seeds=seeds, shares_dev=True),
        "failures": [],
    }


def _result(arm: Arm, size: int, seed: int) -> Any:
    """What a comparison reads of a result."""
    return SimpleNamespace(
        interval=None,
        is_constant=False,
        parameters={"trainable": 66_562 if arm.strategy.text == "head_only" else 4_343_810},
        seconds={"train": size / 100, "evaluate": 1.0},
        peak_mib=700.0,
        saved_bytes=18_000_000,
        output=str(Path("runs") / arm.strategy.text / f"{size}-rows" / f"seed{seed}"),
    )
