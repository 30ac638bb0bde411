"""Several labels in a row: the probability above which a row has a label, tuned for each label by its F1 (the SCut
strategy: Yang 2001; Fan, Lin 2007, "A study on threshold selection for multi-label classification")."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from tlnlp.task import Prediction

# As in transformers' pipelines.
ONE_HALF = 0.5
# Labels that fewer rows have, or lack, stay at one half: their F1 on these rows says little of others.
LEAST_ROWS = 5
FOLDS = 5
LABELS_AT_ONCE = 256


def tune_thresholds(chances: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Returns the threshold of each label with the best F1 on these rows: [labels]; one half for labels with too few
    rows, and where no other is better.

    Args:
        chances: probabilities [rows, labels].
        held: whether the row has the label [rows, labels].
    """
    found = np.full(chances.shape[1], ONE_HALF)
    for first in range(0, chances.shape[1], LABELS_AT_ONCE):
        part = slice(first, first + LABELS_AT_ONCE)
        found[part] = _tune(chances[:, part], held[:, part])
    return found


def _tune(chances: np.ndarray, held: np.ndarray) -> np.ndarray:
    rows, have = len(held), held.sum(0)
    order = np.argsort(-chances, axis=0, kind="stable")
    falling = np.take_along_axis(chances, order, axis=0)
    right = np.cumsum(np.take_along_axis(held, order, axis=0), axis=0)
    f1 = 2 * right / (np.arange(1, rows + 1)[:, None] + have)  # of the first row, of the first two, ...
    below = np.vstack([falling[1:], np.zeros((1, falling.shape[1]))])
    f1[falling == below] = -1  # rows with the same probability are not told apart
    best = f1.argmax(0)
    columns = np.arange(chances.shape[1])
    middle = (falling[best, columns] + below[best, columns]) / 2
    told = chances > ONE_HALF
    at_half = 2 * (told & held).sum(0) / np.maximum(told.sum(0) + have, 1)
    is_better = (f1[best, columns] > at_half) & (have >= LEAST_ROWS) & (rows - have >= LEAST_ROWS)
    return np.where(is_better, middle, ONE_HALF)


def cross_fit(chances: np.ndarray, held: np.ndarray) -> np.ndarray:
    """Returns the thresholds [rows, labels] of rows that did not tune them: those of each fifth of the rows are tuned
    on the others."""
    rows = len(held)
    found = np.full(chances.shape, ONE_HALF, dtype=np.float32)
    for fold in np.array_split(np.random.default_rng(0).permutation(rows), min(FOLDS, rows)):
        others = np.setdiff1d(np.arange(rows), fold)
        if len(others):
            found[fold] = tune_thresholds(chances[others], held[others])
    return found


def chances_of(predictions: Sequence[Prediction], names: Sequence[str]) -> np.ndarray:
    """Returns the probabilities [rows, labels]; 0 for labels that are not among the best that are kept."""
    found = np.zeros((len(predictions), len(names)), dtype=np.float32)
    index = {name: i for i, name in enumerate(names)}
    for line, each in zip(found, predictions, strict=True):
        if each.scores is None:
            line[:] = each.score
        else:
            line[[index[name] for name in each.scores]] = list(each.scores.values())
    return found


def held_by(labels: Sequence[Sequence[int]], names: Sequence[str]) -> np.ndarray:
    """Returns whether each row has each label: [rows, labels]."""
    held = np.zeros((len(labels), len(names)), dtype=bool)
    for line, each in zip(held, labels, strict=True):
        line[list(each)] = True
    return held


def decide(
    predictions: Sequence[Prediction], chances: np.ndarray, thresholds: np.ndarray, names: Sequence[str]
) -> list[Prediction]:
    """Returns the predictions with the labels whose probability is above their threshold.

    Args:
        thresholds: [labels], or [rows, labels].
    """
    decided = []
    for each, line in zip(predictions, chances > thresholds, strict=True):
        told = [names[i] for i in np.flatnonzero(line).tolist()]
        score = each.score if each.scores is None else [each.scores[name] for name in told]
        decided.append(replace(each, prediction=told, score=score))
    return decided


def thresholds_of(thresholds: Mapping[str, float], names: Sequence[str]) -> np.ndarray:
    """Returns the threshold of each label: [labels]; one half if none was tuned."""
    return np.array([thresholds.get(name, ONE_HALF) for name in names])
