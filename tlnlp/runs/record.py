"""Describes a finished run and writes its model, predictions and result."""

from __future__ import annotations

import resource
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from tlnlp.data.rows import Rows
from tlnlp.evaluation.calibration import describe_calibration
from tlnlp.evaluation.collapse import is_constant
from tlnlp.evaluation.conformal import describe_sets, keep_scores
from tlnlp.evaluation.error_analysis import find_mistakes
from tlnlp.evaluation.intervals import describe_interval, scale_of
from tlnlp.evaluation.label_scores import most_frequent, score_labels
from tlnlp.evaluation.metrics.squad import score_answer_or_none
from tlnlp.evaluation.predictions import lines_of
from tlnlp.evaluation.scoring import load_metric, measure, primary_inputs
from tlnlp.evaluation.uncertainty import estimate_over, noise_of, row_variance
from tlnlp.heads.span import tune_threshold
from tlnlp.models import saving
from tlnlp.models.task_file import load_network, write_conformal, write_task
from tlnlp.runs import folder as folders
from tlnlp.runs.languages import describe_languages
from tlnlp.runs.model_card import write_card
from tlnlp.runs.result import RunResult
from tlnlp.runs.setup import PreparedRun, sample_batch
from tlnlp.runs.summary import usage
from tlnlp.runs.training_log import TrainingLog
from tlnlp.runs.tuned_labels import describe_thresholds
from tlnlp.runs.versions import versions_of
from tlnlp.task import MultiLabel, Prediction, Task
from tlnlp.training import files
from tlnlp.transfer.groups import Group
from tlnlp.transfer.phases import CLASSIFIER, Phase

LIBRARIES = ("tlnlp", "torch", "transformers", "datasets", "accelerate", "evaluate", "tokenizers", "numpy")


def describe(
    work: PreparedRun,
    log: TrainingLog,
    predictions: list[Prediction],
    extra_splits: Mapping[str, list[Prediction]],
    further: Mapping[str, list[Prediction]],
) -> RunResult:
    """Returns the result of a run.

    Args:
        predictions: for the rows to report on.
        extra_splits, further: for the extra splits, and for the rows in other languages, by name.
    """
    training, task, settings, run = work.training, work.training.task, work.training.settings, work.run
    rows, published, folder = work.eval_rows, run.request.recipe.published, run.request.folder
    metrics = measure(task, predictions, rows)
    variance = _variance(task, next(iter(metrics.values())), predictions, rows)
    adapter = None if work.adapted is None or settings.merge else work.adapted.installed.adapter.kind
    return RunResult(
        task=task.name,
        model=settings.model,
        data=settings.data,
        strategy=settings.strategy,
        adapter=adapter,
        seed=settings.seed,
        metrics=metrics,
        row_variance=variance,
        interval=_interval(task, metrics, variance, predictions, rows),
        label_scores=most_frequent(score_labels(task, predictions, rows)),
        extra_splits={
            name: {"metrics": measure(task, each, work.extra_splits[name][1]), "rows": len(work.extra_splits[name][1])}
            for name, each in extra_splits.items()
        },
        null_threshold=_tune_threshold(task, predictions, rows),
        thresholds=describe_thresholds(work),
        calibration=_calibrate(task, predictions, rows),
        conformal=describe_sets(predictions, rows, task),
        majority=measure(task, task.head.majority_baseline(work.train_rows, rows, task), rows),
        published=None if published is None else {**vars(published), "settings": dict(published.settings)},
        is_constant=is_constant(predictions),
        warnings=log.warnings,
        diverged=log.diverged,
        rows={"train": len(work.train_rows), "dev": len(rows)},
        groups=[
            {"name": each.name, "weights": each.size, "rates": [_rate(each, phase) for phase in training.phases]}
            for each in work.groups
        ],
        phases=[{"name": each.name, "epochs": each.epochs} for each in training.phases],
        parameters={
            "total": sum(group.size for group in work.groups),
            "trainable": learning_weights(work.groups, training.phases),
        },
        seconds={"startup": log.startup_seconds, "train": log.train_seconds, "evaluate": log.evaluate_seconds},
        rows_per_second=log.rows_seen / log.train_seconds,
        tokens_per_second=log.tokens / log.train_seconds,
        padding_fraction=log.padding_fraction,
        frozen_bytes=log.frozen_bytes,
        peak_mib=_peak_mib(),
        updates=log.updates_taken,
        history=log.history,
        curve=log.curve,
        best=log.best,
        resumed=log.resumed,
        processes=training.accelerator.num_processes,
        device=str(training.accelerator.device),
        notes=work.notes,
        mistakes=find_mistakes(task, predictions, rows),
        facts=work.facts,
        settings=folders.plain(settings),
        versions=versions_of(*LIBRARIES),
        data_fingerprint=run.splits.fingerprint,
        identity=run.identity,
        output=str(folder),
        languages=describe_languages(work, predictions, further, log.history),
        command=run.request.command,
        usage=usage(task, folder / folders.MODEL, is_whole=adapter is None and training.phases[0].fit is None),
    )


