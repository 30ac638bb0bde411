"""Formats percentages and lists of names."""

from __future__ import annotations

from collections.abc import Sequence

SMALLEST, LARGEST = 0.0005, 0.9995  # rounded to a tenth of a percent these are not 0 and not 100


def percent(share: float) -> str:
    """Returns '34.1%'; values above 0 are never shown as 0.0%, nor values below 1 as 100.0%: '<0.1%', '>99.9%'."""
    if 0 < share < SMALLEST:
        return "<0.1%"
    if LARGEST <= share < 1:
        return ">99.9%"
    return f"{share:.1%}"


def name_some(names: Sequence[str], most: int = 20) -> str:
    """Returns 'a, b, c and 9,997 more'."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
