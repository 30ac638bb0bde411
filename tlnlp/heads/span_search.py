"""The best spans of windows and of rows, and the threshold for "no answer"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import pad

from tlnlp.heads.encoded import EncodedDataset
from tlnlp.task import Prediction

if TYPE_CHECKING:
    from tlnlp.data.rows import Rows

# Number of best spans of each window and of each row. Source: n_best_size in run_squad.py (Devlin et al. 2019).
SPANS = 20
# "start" of the prediction "no answer".
NOWHERE = -1


def find_spans(starts: torch.Tensor, ends: torch.Tensor, max_answer: int) -> torch.Tensor:
    """Returns the spans with the highest sums of start and end logits, best first.

    Args:
        starts, ends: [items, longest] logits, minus infinity where no span may start or end.
        max_answer: maximum number of tokens of an answer.

    Returns:
        [items, SPANS, 3]: first token, last token, sum; (0, 0, minus infinity) where an item has fewer spans.
    """
    reach = min(max_answer, starts.shape[1])
    # For each first token, all last tokens up to `reach` away: [items, longest, reach].
    sums = (starts.unsqueeze(-1) + pad(ends, (0, reach - 1), value=-torch.inf).unfold(1, reach, 1)).flatten(1)
    best, places = pad(sums, (0, max(0, SPANS - sums.shape[1])), value=-torch.inf).topk(SPANS)
    first, there = places // reach, ~best.isneginf()
    return torch.stack([first * there, (first + places % reach) * there, best], dim=-1)


@dataclass(frozen=True)
class Spans:
    """The spans of all rows in one list, row by row, the best span of a row first.

    Args:
        bounds: [rows + 1] offset of each row's spans.
        rows, starts, ends, scores: [spans] the row, the characters of its context, and the score.
    """

    bounds: np.ndarray
    rows: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    scores: np.ndarray

    @classmethod
    def merge(cls, found: np.ndarray, encoded: EncodedDataset, rows: int) -> Spans:
        """Returns the best SPANS of each row over all its windows. A span in two windows counts once, with the higher
        score.

        Args:
            found: [items, SPANS, 3] see `find_spans`.
        """
        item, line = np.nonzero(np.isfinite(found[:, :, 2]))
        first_token, last_token = found[item, line, :2].astype(np.int64).T
        sequence = encoded.alignment["starts"].offsets[item]
        starts = encoded.alignment["starts"].flat[sequence + first_token]
        ends = encoded.alignment["ends"].flat[sequence + last_token]
        row, scores = encoded.rows[item], found[item, line, 2]
        order = np.lexsort((-scores, ends, starts, row))
        order = order[starts[order] < ends[order]]  # a tokenizer may reorder characters
        row, starts, ends, scores = row[order], starts[order], ends[order], scores[order]
        again = (np.diff(row) == 0) & (np.diff(starts) == 0) & (np.diff(ends) == 0)
        once = np.flatnonzero(~np.append(np.zeros(min(1, len(row)), bool), again))
        order = once[np.lexsort((-scores[once], row[once]))]
        place_in_row = np.arange(len(order)) - np.searchsorted(row[order], row[order])
        kept = order[place_in_row < SPANS]
        bounds = np.searchsorted(row[kept], np.arange(rows + 1))
        return cls(bounds, row[kept], starts[kept], ends[kept], scores[kept])


def apply_threshold(predictions: list[Prediction], threshold: float) -> list[Prediction]:
    """Returns the predictions of `decode`, with "" wherever the task allows it and `null_odds` is above `threshold`
    (tau in Devlin et al. 2019, section 4.3)."""
    chosen = []
    for each in predictions:
        none = [span for span in each.more["n_best"] if span["start"] == NOWHERE]
        spans = [span for span in each.more["n_best"] if span["start"] != NOWHERE]
        is_none = bool(none) and each.more["null_odds"] > threshold
        best = (none if is_none else spans or none or [{"text": "", "start": NOWHERE, "score": 0.0}])[0]
        more = {**each.more, "start": best["start"]}
        chosen.append(replace(each, prediction=best["text"], score=best["score"], more=more))
    return chosen


def tune_threshold(
    predictions: list[Prediction], rows: Rows, score: Callable[[str, list[str]], tuple[float, float]]
) -> tuple[float, float, float]:
    """Finds the threshold for `apply_threshold` with the highest mean F1 on `rows`. Do not report scores on these rows.

    Args:
        score: (F1, exact match) of a prediction given the accepted answers ([]: no answer), as in SQuAD 2.0.

    Returns:
        The lowest threshold with the highest F1, that F1, and the highest exact match, which may need another
        threshold.

    Source: find_all_best_thresh in evaluate-v2.0.py (Rajpurkar et al. 2018), except that rows with equal odds change
    sides together, and that a threshold exists for which "no answer" is predicted for all rows.
    """
    acceptable = [each["text"] for each in rows.columns["answers"]]
    given = [each.prediction for each in apply_threshold(predictions, np.inf)]
    of_spans = np.asarray([score(text, texts) for text, texts in zip(given, acceptable, strict=True)])  # [rows, 2]
    of_none = np.asarray([score("", texts) for texts in acceptable])
    odds = np.asarray([each.more["null_odds"] for each in predictions])
    order = np.argsort(odds, kind="stable")
    gained = np.cumsum((of_spans - of_none)[order], axis=0)  # by answering rows in the order of increasing odds
    last_of_equals = np.flatnonzero(np.append(np.diff(odds[order]) > 0, True))
    thresholds = np.append(odds.min() - 1, odds[order][last_of_equals])
    means = (of_none.sum(0) + np.concatenate([np.zeros((1, 2)), gained[last_of_equals]])) / len(odds)
    best = int(means[:, 0].argmax())
    return float(thresholds[best]), float(means[best, 0]), float(means[:, 1].max())
