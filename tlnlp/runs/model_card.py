"""The model card, generated from the run's result in the Hub's format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from tlnlp.display.formatting import name_some
from tlnlp.evaluation.label_scores import table_of_labels
from tlnlp.recipe import NEW
from tlnlp.runs.languages import remarks_on, table_of
from tlnlp.runs.result import RunResult
from tlnlp.task import Task

# The Hub's pipeline tag for each auto class.
PIPELINES = {
    "AutoModelForSequenceClassification": "text-classification",
    "AutoModelForTokenClassification": "token-classification",
    "AutoModelForQuestionAnswering": "question-answering",
    "AutoModelForMultipleChoice": "multiple-choice",
    "AutoModelForMaskedLM": "fill-mask",
    "AutoModelForCausalLM": "text-generation",
}
FINDINGS_SHOWN = 5
LABELS_SHOWN = 50


def write_card(result: RunResult, task: Task, labels: Sequence[str]) -> str:
    """Returns the model card."""
    settings = result.settings
    return f"""---
{_metadata(result, task)}
---
# {result.task}, from {Path(result.model).name}

{_purpose(result, task, labels)}

{_table(_facts(result, labels))}

## How good it is

{_table([(name, f"{value:.4f}") for name, value in result.metrics.items()], ("metric on the dev rows", "value"))}

{_labels(result)}{" ".join(_limits(result))}
{_languages(result)}
## How to use it

{_indented(result.usage)}

## How it was made

{_indented([result.command])}

Rows longer than {settings["max_length"]} tokens are {_long_rows(result, task)}. {_cost(result)}

Versions: {", ".join(f"{name} {number}" for name, number in result.versions.items())}.
"""


def _metadata(result: RunResult, task: Task) -> str:
    """Returns the metadata in the card's header, by which the Hub lists the model, with its evaluation results."""
    kind = PIPELINES[task.head.auto_class]
    is_on_hub = "/" in result.model and not Path(result.model).exists()
    data = task.data.hub if result.data == "hub" and task.data.hub else None
    scores = [
        EvalResult(
            task_type=kind,
            dataset_type=data or "local",
            dataset_name=data or Path(result.data).name,
            dataset_config=task.data.subset if data else None,
            dataset_split=task.data.dev if data else None,
            metric_type=_hub_name(name),
            metric_name=name,
            metric_value=round(value, 4),
        )
        for name, value in result.metrics.items()
    ]
    languages = result.languages
    spoken = [task.language] if languages is None else [each["language"] for each in _parts(languages)]
    return ModelCardData(
        library_name="peft" if result.adapter else "transformers",
        pipeline_tag=kind,
        base_model=result.model if is_on_hub else None,
        datasets=[data] if data else None,
        language=spoken if data or languages else None,
        metrics=list(dict.fromkeys(map(_hub_name, result.metrics))),
        tags=["tlnlp", f"tlnlp-{result.strategy.partition(':')[0]}"],
        model_name=f"{result.task}, from {Path(result.model).name}",
        eval_results=scores,
        ignore_metadata_errors=False,
    ).to_yaml()


def _hub_name(metric: str) -> str:
    """Returns the name of a metric without the label that it is of: the Hub lists models by it."""
    return metric.partition(" of ")[0]


def _labels(result: RunResult) -> str:
    """Returns the table of scores by label, if there is one."""
    if not result.label_scores:
        return ""
    header, *lines = table_of_labels(result.label_scores, LABELS_SHOWN)
    return _table([tuple(line) for line in lines], header, right=True) + "\n\n"


