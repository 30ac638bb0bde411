"""Likely label errors: rows whose words say another label than they have, by confident learning (Northcutt et al. 2021,
section 3) with cross-validated probabilities of a bag-of-words classifier. As in cleanlab's `find_label_issues` with
`filter_by="confident_learning"`."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import compress

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from tlnlp.data.rows import Rows, strata_of
from tlnlp.data.sampling import draw_rows
from tlnlp.evaluation.data_profile import texts_of

FOLDS = 5
# So many rows are looked at, drawn by label; so many labels, the most frequent; so many words and pairs of words.
MOST_ROWS, MOST_LABELS, MOST_WORDS = 20_000, 50, 30_000
# The classifier must be so much better than the most frequent label, or what it says of single rows is chance.
LEAST_GAIN = 0.1
ITERATIONS = 100


@dataclass(frozen=True)
class LabelErrors:
    """What was found.

    Args:
        rows: places of the rows whose label is likely wrong, the least likely label first.
        likely: the label that the words say, of each of these: an index in `Rows.labels`.
        looked_at: the number of rows that were looked at.
        accuracy: of the classifier on rows that it had not learnt from.
        is_reliable: whether that is much better than the most frequent label; otherwise there are no `rows`.
    """

    rows: np.ndarray
    likely: np.ndarray
    looked_at: int
    accuracy: float
    is_reliable: bool


def find_label_errors(rows: Rows) -> LabelErrors | None:
    """Returns the likely label errors; None where rows do not have one label each, or too few rows have each."""
    values = rows.columns.get("label")
    if values is None or rows.labels is None or "endings" in rows.columns or not isinstance(values[0], int):
        return None
    places = np.arange(len(rows))
    if len(rows) > MOST_ROWS:
        places = np.sort(draw_rows(strata_of(rows), MOST_ROWS, seed=0))
    labels = np.asarray(values)[places]
    counts = np.bincount(labels, minlength=len(rows.labels))
    known = np.argsort(-counts, kind="stable")[:MOST_LABELS]
    known = np.sort(known[counts[known] >= FOLDS])
    if len(known) < 2:
        return None
    is_known = np.isin(labels, known)
    places, labels = places[is_known], labels[is_known]
    some = np.zeros(len(rows), dtype=bool)
    some[places] = True
    chances = cross_validated(list(compress(texts_of(rows), some.tolist())), labels)
    given = np.searchsorted(known, labels)
    accuracy = float((chances.argmax(1) == given).mean())
    most = float(np.bincount(given).max() / len(given))
    is_reliable = accuracy >= most + LEAST_GAIN * (1 - most)
    wrong, likely = confident_errors(chances, given) if is_reliable else (np.array([], int), np.array([], int))
    return LabelErrors(places[wrong], known[likely], len(places), accuracy, is_reliable)


def cross_validated(texts: list[str], labels: np.ndarray) -> np.ndarray:
    """Returns the probability of each label [rows, labels], from a classifier that has not learnt from the row."""
    reader = TfidfVectorizer(
        ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\b\w+\b", max_features=MOST_WORDS, dtype=np.float32
    )
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        classifier = LogisticRegression(C=10, max_iter=ITERATIONS)
        return cross_val_predict(classifier, reader.fit_transform(texts), labels, cv=folds, method="predict_proba")


def confident_errors(chances: np.ndarray, given: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows that count as another label than their own, the least confident first, and those labels.

    A row counts as the most probable of the labels whose probability is at least the mean that they have in their own
    rows (the off-diagonal of the confident joint).

    Args:
        chances: out-of-sample probabilities [rows, labels].
        given: the labels as they are [rows].
    """
    rows = np.arange(len(given))
    means = np.array([chances[given == label, label].mean() for label in range(chances.shape[1])])
    is_confident = chances >= means - 1e-6
    likely = np.where(is_confident, chances, -1).argmax(1)
    wrong = is_confident.any(1) & (likely != given) & (chances.argmax(1) != given)
    found = np.flatnonzero(wrong)
    found = found[np.argsort(chances[rows, given][found], kind="stable")]
    return found, likely[found]
