"""Losses of labels and their weights: cross entropy and focal loss (Lin et al. 2017), for one label and for several."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

if TYPE_CHECKING:
    from tlnlp.heads.encoded import EncodedDataset
    from tlnlp.settings import Settings

# The gradient of (1 - p)^gamma is infinite at p = 1 if gamma is below 1.
LEAST_DOUBT = 1e-12


def loss_constants(settings: Settings) -> dict[str, float]:
    """Returns what `EncodedDataset.batch_constants` has of the loss: the gamma of focal loss."""
    return {"focal_gamma": settings.focal_gamma} if settings.loss == "focal" else {}


def loss_inputs(encoded: EncodedDataset) -> dict[str, torch.Tensor]:
    """Returns what the loss needs beside targets: `focal_gamma` and `label_weights` [labels], if they are set."""
    found = {}
    if "focal_gamma" in encoded.batch_constants:
        found["focal_gamma"] = torch.tensor(encoded.batch_constants["focal_gamma"])
    if encoded.label_weights is not None:
        found["label_weights"] = torch.from_numpy(encoded.label_weights.astype(np.float32))
    return found


def label_losses(found: torch.Tensor, targets: torch.Tensor, gamma: torch.Tensor | None = None) -> torch.Tensor:
    """Returns the cross entropy of each line [lines] from logits [lines, labels], or with `gamma` the focal loss
    (1 - p)^gamma times it, where p is the probability of the right label (Lin et al. 2017, equation 4)."""
    nats = cross_entropy(found, targets, reduction="none")
    return nats if gamma is None else _doubt(nats) ** gamma * nats


def binary_losses(found: torch.Tensor, targets: torch.Tensor, gamma: torch.Tensor | None = None) -> torch.Tensor:
    """Returns the binary cross entropy, or focal loss, of each label [rows, labels] from logits [rows, labels]."""
    nats = binary_cross_entropy_with_logits(found, targets, reduction="none")
    return nats if gamma is None else _doubt(nats) ** gamma * nats


def _doubt(nats: torch.Tensor) -> torch.Tensor:
    """Returns 1 - p for p = exp(-nats), exactly where p is near 1."""
    return -torch.expm1(-nats).clamp(max=-LEAST_DOUBT)


def balanced_weights(labels: np.ndarray, count: int) -> np.ndarray:
    """Returns a weight for each of `count` labels [labels]: lines / (labels that occur x lines of the label), as
    scikit-learn's "balanced" (King and Zeng 2001)."""
    counts = np.bincount(labels, minlength=count)
    return len(labels) / ((counts > 0).sum() * np.maximum(counts, 1))


def positive_weights(targets: np.ndarray) -> np.ndarray:
    """Returns for each of several labels per row the weight of rows that have it [labels], from 0 or 1 [rows, labels]:
    the rows without it / the rows with it, as torch's `pos_weight`; 1 for a label that no row has."""
    held = targets.sum(axis=0)
    return np.where(held > 0, (len(targets) - held) / np.maximum(held, 1), 1.0)


def cell_weights(targets: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Returns the weight of each label of each row [rows, labels]."""
    return np.where(targets > 0, weights, 1.0)
