"""The summary of a result: its table, and code that uses the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tlnlp.display.console import RunConsole
from tlnlp.display.formatting import percent
from tlnlp.evaluation.label_scores import table_of_labels
from tlnlp.runs.languages import remarks_on, table_of
from tlnlp.runs.model_card import PIPELINES
from tlnlp.runs.result import RunResult, find_control
from tlnlp.task import MultiLabel, Task

# Labels on the screen; of more, those with the lowest F1.
MOST_LABELS = 12
# Example inputs of transformers' pipelines.
EXAMPLES = {
    "text-classification": '"A film to see twice."',
    "token-classification": '"Anna Keller flew to Oslo."',
    "fill-mask": 'f"Berlin is the {ask.tokenizer.mask_token} of Germany."',
    "text-generation": '"The largest city"',
}


def show(result: RunResult, screen: RunConsole) -> None:
    """Prints the result's table and two lines that use the model."""
    folder, model = Path(result.output), result.model_folder
    scores = ", ".join(f"{name} {value:.4f}" for name, value in result.metrics.items())
    screen.result(f"{result.task}: {result.model}, strategy {result.strategy}", summary(result))
    if found := result.label_scores:
        lines = table_of_labels(found, MOST_LABELS)
        cut = f", the {MOST_LABELS} lowest of {len(found['each']):,}" * (len(found["each"]) > MOST_LABELS)
        screen.table(f"\nby {found['of']}{cut}", lines, [])
    if result.languages:
        screen.table("\nlanguages", table_of(result.languages), remarks_on(result.languages))
    screen.note(f"\nmodel: {model}\n")
    for line in result.usage:
        screen.note(f"  {line}")
    warned = [*result.warnings] if result.diverged is None else [describe_divergence(result), *result.warnings]
    screen.when_quiet("; ".join([f"{scores}  {folder}", *(f"warning: {each}" for each in warned)]))


def summary(result: RunResult) -> list[tuple[str, str]]:
    """Returns the lines of the result's table."""
    lines: list[tuple[str, str]] = []
    spread = result.spread or {}
    control = find_control(result) if result.strategy != "from_scratch" else None
    for name, value in result.metrics.items():
        lines.append((f"{name}, {result.rows['dev']:,} dev rows", _number(value, spread.get(name))))
        if name == result.headline[0] and (found := result.interval) is not None:
            over = "other rows and seeds" if result.runs is not None else "other rows"
            lines.append((f"  95 % interval, {over}", describe_ends(found)))
        lines += _baselines(result, control, name)
    for split, other in result.extra_splits.items():
        for name, value in other["metrics"].items():
            lines.append((f"{name}, {other['rows']:,} {split} rows", _number(value, None)))
    if result.diverged is not None:
        lines.append(("diverged", describe_divergence(result)))
    lines += [("warning", each) for each in result.warnings]
    if result.degenerate:
        lines.append(("degenerate runs", f"seeds {', '.join(map(str, result.degenerate))}: one answer for all rows"))
    lines.append(("rows per second", f"{result.rows_per_second:,.0f}, padding {percent(result.padding_fraction)}"))
    if result.frozen_bytes:
        lines.append(("frozen layers", f"ran once, {result.frozen_bytes / 2**20:,.1f} MiB on disk meanwhile"))
    seconds = result.seconds
    lines.append(("seconds", f"{seconds['train']:.1f} training, {seconds['evaluate']:.1f} evaluating"))
    return lines


def describe_ends(interval: Mapping[str, Any]) -> str:
    """Returns "0.81 to 0.92", or why there is no interval."""
    if interval["refused"]:
        return f"none: {interval['refused']}"
    return f"{interval['low']:.4g} to {interval['high']:.4g}" + (f" ({note})" if (note := interval["note"]) else "")


def describe_divergence(result: RunResult) -> str:
    """Says after which update a run diverged, and which seeds if there are several."""
    seeds = [str(run["seed"]) for run in result.runs or [] if run.get("diverged") is not None]
    which = f"seeds {', '.join(seeds)}: " if seeds else ""
    return f"{which}weights NaN or infinite after update {result.diverged:,}; the scores say nothing"


def _baselines(result: RunResult, control: RunResult | None, name: str) -> list[tuple[str, str]]:
    """Returns the scores to compare one of the result's metrics with."""
    lines = []
    if name in result.majority:
        lines.append(("  majority class", f"{result.majority[name]:.4g}"))
    if control is not None and name in control.metrics:
        theirs = _number(control.metrics[name], (control.spread or {}).get(name))
        lines.append(("  same network from scratch", theirs))
    elif result.strategy != "from_scratch" and name == result.headline[0]:
        lines.append(("  same network from scratch", "not run yet: add --strategy from_scratch"))
    published = result.published
    # The published score is comparable on the published rows only.
    if published and result.data == "hub" and name in published["score"]:
        lines.append((f"  published ({published['model']})", f"{published['score'][name]:.4g}"))
    return lines


def _number(value: float, spread: dict[str, float] | None) -> str:
    if not spread:
        return f"{value:.4g}"
    return (
        f"{value:.4g} +- {spread['std']:.3g} over {spread['runs']} seeds ({spread['min']:.4g} to {spread['max']:.4g})"
    )


def usage(task: Task, folder: Path, *, is_whole: bool) -> list[str]:
    """Returns lines that use the model: transformers' pipeline if there is one for the task, otherwise our own command.

    Args:
        is_whole: whether transformers can load the network from the folder: not an adapter alone, nor a separate
            classifier.
    """
    kind = PIPELINES[task.head.auto_class]
    is_several = isinstance(task.labels, MultiLabel)  # of which a pipeline tells the best one
    if not is_whole or is_several or kind not in EXAMPLES or "extra_special_tokens" in task.head.tokenizer_options:
        return [f"tlnlp predict {folder} rows.jsonl"]
    example = EXAMPLES[kind] if "text_pair" not in task.columns.by_role() else 'dict(text="Hello.", text_pair="Hi.")'
    return [f'from transformers import pipeline; ask = pipeline("{kind}", "{folder}")', f"ask({example})"]
