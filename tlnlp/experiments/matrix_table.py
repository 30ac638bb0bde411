"""Formats a transfer matrix in 80 columns or as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

from tlnlp.experiments.tables import blocks, markdown, wrap

Cells = dict[tuple[str, str], dict[str, Any]]


def cells_of(content: dict[str, Any], model: str) -> Cells:
    """Returns {(source language, target language): cell} of one checkpoint."""
    return {(each["source"], each["target"]): each for each in content["cells"] if each["model"] == model}


def zero_shot(content: dict[str, Any], model: str, source: str) -> float | None:
    """Returns the mean score over all languages except the source language."""
    cells = cells_of(content, model)
    means = [cell["mean"] for (learnt, answered), cell in cells.items() if learnt == source != answered]
    return statistics.fmean(means) if means else None


def matrix_table(content: dict[str, Any], model: str) -> list[list[str]]:
    """Returns a table of source by target languages, with a header; * marks scores that are not above chance."""
    cells = cells_of(content, model)
    lines = [[f"{model}, trained on", *content["targets"], "others' mean"]]
    for source in content["sources"]:
        if not any(learnt == source for learnt, _ in cells):
            continue
        mean = zero_shot(content, model, source)
        scores = [score_in(cells.get((source, target))) for target in content["targets"]]
        lines.append([source, *scores, "-" if mean is None else f"{mean:.3f}"])
    return lines


def score_in(cell: dict[str, Any] | None) -> str:
    """Returns '0.812', or '0.501*' if it is not above chance."""
    if cell is None:
        return "-"
    return f"{cell['mean']:.3f}" + ("*" if cell["is_above_chance"] is False else "")


def interval_table(content: dict[str, Any], model: str) -> list[list[str]]:
    """Returns a table of half the 95 % interval of each score."""
    cells = cells_of(content, model)
    lines = [[f"± {model}", *content["targets"]]]
    for source in content["sources"]:
        found = [cells.get((source, target)) for target in content["targets"]]
        lines.append([source, *("-" if each is None else f"{(each['high'] - each['low']) / 2:.3f}" for each in found)])
    return lines


def title(content: dict[str, Any]) -> str:
    """Returns the title."""
    seeds = "1 seed" if content["seeds"] == 1 else f"{content['seeds']} seeds"
    return f"{content['task']}: {content['metric']} by source and target language, {seeds}"


def explanation(content: dict[str, Any]) -> str:
    """Explains the numbers."""
    over = "seeds and rows" if content["seeds"] > 1 else "rows only"
    chance = any(each["is_above_chance"] is False for each in content["cells"])
    return f"±: half of the 95 % interval over {over}. others' mean: over all languages except the source language." + (
        " *: not above the majority baseline." if chance else ""
    )


def for_terminal(content: dict[str, Any]) -> str:
    """Formats everything in 80 columns."""
    parts = [title(content)]
    for model in content["models"]:
        for table in (matrix_table(content, model), interval_table(content, model)):
            parts += ["\n".join(block) for block in blocks(table)]
    return "\n\n".join([*parts, "\n".join(wrap(explanation(content))), *_failures(content)])


def for_page(content: dict[str, Any], picture: str, command: str) -> str:
    """Formats everything as Markdown, with the figure and the command that made it."""
    parts = [f"# {title(content)}", f"![heat map]({picture})"]
    for model in content["models"]:
        parts += [markdown(matrix_table(content, model)), markdown(interval_table(content, model))]
    return "\n\n".join([*parts, explanation(content), *_failures(content), "## Command", f"    {command}"]) + "\n"


def _failures(content: dict[str, Any]) -> Sequence[str]:
    return [f"{each['run']}: {each['kind']}: {' '.join(each['words'].split())}" for each in content["failures"]]
