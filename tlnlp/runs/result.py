"""The result: one dictionary that is written, and the table and the model card made from it."""

from __future__ import annotations

import json
import resource
import statistics
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tlnlp.data.rows import Rows
from tlnlp.display.console import RunConsole
from tlnlp.display.formatting import percent
from tlnlp.evaluation.calibration import describe_calibration
from tlnlp.evaluation.error_analysis import find_mistakes
from tlnlp.evaluation.metrics.squad import score_answer_or_none
from tlnlp.evaluation.predictions import lines_of
from tlnlp.evaluation.scoring import measure
from tlnlp.evaluation.uncertainty import estimate_of, noise_of, row_variance
from tlnlp.heads.span import tune_threshold
from tlnlp.models import saving
from tlnlp.models.feature_classifier import FILE as READER_FILE
from tlnlp.models.task_file import load_network, write_task
from tlnlp.recipe import Recipe
from tlnlp.runs import folder as folders
from tlnlp.runs.languages import join_languages, remarks_on, table_of
from tlnlp.runs.model_card import PIPELINES, write_card
from tlnlp.runs.setup import PreparedRun, sample_batch
from tlnlp.runs.trainer import TrainingLog
from tlnlp.runs.versions import versions_of
from tlnlp.settings import NOT_OF_THE_RUN
from tlnlp.task import Task
from tlnlp.training import files
from tlnlp.transfer.groups import Group
from tlnlp.transfer.phases import CLASSIFIER, Phase

# What to give the pipelines that transformers has.
EXAMPLES = {
    "text-classification": '"A film to see twice."',
    "token-classification": '"Anna Keller flew to Oslo."',
    "fill-mask": 'f"Berlin is the {ask.tokenizer.mask_token} of Germany."',
    "text-generation": '"The largest city"',
}
LIBRARIES = ("tlnlp", "torch", "transformers", "datasets", "accelerate", "evaluate", "tokenizers", "numpy")


def describe(
    work: PreparedRun,
    record: TrainingLog,
    answers: list[dict[str, Any]],
    extra_splits: dict[str, list[dict[str, Any]]],
    folder: Path,
    identity: str,
    data_fingerprint: str,
) -> dict[str, Any]:
    """The record of a run: plain JSON values, with units in the names or said in the README."""
    training, task, settings = work.training, work.training.task, work.training.settings
    rows, published = work.eval_rows, work.recipe.published
    metrics = measure(task, answers, rows)
    return {
        "task": task.name,
        "model": settings.model,
        "data": settings.data,
        "strategy": settings.strategy,
        "adapter": None if work.adapted is None or settings.merge else work.adapted.installed.adapter.kind,
        "seed": settings.seed,
        "metrics": metrics,
        "row_variance": _vary(task, next(iter(metrics.values())), answers, rows),
        "extra_splits": {
            name: {"metrics": measure(task, each, work.extra_splits[name][1]), "rows": len(work.extra_splits[name][1])}
            for name, each in extra_splits.items()
        },
        "null_threshold": _tune_threshold(task, answers, rows),
        "calibration": _calibrate(task, answers, rows),
        "majority": measure(task, task.head.majority_baseline(work.train_rows, rows, task), rows),
        "published": None if published is None else {**vars(published), "settings": dict(published.settings)},
        "is_constant": _is_one_answer(answers),
        "rows": {"train": len(work.train_rows), "dev": len(rows)},
        "groups": [
            {"name": each.name, "weights": each.size, "rates": [_rate(each, phase) for phase in training.phases]}
            for each in work.groups
        ],
        "phases": [{"name": each.name, "epochs": each.epochs} for each in training.phases],
        "parameters": {
            "total": sum(group.size for group in work.groups),
            "trainable": learning_weights(work.groups, training.phases),
        },
        "seconds": {
            "startup": record.startup_seconds,
            "train": record.train_seconds,
            "evaluate": record.evaluate_seconds,
        },
        "rows_per_second": record.rows_seen / record.train_seconds,
        "tokens_per_second": record.tokens / record.train_seconds,
        "padding_fraction": record.padding_fraction,
        "frozen_bytes": record.frozen_bytes,
        "peak_mib": _peak_mib(),
        "updates": record.updates_taken,
        "history": record.history,
        "curve": record.curve,
        "best": record.best,
        "resumed": record.resumed,
        "processes": training.accelerator.num_processes,
        "device": str(training.accelerator.device),
        "notes": work.notes,
        "mistakes": find_mistakes(task, answers, rows),
        "facts": work.facts,
        "settings": folders.plain(settings),
        "versions": versions_of(*LIBRARIES),
        "data_fingerprint": data_fingerprint,
        "identity": identity,
        "output": str(folder),
    }


def learning_weights(groups: Sequence[Group], phases: Sequence[Phase]) -> int:
    """Weights that learn in any of the phases."""
    whole = {name for phase in phases for name in phase.learning_rates if name not in phase.only_biases}
    whole |= {CLASSIFIER for phase in phases if phase.fit}
    biases = {name for phase in phases for name in phase.only_biases} - whole
    return sum(g.size if g.name in whole else g.bias_size if g.name in biases else 0 for g in groups)


