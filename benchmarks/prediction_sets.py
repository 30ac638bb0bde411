"""Coverage of prediction sets on a real data set, over many splits into rows that calibrate and rows that are measured.

    python benchmarks/prediction_sets.py sst2 --data $DATA/sst2
    python benchmarks/prediction_sets.py conll2003 --data $DATA/conll2003 --train-rows 2000 --epochs 3

Trains the recipe (by default with the bundled network on 4,000 rows), predicts the dev rows, and splits them in random
halves, as often as --splits says: one half calibrates, the other is measured. `naive` takes the likeliest labels until
their probabilities sum up to one minus the rate, as if they were calibrated. A row of a tagging task counts with the
share of its words.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tlnlp.commands.python_calls import train  # noqa: E402
from tlnlp.data.bytes_to_text import FileFormat  # noqa: E402
from tlnlp.data.columns import choose_columns  # noqa: E402
from tlnlp.data.files import read_file  # noqa: E402
from tlnlp.data.roles import ReadOptions, read_rows  # noqa: E402
from tlnlp.data.rows import Rows  # noqa: E402
from tlnlp.evaluation.conformal import METHODS, Calibration, ClassChances, chances_of, sets_of  # noqa: E402
from tlnlp.inference.answer_options import AnswerOptions  # noqa: E402
from tlnlp.inference.input_parts import Part  # noqa: E402
from tlnlp.inference.predictor import Predictor  # noqa: E402


@dataclass
class SetsArguments:
    """The command's flags.

    Args:
        recipe: its name.
        data: a folder with train and validation rows.
        model: checkpoint to fine-tune.
        train_rows, epochs, learning_rate: of the run.
        splits: number of random halves.
        rates: error rates.
        output_dir: the folder of the run, which is not repeated.
    """

    recipe: Annotated[str, tyro.conf.Positional]
    data: Path
    model: str = "mini"
    train_rows: int = 4_000
    epochs: int = 1
    learning_rate: float | None = None
    splits: int = 200
    rates: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2)
    output_dir: Path = ROOT / "runs" / "benchmarks" / "prediction_sets"


def dev_chances(predictor: Predictor, data: Path) -> ClassChances:
    """Returns the probabilities of all classes for the dev rows, and the right ones."""
    task = predictor.task
    (file,) = [path for path in data.iterdir() if path.name.split(".")[0] in ("validation", "dev")]
    table = read_file(file, form=FileFormat(words=task.columns.words is not None))
    columns = choose_columns(table, task.columns.by_role(), {}, {}, not_needed=("weight",))
    rows: Rows = read_rows(table, columns, ReadOptions(task.labels, False, True), train=False)[0]
    part = Part(table, rows, np.arange(len(rows)), [None] * len(rows))
    # All classes, which a rate asks for; of which set they are is of no interest here.
    predictions = predictor.predict_part(part, options=AnswerOptions(error_rate=0.5))
    found = chances_of(predictions, rows, task)
    assert found is not None
    return found


def shares(found: ClassChances, inside: np.ndarray) -> tuple[float, float]:
    """Returns coverage and mean size, each a mean over rows of the mean over their lines."""
    _, places, counts = np.unique(found.rows, return_inverse=True, return_counts=True)
    assert found.right is not None
    covered = inside[np.arange(len(inside)), found.right]
    return tuple(  # type: ignore[return-value]
        float((np.bincount(places, weights=each) / counts).mean()) for each in (covered, inside.sum(1))
    )


def naive(chances: np.ndarray, rate: float) -> np.ndarray:
    order = np.argsort(-chances, axis=1)
    ordered = np.take_along_axis(chances, order, 1)
    inside = np.empty(chances.shape, dtype=bool)
    np.put_along_axis(inside, order, ordered.cumsum(1) - ordered < 1 - rate, 1)
    return inside


def main() -> None:
    asked = tyro.cli(SetsArguments, description=__doc__, config=(tyro.conf.FlagCreatePairsOff,))
    folder = asked.output_dir / asked.recipe
    if not (folder / "result.json").is_file():
        rate: dict[str, Any] = {} if asked.learning_rate is None else {"learning_rate": asked.learning_rate}
        train(
            asked.recipe, asked.data, model=asked.model, output_dir=folder, train_rows=asked.train_rows,
            epochs=asked.epochs, no_report=True, quiet=True, overwrite=True, **rate,
        )  # fmt: skip
    found = dev_chances(Predictor(folder / "model"), asked.data)
    rows = np.unique(found.rows)
    print(f"{asked.recipe}: {len(rows):,} dev rows in halves, {asked.splits} splits\n")
    print("| error rate | sets | coverage | of 95 % of the splits | labels in a set |\n|---|---|---|---|---|")
    draws = np.random.default_rng(0)
    halves = [np.array_split(draws.permutation(rows), 2) for _ in range(asked.splits)]
    for rate in asked.rates:
        of_method: dict[str, list[tuple[float, float]]] = {"naive": [], **{method: [] for method in METHODS}}
        for calibrating, held in halves:
            new = found.select(held)
            used = found.select(calibrating)
            kept = Calibration.of(ClassChances(used.chances, np.unique(used.rows, return_inverse=True)[1], used.right))
            of_method["naive"].append(shares(new, naive(new.chances, rate)))
            for method in METHODS:
                inside = sets_of(new.chances, kept.threshold(rate, method), method)
                of_method[method].append(shares(new, inside))
        for method, measured in of_method.items():
            coverage, sizes = np.array(measured).T
            low, high = np.quantile(coverage, [0.025, 0.975])
            print(f"| {rate:g} | {method} | {coverage.mean():.3f} | {low:.3f} to {high:.3f} | {sizes.mean():.2f} |")


if __name__ == "__main__":
    main()
