"""Plots the learning curves: score by train rows, one curve per arm, with intervals and single runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import FixedLocator, NullLocator

from tlnlp.display.plotting import Picture

# A palette for all kinds of colour vision, on white (Okabe and Ito 2008), without yellow, which is too pale for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
MARKERS = ("o", "s", "^", "D", "v", "P")
CONTROL_COLOUR = "#555555"
GRID_COLOUR = "#E2E2E2"
# Curves are shifted sideways at each size, so that their intervals do not overlap: all of them together take this
# fraction of the distance to the next size.
BESIDE = 0.12


def draw(content: dict[str, Any], title: str, folder: Path) -> list[Path]:
    """Writes compare.svg and compare.png, on white, so that they can be read on dark pages too."""
    figure = plot(content, title)
    paths = [folder / "compare.svg", folder / "compare.png"]
    figure.save_svg(paths[0])
    figure.savefig(paths[1], dpi=160)
    return paths


def plot(content: Mapping[str, Any], title: str) -> Picture:
    """Plots the learning curves of `compare.json`."""
    figure = Picture((8.8, 4.8))
    axes = figure.subplots()
    curves = [curve for curve in content["curves"] if curve["points"]]
    shifts = _shifts(content["sizes"], len(curves))
    ends = []
    transferred = 0
    for curve, shift in zip(curves, shifts, strict=True):
        style: dict[str, Any] = {"color": CONTROL_COLOUR, "marker": "X", "linestyle": (0, (4, 2))}
        if curve["strategy"].partition(":")[0] != "from_scratch":
            style = {"color": COLOURS[transferred % len(COLOURS)], "marker": MARKERS[transferred % len(MARKERS)]}
            transferred += 1
        _draw_curve(axes, curve, shift, style)
        ends.append((curve["points"][-1]["mean"], curve["arm"], style["color"]))
    _label_axes(axes, content, title)
    _name_curves(axes, content["sizes"][-1] * max(shifts), ends)
    return figure


def _shifts(sizes: Sequence[int], curves: int) -> list[float]:
    """Returns the factor for the rows of each curve."""
    gap = float(np.min(np.diff(np.log(sizes)))) if len(sizes) > 1 else 1.0
    return [float(np.exp(gap * each)) for each in np.linspace(-BESIDE / 2, BESIDE / 2, curves)] if curves > 1 else [1.0]


def _draw_curve(axes: Any, curve: dict[str, Any], shift: float, style: dict[str, Any]) -> None:
    points = curve["points"]
    rows = [point["rows"] * shift for point in points]
    axes.plot(rows, [point["mean"] for point in points], linewidth=2, markersize=7.5, zorder=4, **style)
    low, high = ([point[end] for point in points] for end in ("low", "high"))
    axes.vlines(rows, low, high, color=style["color"], linewidth=1.6, alpha=0.75, zorder=3)
    for place, point in zip(rows, points, strict=True):
        axes.plot(
            [place] * len(point["scores"]), point["scores"], marker="_", linestyle="", color=style["color"],
            markersize=9, markeredgewidth=1.2, zorder=3,
        )  # fmt: skip


def _label_axes(axes: Any, content: Mapping[str, Any], title: str) -> None:
    axes.set_xscale("log")
    sizes = content["sizes"]
    axes.xaxis.set_major_locator(FixedLocator(sizes))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticklabels([f"{size:,}" for size in sizes])
    axes.set_xlabel("labelled train rows (logarithmic)")
    axes.set_ylabel(content["metric"] + (", lower is better" if content["lower_is_better"] else ""))
    over = "seeds and dev rows" if max(content["seeds"]) > 1 else "dev rows, one seed"
    axes.set_title(title, loc="left", fontsize=11.5, fontweight="bold", pad=22)
    axes.text(
        0, 1.025, f"marks: means, shifted sideways; bars: 95 % intervals over {over}; ticks: single runs",
        transform=axes.transAxes, fontsize=8.5, color="#444444",
    )  # fmt: skip
    axes.grid(color=GRID_COLOUR, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    # Intervals of two or three seeds are long: the axis is limited to the range of the runs, with some margin.
    scores = [score for curve in content["curves"] for point in curve["points"] for score in point["scores"]]
    air = 0.25 * (max(scores) - min(scores)) or 0.05
    axes.set_ylim(min(scores) - air, max(scores) + air)


def _name_curves(axes: Any, right: float, ends: Sequence[tuple[float, str, str]]) -> None:
    """Writes the name of each curve at its end, and moves names apart if they would overlap."""
    low, high = axes.get_ylim()
    ordered = sorted(ends)
    heights = np.array([mean for mean, _, _ in ordered])
    step = 0.06 * (high - low)
    for _ in range(100):  # neighbours are pushed apart until none overlap
        short = step - np.diff(heights)
        if (short < 1e-9).all():
            break
        push = np.maximum(short, 0) / 2
        heights[:-1] -= push
        heights[1:] += push
    for height, (_, name, colour) in zip(heights, ordered, strict=True):
        axes.annotate(
            f"{name} ", (right, height), xytext=(12, 0), textcoords="offset points", va="center", color=colour,
            fontsize=10, fontweight="bold", annotation_clip=False,
        )  # fmt: skip