def _parts(languages: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [languages["source"], *languages["targets"]]


def _purpose(result: RunResult, task: Task, labels: Sequence[str]) -> str:
    how = {
        "AutoModelForSequenceClassification": "Gives a text "
        + (f"one of {len(labels)} labels" if labels else "a score"),
        "AutoModelForTokenClassification": f"Gives each word of a text one of {len(labels)} tags",
        "AutoModelForQuestionAnswering": "Finds the words of a text that answer a question",
        "AutoModelForMultipleChoice": "Chooses the ending that fits a text best",
        "AutoModelForMaskedLM": "Says which words are likely in a gap",
        "AutoModelForCausalLM": "Says which words are likely to come next",
    }[task.head.auto_class]
    begun = "a new network" if result.model == NEW else result.model
    if result.strategy == "from_scratch":
        begun = f"random weights in the shape of {begun}"
    return f"{how}. Learnt from {result.rows['train']:,} rows of {result.data}, starting from {begun}."


def _facts(result: RunResult, labels: Sequence[str]) -> list[tuple[str, str]]:
    settings = result.settings
    updates = f"{settings['epochs']} epochs, batch {settings['batch_size']}, rate {settings['learning_rate']:g}, "
    return [
        ("task", result.task),
        ("started from", f"{result.model}, strategy {result.strategy}"),
        ("rows", f"{result.rows['train']:,} train, {result.rows['dev']:,} dev, from {result.data}"),
        ("labels", name_some(labels, 100) or "none"),
        (
            "hyperparameters",
            (updates if result.updates else "")
            + f"length {settings['max_length']}, {settings['precision']}, seed {result.seed}",
        ),
        ("weights", f"{result.parameters['total']:,}, of which {result.parameters['trainable']:,} learnt"),
    ]


def _limits(result: RunResult) -> list[str]:
    """Returns what a reader should know before trusting the scores."""
    said = []
    name = result.headline[0]
    if (found := result.interval) is not None and found["refused"]:
        said.append(f"How {name} would be on other rows cannot be said: {found['refused']}.")
    elif found is not None:
        ends = f"{found['low']:.3f} and {found['high']:.3f}"
        said.append(f"On other rows of this kind {name} lies between {ends} (95 %; one seed).")
    if name in result.majority:
        said.append(f"One answer for all rows has {result.majority[name]:.3f}.")
    if calibration := result.calibration:
        said.append(f"Its confidence is off by {calibration['error']:.3f} (expected calibration error)")
        said[-1] += (
            f", {calibration['error_after']:.3f} with the temperature {calibration['temperature']:.2f} that "
            "`tlnlp predict` applies." if calibration.get("temperature", 1.0) != 1.0 else "."
        )  # fmt: skip
    measured = (result.conformal or {}).get("measured", {}).get("lac", ())
    for each in (line for line in measured if line["error_rate"] == 0.1):
        said.append(
            f"Of the sets of labels that `tlnlp predict --error-rate 0.1` gives ({each['mean_size']:.1f} labels on "
            f"average), {each['coverage']:.3f} had the right one on rows that did not calibrate them."
        )
    findings = (result.facts or {}).get("findings", [])
    if findings:
        said.append("In the rows: " + "; ".join(findings[:FINDINGS_SHOWN]) + ".")
    if result.diverged is not None:
        said.append("Its training diverged: weights are NaN or infinite, and its answers say nothing.")
    if result.is_constant:
        said.append("It gives the same answer to all rows: nothing was learnt.")
    said += [f"Warning: {each}." for each in result.warnings if not (result.is_constant and "one answer" in each)]
    said.append("Other texts than those of the rows it learnt from, other languages and other times were not tried.")
    return said


def _cost(result: RunResult) -> str:
    seconds = result.seconds["train"]
    return f"Training took {seconds:,.0f} s on {result.device} and {result.peak_mib:,.0f} MiB of memory at most."


def _long_rows(result: RunResult, task: Task) -> str:
    if result.settings.get("windows", "none") == "mean":
        return "split into windows whose logits are averaged, by `tlnlp predict` as in training (not by `pipeline()`)"
    return "split into windows" if {"words", "context"} & set(task.columns.by_role()) else "truncated"


def _languages(result: RunResult) -> str:
    """Returns the table of languages, if there are several."""
    if not result.languages:
        return ""
    header, *lines = table_of(result.languages)
    table = _table([tuple(line) for line in lines], ("language", *header[1:]), right=True)
    return f"\n{table}\n\n{' '.join(remarks_on(result.languages))}\n"


def _table(lines: Sequence[Sequence[str]], header: Sequence[str] = ("", ""), *, right: bool = False) -> str:
    rule = ["---"] + ["---:" if right else "---"] * (len(header) - 1)
    return "\n".join(
        f"| {' | '.join(_cell(cell) for cell in line)} |".replace("|  |", "| |") for line in (header, rule, *lines)
    )


def _cell(text: str) -> str:
    """Escapes vertical bars, which would end the cell."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def _indented(lines: Sequence[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)
