"""A phase of training: what is trained, for how long and at which learning rates; what is added to the network, or
fitted on its features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

# The group of the weights of a classifier on the network's features.
CLASSIFIER = "classifier"


@dataclass(frozen=True)
class Hyperparameters:
    """The hyperparameters that a strategy plans with.

    Args:
        epochs: passes over the train rows, of `--epochs` (more if `--least-updates` needs them).
        learning_rate: peak learning rate of `--learning-rate`.
    """

    epochs: int
    learning_rate: float


@dataclass(frozen=True)
class AdapterSpec:
    """The specification of an adapter: new weights in a frozen network.

    Args:
        kind: "lora", "ia3", "prefix", "prompt" or "adapter".
        options: of that kind, see `tlnlp.transfer.adapters`.
    """

    kind: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class FeatureClassifierConfig:
    """A classifier that is fitted to the features of a frozen network, instead of updates.

    Args:
        layers: the layers to use: 0 is the input of the first layer, the last one is the input of the network's own
            head.
        mixed: whether to use a weighted mean of the layers, whose weights are learnt with the classifier.
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
    """A phase of training, in which the same groups are trained.

    Args:
        name: for the table and the progress bar.
        epochs: passes over the train rows.
        learning_rates: {group name: peak learning rate}. Other groups are frozen, in evaluation mode.
        reinitialize: groups whose weights are re-initialised before the phase starts.
        only_biases: groups of which only the biases are trained.
        adapter: the adapter to add to the network, the same in all phases of a run; its group is called `ADAPTER`.
        fit: a classifier to fit instead of updates: no epochs, no learning rates; its group is `CLASSIFIER`.
    """

    name: str
    epochs: int
    learning_rates: Mapping[str, float]
    reinitialize: Sequence[str] = field(default=())
    only_biases: Sequence[str] = field(default=())
    adapter: AdapterSpec | None = None
    fit: FeatureClassifierConfig | None = None
