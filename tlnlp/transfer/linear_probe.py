"""Classifiers on frozen features. Each is a linear function of the selected layers: a few matrices, which are saved as
safetensors and predict with one product, without scikit-learn."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from tlnlp.lazy import lazy_module
from tlnlp.transfer.phases import FeatureClassifierConfig

# Takes half a second to import; not imported unless a classifier is fitted.
linear_model, svm = lazy_module("sklearn.linear_model"), lazy_module("sklearn.svm")

# One of several labels per row, any number of labels, or a score.
Kind = Literal["one", "several", "score"]

MOST_ITERATIONS = 1_000
# Logit of a label that no train row has: its probability is 0 whatever the other logits are.
NEVER = -1e4
# Minimum standard deviation of a feature, as a fraction of the typical size of features: smaller variation is rounding
# error, which standardising would scale up to a full feature (the first token's vector below the first layer).
LEAST_DEVIATION_FRACTION = 1e-3
# L2 penalty on the logits of the layer weights, relative to the mean loss: "smaller values allow the layer weights to
# vary" (Peters et al. 2018, section 5.1). Without it, the weight of a useless layer would shrink without end.
SHARES_DECAY = 1e-3


@dataclass(frozen=True)
class Classifier:
    """A linear classifier: logits are the sum of `weight` times the features, plus `bias`.

    Args:
        weight: [outputs, layers, width] float32
        bias: [outputs] float32
        shares: [layers] the weights of a learnt scalar mix, which sum to 1; already multiplied into `weight`.
    """

    weight: np.ndarray
    bias: np.ndarray
    shares: np.ndarray | None = None

    def logits(self, features: np.ndarray) -> np.ndarray:
        """[rows, layers, width] -> [rows, outputs]"""
        return np.einsum("rlw,olw->ro", features, self.weight) + self.bias


def fit_classifier(
    features: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    kind: Kind,
    outputs: int,
    fit: FeatureClassifierConfig,
    seed: int,
    label_weights: np.ndarray | None = None,
) -> Classifier:
    """Fits the classifier in `fit`. Features are standardised to mean 0 and deviation 1 first, so that `strength` means
    the same for every network and layer: without it, the first token's vectors of all-MiniLM-L6-v2 are so similar that
    with a strength of 1 SST-2 stays at chance (0.51; 0.75 standardised). The standardisation is folded into the
    weights.

    Args:
        features: [rows, layers, width]
        targets: [rows] label indices; [rows, outputs] 0 or 1 for several labels; [rows] scores.
        weights: [rows] sample weights; a row of weight 2 counts as two rows.
        outputs: number of labels; 1 for a score.
        label_weights: [outputs] of several labels: the weight of rows that have a label, beside their own.
        seed: of the linear SVM's solver; nothing else is random.
    """
    counts = weights > 0
    features, targets, weights = features[counts], targets[counts], weights[counts].astype(np.float64)
    middle, deviation = _mean_and_deviation(features, weights)
    standard = (features - middle) / deviation
    shares = None
    if fit.mixed:
        matrix, bias, shares = _fit_mix(standard, targets, weights, kind, outputs, fit.strength)
        weight = shares[None, :, None] * matrix[:, None, :]
    else:
        matrix, bias = _fit_layer(standard[:, 0], targets, weights, kind, outputs, fit, seed, label_weights)
        weight = matrix[:, None, :]
    weight = weight / deviation
    bias = bias - np.einsum("olw,lw->o", weight, middle)
    return Classifier(weight.astype(np.float32), bias.astype(np.float32), shares)


def _mean_and_deviation(features: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the weighted mean and standard deviation of each feature: [layers, width] each, in float64."""
    share = weights / weights.sum()
    middle = np.einsum("r,rlw->lw", share, features, dtype=np.float64)
    square = np.einsum("r,rlw->lw", share, np.square(features - middle))
    size = np.sqrt(np.median(middle**2 + square, axis=1, keepdims=True))  # [layers, 1]
    return middle, np.maximum(np.sqrt(square), np.maximum(LEAST_DEVIATION_FRACTION * size, np.finfo(np.float32).tiny))


