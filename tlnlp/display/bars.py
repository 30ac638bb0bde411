"""Probabilities as bars: the terminal's part of fill-mask and next-word."""

from __future__ import annotations

from collections.abc import Sequence

from tlnlp.display.formatting import percent

WIDTH = 24
EIGHTHS = " ▏▎▍▌▋▊▉"


def bar(share: float, width: int = WIDTH) -> str:
    """A bar of `width` places at 1, in eighths of a place."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    return ("█" * (eighths // 8) + EIGHTHS[eighths % 8]).strip().ljust(width)


def lines_of(rows: Sequence[tuple[str, float]], *, numbered: bool = False) -> list[str]:
    """'34.1 %  ████▌   germany', the word last, so that words from right to left leave the columns where they are."""
    most = max((share for _, share in rows), default=1.0)
    lines = []
    for number, (word, share) in enumerate(rows, start=1):
        # The longest bar fills its place: what is to be seen are the ratios.
        start = f"{number:>3}  " if numbered else "  "
        lines.append(f"{start}{percent(share):>6}  {bar(share / most if most else 0.0)}  {word}")
    return lines
