"""How often the 95 % interval of a score holds the truth: the plain one, value ± h, beside the one that a run reports.

    python benchmarks/interval_coverage.py
    python benchmarks/interval_coverage.py --samples 2000

Draws samples of dev rows from populations whose score is known (from a sample of a million rows), computes both
intervals as a run does, and prints a Markdown table: how often each holds the true score (95 % is right), how often the
plain one leaves the metric's range, mean widths, and how often a run says "too few" instead of giving an interval. The
shares of a line are over all samples, also where a run would refuse. Takes about two minutes of one core.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import numpy as np

from tlnlp import heads
from tlnlp.data.rows import Rows
from tlnlp.evaluation import metrics
from tlnlp.evaluation.intervals import LEAST_ITEMS, scale_of, score_interval
from tlnlp.evaluation.scikit_metrics import scikit_metric
from tlnlp.evaluation.scoring import headline, load_metric
from tlnlp.evaluation.statistics import estimate
from tlnlp.evaluation.uncertainty import DRAWN_ROWS, SeedScores, draws_of
from tlnlp.task import Columns, Data, Task

Draw = Callable[[np.random.Generator, int], tuple[Any, Any]]
POPULATION = 1_000_000


def labels(shares: list[float], right: float) -> Draw:
    """Rows of labels with these shares, of which a part is answered rightly, and the others at random."""

    def draw(generator: np.random.Generator, rows: int) -> tuple[Any, Any]:
        held = generator.choice(len(shares), rows, p=shares)
        other = (held + generator.integers(1, len(shares), rows)) % len(shares)
        return np.where(generator.random(rows) < right, held, other), held

    return draw


def rare(share: float, recall: float, false_alarms: float) -> Draw:
    """Rows of two labels, of which the positive one is rare."""

    def draw(generator: np.random.Generator, rows: int) -> tuple[Any, Any]:
        held = (generator.random(rows) < share).astype(int)
        told = generator.random(rows) < np.where(held == 1, recall, false_alarms)
        return told.astype(int), held

    return draw


def scores(share: float, apart: float) -> Draw:
    """Probabilities of two labels whose logits are normal, with means that are `apart`."""

    def draw(generator: np.random.Generator, rows: int) -> tuple[Any, Any]:
        held = (generator.random(rows) < share).astype(int)
        chance = 1 / (1 + np.exp(-generator.normal(size=rows) - apart * held))
        return np.stack([1 - chance, chance], axis=1), held

    return draw


def numbers(correlation: float) -> Draw:
    """Normal numbers and predictions of this correlation."""

    def draw(generator: np.random.Generator, rows: int) -> tuple[Any, Any]:
        held, noise = generator.normal(size=(2, rows))
        return correlation * held + np.sqrt(1 - correlation**2) * noise, held

    return draw


CASES: list[tuple[str, Any, Draw, tuple[int, ...]]] = [
    ("accuracy 0.5", metrics.accuracy, labels([0.5, 0.5], 0.5), (4, 10, 30, 100)),
    ("accuracy 0.9", metrics.accuracy, labels([0.5, 0.5], 0.9), (4, 10, 30, 100, 1000)),
    ("accuracy 0.98", metrics.accuracy, labels([0.5, 0.5], 0.98), (30, 100, 1000)),
    ("F1, 30 % positive", metrics.f1, rare(0.3, 0.8, 0.1), (30, 100, 1000)),
    ("F1, 5 % positive", metrics.f1, rare(0.05, 0.6, 0.01), (100, 300, 1000)),
    ("F1, 5 % positive, nearly all found", metrics.f1, rare(0.05, 0.98, 0.001), (300, 1000)),
    ("macro F1, 3 labels (10, 30, 60 %)", metrics.f1, labels([0.1, 0.3, 0.6], 0.85), (50, 200, 1000)),
    ("Matthews, 10 % positive", metrics.matthews, rare(0.1, 0.7, 0.02), (100, 1000)),
    ("balanced accuracy, 10 % positive", scikit_metric("balanced_accuracy"), rare(0.1, 0.9, 0.02), (100, 1000)),
    ("ROC AUC, 10 % positive", scikit_metric("roc_auc"), scores(0.1, 2.0), (100, 1000)),
    ("Pearson 0.9", metrics.pearson, numbers(0.9), (10, 30, 100)),
    ("Spearman 0.6", metrics.spearman, numbers(0.6), (10, 30, 100)),
]
# Accuracy 0.9 with a standard deviation over seeds of 0.02, on the same dev rows.
SEEDS, SEED_SPREAD = (2, 3, 5), 0.02


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=400, help="samples of each line (400)")
    samples = parser.parse_args().samples
    print(
        "| score | rows | truth | plain: holds it | outside the range | width | reported: holds it | width | too few |"
    )
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    for name, metric, draw, sizes in CASES:
        for rows in sizes:
            print(line(name, rows, *measure(metric, draw, rows, samples)), flush=True)
    for seeds in SEEDS:
        print(line(f"accuracy 0.9, {seeds} seeds", 100, *measure_seeds(seeds, 100, samples)), flush=True)


def measure(metric: Any, draw: Draw, rows: int, samples: int) -> tuple[float, list[Any]]:
    """Returns the truth, and for each sample (value, plain interval, reported interval, refused)."""
    generator = np.random.default_rng(0)
    told, held = draw(generator, POPULATION)
    task, loaded = task_of(metric), load_metric(metric, task_of(metric), rows_of(held))
    name, truth = next(iter(loaded._compute(told, held).items()))
    found = []
    for _ in range(samples):
        told, held = (list(each) for each in draw(generator, rows))
        primary, scale = headline(task, rows_of(held)), scale_of(loaded, name, told, held)
        noise = draws_of(primary, {"predictions": told, "references": held}, rows)
        factor = 1 / rows if primary.is_mean else min(rows, DRAWN_ROWS) / rows
        value = primary.compute(told, held)
        if not np.isfinite(value):
            continue
        of = estimate(SeedScores(np.array([value]), noise[None], factor, rows))
        found.append((of.interval(), score_interval(of, scale), scale.items < LEAST_ITEMS, scale.name))
    return truth, found


def measure_seeds(seeds: int, rows: int, samples: int) -> tuple[float, list[Any]]:
    generator, found = np.random.default_rng(0), []
    for _ in range(samples):
        ease = generator.random(rows)  # the same rows are hard for all seeds
        accuracies = 0.9 + SEED_SPREAD * generator.normal(size=(seeds, 1))
        outcomes = (ease < accuracies).astype(float)
        of = estimate(SeedScores(outcomes.mean(axis=1), outcomes, 1 / rows, rows))
        scale = scale_of(None, "accuracy", [0] * rows, [0] * rows)
        found.append((of.interval(), score_interval(of, scale), False, scale.name))
    return 0.9, found


def line(name: str, rows: int, truth: float, found: list[Any]) -> str:
    plain, ours = np.array([each[0] for each in found]), np.array([each[1] for each in found])
    lowest = -1.0 if found[0][3] in ("agreement", "correlation") else 0.0
    outside = (plain[:, 0] < lowest - 1e-9) | (plain[:, 1] > 1 + 1e-9)
    assert (ours >= lowest).all() and (ours <= 1).all()
    cells = [name, f"{rows:,}", f"{truth:.3f}"]
    for part in (plain, ours):
        cells.append(f"{np.mean((part[:, 0] <= truth) & (truth <= part[:, 1])):.1%}")
        cells += [f"{outside.mean():.0%}"] if part is plain else []
        cells.append(f"{np.mean(part[:, 1] - part[:, 0]):.3f}")
    return f"| {' | '.join([*cells, f'{np.mean([each[2] for each in found]):.0%}'])} |"


def task_of(metric: Any) -> Task:
    return Task("simulated", Data(), Columns(text="text", label="label"), heads.sentence, None, (metric,))


def rows_of(held: Any) -> Rows:
    """Rows with these labels, or with numbers."""
    is_label = np.asarray(held).dtype.kind == "i"
    names = ("a", "b", "c")[: max(2, int(max(held)) + 1)] if is_label else None
    return Rows({"label": list(held[:5])}, "simulated", np.arange(len(held)), names)


if __name__ == "__main__":
    main()