def _fit_layer(
    features: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    kind: Kind,
    outputs: int,
    fit: FeatureClassifierConfig,
    seed: int,
    label_weights: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """[rows, width] -> [outputs, width] and [outputs]"""
    if kind == "score":
        ridge = linear_model.Ridge(alpha=1 / fit.strength).fit(features, targets, weights)
        return ridge.coef_.reshape(1, -1), np.atleast_1d(ridge.intercept_)
    if kind == "several":
        more = np.ones(outputs) if label_weights is None else label_weights
        found = [
            _fit_labels(features, held, weights * np.where(held > 0, each, 1.0), 2, fit, seed)
            for held, each in zip(targets.T.astype(np.int64), more, strict=True)
        ]
        # The logit of a label is the difference between the logits of "present" and "absent".
        return np.stack([m[1] - m[0] for m, _ in found]), np.stack([b[1] - b[0] for _, b in found])
    return _fit_labels(features, targets, weights, outputs, fit, seed)


def _fit_labels(
    features: np.ndarray, targets: np.ndarray, weights: np.ndarray, labels: int, fit: FeatureClassifierConfig, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns [labels, width] and [labels]; a label that no row has gets `NEVER`."""
    matrix, bias = np.zeros((labels, features.shape[1])), np.full(labels, NEVER)
    present = np.unique(targets)
    if len(present) == 1:
        bias[present] = 0
        return matrix, bias
    if fit.classifier == "nearest_centroid":
        matrix[present], bias[present] = _centroids(features, targets, weights, present)
        return matrix, bias
    if fit.classifier == "linear_svm":
        model = svm.LinearSVC(C=fit.strength, max_iter=MOST_ITERATIONS, random_state=seed)
    else:
        model = linear_model.LogisticRegression(C=fit.strength, max_iter=MOST_ITERATIONS)
    with warnings.catch_warnings():
        # After that many iterations, only the last digits still change.
        warnings.filterwarnings("ignore", message=".*(converge|CONVERGENCE|ITERATIONS).*")
        model.fit(features, targets, weights)
    matrix[present], bias[present] = _one_row_per_label(model.coef_, model.intercept_)
    return matrix, bias


def _one_row_per_label(matrix: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns one row per label: for two labels, scikit-learn has one row, the log odds of the second."""
    halves = np.asarray([-0.5, 0.5])
    return (halves[:, None] * matrix, halves * bias) if len(matrix) == 1 else (matrix, bias)


def _centroids(
    features: np.ndarray, targets: np.ndarray, weights: np.ndarray, present: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Nearest centroids as a linear function (Rocchio): the nearer x is to the mean c, the greater is x c - c c / 2."""
    means = [np.average(features[targets == label], axis=0, weights=weights[targets == label]) for label in present]
    centroids = np.stack(means)
    return centroids, -np.square(centroids).sum(1) / 2


def _fit_mix(
    features: np.ndarray, targets: np.ndarray, weights: np.ndarray, kind: Kind, outputs: int, strength: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fits the layer weights together with a classifier of the weighted sum of layers (Peters et al. 2018, equation 1,
    whose scale is part of the classifier's weights): [outputs, width], [outputs], [layers].

    The objective is that of scikit-learn plus `SHARES_DECAY`; it starts from equal layer weights, and nothing is
    random.
    """
    states = torch.from_numpy(features).double()
    per_row = torch.from_numpy(weights)[:, None] / weights.sum()
    present = np.unique(targets) if kind == "one" else np.arange(outputs)
    answers = torch.from_numpy(np.searchsorted(present, targets) if kind == "one" else targets)
    lines = 1 if len(present) == 2 and kind == "one" else len(present)  # two labels need one row
    matrix = torch.zeros(lines, states.shape[2], dtype=torch.float64, requires_grad=True)
    bias = torch.zeros(lines, dtype=torch.float64, requires_grad=True)
    share_logits = torch.zeros(states.shape[1], dtype=torch.float64, requires_grad=True)
    solver = torch.optim.LBFGS(
        [matrix, bias, share_logits], max_iter=MOST_ITERATIONS, tolerance_grad=1e-7, tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )  # fmt: skip

    def objective() -> torch.Tensor:
        solver.zero_grad()
        found = torch.einsum("rlw,l->rw", states, share_logits.softmax(0)) @ matrix.T + bias
        loss = (_losses(found, answers, kind) * per_row).sum() + SHARES_DECAY * share_logits.square().sum()
        loss = loss + matrix.square().sum() / (2 * strength * weights.sum())
        loss.backward()
        return loss

    solver.step(objective)
    shares = share_logits.detach().softmax(0).numpy()
    found = matrix.detach().numpy(), bias.detach().numpy()
    if kind != "one":
        return *found, shares
    whole, all_biases = np.zeros((outputs, states.shape[2])), np.full(outputs, NEVER)
    whole[present], all_biases[present] = _one_row_per_label(*found) if len(present) > 1 else (0.0, 0.0)
    return whole, all_biases, shares


def _losses(found: torch.Tensor, answers: torch.Tensor, kind: Kind) -> torch.Tensor:
    """[rows, lines or 1]"""
    if kind == "score":
        return (found - answers.double()[:, None]).square() / 2
    if kind == "one" and found.shape[1] > 1:
        return cross_entropy(found, answers, reduction="none")[:, None]
    held = answers.double() if kind == "several" else answers.double()[:, None]
    return binary_cross_entropy_with_logits(found, held, reduction="none")
