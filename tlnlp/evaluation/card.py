"""The model card: all of it from the run's record, in the Hub's form."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tlnlp.evaluation.languages import remarks_on, table_of
from tlnlp.heads import Head

# What the Hub calls each kind of network.
PIPELINES = {
    "AutoModelForSequenceClassification": "text-classification",
    "AutoModelForTokenClassification": "token-classification",
    "AutoModelForQuestionAnswering": "question-answering",
    "AutoModelForMultipleChoice": "multiple-choice",
    "AutoModelForMaskedLM": "fill-mask",
    "AutoModelForCausalLM": "text-generation",
}


def write_card(result: dict[str, Any], head: Head, labels: Sequence[str], command: str) -> str:
    """The model card, all of it from the run's record."""
    settings = result["settings"]
    scores = "\n".join(f"| {name} | {value:.4f} |" for name, value in result["metrics"].items())
    updates = f"{settings['epochs']} epochs, batch {settings['batch_size']}, rate {settings['learning_rate']:g}, "
    facts = {
        "task": result["task"],
        "started from": f"{result['model']}, strategy {result['strategy']}",
        "rows": f"{result['rows']['train']:,} train, {result['rows']['dev']:,} dev, from {result['data']}",
        "labels": ", ".join(labels) or "none",
        "hyperparameters": (updates if result["updates"] else "")
        + f"length {settings['max_length']}, {settings['precision']}, seed {result['seed']}",
        "weights": f"{result['parameters']['total']:,}, of which {result['parameters']['learning']:,} learnt",
    }
    table = "\n".join(f"| {name} | {value} |" for name, value in facts.items())
    return f"""---
library_name: {"peft" if result["adapter"] else "transformers"}
pipeline_tag: {PIPELINES[head.auto_class]}
tags: [tlnlp]
---
# {result["task"]}, from {Path(result["model"]).name}

| | |
|---|---|
{table}

| metric on the dev rows | value |
|---|---|
{scores}
{_languages(result)}
Made by:

    {command}

Versions: {", ".join(f"{name} {number}" for name, number in result["versions"].items())}.
"""


def _languages(result: dict[str, Any]) -> str:
    """The table of languages, where there are several."""
    if not result.get("languages"):
        return ""
    header, *lines = table_of(result["languages"])
    rows = [["language", *header[1:]], ["---"] + ["---:"] * (len(header) - 1), *lines]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    return f"\n{table}\n\n{' '.join(remarks_on(result['languages']))}\n"