def _is_one_answer(answers: list[dict[str, Any]]) -> bool:
    """Whether the same is said to all rows; of tags and several labels: whether only one ever occurs."""
    said = [answer["prediction"] for answer in answers]
    each = [part for whole in said for part in whole] if isinstance(said[0], list) else said
    return len(set(each)) <= 1


def _peak_mib() -> float:
    """The most memory that this process has held, of the CPU's, in MiB."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)  # macOS counts bytes, Linux KiB


def _tune_threshold(task: Task, answers: list[dict[str, Any]], rows: Rows) -> dict[str, float] | None:
    """Of questions that may have no answer: above which odds "there is none" is best on the dev rows. `predict` uses
    it; the metrics reported do not, since it was found on the very rows that they are reported on."""
    if not task.unanswerable:
        return None
    threshold, f1, exact = tune_threshold(answers, rows, score_answer_or_none)
    return {"threshold": threshold, "best_f1": f1, "best_exact_match": exact}


def _rate(group: Group, phase: Phase) -> float | str | None:
    """The peak rate at which a group learns; "fitted" of a classifier without updates; None: frozen."""
    if phase.fit is not None and group.name == CLASSIFIER:
        return "fitted"
    return phase.learning_rates.get(group.name)


def _vary(task: Task, score: float, answers: list[dict[str, Any]], rows: Rows) -> float | None:
    """The variance of the first metric over rows; None of plain text, whose sequences are no rows."""
    if len(answers) != len(rows):
        return None
    return row_variance(task, score, noise_of(task, task.head.metric_inputs(answers, rows, task), rows), rows)


def _calibrate(task: Task, answers: list[dict[str, Any]], rows: Rows) -> dict[str, Any] | None:
    found = task.head.confidences(answers, rows, task)
    return None if found is None or not len(found.correct) else describe_calibration(found)


def write(
    work: PreparedRun,
    result: dict[str, Any],
    answers: list[dict[str, Any]],
    further: Mapping[str, list[dict[str, Any]]],
    folder: Path,
    command: str,
) -> None:
    """Model, predictions and result, in this order: a result says that all else is there and was read back."""
    training = work.training
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
    result["usage"] = usage(training.task, place, is_whole=adapted is None)
    card = write_card(result, training.task, work.labels, command)
    saving.save_model(place, training.model, training.tokenizer, card, write_network)
    threshold = result["null_threshold"]
    write_task(
        place, training.task, work.labels, training.settings, threshold and threshold["threshold"],
        None if adapted is None else adapted.record(), (result["calibration"] or {}).get("temperature"),
    )  # fmt: skip
    saving.check_saved(place, training.model, head, sample_batch(work), load_network)
    files.write_text(folder / folders.PREDICTIONS, lines_of(work.eval_rows, answers))
    for language, each in further.items():
        (folder / folders.LANGUAGES).mkdir(exist_ok=True)
        files.write_text(
            folder / folders.LANGUAGES / f"{language}.jsonl", lines_of(work.target_languages[language][1], each)
        )
    result["saved_bytes"] = sum(path.stat().st_size for path in place.rglob("*") if path.is_file())
    files.write_json(folder / folders.RESULT, result)
    folders.drop_checkpoints(folder)


def show(recipe: Recipe, result: dict[str, Any], screen: RunConsole) -> None:
    """The result's table and two lines that use the model."""
    folder, model = Path(result["output"]), place_of_model(result)
    scores = ", ".join(f"{name} {value:.4f}" for name, value in result["metrics"].items())
    screen.result(f"{recipe.task.name}: {result['model']}, strategy {result['strategy']}", summary(result))
    if result.get("languages"):
        screen.table("\nlanguages", table_of(result["languages"]), remarks_on(result["languages"]))
    screen.note(f"\nmodel: {model}\n")
    for line in usage(recipe.task, model, is_whole=not result.get("adapter")):
        screen.note(f"  {line}")
    screen.when_quiet(f"{scores}  {folder}")


def place_of_model(result: dict[str, Any]) -> Path:
    """The folder of the saved model; of several seeds that of the first."""
    return Path(result["output"]) / (f"seed{result['seed'][0]}" if "runs" in result else "") / folders.MODEL


def find_control(result: dict[str, Any]) -> dict[str, Any] | None:
    """The result of the same run from random weights, where its folder stands beside this one's."""

    def but_strategy(settings: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in settings.items() if k not in (*NOT_OF_THE_RUN, "strategy", "new_head", "merge")}

    for path in sorted(Path(result["output"]).parent.glob(f"*/{folders.RESULT}")):
        other = json.loads(path.read_text())
        if (
            other.get("strategy") == "from_scratch"
            and other.get("data_fingerprint") == result["data_fingerprint"]
            and but_strategy(other["settings"]) == but_strategy(result["settings"])
            and len(other.get("runs", [])) == len(result.get("runs", []))
        ):
            return other
    return None


