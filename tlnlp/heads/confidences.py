"""Confidences of predictions and whether they are correct: the input of calibration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Confidences:
    """Confidences of single predictions: one per row, per word of a row, or per label of a multi-label row.

    Args:
        confidence: probability of the prediction [predictions].
        correct: whether it is correct [predictions].
        of_each: probabilities of all classes [predictions, most classes], padded with 0; None: not known.
        right: index of the correct class in `of_each` [predictions].
    """

    confidence: np.ndarray
    correct: np.ndarray
    of_each: np.ndarray | None = None
    right: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    @classmethod
    def of_all(
        cls, lines: Sequence[Sequence[float]], right: Sequence[int], predicted: Sequence[int] | None = None
    ) -> Confidences:
        """Builds them from the probabilities of all classes, whose number may differ between predictions.

        Args:
            predicted: index of the predicted class, which rounded probabilities may not show if two are nearly equal;
                the most probable one if None.
        """
        of_each = np.zeros((len(lines), max(map(len, lines))))
        for place, line in zip(of_each, lines, strict=True):
            place[: len(line)] = line
        places = np.asarray(right)
        chosen = of_each.argmax(1) if predicted is None else np.asarray(predicted)
        return cls(of_each[np.arange(len(lines)), chosen], chosen == places, of_each, places)
