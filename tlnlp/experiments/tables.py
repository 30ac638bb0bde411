"""Formats a comparison as a table and sentences, in 80 columns or as Markdown."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from tlnlp.experiments.verdicts import show_score

WIDTH = 80


def score_table(content: dict[str, Any]) -> list[list[str]]:
    """Returns a table of arms by sizes, with a header: mean and half of the 95 % interval."""
    lines = [[f"{content['metric']} by train rows", *(f"{size:,}" for size in content["sizes"])]]
    for curve in content["curves"]:
        points = {point["rows"]: point for point in curve["points"]}
        lines.append([curve["arm"], *(_score(points.get(size)) for size in content["sizes"])])
    return lines


def cost_table(content: dict[str, Any], size: int) -> list[list[str]]:
    """Returns a table of the costs and scores of the runs at one size."""
    lines = [[f"at {size:,} rows", content["metric"], "learning", "seconds", "peak MiB", "saved MB"]]
    for curve in content["curves"]:
        for point in curve["points"]:
            if point["rows"] == size:
                saved = "-" if point["saved_bytes"] is None else f"{point['saved_bytes'] / 1e6:,.1f}"
                numbers = [
                    f"{point['trainable_parameters']:,}",
                    f"{point['seconds']:,.1f}",
                    f"{point['peak_mib']:,.0f}",
                ]
                lines.append([curve["arm"], show_score(point["mean"]), *numbers, saved])
    return lines


def _score(point: dict[str, Any] | None) -> str:
    if point is None:
        return "-"
    return f"{show_score(point['mean'])} ±{show_score((point['high'] - point['low']) / 2)}"


def title(content: Mapping[str, Any]) -> str:
    """Returns the title: task, models, metric, rows and seeds."""
    fewest, most = min(content["seeds"]), max(content["seeds"])
    seeds = "1 seed" if most == 1 else f"{most} seeds" if fewest == most else f"{fewest} to {most} seeds"
    model = f"{content['models'][0]}, " if len(content["models"]) == 1 else ""
    return f"{content['task']}: {model}{content['metric']} on {content['dev_rows']:,} dev rows, {seeds}"


def explanation(content: dict[str, Any]) -> str:
    """Explains the numbers after ±."""
    over = "seeds and dev rows" if max(content["seeds"]) > 1 else "dev rows only"
    return (
        f"±: half of the 95 % interval over {over}. Differences are paired by seed and row, and thus more precise. "
        "Intervals are not corrected for multiple comparisons; verdicts are, over all pairs at one size (Holm)."
    )


def for_terminal(content: dict[str, Any]) -> str:
    """Formats everything in 80 columns."""
    parts = [title(content)]
    parts += ["\n".join(block) for block in blocks(score_table(content))]
    parts += [
        "\n".join(wrap(explanation(content))),
        *("\n".join(block) for block in blocks(cost_table(content, content["sizes"][-1]))),
    ]
    for heading, lines in said(content):
        parts.append("\n".join([heading, *(line for each in lines for line in wrap(each, "  "))]))
    return "\n\n".join(parts)


def for_page(content: dict[str, Any], picture: str, command: str) -> str:
    """Formats everything as Markdown, with the figure and the command that made it."""
    parts = [f"# {title(content)}", f"![learning curves]({picture})"]
    parts += [markdown(score_table(content)), explanation(content)]
    parts += [markdown(cost_table(content, size)) for size in content["sizes"]]
    for heading, lines in said(content):
        parts.append("\n".join([f"## {heading}", "", *(f"- {each}" for each in lines)]))
    return "\n\n".join([*parts, "## Command", f"    {command}"]) + "\n"


def said(content: dict[str, Any]) -> list[tuple[str, list[str]]]:
    """Returns the verdicts, and the runs that did not finish."""
    failed = [f"{each['run']}: {each['kind']}: {' '.join(each['words'].split())}" for each in content["failures"]]
    return [*content["verdicts"].items(), *([("Runs without a result", failed)] if failed else [])]


def blocks(lines: Sequence[Sequence[str]]) -> list[list[str]]:
    """Aligns the columns; a table wider than the terminal is split into several, each with the first column."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    pieces: list[list[int]] = [[]]
    for column in range(1, len(widths)):
        if pieces[-1] and widths[0] + sum(widths[i] + 2 for i in [*pieces[-1], column]) > WIDTH:
            pieces.append([])
        pieces[-1].append(column)
    return [
        [line[0].ljust(widths[0]) + "".join(f"  {line[i]:>{widths[i]}}" for i in piece) for line in lines]
        for piece in pieces
    ]


def wrap(text: str, indent: str = "") -> list[str]:
    """Wraps at 80 columns. Paths are not broken, so that they can be copied."""
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent + "  " * bool(indent),
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table; the first line is the header, and the first column is left-aligned."""
    rows = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([rows[0], "|---|" + "---:|" * (len(lines[0]) - 1), *rows[1:]])
