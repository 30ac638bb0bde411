"""Measures the false-alarm rate of `tlnlp compare` in simulated experiments without a true difference.

    python benchmarks/false_alarms.py        # a minute; at the stated level of 5 %

For comparison it also measures a plain bootstrap over seeds and rows, which the command does not use. The effects of
seeds, rows and their interaction are simulated as in tests/evaluation/test_statistics.py, which checks the level.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.evaluation.test_statistics import WORLDS, plain_bootstrap_alarms, runs_of
from tlnlp.evaluation.statistics import LEVEL, compare, scores_of_means

SEEDS, ROWS = (2, 3, 5, 10), (50, 240, 900)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=1500)
    repetitions = parser.parse_args().repetitions
    draw = np.random.default_rng(0)
    print("| seeds | ours, lowest to highest of 12 experiments | plain bootstrap, seeds differ most, 150 dev rows |")
    print("|---:|---:|---:|")
    for seeds in SEEDS:
        shares = []
        for world in WORLDS:
            for rows in ROWS:
                found = [compare(*map(scores_of_means, runs_of(draw, world, seeds, rows))) for _ in range(repetitions)]
                shares.append(np.mean([abs(each.value) > each.half_width(LEVEL) for each in found]))
        plain = np.mean(plain_bootstrap_alarms(draw, seeds, rows=150, repetitions=repetitions // 5))
        print(f"| {seeds} | {min(shares):.1%} to {max(shares):.1%} | {plain:.0%} |", flush=True)


if __name__ == "__main__":
    main()
