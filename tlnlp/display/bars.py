"""Probabilities as bars, for the output of fill-mask and next-word."""

from __future__ import annotations

from collections.abc import Sequence

from tlnlp.display.formatting import percent

WIDTH = 24
EIGHTHS = " ▏▎▍▌▋▊▉"


def bar(share: float, width: int = WIDTH) -> str:
    """Returns a bar of `width` characters for 1, in eighths of a character."""
    eighths = round(max(0.0, min(1.0, share)) * width * 8)
    return ("█" * (eighths // 8) + EIGHTHS[eighths % 8]).strip().ljust(width)


def lines_of(rows: Sequence[tuple[str, float]], *, numbered: bool = False) -> list[str]:
    """Returns lines such as '34.1 %  ████▌   germany'. The word is last, so that right-to-left words keep the columns
    aligned."""
    most = max((share for _, share in rows), default=1.0)
    lines = []
    for number, (word, share) in enumerate(rows, start=1):
        # The longest bar has the full width, since only the ratios matter.
        start = f"{number:>3}  " if numbered else "  "
        lines.append(f"{start}{percent(share):>6}  {bar(share / most if most else 0.0)}  {word}")
    return lines
