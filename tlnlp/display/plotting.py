"""Figures: text as text in SVG, reproducible files. pyplot is not used: it has one backend per process, and in a
notebook that is the reader's."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

SVG: Any = {"svg.hashsalt": "tlnlp", "svg.fonttype": "none"}


class Picture(Figure):
    """A figure without a window. A notebook displays it as an image, with any matplotlib backend.

    Args:
        size: width and height in inches.
    """

    def __init__(self, size: tuple[float, float], **options: Any) -> None:
        super().__init__(figsize=size, layout="constrained", facecolor="white", **options)

    def _repr_png_(self) -> bytes:
        file = io.BytesIO()
        # With the version in it, the file would differ between releases of matplotlib.
        self.savefig(file, format="png", dpi=100, metadata={"Software": None})
        return file.getvalue()

    def save_svg(self, file: Path | io.StringIO, **options: Any) -> None:
        """Writes an SVG file, whose bytes do not depend on the time."""
        with matplotlib.rc_context(SVG):
            self.savefig(file, format="svg", metadata={"Date": None}, **options)
