"""Plots the heat map of source by target languages: one panel per checkpoint, with a common colour scale."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.patches import Rectangle

from tlnlp.display.plotting import Picture
from tlnlp.experiments.matrix_table import cells_of, score_in

COLOURS = "cividis"  # readable with all kinds of colour vision, and in grey


def draw(content: dict[str, Any], title: str, folder: Path) -> list[Path]:
    """Writes matrix.svg and matrix.png, on white, so that they can be read on dark pages too."""
    models, sources, targets = content["models"], content["sources"], content["targets"]
    size = (1.8 + 0.85 * len(targets), 1.3 + len(models) * (0.75 + 0.52 * len(sources)))
    figure = Picture(size)
    panels = figure.subplots(len(models), 1, squeeze=False)
    means = [cell["mean"] for cell in content["cells"]]
    low, high = min(means), max(max(means), min(means) + 1e-6)
    for panel, model in zip(panels[:, 0], models, strict=True):
        cells = cells_of(content, model)
        grid = np.array([[cells.get((s, t), {}).get("mean", np.nan) for t in targets] for s in sources])
        image = panel.imshow(grid, cmap=COLOURS, vmin=low, vmax=high, aspect="auto")
        for row, source in enumerate(sources):
            for column, target in enumerate(targets):
                if (source, target) not in cells:
                    continue
                shade = (grid[row, column] - low) / (high - low)
                text = score_in(cells[source, target])
                colour = "black" if shade > 0.55 else "white"
                panel.text(column, row, text, ha="center", va="center", color=colour, fontsize=9.5)
                if source == target:  # the source language itself: no transfer
                    frame = (column - 0.46, row - 0.46)
                    panel.add_patch(Rectangle(frame, 0.92, 0.92, fill=False, edgecolor="#D55E00", linewidth=2))
        panel.set_xticks(range(len(targets)), targets)
        panel.set_yticks(range(len(sources)), sources)
        panel.set_ylabel("source language")
        panel.set_title(model, loc="left", fontsize=10)
        panel.tick_params(length=0)
        for side in panel.spines.values():
            side.set_visible(False)
    panels[-1, 0].set_xlabel("target language")
    figure.colorbar(image, ax=panels[:, 0], label=content["metric"], shrink=0.9)
    note = "framed: the source language"
    if any(cell["is_above_chance"] is False for cell in content["cells"]):
        note += "; *: not above chance"
    figure.suptitle(f"{title}\n{note}", x=0.01, ha="left", fontsize=10)
    paths = [folder / "matrix.svg", folder / "matrix.png"]
    figure.save_svg(paths[0])
    figure.savefig(paths[1], dpi=160)
    return paths
