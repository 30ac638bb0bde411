"""The results of Python calls: a run or a comparison, with tables and figures.

Tables are pandas DataFrames and figures are matplotlib figures; a notebook displays both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from tlnlp.display.plotting import Picture
from tlnlp.errors import InputError
from tlnlp.evaluation.predictions import read_predictions
from tlnlp.experiments import curve_plot, tables
from tlnlp.inference.predictor import Predictor
from tlnlp.reporting.page import Report, save_page
from tlnlp.reporting.pictures import plot_learning
from tlnlp.reporting.predictions import count_confusions
from tlnlp.runs import folder as folders
from tlnlp.runs.languages import gap_between
from tlnlp.runs.result import RunResult
from tlnlp.task import Prediction

# The columns of a table of mistakes after the texts.
JUDGED = ("label", "prediction", "score")
# The columns of a table of languages after the scores.
OF_LANGUAGES = ("majority", "script", "pieces_per_word", "unknown_fraction")
# The columns of a comparison's table, for each point of its curves.
SHOWN = ("rows", "mean", "low", "high", "scores", "trainable_parameters", "seconds", "peak_mib", "saved_bytes")


@dataclass(frozen=True)
class Run:
    """A finished run and the files in its folder.

    Args:
        folder: contains `model/`, `predictions.jsonl`, `result.json` and `report.html`.
        result: the content of `result.json`; docs/result.md describes each field.
    """

    folder: Path
    result: RunResult

    @property
    def metrics(self) -> dict[str, float]:
        """{metric: value} on the dev rows, or on the test rows if dev was used for model selection; the mean over
        seeds."""
        return dict(self.result.metrics)

    @cached_property
    def model(self) -> Predictor:
        """The trained model, for prediction; that of the first seed if there are several."""
        return Predictor(self.result.model_folder)

    @cached_property
    def predictions(self) -> list[Prediction]:
        """The predictions for the evaluated rows; those of the first seed if there are several."""
        return read_predictions(self.result.model_folder.parent / folders.PREDICTIONS)

    @property
    def mistakes(self) -> pd.DataFrame:
        """The wrong predictions with the largest errors, largest first, at most twenty: a column for each text,
        `label`, `prediction`, `score`.

        For tags: `words`, `label` and `prediction`, each a list. If there are several seeds, those of the first.
        """
        rows = [{**each, **each.get("texts", {})} for each in self.result.mistakes]
        names = [name for name in (rows[0] if rows else ()) if name not in ("row", "texts", *JUDGED)]
        return pd.DataFrame(rows, columns=["row", *names, *(name for name in JUDGED if rows and name in rows[0])])

    @property
    def confusion_matrix(self) -> pd.DataFrame:
        """Number of rows by label (rows of the table) and prediction (columns); number of words, for tags.

        Raises:
            InputError: the predictions are not labels, but numbers, texts or sets of labels.
        """
        labels, counts = count_confusions(self.predictions, self.result.task)
        return pd.DataFrame(counts, index=pd.Index(labels, name="label"), columns=pd.Index(labels, name="prediction"))

    @property
    def languages(self) -> pd.DataFrame:
        """One row per language, the source language first: rows, metrics, the gap to the source language, the majority
        baseline, tokens per word; means over seeds.

        Raises:
            InputError: the run was not evaluated in other languages.
        """
        found = self.result.languages
        if not found:
            raise InputError(
                expected="a run that was asked in other languages",
                found=f"{self.result.task}, in one",
                change="the recipe (sentiment_zero_shot, xnli, ...), or give transfer_data",
            )
        return pd.DataFrame(
            {"language": each["language"], "rows": each["rows"], **each["metrics"]}
            | {"gap": gap_between(found["source"], each).value, **{name: each[name] for name in OF_LANGUAGES}}
            for each in (found["source"], *found["targets"])
        )

    def plot_learning_curve(self) -> Picture | None:
        """Returns a matplotlib figure of the training loss by updates and the dev score after each epoch; None if the
        model was not trained by updates. If there are several seeds, that of the first."""
        return plot_learning(self.result)

    def report(self) -> Report:
        """Writes the HTML report of the run and returns it; a notebook displays it."""
        save_page([self.folder], self.folder / folders.REPORT)
        return Report(self.folder / folders.REPORT)

    def __repr__(self) -> str:
        scores = ", ".join(f"{name} {value:.4f}" for name, value in self.metrics.items())
        return f"Run({self.result.task}: {scores}; {self.folder})"


@dataclass(frozen=True)
class Comparison:
    """A finished comparison: a grid of runs with verdicts.

    Args:
        folder: contains `compare.json`, `compare.md`, the plot and the runs.
        result: the content of `compare.json`.
    """

    folder: Path
    result: Mapping[str, Any]

    @property
    def table(self) -> pd.DataFrame:
        """One row per checkpoint, strategy and number of train rows: the mean score, the bounds of its 95 % confidence
        interval, the score of each seed, and the cost of a run."""
        return pd.DataFrame([
            {"model": curve["model"], "strategy": curve["strategy"]} | {name: point[name] for name in SHOWN}
            for curve in self.result["curves"]
            for point in curve["points"]
        ])  # fmt: skip

    @property
    def verdicts(self) -> list[str]:
        """The conclusions that the runs support, as sentences."""
        return [sentence for part in self.result["verdicts"].values() for sentence in part]

    def plot_learning_curves(self) -> Picture:
        """Returns a matplotlib figure of the score by number of train rows, one curve per strategy or checkpoint."""
        return curve_plot.plot(self.result, tables.title(self.result))

    def __repr__(self) -> str:
        return f"Comparison({tables.title(self.result)}; {self.folder})"
