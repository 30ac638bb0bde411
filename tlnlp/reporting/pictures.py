"""Inline SVG figures. Lines and text have the colour of the page's text, for both dark and light themes."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

from tlnlp.display.plotting import Picture
from tlnlp.runs.result import RunResult

# A placeholder colour, replaced by the colour of the page's text.
INK = "#010203"
# Readable with all kinds of colour vision, on white and on black (Okabe and Ito 2008).
BLUE, ORANGE = "#3D8FD1", "#E07B39"
SIZE = (6.4, 2.9)


def _figure() -> tuple[Picture, Any]:
    figure = Picture(SIZE)
    axes = figure.subplots()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set_color(INK)
    axes.tick_params(colors=INK, labelsize=9)
    axes.grid(True, color=INK, alpha=0.12, linewidth=0.8)
    axes.set_axisbelow(True)
    return figure, axes


def _svg(figure: Picture, title: str) -> str:
    """Returns the figure as an HTML element with an accessible title."""
    file = io.StringIO()
    figure.save_svg(file, transparent=True)
    text = file.getvalue()
    text = text[text.index("<svg") :].replace(INK, "currentColor")
    # A page has several figures: ids must be unique.
    name = re.sub(r"\W", "", title)
    text = re.sub(r'(id="|url\(#|href="#)', rf"\g<1>{name}-", text)
    label = title.replace("&", "and").replace("<", "").replace('"', "")
    return text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def _label(axes: Any, x: str, y: str) -> None:
    axes.set_xlabel(x, color=INK, fontsize=9.5)
    axes.set_ylabel(y, color=INK, fontsize=9.5)


def draw_learning(result: RunResult) -> str | None:
    """Returns `plot_learning` as an HTML element."""
    figure = plot_learning(result)
    return None if figure is None else _svg(figure, "learning curve")


def plot_learning(result: RunResult) -> Picture | None:
    """Plots the training loss, and next to it the dev score after each epoch; None if there is neither."""
    curve, history = result.curve or [], result.history
    if len(curve) < 2:
        curve = [[entry["updates"], entry["loss"]] for entry in history]
    if len(curve) < 2:
        return None
    figure, axes = _figure()
    axes.plot([x for x, _ in curve], [y for _, y in curve], color=BLUE, linewidth=1.6)
    _label(axes, "updates", "train loss")
    axes.yaxis.label.set_color(BLUE)
    scored = [entry for entry in history if "metrics" in entry]
    if scored:
        name = result.headline[0]
        points = [(entry["updates"], entry["metrics"][name]) for entry in scored]
        points.append((history[-1]["updates"], result.metrics[name]))
        other = axes.twinx()
        other.plot(*zip(*points, strict=True), color=ORANGE, marker="o", markersize=5, linewidth=1.6)
        other.set_ylabel(f"dev {name}", color=ORANGE, fontsize=9.5)
        other.tick_params(colors=INK, labelsize=9)
        for side in other.spines.values():
            side.set_visible(False)
    return figure


def draw_reliability(calibration: Mapping[str, Any]) -> str:
    """Plots accuracy by confidence; the area of a dot is the fraction of predictions in the bin."""
    figure, axes = _figure()
    figure.set_size_inches(3.9, 3.5)
    bins, whole = calibration["bins"], calibration["answers"]
    axes.plot([0, 1], [0, 1], color=INK, alpha=0.5, linewidth=1, linestyle=(0, (4, 3)))
    x, y = [each["confidence"] for each in bins], [each["accuracy"] for each in bins]
    axes.plot(x, y, color=BLUE, linewidth=1.4)
    axes.scatter(x, y, s=[18 + 260 * each["rows"] / whole for each in bins], color=BLUE, alpha=0.85, zorder=3)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    _label(axes, "confidence", "accuracy")
    return _svg(figure, "reliability diagram")