def summary(result: dict[str, Any]) -> list[tuple[str, str]]:
    """What the result's table says, line by line."""
    lines: list[tuple[str, str]] = []
    spread = result.get("spread", {})
    control = find_control(result) if result["strategy"] != "from_scratch" else None
    for name, value in result["metrics"].items():
        lines.append((f"{name}, {result['rows']['dev']:,} dev rows", _number(value, spread.get(name))))
        if name == next(iter(result["metrics"])) and (estimate := estimate_of(result)) is not None:
            over = "other rows and seeds" if estimate.covers_seeds else "other rows"
            low, high = estimate.interval()
            lines.append((f"  95 % interval, {over}", f"{low:.4g} to {high:.4g}"))
        if name in result["majority"]:
            lines.append(("  majority class", f"{result['majority'][name]:.4g}"))
        if control is not None and name in control["metrics"]:
            theirs = _number(control["metrics"][name], control.get("spread", {}).get(name))
            lines.append(("  same network from scratch", theirs))
        elif result["strategy"] != "from_scratch":
            lines.append(("  same network from scratch", "not run yet: add --strategy from_scratch"))
        published = result["published"]
        # Only the published rows can be compared with the published score.
        if published and result["data"] == "hub" and name in published["score"]:
            lines.append((f"  published ({published['model']})", f"{published['score'][name]:.4g}"))
    for split, other in result["extra_splits"].items():
        for name, value in other["metrics"].items():
            lines.append((f"{name}, {other['rows']:,} {split} rows", _number(value, None)))
    if result.get("degenerate"):
        lines.append(("degenerate runs", f"seeds {', '.join(map(str, result['degenerate']))}: one answer for all rows"))
    lines.append(
        ("rows per second", f"{result['rows_per_second']:,.0f}, padding {percent(result['padding_fraction'])}")
    )
    if result["frozen_bytes"]:
        lines.append(("frozen layers", f"ran once, {result['frozen_bytes'] / 2**20:,.1f} MiB on disk meanwhile"))
    seconds = result["seconds"]
    lines.append(("seconds", f"{seconds['train']:.1f} training, {seconds['evaluate']:.1f} evaluating"))
    return lines


def _number(value: float, spread: dict[str, float] | None) -> str:
    if not spread:
        return f"{value:.4g}"
    return (
        f"{value:.4g} +- {spread['std']:.3g} over {spread['runs']} seeds ({spread['min']:.4g} to {spread['max']:.4g})"
    )


def usage(task: Task, folder: Path, *, is_whole: bool = True) -> list[str]:
    """Lines that use the model: transformers' pipeline for it where there is one, and our own command.

    Args:
        is_whole: whether the network is there, and not its adapter alone.
    """
    kind = PIPELINES[task.head.auto_class]
    is_known = is_whole and not (folder / READER_FILE).is_file()  # to transformers: a classifier beside it is not
    if not is_known or kind not in EXAMPLES or "extra_special_tokens" in task.head.tokenizer_options:
        return [f"tlnlp predict {folder} rows.jsonl"]
    example = EXAMPLES[kind] if "text_pair" not in task.columns.by_role() else 'dict(text="Hello.", text_pair="Hi.")'
    return [f'from transformers import pipeline; ask = pipeline("{kind}", "{folder}")', f"ask({example})"]


def join_seeds(runs: Sequence[dict[str, Any]], folder: Path) -> dict[str, Any]:
    """One result for several seeds: means, the spread of each metric, and which runs are degenerate."""
    joined = {**runs[0]}
    joined["metrics"] = {name: statistics.fmean(run["metrics"][name] for run in runs) for name in runs[0]["metrics"]}
    joined["spread"] = {
        name: {
            "std": statistics.stdev(values),
            "min": min(values),
            "max": max(values),
            "runs": len(values),
        }
        for name in runs[0]["metrics"]
        for values in [[run["metrics"][name] for run in runs]]
    }
    joined["extra_splits"] = {
        name: {
            "rows": extra_splits["rows"],
            "metrics": {
                m: statistics.fmean(run["extra_splits"][name]["metrics"][m] for run in runs)
                for m in extra_splits["metrics"]
            },
        }
        for name, extra_splits in runs[0]["extra_splits"].items()
    }
    variances = [run["row_variance"] for run in runs]
    joined["row_variance"] = None if None in variances else statistics.fmean(variances)
    joined["languages"] = runs[0]["languages"] and join_languages([run["languages"] for run in runs])
    joined["rows_per_second"] = statistics.median(run["rows_per_second"] for run in runs)
    joined["seconds"] = {name: sum(run["seconds"][name] for run in runs) for name in runs[0]["seconds"]}
    joined["degenerate"] = [run["seed"] for run in runs if run["is_constant"]]
    joined["output"] = str(folder)
    joined["seed"] = [run["seed"] for run in runs]
    joined["runs"] = [
        {
            key: run[key]
            for key in (
                "seed",
                "metrics",
                "extra_splits",
                "languages",
                "seconds",
                "rows_per_second",
                "is_constant",
                "output",
            )
        }
        for run in runs
    ]
    return joined
