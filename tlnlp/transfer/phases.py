"""A stretch of training: what learns, for how long, how fast; what is added to the network, or fitted beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# The group of the numbers that a classifier beside the network has.
CLASSIFIER = "classifier"


@dataclass(frozen=True)
class AdapterSpec:
    """New weights beside frozen ones.

    Args:
        kind: "lora", "ia3", "prefix", "prompt" or "adapter".
        options: of that kind, see `tlnlp.transfer.adapters`.
    """

    kind: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class FeatureClassifierConfig:
    """A classifier that is fitted to the features of a frozen network, in place of updates.

    Args:
        layers: those that it reads: 0 is what enters the first layer, the last one what the network's own head reads.
        mixed: the layers are weighed, and their weights learnt with the classifier.
        classifier: "logistic_regression", "linear_svm" or "nearest_centroid".
        pooling: how the vectors of a row's tokens become one: "mean", "first" or "last".
        strength: C, the inverse of the regularisation.
    """

    layers: tuple[int, ...]
    mixed: bool
    classifier: str
    pooling: str
    strength: float


@dataclass(frozen=True)
class Phase:
    """A stretch of training in which the same groups learn.

    Args:
        name: for the table and the progress bar.
        epochs: passes over the train rows.
        learning_rates: group name to peak learning rate. A group that is not named stays as it is, in evaluation mode.
        reinitialize: groups whose weights are drawn at random before the phase begins.
        only_biases: groups of which nothing but the biases learns.
        adapter: what is added to the network, the same in all phases of a run; its group is called `ADAPTER`.
        fit: a classifier to fit instead of learning by updates: no epochs, no rates; its group is `CLASSIFIER`.
    """

    name: str
    epochs: int
    learning_rates: Mapping[str, float]
    reinitialize: Sequence[str] = field(default=())
    only_biases: Sequence[str] = field(default=())
    adapter: AdapterSpec | None = None
    fit: FeatureClassifierConfig | None = None
