"""Labels that are numbers: names of classes, or scores?"""

from __future__ import annotations

from collections.abc import Sequence

from tlnlp.data.label_spellings import fold, is_number
from tlnlp.errors import InputError

# With more different numbers than this, a label for each is rarely what is meant.
MOST_NUMBERS = 20
SCORES = "recipes/own_score.py learns numbers as such"


def note_numbers(names: Sequence[str], origin: str, column: str) -> list[str]:
    """Returns a note if labels are numbers that may be scores, each of which is taken as a name.

    Raises:
        InputError: there are many, with decimals: no label would have enough rows.
    """
    if not all(map(is_number, names)):
        return []
    has_decimals = not all(fold(name).lstrip("+-").isdecimal() for name in names)  # 1.0 is 1
    if has_decimals and len(names) > MOST_NUMBERS:
        raise InputError(
            expected="labels to choose from, a name each",
            found=f"{origin}: {column!r} has {len(names):,} different numbers, e.g. {', '.join(names[:3])}",
            change=f"the recipe: {SCORES}; or the column: --columns label=COLUMN",
        )
    if has_decimals or len(names) > MOST_NUMBERS:
        return [f"labels: each of {len(names):,} different numbers is taken as a name ({SCORES})"]
    return []
