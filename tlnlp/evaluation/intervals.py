"""Confidence intervals of scores, inside the range of the metric.

`Estimate` gives half a width h on the score's own scale, from its variance over rows and seeds; value - h and value + h
may lie outside the range, and h is 0 where all rows are right. Here the same variance is used on a scale that fits the
metric:

- a share (accuracy, recall, macro F1, ROC AUC): Wilson's interval {x: (value - x)^2 <= k x (1 - x)} (Wilson 1927;
  Brown, Cai and DasGupta 2001 recommend it for few rows), with k = h^2 / (value (1 - value)). For the accuracy of one
  run this is Wilson's own. For scores that are no shares of rows it is that of a sample of the effective size (Korn and
  Graubard 1998);
- F1 of a label and of entities is 2 J / (1 + J), where J = TP / (TP + FP + FN) is a share: Wilson's interval of J;
- Matthews correlation and Cohen's kappa: Wilson's interval of (value + 1) / 2, which for two labels that are equally
  frequent is the accuracy;
- Pearson's and Spearman's correlations: Fisher's z (Fisher 1921), atanh(value);
- errors above 0: the logarithm; scores of at most 1 without a lower end (r2): the logarithm of 1 - value.

h is never taken to be less than that of `items` independent rows, labels or entities on which the score rests: a
variance that is estimated from few errors, or from none, is too small. With fewer than `LEAST_ITEMS` of them there is
no interval. benchmarks/interval_coverage.py measures how often these and the plain intervals hold the truth.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from tlnlp.evaluation.metrics.entity_f1 import entity_counts
from tlnlp.evaluation.statistics import LEVEL, Estimate

# With fewer, the interval of a share holds the truth less often than it says, or says nothing: it is half of the range.
LEAST_ITEMS = 10
# With fewer seeds, Student's t is 12.7 instead of 4.3 and below.
LEAST_SEEDS = 3

# The scales by the name of the score, up to " of LABEL".
SCALES = {
    "accuracy": "share", "f1": "f1", "f1_micro": "f1", "entity_f1": "f1", "f1_macro": "share", "f1_weighted": "share",
    "matthews_correlation": "agreement", "pearson": "correlation", "spearman": "correlation", "exact_match": "share",
    "entity_precision": "share", "entity_recall": "share", "perplexity": "positive",
}  # fmt: skip
WIDTHS = {"share": 1.0, "f1": 1.0, "agreement": 2.0, "correlation": 2.0}


@dataclass(frozen=True)
class Scale:
    """What the interval of a score is computed on.

    Args:
        name: "share", "f1", "agreement", "correlation", "positive", "negative", "below one"; "plain" for metrics of
            which nothing is known.
        items: on how many independent rows, labels or entities the score rests.
        of: what they are, for messages.
    """

    name: str
    items: float
    of: str = "rows"


def scale_of(metric: Any, score: str, predictions: Sequence[Any], references: Sequence[Any]) -> Scale:
    """Returns the scale of a score.

    Args:
        metric: the loaded metric; of a person's own function, the attribute `limits` (0, 1) makes the score a share.
        score: the name of the score.
        predictions, references: the inputs of the metric.
    """
    how, base = getattr(metric, "how", None), score.partition(" of ")[0]
    rows = float(len(references))
    if how is None and base not in SCALES:
        return Scale("share" if getattr(metric, "limits", None) == (0, 1) else "plain", rows)
    if type(metric).__name__ == "Squad":  # a mean over questions
        return Scale("share", rows, "questions")
    name = SCALES.get(base, "share") if how is None or base in SCALES else how.scale
    name = {"correlation": "agreement"}.get(name, name) if how is not None else name
    if base == "entity_f1":
        counts = np.array([*entity_counts(predictions, references).values()]).reshape(-1, 3).sum(axis=0)
        return Scale("f1", float(counts[1] + counts[2] - counts[0]), "entities")
    if name in ("correlation", "positive", "negative", "below one", "plain") or not len(references):
        return Scale(name, rows)
    if isinstance(references[0], list) and _is_tagged(references):
        ours, theirs = (np.array([tag for tags in side for tag in tags]) for side in (predictions, references))
        return _of_labels(name, base, ours, theirs, metric, "words")
    told, held = np.asarray(predictions), np.asarray(references)
    if held.ndim == 2:  # several labels per row
        return (
            Scale(name, float((told.astype(bool) | held.astype(bool)).sum()), "labels")
            if name == "f1"
            else Scale(name, rows)
        )
    return _of_labels(name, base, told, held, metric, "rows")


def _is_tagged(references: Sequence[Any]) -> bool:
    return any(isinstance(tag, str) for tags in references for tag in tags[:1])


def _of_labels(name: str, base: str, told: np.ndarray, held: np.ndarray, metric: Any, of: str) -> Scale:
    """Returns the scale of a score of one label per row or word, by what it divides by."""
    positive, label = getattr(metric, "positive", None), getattr(metric, "positive_name", None)
    counts = np.unique(held, return_counts=True)[1].astype(float)
    if base in ("f1", "jaccard") and label is not None:
        either = (told == positive) | (held == positive)
        return Scale("f1" if base == "f1" else "share", float(either.sum()), f"{of} with {label}")
    if base == "precision" and label is not None:
        return Scale(name, float((told == positive).sum()), f"{of} answered with {label}")
    if base in ("recall", "average_precision") and label is not None:
        return Scale(name, float((held == positive).sum()), f"{of} of {label}")
    if base.startswith("roc_auc") and len(counts) > 1:
        # The variance of a ROC area for two labels of n and m rows, as in Hanley and McNeil 1982 at 1/2.
        return Scale(name, 3 / (1 / counts).sum() if len(counts) == 2 else 3 * _harmonic(counts), f"{of}, by label")
    if base.endswith("_macro") or name == "agreement" or base == "balanced_accuracy":
        return Scale(name, _harmonic(counts), f"{of}, by label")
    return Scale(name, float(len(held)), of)


def _harmonic(counts: np.ndarray) -> float:
    """Returns the size of a sample whose share varies like the mean of the labels' shares: L^2 / sum(1 / rows)."""
    return float(len(counts) ** 2 / (1 / counts).sum())


