"""The metrics and the positive label of a run: those of the recipe, or of `--metrics` and `--positive`."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tlnlp.data.rows import Rows
from tlnlp.display.formatting import percent
from tlnlp.errors import InputError
from tlnlp.evaluation import metrics
from tlnlp.evaluation.scikit_metrics import ENDING, NAMES, NUMBER, ONE, SEVERAL, WORD, ScikitMetric, scikit_metric
from tlnlp.evaluation.scoring import positive_label
from tlnlp.lazy import find_object
from tlnlp.settings import Settings
from tlnlp.task import MultiLabel, Regression, Task

ANSWER, TEXT = "answers to questions", "plain text"
# The library's own metrics, and what they score.
OWN = {
    "accuracy": (ONE, SEVERAL, ENDING),
    "f1": (ONE, SEVERAL),
    "matthews": (ONE, ENDING),
    "pearson": (NUMBER,),
    "spearman": (NUMBER,),
    "entity_f1": (WORD,),
    "word_accuracy": (WORD,),
    "squad": (ANSWER,),
    "perplexity": (TEXT,),
}
NEAR_NAMES = 3


def choose_metrics(task: Task, settings: Settings, train: Rows) -> tuple[Task, list[str]]:
    """Returns the task with its metrics and its positive label, and notes on what was chosen.

    Raises:
        InputError: a metric is unknown or does not suit the task's answers; `--positive` is no label, or no metric
            has one.
    """
    notes: list[str] = []
    if settings.metrics:
        task = replace(task, metrics=find_metrics(settings.metrics, task))
    named = _metrics_with_positive(task)
    task = _choose_positive(task, settings, train, notes, named)
    for each in task.metrics:
        if isinstance(each, type) and issubclass(each, ScikitMetric) and kind_of(task) == ONE:
            _refuse_more_than_two(each, task, train)
    if settings.metrics:
        first = "the only one" if len(settings.metrics) == 1 else "the first one"
        notes.append(f"metrics: {' '.join(settings.metrics)}; {first} decides (--keep best, verdicts)")
    return task, notes


def _refuse_more_than_two(metric: type[ScikitMetric], task: Task, train: Rows) -> None:
    """Raises an error for a metric of two labels if there are more, and none of them is the positive one."""
    how, name, labels = metric.how, metric.name, train.labels or ()
    if len(labels) == 2 or positive_label(task, train) is not None or not (how.has_positive or how.by_label == "two"):
        return
    if how.by_label == "macro":  # the mean over labels
        return
    instead = {"roc_auc": "roc_auc_ovr, its mean over labels against the rest"}.get(name, "another metric")
    raise InputError(
        expected=f"--metrics {name} for two labels",
        found=f"{len(labels)} labels: {', '.join(labels[:5])}{', ...' * (len(labels) > 5)}",
        change=f"--positive LABEL, or --metrics {name}_macro" if f"{name}_macro" in NAMES else instead,
    )


def find_metrics(names: Sequence[str], task: Task) -> tuple[Any, ...]:
    """Returns the metrics with these names, for the task's answers.

    Raises:
        InputError: a name is unknown, or the metric scores other answers.
    """
    return tuple(_find(name, kind_of(task)) for name in names)


def kind_of(task: Task) -> str:
    """Returns what the task's answers are: `ONE` label, `SEVERAL`, and so on."""
    roles = task.columns.by_role()
    if "tags" in roles:
        return WORD
    if "answers" in roles:
        return ANSWER
    if "label" not in roles:
        return TEXT
    if "endings" in roles:
        return ENDING
    return SEVERAL if isinstance(task.labels, MultiLabel) else NUMBER if isinstance(task.labels, Regression) else ONE


