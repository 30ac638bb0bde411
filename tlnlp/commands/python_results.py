"""What the calls from Python give back: a run, a comparison; their numbers as tables, their curves as figures.

Tables are pandas DataFrames and figures are matplotlib's: a notebook shows both, and both can be worked on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from tlnlp.display.plotting import Picture
from tlnlp.errors import InputError
from tlnlp.experiments import curve_plot, tables
from tlnlp.inference.predictor import Predictor
from tlnlp.reporting.page import Report, save_page
from tlnlp.reporting.pictures import plot_learning
from tlnlp.reporting.predictions import count_confusions
from tlnlp.runs import folder as folders
from tlnlp.runs.languages import gap_between
from tlnlp.runs.result import RunResult
from tlnlp.task import Prediction

# The columns of a table of mistakes that come after the texts.
JUDGED = ("label", "prediction", "score")
# What a table of languages says of each beside its scores.
OF_LANGUAGES = ("majority", "script", "pieces_per_word", "unknown_fraction")
# What a comparison's table shows of each point of its curves.
SHOWN = ("rows", "mean", "low", "high", "scores", "trainable_parameters", "seconds", "peak_mib", "saved_bytes")


@dataclass(frozen=True)
class Run:
    """A finished run and what it left in its folder.

    Args:
        folder: holds `model/`, `predictions.jsonl`, `result.json` and `report.html`.
        result: the content of `result.json`; docs/result.md says what each field is.
    """

    folder: Path
    result: RunResult

    @property
    def metrics(self) -> dict[str, float]:
        """{metric: value} on the dev rows (on test where dev was used to choose); of several seeds the mean."""
        return dict(self.result.metrics)

    @cached_property
    def model(self) -> Predictor:
        """The trained model, ready to predict; of several seeds that of the first."""
        return Predictor(self.result.model_folder)

    @cached_property
    def predictions(self) -> list[Prediction]:
        """A prediction for each of the rows that the metrics are about; of several seeds those of the first."""
        file = self.result.model_folder.parent / folders.PREDICTIONS
        lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
        return [Prediction.of(line) for line in lines]

    @property
    def mistakes(self) -> pd.DataFrame:
        """The rows that are most wrong first, twenty at most: a column for each text, `label`, `prediction`, `score`.

        Of tags: `words`, `label` and `prediction`, each a list. Of several seeds those of the first.
        """
        rows = [{**each, **each.get("texts", {})} for each in self.result.mistakes]
        names = [name for name in (rows[0] if rows else ()) if name not in ("row", "texts", *JUDGED)]
        return pd.DataFrame(rows, columns=["row", *names, *(name for name in JUDGED if rows and name in rows[0])])

    @property
    def confusion_matrix(self) -> pd.DataFrame:
        """Rows counted by their label (lines) and the prediction (columns); of tags words.

        Raises:
            InputError: the predictions are no labels: numbers, texts, sets of labels.
        """
        labels, counts = count_confusions(self.predictions, self.result.task)
        return pd.DataFrame(counts, index=pd.Index(labels, name="label"), columns=pd.Index(labels, name="prediction"))

    @property
    def languages(self) -> pd.DataFrame:
        """A line for each language, that learnt from first: rows, metrics, the gap to that one, the majority
        baseline, pieces a word; of several seeds means.

        Raises:
            InputError: the run was not asked in other languages.
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
        """The train loss of the updates, and the dev score after each epoch: a matplotlib figure. None where nothing
        was learnt by updates. Of several seeds that of the first."""
        return plot_learning(self.result)

    def report(self) -> Report:
        """Writes the page about the run and returns its file, which a notebook shows."""
        save_page([self.folder], self.folder / folders.REPORT)
        return Report(self.folder / folders.REPORT)

    def __repr__(self) -> str:
        scores = ", ".join(f"{name} {value:.4f}" for name, value in self.metrics.items())
        return f"Run({self.result.task}: {scores}; {self.folder})"


@dataclass(frozen=True)
class Comparison:
    """A finished grid of runs and what it says.

    Args:
        folder: holds `compare.json`, `compare.md`, the picture and the runs.
        result: the content of `compare.json`.
    """

    folder: Path
    result: Mapping[str, Any]

    @property
    def table(self) -> pd.DataFrame:
        """A line for each checkpoint, strategy and number of train rows: mean score, the ends of its 95 % interval, the
        score of each seed, and what a run costs."""
        return pd.DataFrame([
            {"model": curve["model"], "strategy": curve["strategy"]} | {name: point[name] for name in SHOWN}
            for curve in self.result["curves"]
            for point in curve["points"]
        ])  # fmt: skip

    @property
    def verdicts(self) -> list[str]:
        """What the runs can tell, in sentences."""
        return [sentence for part in self.result["verdicts"].values() for sentence in part]

    def plot_learning_curves(self) -> Picture:
        """Score by train rows, one curve for each strategy or checkpoint: a matplotlib figure."""
        return curve_plot.plot(self.result, tables.title(self.result))

    def __repr__(self) -> str:
        return f"Comparison({tables.title(self.result)}; {self.folder})"