def score_interval(found: Estimate, scale: Scale, level: float = LEVEL) -> tuple[float, float]:
    """Returns the confidence interval of a score, inside the range of its metric."""
    value, half = found.value, found.half_width(level)
    normal = float(-special.ndtri(level / 2))
    if not math.isfinite(value) or not math.isfinite(half) or scale.name == "plain":
        return value - half, value + half
    if scale.name == "share":
        return wilson(value, scale.items, half, level)
    if scale.name == "f1":
        low, high = wilson(value / (2 - value), scale.items, half * 2 / (2 - value) ** 2, level)
        return 2 * low / (1 + low), 2 * high / (1 + high)
    if scale.name == "agreement":
        low, high = wilson((value + 1) / 2, scale.items, half / 2, level)
        return 2 * low - 1, 2 * high - 1
    if scale.name == "correlation":
        inside = min(max(value, -1 + 1e-12), 1 - 1e-12)
        width = max(half / (1 - inside**2), normal / math.sqrt(max(scale.items - 3, 1)))
        return math.tanh(math.atanh(inside) - width), math.tanh(math.atanh(inside) + width)
    # Numbers that are above 0, or the distance to 1, or the negative of such a number.
    start, sign = {"below one": (1, -1), "negative": (0, -1)}.get(scale.name, (0, 1))
    ends = _around(sign * (value - start), half)
    return min(start + sign * end for end in ends), max(start + sign * end for end in ends)


def wilson(value: float, items: float, half: float = 0.0, level: float = LEVEL) -> tuple[float, float]:
    """Returns Wilson's interval of a share of `items` rows, or that whose plain interval has `half` of the width, if it
    is wider."""
    normal = float(-special.ndtri(level / 2))
    value = min(max(value, 0.0), 1.0)
    spread = value * (1 - value)
    k = normal**2 / max(items, 1)
    if spread > 1e-12:
        k = max(k, half**2 / spread)
    centre, width = (value + k / 2) / (1 + k), math.sqrt(k * spread + k**2 / 4) / (1 + k)
    return max(0.0, centre - width), min(1.0, centre + width)


def _around(value: float, half: float) -> tuple[float, float]:
    """Returns the interval of a number above 0 by its logarithm."""
    if value <= 0:
        return 0.0, half
    factor = math.exp(min(half / value, 700))  # exp(710) overflows
    return value / factor, value * factor


def describe_interval(found: Estimate, scale: Scale) -> dict[str, Any]:
    """Returns {low, high, scale, items, of, refused, note} for `result.json`; `low` and `high` are None where `refused`
    says why."""
    refused = note = None
    if scale.items < LEAST_ITEMS:
        refused = f"too few {scale.of}: {scale.items:.3g}, and an interval needs {LEAST_ITEMS}"
    elif found.covers_seeds and found.seeds < LEAST_SEEDS:
        note = f"{found.seeds} seeds: few, {LEAST_SEEDS} give a much narrower one"
    low, high = (None, None) if refused else score_interval(found, scale)
    return {
        "low": low, "high": high, "scale": scale.name, "items": scale.items, "of": scale.of, "refused": refused,
        "note": note,
    }  # fmt: skip


def scale_from(kept: Mapping[str, Any] | None) -> Scale:
    """Returns the scale in `result.json`; that of a number without limits for results of older versions."""
    return Scale("plain", math.inf) if kept is None else Scale(kept["scale"], kept["items"], kept["of"])
