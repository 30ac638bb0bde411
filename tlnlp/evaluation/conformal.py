"""Split conformal prediction: sets of labels that contain the right one at a stated error rate (Vovk et al. 2005;
Papadopoulos et al. 2002; Angelopoulos and Bates 2023).

Of two nonconformity scores, `lac` (Sadinle et al. 2019: one minus the probability of the label) gives the smallest sets
on average, and `aps` (Romano et al. 2020: the probability of all likelier labels, their score with u = 0, so that the
same row always gets the same set) larger sets for the rows that are harder.

Words of a sentence are not exchangeable, but sentences are: with weights of one over the number of words, the guarantee
is for a word drawn at random from a new sentence (Lee et al. 2023, hierarchical conformal prediction).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeGuard

import numpy as np

from tlnlp.data.rows import Rows
from tlnlp.errors import InputError
from tlnlp.evaluation.intervals import wilson
from tlnlp.task import MultiLabel, Prediction, Regression, Task

SetMethod = Literal["lac", "aps"]
METHODS: tuple[SetMethod, ...] = ("lac", "aps")
# Points of a kept distribution of scores: exact for as many rows, above that the next larger score.
POINTS = 2_000
# Probabilities that are held at once for this: 160 MB.
MOST_CHANCES = 20_000_000
# The error rates whose coverage is measured at the end of a run.
RATES = (0.05, 0.1, 0.2)
# Sums of probabilities differ in the last digits by the order of the labels.
ROUNDING = 1e-9


@dataclass(frozen=True)
class ClassChances:
    """The probabilities of all classes for each row, or for each word of each row.

    Args:
        chances: [lines, most classes], padded with NaN.
        rows: [lines] the row of each line.
        right: [lines] the index of the right class; None if it is not known.
    """

    chances: np.ndarray
    rows: np.ndarray
    right: np.ndarray | None = None

    def select(self, rows: np.ndarray) -> ClassChances:
        """Returns the lines of `rows`."""
        kept = np.isin(self.rows, rows)
        return ClassChances(self.chances[kept], self.rows[kept], None if self.right is None else self.right[kept])


def why_no_sets(task: Task) -> str | None:
    """Returns why a task has no prediction sets; None if it has."""
    if isinstance(task.labels, MultiLabel):
        return "rows with any number of labels"
    if isinstance(task.labels, Regression):
        return "numbers instead of labels"
    if not {"label", "tags"} & set(task.columns.by_role()):
        return "no labels, tags or endings"
    return None


def chances_of(predictions: Sequence[Prediction], rows: Rows, task: Task) -> ClassChances | None:
    """Returns the probabilities of all classes of all rows; None if the predictions do not have them."""
    if why_no_sets(task) is not None or not predictions or len(predictions) != len(rows):
        return None
    if "words" in rows.columns:
        lines = [each.distribution for each in predictions]
        if any(each is None for each in lines):
            return None
        right = [tag for tags in rows.columns["tags"] for tag in tags] if "tags" in rows.columns else None
        counts = [len(each) for each in lines]
        return ClassChances(
            np.concatenate(lines).astype(np.float64),
            np.repeat(np.arange(len(rows)), counts),
            None if right is None else np.asarray(right),
        )
    if any(each.scores is None for each in predictions):
        return None
    if "endings" in rows.columns:
        lines = [each.scores for each in predictions]
        chances = np.full((len(lines), max(map(len, lines))), np.nan)
        for place, line in zip(chances, lines, strict=True):
            place[: len(line)] = line
    else:
        # Of thousands of labels only the best have a score. The others count as 0, for calibration and for new rows.
        index = {name: place for place, name in enumerate(rows.labels or ())}
        chances = np.zeros((len(rows), len(index)))
        for place, each in zip(chances, predictions, strict=True):
            place[[index[name] for name in each.scores]] = list(each.scores.values())
    labels = rows.columns.get("label")
    return ClassChances(chances, np.arange(len(rows)), None if labels is None else np.asarray(labels))


def nonconformity(chances: np.ndarray, method: SetMethod) -> np.ndarray:
    """Returns the score of each class [lines, classes], which is larger the less it fits; NaN for padding."""
    if method == "lac":
        return 1 - chances
    order = np.argsort(-chances, axis=1, kind="stable")  # NaN is last
    ordered = np.take_along_axis(chances, order, 1)
    likelier = np.cumsum(ordered, axis=1) - ordered
    scores = np.empty_like(likelier)
    np.put_along_axis(scores, order, likelier, 1)
    return scores


@dataclass(frozen=True)
class Calibration:
    """The distribution of the nonconformity scores of rows that were not trained on.

    Args:
        rows: number of rows.
        scores: {method: ascending scores}.
        shares: {method: for each score the share of the rows, and of one more, that have it or a smaller one}.
    """

    rows: int
    scores: Mapping[str, np.ndarray]
    shares: Mapping[str, np.ndarray]

    @classmethod
    def of(cls, found: ClassChances) -> Calibration:
        """Computes it from rows whose right classes are known."""
        assert found.right is not None
        rows, counts = len(np.unique(found.rows)), np.bincount(found.rows)
        lines = np.arange(len(found.right))
        scores: dict[str, np.ndarray] = {}
        shares: dict[str, np.ndarray] = {}
        for method in METHODS:
            of_right = nonconformity(found.chances, method)[lines, found.right]
            order = np.argsort(of_right, kind="stable")
            ascending = of_right[order]
            share = np.cumsum(1 / counts[found.rows[order]]) / (rows + 1)
            last = np.flatnonzero(np.append(np.diff(ascending) > 0, True))  # of equal scores the last has them all
            if len(last) > POINTS:
                steps = np.searchsorted(share[last], np.arange(1, POINTS + 1) / POINTS * share[-1] - ROUNDING)
                last = last[np.unique(np.minimum(steps, len(last) - 1))]
            scores[method], shares[method] = ascending[last], share[last]
        return cls(rows, scores, shares)

    def threshold(self, error_rate: float, method: SetMethod) -> float:
        """Returns the quantile of the scores: classes of a new row with at most this score are in its set.

        Raises:
            InputError: there are too few rows for this rate.
        """
        check_rate(error_rate)
        place = int(np.searchsorted(self.shares[method], 1 - error_rate - ROUNDING))
        if place == len(self.shares[method]):
            least = least_rate(self.rows)
            raise InputError(
                expected=f"an error rate of {least:.3g} or more, which {self.rows:,} rows can vouch for",
                found=f"{error_rate:g}, for which {least_rows(error_rate):,} dev rows are needed",
                change="--error-rate, or train with more dev rows",
            )
        return float(self.scores[method][place])

    def as_json(self) -> dict[str, Any]:
        """Returns the form in which it is kept with the model."""
        return {
            "rows": self.rows,
            "scores": {name: values.tolist() for name, values in self.scores.items()},
            "shares": {name: values.tolist() for name, values in self.shares.items()},
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Calibration:
        """Reads the form of `as_json`."""
        scores, shares = ({k: np.asarray(v) for k, v in kept[name].items()} for name in ("scores", "shares"))
        return cls(kept["rows"], scores, shares)


def keep_scores(predictions: Sequence[Prediction], rows: Rows, task: Task) -> dict[str, Any] | None:
    """Returns what is kept with a model so that it can give prediction sets; None if it cannot."""
    found = chances_of(*_some(predictions, rows), task)
    return None if not _is_usable(found) else Calibration.of(found).as_json()


def describe_sets(predictions: Sequence[Prediction], rows: Rows, task: Task) -> dict[str, Any] | None:
    """Returns what prediction sets of this model are like: `rows` and `measured`, see `measure_sets`; None if there are
    none."""
    predictions, rows = _some(predictions, rows)
    found = chances_of(predictions, rows, task)
    if not _is_usable(found):
        return None
    return {"rows": len(rows), "unit": "word" if "words" in rows.columns else "row", "measured": measure_sets(found)}


def _some(predictions: Sequence[Prediction], rows: Rows) -> tuple[Sequence[Prediction], Rows]:
    """Returns as many of the rows, drawn at random, as have room in memory with the probabilities of all labels."""
    most = MOST_CHANCES // max(1, len(rows.labels or ()))
    if "words" in rows.columns or len(predictions) != len(rows) or len(rows) <= most:
        return predictions, rows
    drawn = np.sort(np.random.default_rng(0).permutation(len(rows))[:most])
    return [predictions[place] for place in drawn.tolist()], rows.select(drawn)


def _is_usable(found: ClassChances | None) -> TypeGuard[ClassChances]:
    """Returns whether all probabilities are numbers, which those of a diverged run are not."""
    if found is None or found.right is None:
        return False
    return bool(np.isfinite(found.chances[np.arange(len(found.right)), found.right]).all())


def check_rate(error_rate: float) -> None:
    """Refuses what is no error rate."""
    if not 0 < error_rate < 1:
        raise InputError(
            expected="--error-rate between 0 and 1, e.g. 0.1: at most one set in ten lacks the right label",
            found=f"{error_rate:g}",
            change="--error-rate",
        )


def least_rows(error_rate: float) -> int:
    """Returns how many rows an error rate needs: with fewer, only the set of all labels keeps it."""
    return math.ceil(1 / error_rate - 1 - ROUNDING)


def least_rate(rows: int) -> float:
    """Returns the least error rate that so many rows can vouch for, rounded up to three digits."""
    exact = 1 / (rows + 1)
    digit = 10.0 ** (math.floor(math.log10(exact)) - 2)
    return math.ceil(exact / digit - ROUNDING) * digit


def sets_of(chances: np.ndarray, threshold: float, method: SetMethod) -> np.ndarray:
    """Returns which classes are in the set of each line [lines, classes]. The most probable class always is: no set is
    empty, and the error rate can only become smaller."""
    inside = nonconformity(chances, method) <= threshold + ROUNDING
    inside[np.arange(len(chances)), np.nanargmax(chances, axis=1)] = True
    return inside


def measure_sets(found: ClassChances, seed: int = 0) -> dict[str, list[dict[str, Any]]]:
    """Returns for each method and error rate what the sets are like on rows that did not calibrate them: each half of
    the rows is measured with the threshold of the other half.

    Returns:
        {method: [{error_rate, coverage, low, high, mean_size, single}]}: `coverage` is the share of the rows (of words:
        the mean share over rows) whose set has the right class, with its 95 % interval; `single` the share of sets of
        one class. Rates for which half of the rows are too few are left out.
    """
    assert found.right is not None
    rows = np.random.default_rng(seed).permutation(np.unique(found.rows))
    halves = [np.sort(half) for half in np.array_split(rows, 2)]
    measured: dict[str, list[dict[str, Any]]] = {}
    for method in METHODS:
        measured[method] = []
        for rate in RATES:
            if min(map(len, halves)) < least_rows(rate):
                continue
            parts = []
            for calibrating, held in (halves, halves[::-1]):
                threshold = Calibration.of(_renumbered(found.select(calibrating))).threshold(rate, method)
                parts.append(_measure(found.select(held), threshold, method))
            covered, sizes, single = (np.concatenate(each) for each in zip(*parts, strict=True))
            low, high = wilson(float(covered.mean()), len(covered))
            measured[method].append(
                {
                    "error_rate": rate, "coverage": float(covered.mean()), "low": low, "high": high,
                    "mean_size": float(sizes.mean()), "single": float(single.mean()),
                }
            )  # fmt: skip
    return measured


def _renumbered(found: ClassChances) -> ClassChances:
    return ClassChances(found.chances, np.unique(found.rows, return_inverse=True)[1], found.right)


def _measure(held: ClassChances, threshold: float, method: SetMethod) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns for each row the mean over its lines: is the right class in the set, its size, and is it of one class."""
    inside = sets_of(held.chances, threshold, method)
    _, places, counts = np.unique(held.rows, return_inverse=True, return_counts=True)
    sizes = inside.sum(1)
    lines = (inside[np.arange(len(inside)), held.right], sizes, sizes == 1)
    covered, size, single = (np.bincount(places, weights=each.astype(float)) / counts for each in lines)
    return covered, size, single
