"""Transfer learning for NLP: recipes that fine-tune BERT and GPT checkpoints, and test whether transfer helps.

run = tlnlp.train("sst2", data=frame, columns={"text": "review", "label": "stars"})
run.metrics, run.predictions, run.folder
tlnlp.load(run.folder).predict(["A film to see twice."])
tlnlp.compare("sst2", strategies=["from_scratch", "full"], rows=[64, 256], seeds=5).table
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tlnlp import heads
from tlnlp.errors import InputError, Interrupted
from tlnlp.evaluation import metrics
from tlnlp.lazy import lazy_module
from tlnlp.recipe import Default, NewModel, Published, Recipe
from tlnlp.runs.versions import __version__
from tlnlp.task import Columns, Data, MultiLabel, Regression, Task

if TYPE_CHECKING:
    import pandas as pd

    from tlnlp.commands.python_results import Comparison, Run
    from tlnlp.inference.masked_words import FilledMask
    from tlnlp.inference.predictor import Predictor

# Imports torch and transformers, therefore only when it is first used.
_calls = lazy_module("tlnlp.commands.python_calls")
_samples = lazy_module("tlnlp.data.samples")


def train(
    recipe: str | Recipe | Task,
    data: Any = None,
    *,
    columns: Mapping[str, str] | None = None,
    model: str | Path | None = None,
    output_dir: str | Path | None = None,
    resume: bool = False,
    quiet: bool = False,
    **settings: Any,
) -> Run:
    """Runs a recipe: trains a model, evaluates it and saves it.

    Args:
        recipe: the name of a recipe (`tlnlp recipes` lists them), the path of a recipe file, a `Recipe` or a `Task`.
        data: "sample" (bundled, the default), "hub", a path, a list of dicts, a dict of columns, a pandas DataFrame, a
            `datasets.Dataset`, or a mapping from split ("train", "validation", "test") to any of these.
        columns: {role: column}, if the columns are not named as the task's roles.
        model: a bundled name, a folder, or a Hub id; the recipe's default if None.
        output_dir: the folder of the run; runs/TASK/NAME if None.
        resume: whether to resume a run that was stopped.
        quiet: whether to print nothing.
        settings: any other flag of the command line, with underscores: `strategy="lora:r=8"`, `epochs=3`,
            `learning_rate=2e-5`, `seeds=5`, `precision="bf16"`.

    Returns:
        The finished run: its metrics, predictions and model.

    Raises:
        InputError: a `ValueError` that says what was expected, what was found, and what to change.
        Interrupted: a `KeyboardInterrupt`; the run can be resumed.
    """
    return _calls.train(
        recipe, data, columns=columns, model=model, output_dir=output_dir, resume=resume, quiet=quiet, **settings
    )


def load(
    folder: str | Path, *, precision: Literal["fp32", "bf16", "fp16"] = "fp32", max_tokens: int = 4096
) -> Predictor:
    """Loads a trained model for prediction.

    Args:
        folder: the folder of a run, or the folder `model` in it.
        precision: floating-point format of the network's computations.
        max_tokens: maximum number of tokens per batch. It limits memory and does not affect the predictions.

    Raises:
        InputError: there is no such model.
    """
    return _calls.load(folder, precision=precision, max_tokens=max_tokens)


def compare(
    recipe: str,
    data: Any = None,
    *,
    strategies: Sequence[str] = (),
    models: Sequence[str | Path] = (),
    rows: Sequence[int] = (),
    fractions: Sequence[float] = (),
    seeds: int | Sequence[int] = 5,
    columns: Mapping[str, str] | None = None,
    output_dir: str | Path | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Comparison:
    """Trains a grid of strategies or checkpoints, numbers of train rows and seeds, and compares their scores.

    Args:
        recipe: the name of a recipe, or the path of a recipe file (not an object: each run is a separate process).
        data, columns, settings: as in `train`.
        strategies, models, rows, fractions, seeds: the axes of the grid, see `tlnlp compare --help`.
        output_dir: the folder of the comparison; runs/compare/TASK-DATA if None. Finished runs in it are not repeated.
        quiet: whether to print nothing.

    Returns:
        The comparison: a table of scores with confidence intervals, and verdicts.

    Raises:
        InputError: an argument or the data cannot be used (checked before the first run starts), or no run has a
            result.
        Interrupted: a `KeyboardInterrupt`; the same call resumes the comparison.
    """
    return _calls.compare(
        recipe, data, strategies=strategies, models=models, rows=rows, fractions=fractions, seeds=seeds,
        columns=columns, output_dir=output_dir, quiet=quiet, **settings,
    )  # fmt: skip


def fill_mask(
    text: str, *, model: str | Path = "mini", top: int = 5, pieces: int = 2, words: Sequence[str] = ()
) -> list[FilledMask]:
    """Returns the most probable words for [MASK], with their probabilities.

    Args:
        text: a text with one or more [MASK], even if the checkpoint has another mask token.
        model: a bundled name, a folder, or a Hub id.
        top: number of results.
        pieces: maximum number of tokens per word.
        words: score only these words.

    Raises:
        InputError: the checkpoint has no masked-language-model head, or the text has no [MASK].
    """
    return _calls.fill_mask(text, model=model, top=top, pieces=pieces, words=words)


def load_sample(name: str, split: str = "train", language: str | None = None) -> pd.DataFrame:
    """Returns the rows of a bundled sample as a DataFrame.

    Args:
        name: "reviews", "entailment", "entities", ...
        split: "train" or "validation".
        language: "de", "es", "fa", "fr" or "ru", if the sample has been translated; English if None.

    Raises:
        InputError: there is no such sample; the message lists those that exist.
    """
    return _samples.load_sample(name, split, language)


__all__ = [
    "Columns",
    "Data",
    "Default",
    "InputError",
    "Interrupted",
    "MultiLabel",
    "NewModel",
    "Published",
    "Recipe",
    "Regression",
    "Task",
    "__version__",
    "compare",
    "fill_mask",
    "heads",
    "load",
    "load_sample",
    "metrics",
    "train",
]