def _find(name: str, kind: str) -> Any:
    if ":" in name:
        return _import_function(name)
    known = {**OWN, **{each: how.kinds for each, how in NAMES.items()}}
    found = name if name in known else name.removesuffix("_score")
    if found == "accuracy" and kind == WORD:
        found = "word_accuracy"
    if found not in known:
        raise InputError(
            expected="--metrics: names of tlnlp's metrics or of scikit-learn's, or MODULE:FUNCTION, FILE.py:FUNCTION",
            found=f"{name}{_near(name, [each for each, kinds in known.items() if kind in kinds] or list(known))}",
            change=f"one for {kind}: {', '.join(sorted(each for each, kinds in known.items() if kind in kinds))}",
        )
    if kind not in (OWN.get(found) or ()) and kind not in (NAMES[found].kinds if found in NAMES else ()):
        raise InputError(
            expected=f"metrics for {kind}: {', '.join(sorted(each for each, kinds in known.items() if kind in kinds))}",
            found=f"--metrics {name}, for {' or '.join(known[found])}",
            change="the name of the metric",
        )
    return getattr(metrics, found) if kind in OWN.get(found, ()) else scikit_metric(found)


def _near(name: str, known: Sequence[str]) -> str:
    """Returns " (did you mean roc_auc or roc_auc_ovr?)", or an empty string if no known name is similar."""
    near = difflib.get_close_matches(name, known, n=NEAR_NAMES, cutoff=0.5)
    return f" (did you mean {' or '.join(near)}?)" if near else ""


def _import_function(name: str) -> Callable[..., Any]:
    """Returns a person's own metric: MODULE:FUNCTION from the Python path, or FILE.py:FUNCTION."""
    place, _, function = name.rpartition(":")
    try:
        if place.endswith(".py"):
            spec = importlib.util.spec_from_file_location(Path(place).stem, Path(place).expanduser())
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
        else:
            module = find_object(place)
        found = getattr(module, function)
    except Exception as error:  # a person's file can raise anything
        names = [each for each in vars(module) if not each.startswith("_")] if "module" in locals() else []
        raise InputError(
            expected="--metrics MODULE:FUNCTION or FILE.py:FUNCTION, a function of predictions and references",
            found=f"{name}: {type(error).__name__}: {error}{_near(function, names)}",
            change="the path or the name (modules are searched for in PYTHONPATH)",
        ) from error
    if not callable(found):
        raise InputError(
            expected=f"--metrics {name}: a function of predictions and references",
            found=f"a {type(found).__name__}",
            change="the name",
        )
    return found


def _metrics_with_positive(task: Task) -> list[str]:
    """Returns the names of the task's metrics that are of one label."""
    names = []
    for each in task.metrics:
        if isinstance(each, type) and issubclass(each, ScikitMetric):
            names += [each.name] if each.how.has_positive else []
        elif getattr(each, "__name__", "").rpartition(".")[2] == "f1":
            names.append("f1")
    return names


def _choose_positive(task: Task, settings: Settings, train: Rows, notes: list[str], named: Sequence[str]) -> Task:
    """Returns the task with its positive label; what was chosen by the rows is added to `notes`."""
    labels = train.labels or ()
    if settings.positive is not None:
        if kind_of(task) != ONE or not named:
            raise InputError(
                expected="--positive for metrics of one label: f1, precision, recall, average_precision",
                found=f"--positive {settings.positive} for {task.name}, with {_names_of(task)}",
                change="--metrics f1, or omit --positive" if kind_of(task) == ONE else "omit --positive",
            )
        if settings.positive not in labels:
            raise InputError(
                expected=f"--positive: one of the labels {', '.join(labels)}",
                found=f"{settings.positive}{_near(settings.positive, labels)}",
                change="the name of the label",
            )
        return replace(task, positive=settings.positive)
    if not named or kind_of(task) != ONE:
        return replace(task, positive=None)
    if len(labels) != 2 or task.positive is not None:
        return task
    if task.labels is not None:
        return replace(task, positive=labels[1])  # as in GLUE; a checkpoint may have another order
    counts = np.bincount(np.asarray(train.columns["label"]), minlength=2)
    positive = labels[int(counts[1] <= counts[0])]
    share = percent(counts.min() / counts.sum())
    why = "as frequent as the other" if counts[0] == counts[1] else f"the rarer label ({share} of the train rows)"
    notes.append(
        f"{' and '.join(named)} of {positive}, {why}; --positive {labels[1 - labels.index(positive)]} changes it"
    )
    return replace(task, positive=positive)


def _names_of(task: Task) -> str:
    names = [getattr(each, "__name__", type(each).__name__).rpartition(".")[2] for each in task.metrics]
    return f"the metric{'s' * (len(names) > 1)} {', '.join(names)}"
