"""Transfer learning for NLP: recipes that fine-tune BERT and GPT checkpoints, and say whether transfer helped.

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

# Brings torch and transformers: it waits until it is called.
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
    """Runs a recipe and returns what came of it.

    Args:
        recipe: the name of a recipe (`tlnlp recipes` lists them), the path of a recipe's file, a `Recipe` or a `Task`.
        data: "sample" (bundled, the default), "hub", a path, a list of dicts, a dict of columns, a pandas DataFrame, a
            `datasets.Dataset`, or a mapping of split ("train", "validation", "test") to any of these.
        columns: {role: column} where the columns have other names than the task's.
        model: a bundled name, a folder, or a Hub id.
        output_dir: where the run goes; runs/TASK/NAME if None.
        resume: go on with a run that was stopped.
        quiet: print nothing.
        settings: every other flag of the command line by its name with underscores: `strategy="lora:r=8"`, `epochs=3`,
            `learning_rate=2e-5`, `seeds=5`, `precision="bf16"`.

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
    """Loads a trained model, ready to predict.

    Args:
        folder: of a run, or its folder `model`.
        precision: what the network computes in.
        max_tokens: budget of a batch, for memory; never for the result.

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
    """Runs a grid of strategies or checkpoints, numbers of train rows and seeds, and says what it can tell.

    Args:
        recipe: the name of a recipe, or the path of a recipe's file: each run has a process of its own.
        data, columns, settings: as in `train`.
        strategies, models, rows, fractions, seeds: as `tlnlp compare --help` has them.
        output_dir: where all goes; runs/compare/TASK-DATA if None. What is there already is not run again.
        quiet: print nothing.

    Raises:
        InputError: in words, before anything runs.
    """
    return _calls.compare(
        recipe, data, strategies=strategies, models=models, rows=rows, fractions=fractions, seeds=seeds,
        columns=columns, output_dir=output_dir, quiet=quiet, **settings,
    )  # fmt: skip


def fill_mask(
    text: str, *, model: str | Path = "mini", top: int = 5, pieces: int = 2, words: Sequence[str] = ()
) -> list[FilledMask]:
    """The likeliest words in the place of [MASK], each with its probability.

    Args:
        text: with [MASK] where a word is, whatever the checkpoint calls its mask; there may be several.
        model: a bundled name, a folder, or a Hub id.
        top: answers given.
        pieces: word pieces that a word may be made of, at most.
        words: only these, each with its probability.

    Raises:
        InputError: the checkpoint has no masked-word head, or the text no mask.
    """
    return _calls.fill_mask(text, model=model, top=top, pieces=pieces, words=words)


def load_sample(name: str, split: str = "train", language: str | None = None) -> pd.DataFrame:
    """The rows of a bundled sample, to look at and to try things on.

    Args:
        name: "reviews", "entailment", "entities", ...
        split: "train" or "validation".
        language: "de", "es", "fa", "fr" or "ru", where the sample has been translated; English if None.

    Raises:
        InputError: there is no such sample; it says which there are.
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
