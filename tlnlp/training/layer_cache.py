"""The interface of a cache of frozen layers' outputs, for training and prediction."""

from __future__ import annotations

import contextlib
from typing import Any, Protocol

import numpy as np

from tlnlp.heads.encoded import EncodedDataset


class LayerCache(Protocol):
    """A cache of the outputs of a network's frozen layers, implemented in `tlnlp.acceleration.activation_cache`."""

    #: Size on disk.
    bytes: int

    def keep(self, encoded: EncodedDataset) -> None:
        """Makes sure that the outputs for `encoded` are cached. All processes must call it."""

    def instead(
        self, encoded: EncodedDataset, items: np.ndarray, batch: dict[str, Any]
    ) -> contextlib.AbstractContextManager[dict[str, Any]]:
        """While it is open, the frozen layers return the cached outputs of `items`. Yields the batch to use."""

    def remove(self) -> None:
        """Restores the network's layers."""


def use_cache(
    cache: LayerCache | None, encoded: EncodedDataset, items: np.ndarray, batch: dict[str, Any]
) -> contextlib.AbstractContextManager[dict[str, Any]]:
    """Yields the batch to use while it is open: that of `cache`, or `batch` without a cache."""
    return contextlib.nullcontext(batch) if cache is None else cache.instead(encoded, items, batch)
