"""What training and prediction must know of frozen layers that are not run again: their outputs can be replayed."""

from __future__ import annotations

import contextlib
from typing import Any, Protocol

import numpy as np

from tlnlp.heads.encoded import EncodedDataset


class LayerCache(Protocol):
    """The kept answers of a network's frozen layers; `tlnlp.acceleration.activation_cache` has the real one."""

    #: What is kept on disk.
    bytes: int

    def keep(self, encoded: EncodedDataset) -> None:
        """Sees to it that the answers to `encoded` are at hand. To be called by all processes together."""

    def instead(
        self, encoded: EncodedDataset, items: np.ndarray, batch: dict[str, Any]
    ) -> contextlib.AbstractContextManager[dict[str, Any]]:
        """While it is open the frozen layers answer `items` from what was kept; gives the batch to be read then."""

    def remove(self) -> None:
        """Gives the network its own layers back."""


def use_cache(
    cache: LayerCache | None, encoded: EncodedDataset, items: np.ndarray, batch: dict[str, Any]
) -> contextlib.AbstractContextManager[dict[str, Any]]:
    """The batch to be read while it is open: that of `cache` where there is one."""
    return contextlib.nullcontext(batch) if cache is None else cache.instead(encoded, items, batch)
