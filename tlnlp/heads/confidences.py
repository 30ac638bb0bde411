"""How sure a network was of its answers, and whether it was right: what calibration is judged by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Confidences:
    """One place for each thing that was answered: a row, a word of a row, a label of a row with several.

    Args:
        confidence: probability of the answer given [things].
        correct: whether it was right [things].
        of_each: probabilities of all possible answers [things, most answers], 0 behind the last; None: not known.
        right: place of the right one in `of_each` [things].
    """

    confidence: np.ndarray
    correct: np.ndarray
    of_each: np.ndarray | None = None
    right: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @classmethod
    def of_all(cls, lines: Sequence[Sequence[float]], right: Sequence[int]) -> Confidences:
        """From the probabilities of all possible answers, which may be more for one thing than for another."""
        of_each = np.zeros((len(lines), max(map(len, lines))))
        for place, line in zip(of_each, lines, strict=True):
            place[: len(line)] = line
        places = np.asarray(right)
        return cls(of_each.max(1), of_each.argmax(1) == places, of_each, places)