def learning_weights(groups: Sequence[Group], phases: Sequence[Phase]) -> int:
    """Returns the number of weights that are trained in any of the phases."""
    whole = {name for phase in phases for name in phase.learning_rates if name not in phase.only_biases}
    whole |= {CLASSIFIER for phase in phases if phase.fit}
    biases = {name for phase in phases for name in phase.only_biases} - whole
    return sum(g.size if g.name in whole else g.bias_size if g.name in biases else 0 for g in groups)


def _interval(
    task: Task, metrics: Mapping[str, float], variance: float | None, predictions: list[Prediction], rows: Rows
) -> dict[str, Any] | None:
    """Returns the interval of the first metric; None for plain text."""
    if variance is None:
        return None
    name, score = next(iter(metrics.items()))
    scale = scale_of(load_metric(task.metrics[0], task, rows), name, **primary_inputs(task, predictions, rows))
    return describe_interval(estimate_over([score], len(rows), variance), scale)


def _peak_mib() -> float:
    """Returns the peak CPU memory of this process, in MiB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)  # bytes on macOS, KiB on Linux


def _tune_threshold(task: Task, predictions: list[Prediction], rows: Rows) -> dict[str, float] | None:
    """Returns, for tasks with unanswerable questions, the threshold of the no-answer odds that is best on the dev rows.
    `predict` applies it; the reported metrics do not, since it was tuned on the rows that they are reported on."""
    if not task.unanswerable:
        return None
    threshold, f1, exact = tune_threshold(predictions, rows, score_answer_or_none)
    return {"threshold": threshold, "best_f1": f1, "best_exact_match": exact}


def _rate(group: Group, phase: Phase) -> float | str | None:
    """Returns the peak learning rate of a group; "fitted" for a classifier without updates; None if it is frozen."""
    if phase.fit is not None and group.name == CLASSIFIER:
        return "fitted"
    return phase.learning_rates.get(group.name)


def _variance(task: Task, score: float, predictions: list[Prediction], rows: Rows) -> float | None:
    """Returns the variance of the first metric over rows; None for plain text, whose sequences are not rows."""
    if len(predictions) != len(rows):
        return None
    return row_variance(task, score, noise_of(task, primary_inputs(task, predictions, rows), rows), rows)


def _calibrate(task: Task, predictions: list[Prediction], rows: Rows) -> dict[str, Any] | None:
    found = task.head.confidences(predictions, rows, task)
    if found is None or not len(found.correct):
        return None
    described = describe_calibration(found)
    if isinstance(task.labels, MultiLabel):  # `tlnlp predict` does not abstain from them
        del described["abstention"]
    return described


def write(
    work: PreparedRun,
    result: RunResult,
    predictions: list[Prediction],
    further: Mapping[str, list[Prediction]],
) -> RunResult:
    """Writes model, predictions and result, in this order: if the result exists, everything else has been written and
    the saved model has been verified. Returns the result with the model's size."""
    training, folder = work.training, work.run.request.folder
    if work.compact is not None:
        work.compact.restore()
    place = folder / folders.MODEL
    adapted, head = work.adapted, training.head
    if adapted is not None and training.settings.merge:
        adapted.installed.merge()
        adapted = None
    write_network = (
        None if adapted is None else partial(adapted.write, model=training.model, auto_class=head.auto_class)
    )
    saving.save_model(
        place, training.model, training.tokenizer, write_card(result, training.task, work.labels), write_network
    )
    threshold = None if result.null_threshold is None else result.null_threshold["threshold"]
    write_task(
        place, training.task, work.labels, training.settings, threshold,
        None if adapted is None else adapted.record(), (result.calibration or {}).get("temperature"),
    )  # fmt: skip
    write_conformal(place, keep_scores(predictions, work.eval_rows, training.task))
    if training.settings.load_in == "fp32":
        saving.check_saved(place, training.model, head, sample_batch(work), load_network)
    else:
        load = partial(load_network, as_trained=True, device=training.accelerator.device)
        # On the CPU, if the network was sharded.
        around = partial(torch.autocast, next(training.model.parameters()).device.type, torch.bfloat16)
        saving.check_saved(place, training.model, head, sample_batch(work), load, around)
    files.write_text(folder / folders.PREDICTIONS, lines_of(work.eval_rows, predictions))
    for language, each in further.items():
        (folder / folders.LANGUAGES).mkdir(exist_ok=True)
        files.write_text(
            folder / folders.LANGUAGES / f"{language}.jsonl", lines_of(work.target_languages[language][1], each)
        )
    saved_bytes = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    result = replace(result, saved_bytes=saved_bytes)
    files.write_json(folder / folders.RESULT, result.as_json())
    folders.drop_checkpoints(folder)
    return result
